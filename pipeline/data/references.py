"""Right answers that are texts: a row's references, several where it has several.

An input stands on several rows of a file, each with an answer of its own, or a cell holds a list of
answers (as JSON or Python write it). Either way it becomes one row with several references, so that
no fold can hold out one of an input's answers and train on another.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.data.table import Findings
from pipeline.data.units import list_in

LEFT_OUT = "Fill them in; or leave these rows out: task.unlabelled '' (init: --unlabelled=)"


def references_in(
    cells: Sequence[str], ids: np.ndarray, column: str
) -> tuple[list[tuple[str, ...]], list[str]]:
    """The answers in each of the *cells* of a *column*, in rows with these *ids*, and problems."""
    found, answers = Findings(), []
    for row, cell in enumerate(cells):
        listed = list_in(cell) if cell.startswith("[") else None
        given = tuple(each for each in listed or [cell] if each.strip())
        if not given:
            found.add(f"column {column!r}: no answer", f"id {ids[row]}", LEFT_OUT)
        answers.append(given or ("",))
    return answers, found.sentences()


def merged(
    frame: pd.DataFrame, ids: np.ndarray, references: Sequence[Sequence[str]], inputs: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Positions (n,) of a row for each input, and the references (n,) of all rows that have it,
    each once; with a note where rows were put together.

    The row is that with the first id, and references are sorted: the order of the file does not
    matter.

    Args:
        inputs: the columns that make an input.
    """
    rows_of: dict[tuple[str, ...], list[int]] = {}
    for row, given in enumerate(zip(*(frame[name].tolist() for name in inputs), strict=True)):
        rows_of.setdefault(given, []).append(row)
    kept = np.array([min(rows, key=lambda row: ids[row]) for rows in rows_of.values()], dtype=int)
    found = np.empty(len(kept), dtype=object)
    for place, rows in enumerate(rows_of.values()):
        found[place] = tuple(sorted({answer for row in rows for answer in references[row]}))
    if len(kept) == len(ids):
        return kept, found, []
    told = (
        f"{len(ids):,} rows have {len(kept):,} different inputs: rows with the same one are one "
        f"row with several right answers, up to {max(map(len, found))}, by the first of their ids"
    )
    return kept, found, [told]


def answered(
    frame: pd.DataFrame, ids: np.ndarray, column: str, inputs: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Positions (n,) of a row for each input, references (n,), problems and notes, of a *frame*
    whose answers stand in *column*; see `references_in` and `merged`."""
    references, problems = references_in(frame[column].tolist(), ids, column)
    rows, found, notes = merged(frame, ids, references, list(dict.fromkeys(inputs)))
    return rows, found, problems, notes
