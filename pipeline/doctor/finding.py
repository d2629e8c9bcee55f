"""What the doctor finds: where, what is wrong there, and what to do about it."""

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pipeline.base.errors import PipelineError
from pipeline.base.files import Owner, owner_of, size_text

T = TypeVar("T")
Todo = str | Callable[[], str]
"""Advice, or what makes it: to name a command takes a look at recipes."""
Severity = Literal["problem", "note"]
LOOK_AGAIN = "then run the doctor again"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Severity
    """A problem is damaged or does not match; a note is harmless."""
    path: Path
    """The file or folder."""
    what: str
    """What was found and what was expected: the sentence goes on after the path."""
    todo: str
    """What to do next, and what it costs."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What was looked at together: the folds of a competition, one run, the submissions."""

    competition: str
    """Its folder's name; empty where it is of no competition."""
    subject: str
    """folds, submissions, other files, or "run NAME"."""
    counts: str
    """How much there is."""
    findings: list[Finding] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        """How many findings there are of one severity."""
        return sum(finding.severity == severity for finding in self.findings)


def problem(path: Path, what: str, todo: str) -> Finding:
    """Something damaged or not matching."""
    return Finding(severity="problem", path=path, what=what, todo=todo)


def note(path: Path, what: str, todo: str) -> Finding:
    """Something harmless that is good to know."""
    return Finding(severity="note", path=path, what=what, todo=todo)


def guarded(path: Path, check: Iterable[Finding], todo: Todo = "") -> Iterator[Finding]:
    """The findings of *check*; where it fails, the reason as one more problem of *path*.

    *todo* is said where a file of ours is damaged; whatever else fails has advice of its own.
    """
    try:
        yield from check
    except MemoryError:
        raise
    except Exception as error:  # a doctor that stops half-way has told nothing
        yield failure(path, error, todo)


def attempt(path: Path, read: Callable[[], T], todo: Todo = "") -> tuple[T | None, list[Finding]]:
    """What *read* returns; or None, and the reason it failed as a problem of *path*."""
    try:
        return read(), []
    except MemoryError:
        raise
    except Exception as error:
        return None, [failure(path, error, todo)]


def failure(path: Path, error: Exception, todo: Todo = "") -> Finding:
    """The problem of *path* that *error* tells of."""
    said = todo() if callable(todo) else todo
    if isinstance(error, PipelineError):
        return problem(path, _after(path, str(error)), said or f"Restore it, {LOOK_AGAIN}.")
    if isinstance(error, OSError):
        where = "" if error.filename in (None, str(path)) else f" ({error.filename})"
        why = f"cannot be read: {(error.strerror or str(error)).lower()}{where}"
        return problem(path, why, f"Look at its owner, its mode and its disk, {LOOK_AGAIN}.")
    why = f"does not hold what it should ({type(error).__name__}: {error})"
    return problem(path, why, said or f"Restore it, or delete it, {LOOK_AGAIN}.")


def _after(path: Path, message: str) -> str:
    """*message* without the path it begins with, so that it goes on after the path.

    >>> _after(Path("a.json"), "a.json is damaged: x"), _after(Path("a.json"), "no memory")
    ('is damaged: x', 'cannot be used: no memory')
    """
    start = f"{path} "
    return (
        message.removeprefix(start) if message.startswith(start) else f"cannot be used: {message}"
    )


# What can be wrong with any folder: links that lead away, leftovers, files that are no files.


def oddities(root: Path, folder: Path, deep: bool = True) -> Iterator[Finding]:
    """Links out of *root*, leftovers and odd files in *folder*, and below it where *deep*."""
    refused: list[OSError] = []
    leftovers: defaultdict[tuple[Path, bool, bool], list[tuple[Owner, Path]]] = defaultdict(list)
    for where, folders, files in os.walk(folder, onerror=refused.append):
        for name in sorted([*folders, *files]):
            path = Path(where, name)
            yield from link(root, path)
            yield from _special(path)
            if (owner := owner_of(path)) is not None:
                leftovers[path.parent, owner.here, owner.living].append((owner, path))
        if not deep:
            folders.clear()
        folders.sort()
    for error in refused:
        if not isinstance(error, FileNotFoundError):
            yield _unreadable(error)
    for (parent, _, _), found in leftovers.items():
        yield _leftovers(parent, [owner for owner, _ in found], [path for _, path in found])


def link(root: Path, path: Path) -> Iterator[Finding]:
    """A problem where *path* is a link that leads out of *root* or nowhere, or any in oof/.

    runs/ itself may be one: weights are large, and private to the machine.
    """
    if path == root / "runs" and path.is_symlink() and path.is_dir():
        yield note(path, f"is a link to {path.readlink()}", "Nothing; it is not shared.")
    elif why := _link_problem(root, path):
        advice = f"Put the real thing in its place, or delete the link, {LOOK_AGAIN}."
        yield problem(path, why, advice)


def _link_problem(root: Path, path: Path) -> str:
    """What is wrong with a link; empty where it is none or stays below *root*."""
    if not path.is_symlink():
        return ""
    target = path.readlink()
    try:
        inside = path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # RuntimeError: Python 3.11 and 3.12 say so for a loop
        return f"is a link that leads nowhere ({target})"
    if not inside:
        return f"is a link that leads out of {root.resolve()}, to {target}"
    shared = path.is_relative_to(root / "oof")
    return f"is a link (to {target}), and links are not followed in oof/" if shared else ""


def _special(path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except OSError:  # gone meanwhile, or a link that was told already
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        yield problem(path, "is neither a file nor a folder", f"Move it elsewhere, {LOOK_AGAIN}.")


def _unreadable(error: OSError) -> Finding:
    return problem(
        Path(error.filename),
        f"cannot be read: {(error.strerror or str(error)).lower()}",
        f"Look at its owner, its mode and the disk it lies on, {LOOK_AGAIN}.",
    )


def _leftovers(folder: Path, owners: list[Owner], paths: list[Path]) -> Finding:
    size = size_text(sum(_size(path) for path in paths))
    of = ", ".join(str(process) for process in sorted({owner.process for owner in owners}))
    files = f"holds {len(paths)} temporary file{'' if len(paths) == 1 else 's'} ({size})"
    if owners[0].living:
        what = f"{files} of running processes ({of}): something is being written"
        return note(folder, what, f"Nothing; let it finish, {LOOK_AGAIN}.")
    if owners[0].here:
        what = f"{files} of dead processes ({of})"
        return note(folder, what, "Nothing: the next file that is written there sweeps them up.")
    what = f"{files} of another machine (its processes {of})"
    return note(folder, what, "Nothing if it is at work; else delete them.")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
