"""Predictions that stand in one column as lists, or as names of classes, made columns of numbers.

Tools write `[0.1, 0.7, 0.2]` or `[0.1 0.7 0.2]` into one cell, and a team-mate may send the class
that was predicted in place of its probability. The first is as good as columns; the second is read
as probabilities of 0 and 1, and the audit warns of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.base.config import Competition

LIST = re.compile(r"[\[(]([^\[\]()]*)[\])]")
"""One list of numbers, in brackets."""


@dataclass(frozen=True, kw_only=True)
class Spelled:
    """A file whose predictions were made numbers."""

    frame: pd.DataFrame
    note: str
    """What was done, for a person."""


def as_numbers(frame: pd.DataFrame, competition: Competition) -> Spelled | None:
    """The *frame* with columns of numbers; None where no single column is such a list or name."""
    columns = [str(column) for column in frame.columns if column != competition.columns.id]
    names = competition.task.classes or competition.outputs
    for read in (_lists, _classes):
        found = {column: read(frame[column].tolist(), names) for column in columns}
        known = {column: values for column, values in found.items() if values is not None}
        if len(known) > 1:  # the labels may stand beside
            known = {
                column: values
                for column, values in known.items()
                if column not in competition.columns.targets
            }
        if len(known) == 1:
            column, values = next(iter(known.items()))
            what = "lists" if read is _lists else "names of classes, read as 0 and 1"
            return Spelled(frame=_with(frame, column, values, names), note=f"{column} holds {what}")
    return None


def _lists(cells: Sequence[str], names: Sequence[str]) -> np.ndarray | None:
    """(r, c) the numbers of cells that are all lists of c numbers, empty cells aside."""
    rows = []
    for cell in cells:
        text = cell.strip()
        if not text:
            rows.append([float("nan")] * len(names))
            continue
        inner = LIST.fullmatch(text)
        try:
            row = [float(each) for each in inner[1].replace(",", " ").split()] if inner else []
        except ValueError:
            return None
        if len(row) != len(names):
            return None
        rows.append(row)
    return np.array(rows, dtype=float) if rows else None


def _classes(cells: Sequence[str], names: Sequence[str]) -> np.ndarray | None:
    """(r, c) 1 in the column of the class that a cell names, empty cells aside."""
    place_of = {name: place for place, name in enumerate(names)}
    texts = [cell.strip() for cell in cells]
    if len(names) < 2 or not any(texts) or any(text and text not in place_of for text in texts):
        return None
    values = np.zeros((len(texts), len(names)))
    for row, text in enumerate(texts):
        if text:
            values[row, place_of[text]] = 1.0
        else:
            values[row] = np.nan
    return values


def _with(
    frame: pd.DataFrame, column: str, values: np.ndarray, names: Sequence[str]
) -> pd.DataFrame:
    """The frame with the *column* replaced by one per name, as texts."""
    texts = np.where(np.isfinite(values), values.astype(str), "").astype(object)
    new = pd.DataFrame(texts, columns=[f"{column}_{name}" for name in names], index=frame.index)
    return pd.concat([frame.drop(columns=[column]), new], axis=1)
