"""All pages of the report, and the file that they make: one for a competition.

Quick to import: `cv` and `ensemble` name the file in their last lines.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base import Competition, Paths
from pipeline.base.files import commit_text, size_text
from pipeline.base.paths import safe_name

if TYPE_CHECKING:
    from pipeline.report.drawn.disk import Disk
    from pipeline.report.drawn.document import Block, Page


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


def pages_of(found: Competition, root: Path, quick: bool = False) -> "list[Page]":
    """All pages; *quick* leaves out the noise of the leaderboard, which takes some seconds.

    Raises DataError or UsageError where the competition itself cannot be read or shown.
    """
    from pipeline.report.drawn.disk import Disk
    from pipeline.report.drawn.document import tried

    disk = Disk(found, root)
    disk.need_files()
    return [
        tried(name, title, lambda make=make: make(disk))  # type: ignore[misc]
        for name, (title, make) in fillers(quick).items()
    ]


def write(found: Competition, root: Path, quick: bool = False, language: str = "en") -> Path:
    """Write the report of *found* in one of `words.LANGUAGES`; its path."""
    from pipeline.report.drawn.document import render
    from pipeline.report.drawn.words import words_of

    pages = pages_of(found, root, quick)
    path = report_path(root, found.name)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    commit_text(path, render(found.name, made, pages, words_of(language)))
    return path


def report_line(found: Competition, root: Path, refresh: bool) -> str:
    """Where the report of *found* lies, written anew where *refresh* is asked for."""
    path = report_path(root, found.name)
    if refresh:
        write(found, root)
        return f"report: {path} ({size_text(path.stat().st_size)})"
    if not path.exists():
        return f"report: --report would write {path}, for a browser"
    when = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return f"report: {path} (as of {when}; --report refreshes it)"
