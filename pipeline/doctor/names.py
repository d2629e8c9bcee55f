"""Names on disk: which of them `pipeline.base.paths` makes, and what the others are.

Hidden files and READMEs are everybody's and not looked at.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.base.paths import Part, part_name, safe_name
from pipeline.doctor.finding import Finding, attempt, note, problem

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
        elif part_of(path.stem) is None or path.suffix not in (".npz", ".json"):
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
