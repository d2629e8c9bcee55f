"""Look at a competition as a careful competitor does first, before any model.

Nothing here changes anything or takes long: what would, on very many rows, is asked of a random
sample that is the same every time, and said so.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import Competition, DataError, raise_if
from pipeline.base.config import as_dict
from pipeline.base.cores import usable_cores
from pipeline.base.files import free_bytes
from pipeline.base.inputs import LATER, Role
from pipeline.data import Table
from pipeline.data.tables import frame_of
from pipeline.data.template import view_of
from pipeline.setup.fold_recipe import FoldProposal
from pipeline.setup.inspection.adversarial import Alike, alike
from pipeline.setup.inspection.description import Columns, Lengths, Spread, columns, lengths, spread
from pipeline.setup.inspection.duplicates import (
    Codes,
    Copies,
    Groups,
    Overlap,
    code,
    copies,
    group_facts,
    overlap,
    undecided,
)
from pipeline.setup.inspection.row_properties import Alone, alone, properties, sample

if TYPE_CHECKING:
    from pipeline.data import Tables


# What this machine has, and what a run will need of it. Looks without loading torch.


BYTES = 4
"""Weights are float32."""
SIZES = {"base": 110_000_000, "large": 355_000_000}
"""Parameters of a usual base and large backbone."""
NVIDIA = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
PATIENCE = 5.0
"""Seconds that nvidia-smi may take."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Disk, need and devices."""

    free: dict[str, int]
    """Place -> free bytes; places on the disk of --root are left out."""
    predictions: int
    """Bytes of one model's out-of-fold and test predictions."""
    fits: int
    """Folds that one model is trained on, repeats included."""
    weights: dict[str, int]
    """Size of a backbone -> bytes of its weights for all these folds."""
    cores: int
    memory: int | None
    """Bytes this process may use; None where the system does not say."""
    gpus: list[str]
    """Name and memory of each, as the driver tells them."""


def machine(competition: Competition, n: int, m: int, root: Path) -> Machine:
    """This machine and the need of a run over n training and m test rows under *root*."""
    parts = competition.folds.count * competition.folds.repeats
    outputs = len(competition.outputs)
    bytes_of_one = np.dtype(competition.task.problem_type.stored).itemsize
    return Machine(
        free=free_places(root, os.environ),
        predictions=bytes_of_one * outputs * (n * competition.folds.repeats + m * parts),
        fits=parts,
        weights={name: BYTES * size * parts for name, size in SIZES.items()},
        cores=usable_cores(),
        memory=memory(),
        gpus=gpus(),
    )


def free_places(root: Path, environment: Mapping[str, str]) -> dict[str, int]:
    """Free bytes at *root*, and where the hub's models and temporary files go if elsewhere."""
    hub = environment.get("HF_HOME") or Path("~/.cache/huggingface").expanduser()
    places = {"--root": root, "HF_HOME": Path(hub), "TMPDIR": Path(tempfile.gettempdir())}
    free, seen = {}, set()
    for name, place in places.items():
        existing = _existing(place)
        if existing.stat().st_dev not in seen:
            seen.add(existing.stat().st_dev)
            free[name] = free_bytes(existing)
    return free


def _existing(place: Path) -> Path:
    place = place.expanduser().absolute()
    return next(folder for folder in (place, *place.parents) if folder.exists())


def memory(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes of memory this process may use: the machine's, or less where a container says so."""
    found = []
    if proc.is_file():
        for line in proc.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemTotal:"):
                found.append(int(line.split()[1]) * 1024)
    limit = group / "memory.max"
    if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
        found.append(int(text))
    return min(found) if found else None


def gpus() -> list[str]:
    """Name and memory of each GPU that nvidia-smi finds; none where it is missing or hangs."""
    program = shutil.which(NVIDIA[0])
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, *NVIDIA[1:]], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    return [line.strip() for line in lines if line.strip()]


