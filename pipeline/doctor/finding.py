"""What the doctor finds: where, what is wrong there, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pipeline.base.errors import PipelineError

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
