"""From a competition to the file of its report."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pipeline.base import Competition
from pipeline.base.files import commit_text
from pipeline.base.paths import Paths, safe_name
from pipeline.report.drawn import blend, competition, errors, runs
from pipeline.report.drawn.disk import Disk
from pipeline.report.drawn.document import Block, Page, render, tried

PAGES: dict[str, tuple[str, Callable[[Disk], Iterator[Block]]]] = {
    "competition": ("Competition", competition.competition),
    "folds": ("Folds", competition.folds),
    "runs": ("Runs", runs.runs),
    "errors": ("Errors", errors.errors),
    "ensemble": ("Ensemble", blend.ensemble),
    "leaderboard": ("Leaderboard", lambda disk: blend.leaderboard(disk, quick=False)),
    "cost": ("Cost", runs.cost),
    "team": ("Team", runs.team),
}
"""Id -> title and what fills it, in the order of the menu."""


def report_path(root: Path, name: str) -> Path:
    """Where the report of a competition lies."""
    return Paths(root, name).submissions / f"{safe_name(name)}-report.html"


def pages_of(found: Competition, root: Path, quick: bool = False) -> list[Page]:
    """All pages; *quick* leaves out the noise of the leaderboard, which takes some seconds.

    Raises DataError or UsageError where the competition itself cannot be read.
    """
    disk = Disk(found, root)
    _ = disk.tables, disk.metric
    filled = dict(PAGES)
    if quick:
        filled["leaderboard"] = ("Leaderboard", lambda disk: blend.leaderboard(disk, quick=True))
    return [
        tried(name, title, lambda make=make: make(disk))  # type: ignore[misc]
        for name, (title, make) in filled.items()
    ]


def write(found: Competition, root: Path, quick: bool = False) -> Path:
    """Write the report of *found*; its path."""
    pages = pages_of(found, root, quick)
    path = report_path(root, found.name)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    commit_text(path, render(found.name, made, pages))
    return path
