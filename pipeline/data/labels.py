"""Label columns to targets, as the problem type reads them; what is no label is told by its id."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.base.config import TaskConfig
from pipeline.data.table import Findings
from pipeline.problems.label_texts import Reader, canonical


def labelled_rows(
    frame: pd.DataFrame, columns: Sequence[str], unlabelled: str | None
) -> np.ndarray:
    """(n,) bool: whether a row has a label, no cell of *columns* being the mark *unlabelled*."""
    if unlabelled is None:
        return np.ones(len(frame), dtype=bool)
    mark = canonical(unlabelled)
    marked = [frame[column].map(canonical) == mark for column in columns]
    return np.asarray(~np.logical_or.reduce([each.to_numpy() for each in marked]))


def encode(
    frame: pd.DataFrame, columns: Sequence[str], ids: np.ndarray, task: TaskConfig
) -> tuple[np.ndarray, list[str], list[str]]:
    """Targets (n, k) of the label *columns*, with problems and notes that name ids (n,).

    Where there are problems the targets hold NaN in the rows concerned.
    """
    found, notes = Findings(), Findings()
    number_of = task.problem_type.reader(task)
    targets = np.empty((len(frame), len(columns)))
    for place, column in enumerate(columns):
        codes, texts = pd.factorize(frame[column].to_numpy(dtype=object), use_na_sentinel=False)
        values, wrong = _values(texts, number_of)
        targets[:, place] = values[codes]
        for row in np.flatnonzero(np.isnan(targets[:, place])):
            kind = wrong[codes[row]]
            shown = f" ({texts[codes[row]]!r})" if texts[codes[row]].strip() else ""
            found.add(f"column {column!r}: {kind}", f"id {ids[row]}{shown}")
        spaced = np.array([text != text.strip() and bool(text.strip()) for text in texts])
        for row in np.flatnonzero(spaced[codes]):
            notes.add(
                f"column {column!r}: labels with outer spaces, read without", f"id {ids[row]}"
            )
    return targets, found.sentences(), notes.sentences()


def _values(texts: np.ndarray, number_of: Reader) -> tuple[np.ndarray, dict[int, str]]:
    """The number of each distinct text, NaN where it is wrong, and what is wrong with it."""
    values, wrong = np.full(len(texts), np.nan), {}
    for code, text in enumerate(texts):
        number = number_of(text.strip())
        if isinstance(number, str):
            wrong[code] = number
        else:
            values[code] = number
    return values, wrong
