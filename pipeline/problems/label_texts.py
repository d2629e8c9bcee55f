"""Label texts to numbers: one number for all ways to write it, or the reason why there is none."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isfinite

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
NOT_A_NUMBER = {"nan", "na", "n/a", "none", "null"}
INFINITE = {"inf", "infinity"}
NO_LABEL, MISSING = "no label", "a label that is missing"
COMMA, NO_NUMBER = "a label with a comma for the point", "a label that is not a number"
INFINITY, NO_FLAG = "a label that is not finite", "a label that is not 0 or 1"
OUTSIDE, NO_CLASS = "a label outside task.label_range", "a class that is not in task.classes"
FLAGS = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}

Reader = Callable[[str], float | str]
"""From a label's text, without outer spaces, to its number or to what is wrong with it."""


def canonical(text: str) -> str:
    """One text for all ways to write a number; any other text composed (NFC), as macOS takes it
    apart (NFD): the same letters on the screen, other characters in the file.

    >>> [canonical(text) for text in ("1.0", "+1", "1e0", "-0", "0.50", " yes ", "e\u0301")]
    ['1', '1', '1', '0', '0.5', 'yes', 'é']
    """
    text = unicodedata.normalize("NFC", text.strip())
    if not NUMBER.fullmatch(text):
        return text
    value = Decimal(text).normalize()
    return "0" if not value else f"{value:f}"


def is_number(text: str) -> bool:
    """Is *text* a finite number, written with a point?"""
    return bool(NUMBER.fullmatch(text.strip())) and isfinite(float(text))


def number(text: str, bounds: tuple[float, float] | None) -> float | str:
    """The number that *text* holds, within *bounds*; or what is wrong with it."""
    if not text:
        return NO_LABEL
    if text.lower() in NOT_A_NUMBER:
        return MISSING
    if text.lower().lstrip("+-") in INFINITE:
        return INFINITY
    if not NUMBER.fullmatch(text):
        comma = re.fullmatch(r"[+-]?\d+,\d+", text)
        return COMMA if comma else NO_NUMBER
    value = float(text)
    if not isfinite(value):
        return INFINITY
    if bounds and not bounds[0] <= value <= bounds[1]:
        return f"{OUTSIDE} {list(bounds)}"
    return value


def flag(text: str) -> float | str:
    """0.0 or 1.0 for 0, false, 1 or true; or what is wrong with *text*."""
    return looked_up(text.lower(), FLAGS, NO_FLAG)


def class_reader(classes: Sequence[str]) -> Reader:
    """From the text of one of *classes* to its place among them."""
    known: Mapping[str, float] = class_numbers(classes)
    return lambda text: looked_up(text, known, NO_CLASS)


def class_numbers(classes: Sequence[str]) -> dict[str, float]:
    """The number of each class, by its text and, where values stay unique, by its `canonical` text.

    >>> class_numbers(["-1.0", "yes"])
    {'-1': 0.0, 'yes': 1.0, '-1.0': 0.0}
    """
    by_value = {canonical(name): float(place) for place, name in enumerate(classes)}
    by_text = {
        unicodedata.normalize("NFC", name.strip()): float(place)
        for place, name in enumerate(classes)
    }
    return {**by_value, **by_text} if len(by_value) == len(classes) else by_text


def looked_up(text: str, known: Mapping[str, float], otherwise: str) -> float | str:
    """The number of *text* among those *known*, by its canonical text too; else *otherwise*."""
    if not text:
        return NO_LABEL
    return known.get(text, known.get(canonical(text), otherwise))
