"""What a learner reads of a row, where that is more than one text or a pair: templates.

    {anchor} [SEP] {target} [SEP] {context}

A template names columns in braces, texts and further ones alike; [SEP] stands between texts that
are put together, and each learner has a separator of its own for it. {sentence!marked} is a text
with its entities marked, found by their offsets. Folds and all that is said about rows look at the
texts as they were read: a template changes what a learner reads and nothing else.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import UsageError, raise_if
from pipeline.base.config import ColumnsConfig
from pipeline.base.inputs import (
    MARKED,
    PLACES,
    SEPARATOR,
    EntityConfig,
    columns_in,
    template_problems,
)
from pipeline.data.reading.json_lines import held_in
from pipeline.data.table import Findings, Table

Change = Callable[[str], str]


class View:
    """Tables as a template shows them: one text for each of its sides."""

    def __init__(self, columns: ColumnsConfig, sides: Sequence[str]) -> None:
        """*sides*: one template, or two for pairs. Raises UsageError where it names what the
        *columns* do not have."""
        problems = template_problems(sides, columns.named, "the template")
        raise_if(problems, UsageError)
        self.texts, self.sides = list(columns.texts), [re.split(_BETWEEN, side) for side in sides]

    def __call__(self, table: Table, separator: str, change: Change | None = None) -> Table:
        """*table* with texts (n, sides); *change* is done to all between two separators."""
        named = self._columns(table)
        sides = []
        for pieces in self.sides:
            filled = [_filled(piece, named, len(table)) for piece in pieces]
            if change is not None:
                filled = [[change(text) for text in piece] for piece in filled]
            sides.append([separator.join(row) for row in zip(*filled, strict=True)])
        texts = np.empty((len(table), len(sides)), dtype=object)
        for place, side in enumerate(sides):
            texts[:, place] = side
        return replace(table, texts=texts)

    def _columns(self, table: Table) -> Mapping[str, np.ndarray]:
        named = {**table.features, **dict(zip(self.texts, table.texts.T, strict=True))}
        return {**named, **{f"{name}{MARKED}": texts for name, texts in table.marked.items()}}


_BETWEEN = re.compile(rf"\s*{re.escape(SEPARATOR)}\s*")


def view_of(columns: ColumnsConfig, sides: Sequence[str] = ()) -> View | None:
    """How learners see tables: by the template *sides*, else by that of *columns*; None where
    there is none, and they see the texts."""
    chosen = list(sides) or columns.template
    return View(columns, chosen) if chosen else None


def _filled(piece: str, named: Mapping[str, np.ndarray], n: int) -> list[str]:
    """(n,) the *piece* of a template with the cells of each row in place of names."""
    names = list(dict.fromkeys(columns_in(piece)))
    if not names:
        return [_spelled(piece, {})] * n
    rows = zip(*(named[name].tolist() for name in names), strict=True)
    return [_spelled(piece, dict(zip(names, row, strict=True))) for row in rows]


def _spelled(piece: str, cells: Mapping[str, str]) -> str:
    """
    >>> _spelled("{{{a}}} {b}", {"a": "{b}", "b": "2"})
    '{{b}} 2'
    """
    return PLACES.sub(lambda place: cells[place[1]] if place[1] else place[0][0], piece)


# Entities in a text, by the places of their characters.


def marked_texts(
    frame: pd.DataFrame, entities: Sequence[EntityConfig], ids: np.ndarray
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Text column -> its n texts with the *entities* marked, and what is wrong with offsets.

    >>> columns = {"s": ["Ann left Rome"], "a": ["0"], "b": ["2"], "c": ["9"], "d": ["13"]}
    >>> frame = pd.DataFrame(columns)
    >>> one = EntityConfig(text="s", start="a", end="b", end_is="last", mark="@ {text} @")
    >>> two = EntityConfig(text="s", start="c", end="d", end_is="after", mark="# {text} #")
    >>> marked_texts(frame, [one, two], np.array(["7"]))[0]["s"].tolist()
    ['@ Ann @ left # Rome #']
    """
    found = Findings()
    marked = {}
    for column in dict.fromkeys(entity.text for entity in entities):
        own = [entity for entity in entities if entity.text == column]
        spans = [_spans(frame, entity, ids, found) for entity in own]
        texts = np.array(frame[column].tolist(), dtype=object)
        for row, text in enumerate(texts):
            texts[row] = _inserted(text, [each[row] for each in spans])
        marked[column] = texts
    return marked, found.sentences()


OTHERWISE = (
    "Mend them; or do without marks: take columns.entities out and set columns.template to "
    "'{{{0}}}' (init: --template '{{{0}}}')"
)
_HOLE = "\0"  # in no text: the reader removes it
Span = tuple[int, int, str, str]
"""First character, the one after the last, and what stands before and behind."""


def _spans(
    frame: pd.DataFrame, entity: EntityConfig, ids: np.ndarray, found: Findings
) -> list[Span]:
    kinds = frame[entity.type].tolist() if entity.type else [""] * len(frame)
    cells = zip(frame[entity.start], frame[entity.end], kinds, frame[entity.text], strict=True)
    spans = []
    for row, (start, end, kind, text) in enumerate(cells):
        first, after = _whole(start), _whole(end)
        if after is not None and entity.end_is == "last":
            after += 1
        if first is None or after is None or not 0 <= first < after <= len(text):
            what = f"{entity.start} and {entity.end} are no place in {entity.text}"
            place = f"id {ids[row]} ({start} to {end} of {len(text)} characters)"
            found.add(what, place, OTHERWISE.format(entity.text))
            first = after = 0
        shown = _spelled(entity.mark, {"text": _HOLE, "type": kind})
        before, _, behind = shown.partition(_HOLE)
        spans.append((first, after, before, behind))
    return spans


def _whole(cell: str) -> int | None:
    text = cell.strip().removesuffix(".0")
    return int(text) if text.isdecimal() else None


def _inserted(text: str, spans: Sequence[Span]) -> str:
    """*text* with what stands around its *spans*; of spans in each other the longer is outside."""
    marks = [(after, 0, first - after, behind) for first, after, _, behind in spans]
    marks += [(first, 1, first - after, before) for first, after, before, _ in spans]
    for place, _, _, mark in sorted(marks, key=_outside_in, reverse=True):
        text = text[:place] + mark + text[place:]
    return text


def _outside_in(mark: tuple[int, int, int, str]) -> tuple[int, int, int]:
    place, opens, length, _ = mark
    return place, opens, length if opens else -length


# Objects in the cells of a csv file: {'word': 'Rome', 'start_idx': 9}.


def with_fields(frame: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """*frame* with a column for each of those *wanted* that are fields of objects in a column.

    Only where every cell of the column is an object with such a field.

    >>> frame = pd.DataFrame({"entity": ["{'word': 'Rome', 'start': 9}"]})
    >>> with_fields(frame, ["entity.start"])["entity.start"].tolist()
    ['9']
    """
    for name in wanted:
        column, dot, inner = name.rpartition(".")
        if name in frame.columns or not dot or column not in frame.columns:
            continue
        cells = [held_in(cell, dict) for cell in frame[column]]
        if all(cell is not None and inner in cell for cell in cells):
            values = [(cell or {})[inner] for cell in cells]
            frame = frame.assign(**{name: np.array([_text(each) for each in values], object)})
    return frame


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
