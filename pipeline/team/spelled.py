"""Predictions that stand as lists, or as names of classes, made columns of numbers.

Tools write `[0.1, 0.7, 0.2]` or `[0.1 0.7 0.2]` into one cell, and a team-mate may send the class
that was predicted in place of its probability: in one column, or in one for each of several
targets. The first is as good as columns; the second is read as probabilities of 0 and 1, and the
audit warns of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.base import Competition
from pipeline.problems.heads import heads_of
from pipeline.problems.label_texts import canonical
from pipeline.team.columns import match_ends

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
    task, names = competition.task, competition.task.classes or competition.outputs

    def classes(cells: Sequence[str], names: Sequence[str]) -> np.ndarray | None:
        return _classes([task.problem_type.names_in(cell.strip(), task) for cell in cells], names)

    for read in (_lists, classes):
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
    return _column_per_target(frame, columns, competition)


def _column_per_target(
    frame: pd.DataFrame, columns: Sequence[str], competition: Competition
) -> Spelled | None:
    """As `as_numbers`, of a column of class names for each of several targets, called like it; of
    those called just like it and others the others, as the labels may stand beside."""
    task = competition.task
    if task.problem_type.in_a_cell != "one of each":
        return None
    heads = heads_of(task.classes)
    known = [{canonical(name) for name in own} for own in heads.values()]

    def holds(column: str, own: set[str]) -> bool:
        return {canonical(text) for text in frame[column] if text.strip()} <= own

    several = [column for column in columns if any(holds(column, own) for own in known)]
    others = [column for column in several if column not in competition.columns.targets]
    found = match_ends(list(heads), others) or match_ends(list(heads), several)
    if found is None or not all(holds(column, known[at]) for column, at in found.items()):
        return None
    for column, at in sorted(found.items(), key=lambda pair: pair[1]):
        head, own = list(heads.items())[at]
        cells = [[canonical(text)] if text.strip() else [] for text in frame[column]]
        values = _classes(cells, list(map(canonical, own)))
        if values is None:
            return None
        frame = _with(frame, column, values, own, f"{head}=")
    told = ", ".join(found)
    return Spelled(frame=frame, note=f"{told} hold names of classes, read as 0 and 1")


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


def _classes(told: Sequence[Sequence[str]], names: Sequence[str]) -> np.ndarray | None:
    """(r, c) 1 in the columns that a cell names, empty cells aside."""
    place_of = {name: place for place, name in enumerate(names)}
    known = [[place_of.get(name, -1) for name in own] if any(own) else [] for own in told]
    if len(names) < 2 or not any(known) or any(-1 in own for own in known):
        return None
    values = np.zeros((len(told), len(names)))
    for row, places in enumerate(known):
        values[row, places] = 1.0
        if not places:
            values[row] = np.nan
    return values


def _with(
    frame: pd.DataFrame, column: str, values: np.ndarray, names: Sequence[str], begin: str = ""
) -> pd.DataFrame:
    """The frame with the *column* replaced by one per name, as texts; their names *begin* so, else
    with that of the column."""
    texts = np.where(np.isfinite(values), values.astype(str), "").astype(object)
    named = [f"{begin or column + '_'}{name}" for name in names]
    new = pd.DataFrame(texts, columns=named, index=frame.index)
    return pd.concat([frame.drop(columns=[column]), new], axis=1)
