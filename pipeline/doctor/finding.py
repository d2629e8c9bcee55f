"""What the doctor finds: where, what is wrong there, and what to do about it."""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from pipeline.base.errors import PipelineError
from pipeline.base.files import Owner, owner_of, size_text
from pipeline.base.paths import Part, part_name, safe_name
from pipeline.oof.predictions import KINDS

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


# Names on disk: which of them `pipeline.base.paths` makes, and what the others are.
#
# Hidden files and READMEs are everybody's and not looked at.


SEED = re.compile(r"seed-(-?\d+)")
PART = re.compile(r"(?:repeat-(\d+)-)?fold-(\d+)")


def entries(folder: Path) -> list[Path]:
    """What lies in *folder*, by name; [] where there is no such folder.

    Raises OSError where it cannot be read or is not a folder.
    """
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def ours(folder: Path) -> list[Path]:
    """The entries of *folder* that are not hidden and no README."""
    return [path for path in entries(folder) if not _everybodys(path.name)]


def _everybodys(name: str) -> bool:
    return name.startswith(".") or name.lower().startswith("readme")


def seed_of(name: str) -> int | None:
    """The seed that a folder's name tells.

    >>> seed_of("seed-42"), seed_of("seed-042"), seed_of("seeds")
    (42, None, None)
    """
    found = SEED.fullmatch(name)
    seed = int(found[1]) if found else None
    return seed if name == f"seed-{seed}" else None


def part_of(stem: str) -> tuple[int, int] | None:
    """Repeat and fold that a file's stem or a folder's name tells.

    >>> part_of("fold-3"), part_of("repeat-1-fold-0"), part_of("fold-03"), part_of("fold-1 (1)")
    ((0, 3), (1, 0), None, None)
    """
    found = PART.fullmatch(stem)
    place = (int(found[1] or 0), int(found[2])) if found else None
    return place if place and part_name(*place) == stem else None


def part_named(name: str) -> Part | None:
    """The part that run.json calls *name*.

    >>> part_named("seed-42/fold-3"), part_named("fold-3")
    (Part(seed=42, repeat=0, fold=3), None)
    """
    folder, _, stem = name.partition("/")
    seed, place = seed_of(folder), part_of(stem)
    return None if seed is None or place is None else Part(seed, *place)


def unsafe(folder: Path, kind: str) -> Iterator[Finding]:
    """A problem where no *kind* of thing (competition, run) can have the name of *folder*."""
    if folder.name != safe_name(folder.name):
        yield problem(
            folder,
            f"is no name that a {kind} can have; the pipeline would write "
            f"{safe_name(folder.name)!r} and never look here",
            "Rename the folder back if you renamed it, else move it elsewhere.",
        )


def strangers(paths: Iterable[Path]) -> Iterator[Finding]:
    """What the *paths* of a run are that pipeline.cv would not make; parts are let pass."""
    for path in paths:
        if path.name.startswith("seed-"):
            yield problem(
                path,
                "is no folder that pipeline.cv makes (seed-NUMBER), but looks like one",
                "Rename it back if you renamed it, else move it elsewhere: training trips over it.",
            )
        elif not _of_a_part(path):
            yield stranger(path)


def stranger(path: Path) -> Finding:
    """A note about a file that is none of the pipeline's."""
    advice = "Nothing; or move it elsewhere if it is yours, or delete it."
    return note(path, "is no file of the pipeline; nothing reads it", advice)


# The parts of a run, found by the names of their files.


@dataclass(frozen=True, kw_only=True)
class Found:
    """The parts of one run."""

    predicted: list[Part]
    """With predictions, a manifest or both under oof/."""
    worked_on: list[Part]
    """With a workspace under runs/."""

    @property
    def seeds(self) -> list[int]:
        """Every seed there is, ascending."""
        return sorted({part.seed for part in [*self.predicted, *self.worked_on]})


def _of_a_part(path: Path) -> bool:
    """Whether it bears the name of one of the files of a part."""
    if path.suffix == ".jsonl":
        stem, _, kind = path.stem.rpartition("-")
        return kind in KINDS and part_of(stem) is not None
    return path.suffix in (".npz", ".json") and part_of(path.stem) is not None


def find_parts(oof: Path, work: Path) -> tuple[Found, list[Finding]]:
    """The parts below a run's two folders, and what lies there that is none."""
    seeds, findings = _seeds(oof)
    predicted: set[Part] = set()
    for folder, seed in seeds.items():
        files, failed = attempt(folder, partial(ours, folder))
        findings += failed
        predicted |= set(_parts(seed, [f for f in files or [] if f.suffix in (".npz", ".json")]))
        findings += strangers(files or [])
    work_seeds, more = _seeds(work)
    findings += more
    worked_on: set[Part] = set()
    for folder, seed in work_seeds.items():
        folders, failed = attempt(folder, partial(ours, folder))
        findings += failed
        worked_on |= set(_parts(seed, folders or []))
    return Found(predicted=sorted(predicted), worked_on=sorted(worked_on)), findings


def _seeds(folder: Path) -> tuple[dict[Path, int], list[Finding]]:
    """The seed folders of a run, and what else lies beside them."""
    paths, findings = attempt(folder, partial(ours, folder))
    paths = [path for path in paths or [] if path.name != "run.json"]
    seeds = {path: seed for path in paths if (seed := seed_of(path.name)) is not None}
    return seeds, [*findings, *strangers(path for path in paths if path not in seeds)]


def _parts(seed: int, paths: list[Path]) -> Iterator[Part]:
    for path in paths:
        stem = path.stem if path.suffix in (".npz", ".json") else path.name
        if (place := part_of(stem)) is not None:
            yield Part(seed, *place)
