"""Label texts to numbers and back to nothing else: what is not a label is named with its id.

regression   "3.5" -> 3.5
binary       classes[0] -> 0, classes[1] -> 1
multiclass   classes[c] -> c, in one column
multilabel   "0"/"false" -> 0, "1"/"true" -> 1, per label
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isfinite

import numpy as np
import pandas as pd

from pipeline.base.config import TaskConfig
from pipeline.data.table import Findings

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
NOT_A_NUMBER = {"nan", "na", "n/a", "none", "null"}
INFINITE = {"inf", "infinity"}
FLAGS = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}


def encode(
    frame: pd.DataFrame, columns: Sequence[str], ids: np.ndarray, task: TaskConfig
) -> tuple[np.ndarray, list[str], list[str]]:
    """Targets (n, k) of the label *columns*, with problems and notes that name ids (n,).

    Where there are problems the targets hold NaN in the rows concerned.
    """
    found, notes = Findings(), Findings()
    number_of = _reader(task)
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


def _values(
    texts: np.ndarray, number_of: Callable[[str], float | str]
) -> tuple[np.ndarray, dict[int, str]]:
    """The number of each distinct text, NaN where it is wrong, and what is wrong with it."""
    values, wrong = np.full(len(texts), np.nan), {}
    for code, text in enumerate(texts):
        number = number_of(text.strip())
        if isinstance(number, str):
            wrong[code] = number
        else:
            values[code] = number
    return values, wrong


def _reader(task: TaskConfig) -> Callable[[str], float | str]:
    """A function from a label's text to its number, or to the reason why it has none."""
    if task.problem == "regression":
        return lambda text: _regression(text, task.label_range)
    if task.problem == "multilabel":
        return lambda text: _looked_up(text.lower(), FLAGS, "a label that is not 0 or 1")
    known: Mapping[str, float] = class_numbers(task.classes)
    return lambda text: _looked_up(text, known, "a class that is not in task.classes")


def class_numbers(classes: Sequence[str]) -> dict[str, float]:
    """The number of each class, by its text and, where values stay unique, by its `canonical` text.

    >>> class_numbers(["-1.0", "yes"])
    {'-1': 0.0, 'yes': 1.0, '-1.0': 0.0}
    """
    by_value = {canonical(name): float(place) for place, name in enumerate(classes)}
    by_text = {name.strip(): float(place) for place, name in enumerate(classes)}
    return {**by_value, **by_text} if len(by_value) == len(classes) else by_text


def canonical(text: str) -> str:
    """One text for all ways to write a number; any other text as it is.

    >>> [canonical(text) for text in ("1.0", "+1", "1e0", "-0", "0.50", " yes ")]
    ['1', '1', '1', '0', '0.5', 'yes']
    """
    text = text.strip()
    if not NUMBER.fullmatch(text):
        return text
    value = Decimal(text).normalize()
    return "0" if not value else f"{value:f}"


def is_number(text: str) -> bool:
    """Is *text* a finite number, written with a point?"""
    return bool(NUMBER.fullmatch(text.strip())) and isfinite(float(text))


def _regression(text: str, bounds: tuple[float, float] | None) -> float | str:
    if not text:
        return "no label"
    if text.lower() in NOT_A_NUMBER:
        return "a label that is missing"
    if text.lower().lstrip("+-") in INFINITE:
        return "a label that is not finite"
    if not NUMBER.fullmatch(text):
        comma = re.fullmatch(r"[+-]?\d+,\d+", text)
        return "a label with a comma for the point" if comma else "a label that is not a number"
    value = float(text)
    if not isfinite(value):
        return "a label that is not finite"
    if bounds and not bounds[0] <= value <= bounds[1]:
        return f"a label outside task.label_range {list(bounds)}"
    return value


def _looked_up(text: str, known: Mapping[str, float], otherwise: str) -> float | str:
    if not text:
        return "no label"
    return known.get(text, known.get(canonical(text), otherwise))
