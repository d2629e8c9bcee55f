"""Label columns to targets, as the problem type reads them; what is no label is told by its id.

And the classes that a single row has: they are set apart (`apart`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import Competition
from pipeline.base.config import TaskConfig
from pipeline.data.reading.json_lines import held_in
from pipeline.data.table import MENDED, Findings, Table, concatenate
from pipeline.problems.entities import tags_of_spans
from pipeline.problems.heads import heads_of, parts_of
from pipeline.problems.label_texts import (
    COMMA,
    MISSING,
    NO_CLASS,
    NO_LABEL,
    OUTSIDE,
    NumberForm,
    Reader,
    canonical,
    flag,
)
from pipeline.problems.multilabel import labels_in


def labelled_rows(
    frame: pd.DataFrame, columns: Sequence[str], unlabelled: str | None
) -> np.ndarray:
    """(n,) bool: whether a row has a label, no cell of *columns* being the mark *unlabelled*, or
    empty where there is such a mark."""
    if unlabelled is None:
        return np.ones(len(frame), dtype=bool)
    marks = ["", canonical(unlabelled)]
    marked = [frame[column].map(canonical).isin(marks) for column in columns]
    return np.asarray(~np.logical_or.reduce([each.to_numpy() for each in marked]))


LEFT_OUT = "Fill them in; or leave these rows out: task.unlabelled '{0}' (init: --unlabelled={0})"
REMEDIES = {
    **{NO_LABEL: LEFT_OUT, MISSING: LEFT_OUT, COMMA: "Write them with a point"},
    OUTSIDE: "Mend them; or, where they are right, widen task.label_range, or set it to null",
    NO_CLASS: "Mend them; or, where they are right, name all classes (init: --classes)",
}
"""What is wrong with labels -> what can be done, where {0} stands for the label."""


def forms_of_sample(
    values: np.ndarray, competition: Competition
) -> tuple[dict[str, NumberForm], list[str]]:
    """How the sample writes the numbers of its columns, probabilities in percent as such; and a
    problem where it has percent signs and labels have none, or the other way round.

    *values* (m, c) are its cells.
    """
    data, task = competition.data, competition.task
    forms = data.how(data.sample_submission).number_forms
    own = data.how(data.train).number_forms
    if not task.problem_type.numeric:
        return {name: replace(form, shares=bool(form.percent)) for name, form in forms.items()}, []
    signs = any(form.percent for form in forms.values())
    in_train = any(own[name].percent for name in competition.columns.targets if name in own)
    shown = sorted({text for text in values.ravel() if any(map("123456789".__contains__, text))})
    if signs == in_train or not shown:
        return forms, []
    has, lacks = (
        ("it has", "labels of train have none") if signs else ("labels have", "it has none")
    )
    return forms, [
        f"{has} percent signs, {lacks} ({shown[0]!r} here): is 50% written 50 or 0.5 there? Write "
        "the labels of train as the sample has its answers, with the sign or without, in one unit"
    ]


def remedy_for(wrong: str, label: str) -> str:
    """What can be done about labels that are *wrong*, the first of which is *label*."""
    kind = next((kind for kind in REMEDIES if wrong.startswith(kind)), "")
    return REMEDIES.get(kind, MENDED).format(label.strip())


def one_hot(frame: pd.DataFrame) -> np.ndarray:
    """(n,) the column that has the row's only 1 among 0s; NaN where a row is not like that."""
    cells = np.column_stack([_flags(frame[column]) for column in frame.columns])
    return np.where(cells.sum(axis=1) == 1, cells.argmax(axis=1), np.nan)


def _from_cells(
    column: pd.Series, ids: np.ndarray, task: TaskConfig
) -> tuple[np.ndarray, list[str], list[str]]:
    """As `encode`, from cells that hold several labels."""
    found = Findings()
    known = {canonical(name): place for place, name in enumerate(task.classes)}
    targets = np.zeros((len(column), len(known)))
    for row, cell in enumerate(column):
        for label in labels_in(cell, task.separator or ""):
            if (place := known.get(canonical(label))) is None:
                found.add(
                    f"column {column.name!r}: a label that is not in task.classes",
                    f"id {ids[row]} ({label!r})",
                    remedy_for(NO_CLASS, label),
                )
                targets[row] = np.nan
            else:
                targets[row, place] = 1
    return targets, found.sentences(), []


