"""Write one file that shows everything that lies on the disk, for a browser.

    python -m pipeline.report --config configs/NAME.yaml --open

The file, submissions/NAME-report.html, needs no server and no network: send it to a team-mate. It
shows the competition, the folds, the runs, the errors, the ensemble of all complete runs, the
ledger, what the runs cost and who gave them. Nothing is trained, and what is not there yet is said.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipeline.base import Competition
from pipeline.base.command import run
from pipeline.base.files import size_text
from pipeline.base.parser import Parser
from pipeline.report.drawn.words import add_language


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("report", __doc__ or "")
    options.add_argument("--open", action="store_true", help="show it in this machine's browser")
    options.add_argument(
        "--quick", action="store_true", help="without the leaderboard's noise: some seconds less"
    )
    options.add_argument(
        "--doubtful",
        metavar="FILE",
        help="write this list instead: each label with the ensemble's answer and how doubtful it "
        "is, a csv",
    )
    add_language(options)
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    from pipeline.report.drawn.pages import write
    from pipeline.report.page import page

    if args.doubtful:
        return _doubtful(competition, Path(args.root), Path(args.doubtful), args.json)
    path = write(competition, Path(args.root), args.quick, args.lang)
    size = path.stat().st_size
    if args.json:
        print(json.dumps({"report": str(path), "bytes": size}))
    else:
        page().print(f"wrote {path} ({size_text(size)})", soft_wrap=True)
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0


def _doubtful(competition: Competition, root: Path, path: Path, as_json: bool) -> int:
    """Write the list of doubtful labels; the exit code."""
    from pipeline.report.drawn.disk import Disk
    from pipeline.report.drawn.doubtful import write_doubtful
    from pipeline.report.page import page

    said = write_doubtful(Disk(competition, root), path)
    if as_json:
        print(json.dumps({"doubtful": str(path)}))
    else:
        page().print(said, soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
