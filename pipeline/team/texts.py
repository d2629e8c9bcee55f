"""One file of a team-mate whose predictions are texts: an answer, or several candidates, a row.

JSON lines as a run keeps them, {"id": …, "candidates": [{"text": …, "logp": …}, …]}, or a table
with a column of texts; beside them, in either, a fold and a part (train, test, holdout).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import ArtifactError, DataError, raise_if
from pipeline.data.candidates import Candidates, candidates_of
from pipeline.team.columns import Columns, about_rows
from pipeline.team.competition import CompetitionView
from pipeline.team.table import CandidateTable, opened, table_of

CANDIDATES = "candidates"
USUAL = ("text", "prediction", "predictions", "pred", "answer", "output")
"""Columns that hold one answer of each row, beside that of the target's name."""
EXAMPLES = 3


def read_texts(
    path: Path,
    contest: CompetitionView,
    expected: Sequence[str],
    id_column: str | None = None,
    fold_column: str | None = None,
    encoding: str = "utf-8",
    id_may_lack: bool = False,
) -> CandidateTable:
    """Read the file of texts at *path*; see `pipeline.team.table.read_sheet`."""
    reading, known, id_column = opened(path, contest, encoding, id_column, id_may_lack)
    frame, name = reading.frame, path.name
    found = about_rows(frame, contest.competition, name, known, id_column, fold_column)
    column = text_column(found, contest, name)
    said = said_in(frame, column, name)
    columns = Columns(
        id=found.id,
        outputs={column: 0},
        folds=found.folds,
        part=found.part,
        passport=found.passport,
        labels=[],
        unused=[each for each in found.unused if each != column],
    )
    counts = [math.nan if each is None else float(len(each[0])) for each in said.tolist()]
    values = np.array(counts).reshape(-1, 1)
    return replace(table_of(path, reading, columns, contest, expected, values), said=said)


def text_column(found: Columns, contest: CompetitionView, name: str) -> str:
    """The column of answers; DataError where none, or several, may be it."""
    target = contest.competition.columns.targets[0]
    usual = [each for each in found.unused if each.strip().casefold() in USUAL]
    for choice in ([CANDIDATES], [target], usual, found.unused):
        there = [each for each in choice if each in found.unused]
        if len(there) == 1:
            return there[0]
    raise DataError(
        f"{name}: which column holds the texts? Found {', '.join(found.unused) or 'none'} beside "
        f"{found.id}; expected {target}, or {CANDIDATES} (lists of texts with log-probabilities)"
    )


def said_in(frame: pd.DataFrame, column: str, name: str) -> np.ndarray:
    """(r,) texts and log-probabilities of each row of the file called *name*; None where its cell
    in the *column* is empty."""
    cells, listed = frame[column].tolist(), column == CANDIDATES
    found = np.full(len(cells), None, dtype=object)
    problems = []
    for row, cell in enumerate(cells):
        if not cell.strip():
            continue
        try:
            texts, logs = candidates_of(json.loads(cell)) if listed else ([cell], [math.nan])
        except (ValueError, RecursionError, ArtifactError) as error:
            problems.append(f"{name}, row {row + 1}: {error}")
            continue
        if texts[0].strip():
            found[row] = (texts, logs)
    more = len(problems) - EXAMPLES
    told = [*problems[:EXAMPLES], *([f"and {more} rows more"] if more > 0 else [])]
    raise_if(told, DataError)
    return found


# A run as JSON lines, for a team-mate's machine.


def lines_of(
    part: str,
    ids: Sequence[str],
    folds: Sequence[Any] | None,
    sets: Sequence[Candidates],
    with_folds: bool,
) -> str:
    """A line for each of the rows with these *ids*, as `read_texts` takes it."""
    made = []
    for row, row_id in enumerate(ids):
        texts, logs = merged([(each.texts[row], each.log_probabilities[row]) for each in sets])
        told: dict[str, Any] = {"id": row_id, "part": part}
        if with_folds:
            told["fold"] = "" if folds is None else folds[row]
        told[CANDIDATES] = [
            {"text": text, "logp": None if math.isnan(log) else log}
            for text, log in zip(texts, logs, strict=True)
        ]
        made.append(json.dumps(told, ensure_ascii=False, allow_nan=False) + "\n")
    return "".join(made)


def merged(
    sets: Sequence[tuple[Sequence[str], Sequence[float]]],
) -> tuple[list[str], list[float]]:
    """The candidates of several learners for one row as those of one: each once, with the mean of
    its probabilities, the likeliest first. Of one learner as they are.

    >>> merged([(["a", "b"], [-1.0, -2.0]), (["b"], [-1.0])])[0]
    ['b', 'a']
    """
    if len(sets) == 1:
        return list(sets[0][0]), list(sets[0][1])
    total: dict[str, float] = {}
    for texts, logs in sets:
        for text, log in zip(texts, logs, strict=True):
            total[text] = total.get(text, 0.0) + math.exp(log) / len(sets)
    if any(math.isnan(each) for each in total.values()):
        return list(total), [math.nan] * len(total)
    order = sorted(total, key=lambda text: -total[text])
    return order, [math.log(total[text]) if total[text] else LEAST for text in order]


LEAST = -745.0
"""The logarithm of the smallest number above 0."""