def _from_joined(
    column: pd.Series, ids: np.ndarray, task: TaskConfig
) -> tuple[np.ndarray, list[str], list[str]]:
    """As `encode`, from cells that hold a class of each of several targets."""
    found, separator = Findings(), task.separator or ""
    heads = list(heads_of(task.classes))
    codes, texts = pd.factorize(column.to_numpy(dtype=object), use_na_sentinel=False)
    parts = [parts_of(text, separator) for text in texts]
    right = np.array([len(own) == len(heads) for own in parts], dtype=bool)[codes]
    for row in np.flatnonzero(~right):
        text = texts[codes[row]]
        what = f"a label that is not {len(heads)} parts joined by {separator!r}"
        what = what if text.strip() else "no label"
        found.add(
            f"column {column.name!r}: {what}",
            f"id {ids[row]}" + f" ({text!r})" * bool(text.strip()),
            MENDED if text.strip() else remedy_for(NO_LABEL, text),
        )
    frame = pd.DataFrame([parts[code] for code in codes[right]], columns=heads, dtype=object)
    targets = np.full((len(column), len(task.classes)), np.nan)
    own, problems, notes = encode(frame, heads, ids[right], task)
    targets[right] = own
    return targets, [*found.sentences(), *problems], notes


def _flags(column: pd.Series) -> np.ndarray:
    """(n,) 0 or 1; NaN for anything else."""
    codes, texts = pd.factorize(column.to_numpy(dtype=object), use_na_sentinel=False)
    return _values(texts, flag)[0][codes]


def encode(
    frame: pd.DataFrame, columns: Sequence[str], ids: np.ndarray, task: TaskConfig
) -> tuple[np.ndarray, list[str], list[str]]:
    """Targets (n, k) of the label *columns*, with problems and notes that name ids (n,).

    Where there are problems the targets hold NaN in the rows concerned.
    """
    found, notes = Findings(), Findings()
    if task.problem_type.named_classes and len(columns) > 1:
        targets = one_hot(frame[list(columns)])
        for row in np.flatnonzero(np.isnan(targets)):
            cells = ", ".join(frame[list(columns)].iloc[row].tolist())
            what = "rows that have not exactly one 1 among 0s"
            found.add(what, f"id {ids[row]} ({cells})", MENDED)
        return targets[:, None], found.sentences(), []
    if task.separator is not None and len(columns) == 1:
        each = task.problem_type.in_a_cell == "one of each"
        return (_from_joined if each else _from_cells)(frame[columns[0]], ids, task)
    readers = task.problem_type.readers(task, len(columns))
    targets = np.empty((len(frame), len(columns)))
    for place, column in enumerate(columns):
        codes, texts = pd.factorize(frame[column].to_numpy(dtype=object), use_na_sentinel=False)
        values, wrong = _values(texts, readers[place])
        targets[:, place] = values[codes]
        for row in np.flatnonzero(np.isnan(targets[:, place])):
            kind = wrong[codes[row]]
            shown = f" ({texts[codes[row]]!r})" if texts[codes[row]].strip() else ""
            what, told = f"column {column!r}: {kind}", remedy_for(kind, texts[codes[row]])
            found.add(what, f"id {ids[row]}{shown}", told)
        spaced = np.array([text != text.strip() and bool(text.strip()) for text in texts])
        for row in np.flatnonzero(spaced[codes]):
            notes.add(
                f"column {column!r}: labels with outer spaces, read without", f"id {ids[row]}"
            )
    targets, wrong_rows, what = task.problem_type.whole_rows(targets)
    for row in np.flatnonzero(wrong_rows & np.isfinite(targets).all(axis=1)):
        found.add(what, f"id {ids[row]} ({', '.join(frame[list(columns)].iloc[row])})", MENDED)
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


