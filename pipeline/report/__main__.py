"""Write one file that shows everything that lies on the disk, for a browser.

    python -m pipeline.report --config configs/NAME.yaml --open

The file, submissions/NAME-report.html, needs no server and no network: send it to a team-mate. It
shows the competition, the folds, the runs, the errors, the ensemble of all complete runs, the
ledger, what the runs cost and who gave them. Nothing is trained, and what is not there yet is said.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.command import run
from pipeline.base.files import commit_text, size_text
from pipeline.base.parser import Parser
from pipeline.base.paths import Paths, safe_name

if TYPE_CHECKING:
    from pipeline.base import Competition
    from pipeline.report.drawn.disk import Disk
    from pipeline.report.drawn.document import Block, Page


def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("report", __doc__ or "")
    options.add_argument("--open", action="store_true", help="show it in this machine's browser")
    options.add_argument(
        "--quick", action="store_true", help="without the leaderboard's noise: some seconds less"
    )
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    from pipeline.report.page import page

    path = write(competition, Path(args.root), args.quick)
    size = path.stat().st_size
    if args.json:
        print(json.dumps({"report": str(path), "bytes": size}))
    else:
        page().print(f"wrote {path} ({size_text(size)})", soft_wrap=True)
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0


def fillers(quick: bool = False) -> "dict[str, tuple[str, Callable[[Disk], Iterator[Block]]]]":
    """Id -> title and what fills it, in the order of the menu."""
    from pipeline.report.drawn import blend, competition, errors, runs

    return {
        "competition": ("Competition", competition.competition),
        "folds": ("Folds", competition.folds),
        "runs": ("Runs", runs.runs),
        "errors": ("Errors", errors.errors),
        "ensemble": ("Ensemble", blend.ensemble),
        "leaderboard": ("Leaderboard", lambda disk: blend.leaderboard(disk, quick)),
        "cost": ("Cost", runs.cost),
        "team": ("Team", runs.team),
    }


def report_path(root: Path, name: str) -> Path:
    """Where the report of a competition lies."""
    return Paths(root, name).submissions / f"{safe_name(name)}-report.html"


def pages_of(found: "Competition", root: Path, quick: bool = False) -> "list[Page]":
    """All pages; *quick* leaves out the noise of the leaderboard, which takes some seconds.

    Raises DataError or UsageError where the competition itself cannot be read.
    """
    from pipeline.report.drawn.disk import Disk
    from pipeline.report.drawn.document import tried

    disk = Disk(found, root)
    _ = disk.tables, disk.metric
    return [
        tried(name, title, lambda make=make: make(disk))  # type: ignore[misc]
        for name, (title, make) in fillers(quick).items()
    ]


def write(found: "Competition", root: Path, quick: bool = False) -> Path:
    """Write the report of *found*; its path."""
    from pipeline.report.drawn.document import render

    pages = pages_of(found, root, quick)
    path = report_path(root, found.name)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    commit_text(path, render(found.name, made, pages))
    return path


if __name__ == "__main__":
    raise SystemExit(run(main))
