"""Write one file that shows everything that lies on the disk, for a browser.

    python -m pipeline.report --config configs/NAME.yaml --open

The file, submissions/NAME-report.html, needs no server and no network: send it to a team-mate. It
shows the competition, the folds, the runs, the errors, the ensemble of all complete runs, the
ledger, what the runs cost and who gave them. Nothing is trained, and what is not there yet is said.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import run
from pipeline.base.files import size_text
from pipeline.base.parser import Parser
from pipeline.report.drawn.words import add_language


def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("report", __doc__ or "")
    options.add_argument("--open", action="store_true", help="show it in this machine's browser")
    options.add_argument(
        "--quick", action="store_true", help="without the leaderboard's noise: some seconds less"
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


if __name__ == "__main__":
    raise SystemExit(run(main))
