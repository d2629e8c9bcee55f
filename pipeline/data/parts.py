"""From the frame of one file to a checked Table; what is wrong goes into a Report."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base.config import Competition
from pipeline.base.errors import DataError
from pipeline.data.identity import id_problems
from pipeline.data.labels import encode
from pipeline.data.reading.reader import read
from pipeline.data.sample import Sample
from pipeline.data.table import Table, concatenate

ROW_NUMBER = "(row number)"
"""As columns.id: the labelled files have no id column, so their rows are numbered."""


@dataclass
class Report:
    """What was found in all files so far."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def about(self, name: str, problems: Sequence[str], notes: Sequence[str] = ()) -> None:
        """Add what was found in the file *name*."""
        self.problems += [f"{name}: {problem}" for problem in problems]
        self.notes += [f"{name}: {note}" for note in notes]


def frame_of(name: str, root: Path, encoding: str, report: Report) -> pd.DataFrame | None:
    """The rows of the file *name* below *root*, or None where it cannot be read."""
    try:
        reading = read(root / name, encoding, name)
    except DataError as error:
        report.problems.append(str(error).replace("\n", "\n  "))
        return None
    report.about(name, [], reading.notes)
    return reading.frame


def labelled_table(
    name: str,
    frame: pd.DataFrame,
    competition: Competition,
    report: Report,
    features: Sequence[str] = (),
) -> Table | None:
    """A table with targets, or None where columns (or one of *features*) are missing."""
    columns = competition.columns
    needed = [*columns.texts, *columns.targets, *features]
    needed += [] if columns.id == ROW_NUMBER else [columns.id]
    if problems := missing_columns(frame, needed):
        report.about(name, problems)
        return None
    ids = row_ids(frame, columns.id, name)
    targets, problems, notes = encode(frame, columns.targets, ids, competition.task)
    report.about(name, id_problems(ids) + problems, notes)
    return _table(name, frame, ids, competition, targets)


def test_table(
    name: str, frame: pd.DataFrame, competition: Competition, sample: Sample | None, report: Report
) -> Table | None:
    """The rows to predict, or None where columns are missing.

    Their id column may have another name than that of train, see `test_id_column`. Where a file
    has none at all its rows are those of the sample, in order.
    """
    id_column = test_id_column(frame, competition, sample)
    needed = [*competition.columns.texts, *competition.columns.features]
    needed += [] if id_column == ROW_NUMBER else [id_column]
    if problems := missing_columns(frame, needed):
        report.about(name, problems)
        return None
    if id_column == ROW_NUMBER and sample is not None and len(sample.ids) == len(frame):
        ids = sample.ids
        report.about(name, [], ["no id column: rows are those of the sample, in its order"])
    else:
        ids = row_ids(frame, id_column, name)
        report.about(name, id_problems(ids))
    return _table(name, frame, ids, competition)


def test_id_column(frame: pd.DataFrame, competition: Competition, sample: Sample | None) -> str:
    """The id column of the test file: that of train; else that of the sample submission; else,
    without a sample, the one column that is neither text nor feature; else that of train."""
    columns = competition.columns
    if columns.id in frame.columns:
        return columns.id
    if sample is not None:
        return sample.id_column if sample.id_column in frame.columns else columns.id
    known = {*columns.texts, *columns.features, *columns.targets}
    left = [str(name) for name in frame.columns if name not in known]
    return left[0] if len(left) == 1 else columns.id


def row_ids(frame: pd.DataFrame, id_column: str, name: str) -> np.ndarray:
    """(n,) ids of a file's rows as text."""
    if id_column == ROW_NUMBER:
        return np.array([f"{Path(name).stem}-{row}" for row in range(1, len(frame) + 1)], object)
    return frame[id_column].to_numpy(dtype=object)


def missing_columns(frame: pd.DataFrame, needed: Sequence[str]) -> list[str]:
    """A sentence for each of the *needed* columns that is not there, with the nearest that is."""
    there = [str(column) for column in frame.columns]
    problems = []
    for column in dict.fromkeys(needed):
        if column not in there:
            lowered = {name.lower().strip(): name for name in there}
            close = get_close_matches(column.lower().strip(), lowered, n=1, cutoff=0.5)
            hint = f"the nearest is {lowered[close[0]]!r}; " if close else ""
            problems.append(f"there is no column {column!r}; {hint}it has {', '.join(there)}")
    return problems


def joined(tables: Sequence[Table], report: Report) -> Table | None:
    """The rows of several files one after the other; ids must stay unique."""
    if not tables:
        return None
    table = reduce(concatenate, tables)
    if len(tables) > 1:
        report.about(" + ".join(table.source for table in tables), id_problems(table.ids))
    return table


def fold_columns(competition: Competition) -> list[str]:
    """The further columns that the training file has to have: features, and what folds use."""
    folds = competition.folds
    wanted = [*competition.columns.features, *folds.stratify_by, *folds.group_columns]
    return list(dict.fromkeys(wanted))


def _table(
    name: str,
    frame: pd.DataFrame,
    ids: np.ndarray,
    competition: Competition,
    targets: np.ndarray | None = None,
) -> Table:
    return Table(
        ids=ids,
        texts=frame[competition.columns.texts].to_numpy(dtype=object),
        targets=targets,
        features={
            column: frame[column].to_numpy(dtype=object)
            for column in fold_columns(competition)
            if column in frame.columns
        },
        source=name,
    )
