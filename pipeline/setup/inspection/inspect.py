"""Look at a competition as a careful competitor does first, before any model.

Nothing here changes anything or takes long: what would, on very many rows, is asked of a random
sample that is the same every time, and said so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base.config import Competition, as_dict
from pipeline.data.reading.reader import read_file
from pipeline.data.table import Table
from pipeline.setup.inspection.adversarial import Alike, alike
from pipeline.setup.inspection.codes import Codes, code
from pipeline.setup.inspection.columns import Columns, columns
from pipeline.setup.inspection.description import Spread, spread
from pipeline.setup.inspection.duplicates import Copies, Groups, copies, group_facts
from pipeline.setup.inspection.lengths import Lengths, lengths
from pipeline.setup.inspection.machine import Machine, machine
from pipeline.setup.inspection.measures import sample
from pipeline.setup.inspection.overlap import Overlap, overlap
from pipeline.setup.inspection.row_properties import properties
from pipeline.setup.inspection.target_leaks import Alone, alone

if TYPE_CHECKING:
    from pipeline.data.tables import Tables

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

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return as_dict(self)


def look(
    competition: Competition,
    tables: "Tables",
    root: Path,
    headers: Mapping[str, Sequence[str]] | None = None,
) -> Inspection:
    """Look at a competition whose files were read below *root*.

    *headers* are the column names of "train" and "test"; without them the files are read again.
    """
    files = roles(tables)
    train = files["train"]
    coded = dict(zip(files, code([table.texts for table in files.values()]), strict=True))
    assert train.targets is not None
    chosen = sample(len(train), ALONE_ROWS, "inspect-alone")
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
        lengths=lengths(competition.columns.texts, {r: files[r] for r in ("train", "test")}),
        copies=copies(train, coded["train"]),
        groups=group_facts(train, coded["train"], competition.folds),
        overlap=_overlaps(files, coded),
        alone=alone(found, train.targets[chosen], competition.task.problem),
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
    """The column names of the training file and of the test file."""
    files = {"train": competition.data.train, "test": competition.data.test}
    return {
        role: [str(name) for name in read_file(root / file, competition.data.encoding).columns]
        for role, file in files.items()
    }