# Classes of a single row: trained on in every fold, never held out, never scored.


FEWEST = 2
"""Classes that have to stay, for there to be anything to tell apart."""


def single_rows(train: Table, competition: Competition) -> np.ndarray:
    """(n,) bool: whether a row of *train* is the only one of its class, or of one of its classes.

    None where so few classes would stay that nothing could be told apart.
    """
    nobody = np.zeros(len(train), dtype=bool)
    kind = competition.task.problem_type
    if train.targets is None or kind.units or not kind.blocks(len(competition.outputs)):
        return nobody
    if not np.isfinite(train.targets).all():
        return nobody
    alone, names = nobody, competition.columns.targets
    for each in kind.divisions(train.targets, names, competition.task.classes):
        amount = np.bincount(each.class_of_row, minlength=len(each.names))
        if (amount > 1).sum() < FEWEST:
            return nobody
        alone = alone | (amount[each.class_of_row] == 1)
    return alone


def apart(
    train: Table, extra: Table | None, competition: Competition
) -> tuple[Table, Table | None, list[str]]:
    """*train* without the only rows of a class, which go to *extra*, and what to say of it."""
    alone = single_rows(train, competition)
    if competition.folds.rare == "refuse" or not alone.any():
        return train, extra, []
    single = train.rows(alone)
    assert single.targets is not None, "train is labelled"
    kind, classes = competition.task.problem_type, competition.task.classes
    names = [kind.label_text(values, classes) for values in single.targets]
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    one = len(names) == 1
    told = (
        f"{train.source}: {len(names)} {'class' if one else 'classes'} of a single row "
        f"{'is' if one else 'are'} trained on in every fold and never scored (folds.rare): {shown}"
    )
    more = single if extra is None else concatenate(extra, single)
    return train.rows(~alone), more, [told]


# Spans of a text that stand in a cell: [[0, 4, "PER"]], [{"start": 0, "end": 4, "label": "PER"}].

SPAN_FIELDS = {
    "start": ("start", "begin", "start_offset", "start_idx", "start_char"),
    "end": ("end", "end_offset", "end_idx", "end_char"),
    "tag": ("label", "tag", "entity", "type", "class", "entity_type", "labels"),
}
"""What a field of a span's object holds -> its names. The end is the character after the last."""


def spans_in(cell: str) -> list[tuple[int, int, str]] | None:
    """The spans that a *cell* lists: start, end and label each; None where it is no such list.

    >>> spans_in('[[0, 4, "PER"]]'), spans_in("[]"), spans_in('["B-PER"]')
    ([(0, 4, 'PER')], [], None)
    """
    listed = held_in(cell, list)
    if listed is None:
        return None
    found = [_span(each) for each in listed]
    return None if None in found else [each for each in found if each is not None]


def _span(given: Any) -> tuple[int, int, str] | None:
    if isinstance(given, dict):
        fields = {name: _field(given, known) for name, known in SPAN_FIELDS.items()}
        given = list(fields.values())
    if not isinstance(given, list | tuple) or len(given) != 3:
        return None
    places = [each for each in given if type(each) is int]
    label = next((each for each in given if type(each) is not int), None)
    label = label[0] if isinstance(label, list) and len(label) == 1 else label
    if len(places) != 2 or not isinstance(label, str) or not label.strip():
        return None
    return places[0], places[1], label


def _field(given: Mapping[str, Any], known: Sequence[str]) -> Any:
    return next((given[name] for name in known if name in given), None)


def tags_of_cells(
    cells: Sequence[str], rows: Sequence[int], ids: np.ndarray, found: Findings
) -> list[str]:
    """The tags of documents whose *cells* list spans; what is wrong with them goes into *found*."""
    written = []
    for cell, count, document in zip(cells, rows, ids.tolist(), strict=True):
        tags, wrong = tags_of_spans(count, spans_in(cell) or [])
        for what, span in wrong:
            found.add(what, f"id {document} ({', '.join(map(str, span))})", MENDED)
        written.append(json.dumps(tags, ensure_ascii=False))
    return written
