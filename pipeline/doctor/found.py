"""The parts of a run, found by the names of their files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.doctor.finding import Finding, attempt
from pipeline.doctor.names import Part, ours, part_of, seed_of, strangers


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
