"""Say whether folds, predictions, weights and submissions are whole and belong together.

    python -m pipeline.doctor
    python -m pipeline.doctor --competition NAME --run minilm
    python -m pipeline.doctor --quick

Looks at every competition under --root and changes nothing. What is not as it should be is said
with what to do about it: a problem is damaged or does not match (exit code 5), a note is harmless.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.base import ArtifactError
from pipeline.base.command import run
from pipeline.base.parser import Parser


def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("doctor", __doc__ or "")
    options.add_argument(
        "--competition", action="append", metavar="NAME", help="only this one; repeatable"
    )
    options.add_argument(
        "--run",
        action="append",
        metavar="NAME",
        help="only this run and the folds it stands on; repeatable",
    )
    options.add_argument(
        "--quick", action="store_true", help="names, sizes and manifests only: nothing is hashed"
    )
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    from pipeline.doctor.checkup import checkup
    from pipeline.doctor.listing import Scope
    from pipeline.report.doctor import as_json, print_checkup
    from pipeline.report.page import page

    scope = Scope(
        root=Path(args.root),
        competitions=args.competition or [],
        runs=args.run or [],
        quick=args.quick,
    )
    sections = checkup(scope)
    if args.json:
        print(json.dumps(as_json(sections, scope)))
    else:
        print_checkup(sections, scope, page())
    broken = any(section.count("problem") for section in sections)
    return ArtifactError.exit_code if broken else 0


if __name__ == "__main__":
    raise SystemExit(run(main))
