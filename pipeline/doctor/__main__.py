"""Say whether folds, predictions, weights and submissions are whole and belong together.

    python -m pipeline.doctor
    python -m pipeline.doctor --competition NAME --run minilm
    python -m pipeline.doctor --quick
    python -m pipeline.doctor --config configs/NAME.yaml

Looks at every competition under --root, or at the one of --config, which is held against it, and
changes nothing. A field such as --folds.count 4 counts as in the config. What is not as it should
be is said with what to do about it: a problem is damaged or does not match (exit code 5), a note
is harmless.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from pipeline.base import ArtifactError, Competition
from pipeline.base.command import run
from pipeline.base.parser import Parser


@cache
def parser(competition: bool = True) -> Parser:
    """The command's options, with or without those of a competition; --help needs no heavy
    import."""
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
    if competition:
        options.add_competition()
    return options


def _about_a_config(arguments: Sequence[str]) -> bool:
    """Whether any of the *arguments* is of a config, or asks what there is."""
    names = [field.name for field in fields(Competition)]
    heads = ["--config", "--help", *(f"--{name}" for name in names)]
    given = [argument.partition("=")[0].partition(".")[0] for argument in arguments]
    return "-h" in given or any(argument in heads for argument in given)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parser(_about_a_config(arguments))
    args = options.read(arguments)
    config = options.competition(args) if "config" in args else None
    from pipeline.doctor.checkup import checkup
    from pipeline.doctor.listing import Scope
    from pipeline.report.doctor import as_json, print_checkup
    from pipeline.report.page import page

    scope = Scope(
        root=Path(args.root),
        competitions=args.competition or ([config.name] if config else []),
        runs=args.run or [],
        quick=args.quick,
        config=config,
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