ALONE_ROWS = 50_000
"""Rows on which columns are tried alone, at most."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Everything that was seen. Files go by their role: train, test, holdout, extra."""

    name: str
    problem: str
    metric: str
    folds: int
    stratified: list[str]
    """Columns whose shares the folds keep equal already."""
    rows: dict[str, int]
    sources: dict[str, str]
    """Role -> the file it was read from."""
    submission_rows: int
    spread: Spread
    lengths: Lengths
    copies: Copies
    groups: list[Groups]
    overlap: dict[str, Overlap]
    """Role -> what the file has in common with train."""
    alone: list[Alone]
    alone_rows: int
    alike: Alike | None
    columns: Columns
    machine: Machine
    asked: FoldProposal | None = None
    """What test asks, and which folds ask it; None where they were not chosen here."""
    undecided: int = field(default=0, metadata=LATER)
    """Training rows that read like another row with another label."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return as_dict(self)


def look(
    competition: Competition,
    tables: "Tables",
    root: Path,
    headers: Mapping[str, Sequence[str]] | None = None,
    asked: FoldProposal | None = None,
) -> Inspection:
    """Look at a competition whose files were read below *root*.

    *headers* are the column names of "train" and "test"; without them the files are read again.
    """
    files = roles(tables)
    train = files["train"]
    coded = dict(zip(files, code([table.texts for table in files.values()]), strict=True))
    assert train.targets is not None
    chosen = sample(len(train), ALONE_ROWS, "inspect-alone")
    view = view_of(competition.columns)
    inputs = {} if view is None else {r: view(t, " ").texts for r, t in files.items()}
    usable = replace(train, features=_in_both(train, tables.test))
    found = properties(usable.rows(chosen), _uses(coded)[chosen])
    return Inspection(
        name=competition.name,
        problem=competition.task.problem,
        metric=competition.task.metric,
        folds=competition.folds.count,
        stratified=list(competition.folds.stratify_by),
        rows={role: len(table) for role, table in files.items()},
        sources={role: table.source for role, table in files.items()},
        submission_rows=len(tables.sample.ids),
        spread=spread(competition, {r: t for r, t in files.items() if t.targets is not None}),
        lengths=lengths(
            competition.columns.texts, {r: files[r] for r in ("train", "test")}, inputs
        ),
        copies=copies(train, coded["train"]),
        groups=group_facts(train, coded["train"], competition.folds),
        overlap=_overlaps(files, coded),
        alone=alone(found, train.targets[chosen], competition.task.problem_type.name),
        alone_rows=len(chosen),
        alike=alike(
            train, coded["train"], tables.test, coded["test"], competition.folds.group_columns
        ),
        columns=columns(
            headers or read_headers(competition, root),
            [*competition.columns.targets, competition.columns.id, tables.sample.id_column],
            train.features,
            tables.test.features,
        ),
        machine=machine(competition, len(train), len(tables.test), root),
        asked=asked,
        undecided=undecided(train, inputs.get("train", train.texts)),
    )


def roles(tables: "Tables") -> dict[str, Table]:
    """The files that are there, by role, the training rows first."""
    found = {
        "train": tables.train,
        "test": tables.test,
        "holdout": tables.holdout,
        "extra": tables.extra,
    }
    return {role: table for role, table in found.items() if table is not None and len(table)}


def _in_both(train: Table, test: Table) -> dict[str, np.ndarray]:
    """The further columns of train that test has, too: only they can help to predict it."""
    return {name: column for name, column in train.features.items() if name in test.features}


def _overlaps(files: dict[str, Table], coded: dict[str, Codes]) -> dict[str, Overlap]:
    train = files["train"]
    return {
        role: overlap(train, coded["train"], table, coded[role])
        for role, table in files.items()
        if role != "train"
    }


def _uses(coded: dict[str, Codes]) -> np.ndarray:
    """(n,) how often the texts of each training row occur in train and test together."""
    both = [coded[role].texts for role in ("train", "test") if role in coded]
    flat = np.concatenate([texts.ravel() for texts in both])
    counts = np.bincount(flat + 1)
    counts[0] = 0  # empty texts are not one text
    return np.asarray(counts[coded["train"].texts + 1].sum(axis=1), dtype=float)


def read_headers(competition: Competition, root: Path) -> dict[str, list[str]]:
    """The column names of the training file and of the test file, joined ones included."""
    files: dict[Role, str] = {"train": competition.data.train, "test": competition.data.test}
    headers = {}
    for role, file in files.items():
        rows = frame_of(file, competition, root, role)
        raise_if(rows.problems, DataError)
        headers[str(role)] = [] if rows.value is None else [str(name) for name in rows.value]
    return headers
