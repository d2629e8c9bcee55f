"""What the values of a column look like."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.problems.label_texts import is_number

LOOKED_AT = 3000
"""Rows, evenly spread over the file, that averages are taken from."""
NO_SENTENCE = re.compile(
    r"https?://\S*|www\.\S+|[\w./\\-]+\.[A-Za-z]\w{0,4}|\d{1,4}[-/.:]\d{1,2}[-/.:]\d{1,4}.*|[0-9a-f-]{16,}",
    re.IGNORECASE,
)
"""Addresses, file paths, dates, hashes."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One column of n rows."""

    name: str
    rows: int
    values: list[str]
    """Distinct texts in the order of their first row, empty ones left out."""
    empty: float
    """Share of rows that are empty."""
    length: float
    """Mean characters of rows that are not empty."""
    words: float
    """Mean words of rows that are not empty."""
    numbers: float
    """Share of rows, of those not empty, that are numbers."""
    sentences: float
    """Share of rows, of those not empty, that are neither numbers nor addresses, dates, hashes."""

    @property
    def distinct(self) -> int:
        """Number of different texts."""
        return len(self.values)

    @property
    def repeats(self) -> float:
        """Rows per different text."""
        return self.rows * (1 - self.empty) / max(self.distinct, 1)

    @property
    def unique(self) -> bool:
        """Does it name every row?"""
        return self.distinct == self.rows

    @property
    def natural(self) -> bool:
        """Does it hold natural language (or program code), different in most rows?"""
        return self.sentence_like and self.distinct >= 0.1 * self.rows

    @property
    def sentence_like(self) -> bool:
        """Does it hold natural language, however often the same?"""
        long = self.words >= 2.5 or self.length >= 60 or (self.foreign and self.length >= 8)
        return self.sentences > 0.8 and long

    @property
    def foreign(self) -> bool:
        """Is it in a script that may write sentences without spaces?"""
        text = "".join(self.values[:200])
        return sum(ord(character) > 0x2E7F for character in text) > 0.3 * max(len(text), 1)

    @property
    def few(self) -> bool:
        """Has it few values, each in many rows (a source, a language)?"""
        return 2 <= self.distinct <= 30 and self.repeats >= 5 and self.empty < 0.05

    @property
    def flags(self) -> bool:
        """Is it 0 or 1 (or false, true) in every row that is not empty?"""
        known = {"0", "1", "0.0", "1.0", "false", "true"}
        return self.empty < 1 and {value.strip().lower() for value in self.values} <= known

    @property
    def numeric(self) -> bool:
        """Are all rows numbers that are not empty?"""
        return self.empty < 1 and all(is_number(value) for value in self.values)


def profile_of(column: pd.Series, name: str) -> Profile:
    """Look at a column of str objects."""
    texts = [str(value) for value in pd.unique(column)]
    every = max(1, len(column) // LOOKED_AT)
    some = [text for text in column.iloc[::every] if text.strip()] or [""]
    return Profile(
        name=name,
        rows=len(column),
        values=[text for text in texts if text.strip()],
        empty=float((column.str.strip() == "").mean()) if len(column) else 0.0,
        length=float(np.mean([len(text) for text in some])),
        words=float(np.mean([len(text.split()) for text in some])),
        numbers=float(np.mean([is_number(text) for text in some])),
        sentences=float(np.mean([_sentence(text) for text in some])),
    )


def profiles_of(frame: pd.DataFrame, columns: Sequence[str] | None = None) -> dict[str, Profile]:
    """Look at *columns* (default: all) of a frame."""
    names = [str(name) for name in frame.columns] if columns is None else columns
    return {name: profile_of(frame[name], name) for name in names}


def _sentence(text: str) -> bool:
    return not (is_number(text) or NO_SENTENCE.fullmatch(text.strip()))
