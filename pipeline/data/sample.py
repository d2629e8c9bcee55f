"""The sample submission: header, ids, order and form of what the leaderboard takes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.base.config import Competition


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The sample submission: m rows, c value columns."""

    id_column: str
    columns: list[str]
    """Names of the value columns, (c,)."""
    ids: np.ndarray
    """(m,) str objects, in the file's order."""
    values: np.ndarray
    """(m, c) str objects: the dummy answers as they stand in the file."""


def id_column_of(sample: pd.DataFrame, id_column: str) -> str:
    """*id_column* where the sample has it, else the sample's first column."""
    return id_column if id_column in sample.columns else str(sample.columns[0])


def sample_of(frame: pd.DataFrame, id_column: str) -> Sample:
    """The sample in a file's *frame*."""
    name = id_column_of(frame, id_column)
    columns = [str(column) for column in frame.columns if column != name]
    return Sample(
        id_column=name,
        columns=columns,
        ids=frame[name].to_numpy(dtype=object),
        values=frame[columns].to_numpy(dtype=object).reshape(len(frame), len(columns)),
    )


def made_up(competition: Competition, id_column: str, ids: np.ndarray) -> Sample:
    """A sample for a competition that has none: the id, then one column per target."""
    columns = list(competition.columns.targets)
    values = np.full((len(ids), len(columns)), _dummy(competition), dtype=object)
    return Sample(id_column=id_column, columns=columns, ids=ids, values=values)


def _dummy(competition: Competition) -> str:
    task = competition.task
    as_label = task.submit == "label" or (
        task.submit == "auto" and task.metric in ("accuracy", "f1", "macro-f1", "qwk")
    )
    if task.problem == "multiclass" or (task.problem == "binary" and as_label):
        return task.classes[0]
    if task.problem == "multilabel" and as_label:
        return "0"
    return "0.0" if task.problem == "regression" else "0.5"
