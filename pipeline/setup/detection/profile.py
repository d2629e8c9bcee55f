"""What the values of a column look like, and how numbers are written in it."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.reading.reader import with_points
from pipeline.problems.label_texts import Doubt, NumberForm, form_of, is_number
from pipeline.problems.registry import problem_of
from pipeline.setup.detection.choices import Choices, Overrides

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


# Numbers that are written another way: 1,5; 1.234,5; 1,234; 12 %.


def find_numbers(
    tables: Mapping[Path, pd.DataFrame],
    test: pd.DataFrame,
    sample: tuple[Path, pd.DataFrame] | None,
    stay: Collection[str],
    overrides: Overrides,
    choices: Choices,
) -> Overrides:
    """*overrides* that know how numbers are written in the columns of *tables*, one of which is
    *test*, and of the *sample*; the columns have them with a point from here on.

    A column is written alike in all tables that have it, where all its cells allow that. Ids and
    texts *stay*, and labels of which a flag says that they are no numbers. Where test has every
    column, any may hold labels.
    """
    known = {str(name) for frame in tables.values() for name in frame.columns}
    labels = {*(known - set(test.columns) or known), *overrides.targets}
    if overrides.problem and not _of_numbers(overrides.problem):
        stay = {*stay, *labels}
    found: dict[Path, dict[str, NumberForm]] = {}
    for name in dict.fromkeys(str(name) for frame in tables.values() for name in frame.columns):
        if name in stay:
            continue
        cells = {path: pd.unique(each[name]) for path, each in tables.items() if name in each}
        alike = form_of((text for own in cells.values() for text in own), overrides.decimal)
        for path, texts in cells.items():
            form = alike or form_of(texts, overrides.decimal)
            if isinstance(form, Doubt) and name not in labels and len(form.forms) == 1:
                form = form.forms[0]
            if isinstance(form, NumberForm):
                found.setdefault(path, {})[name] = form
    if sample:
        several = any(_commas(each[name]) for each in tables.values() for name in labels & {*each})
        path, frame = sample
        columns = [str(name) for name in frame.columns if name not in stay]
        of_labels = [each for own in found.values() for name, each in own.items() if name in labels]
        for name in columns:
            own = next((each[name] for each in found.values() if name in each), None)
            own = own or (of_labels[0] if of_labels and len(columns) == 1 else None)
            form = _form_of_sample(frame[name], own, several and len(frame.columns) < 3, overrides)
            if isinstance(form, Doubt):
                choices.ask(DECIMAL, f"{name!r} of the sample submission has {told_doubt(form)}")
            elif form:
                found.setdefault(path, {})[name] = form
        tables = {**tables, path: frame}
    _say_numbers(tables, found, choices)
    for path, forms in found.items():
        with_points(tables[path], forms)
    named = {
        path: {name: form.example for name, form in own.items()} for path, own in found.items()
    }
    return replace(overrides, numbers=named)


DECIMAL = "--decimal=, or --decimal=."


def told_doubt(doubt: Doubt) -> str:
    """What the cells may be."""
    read = [form.plain(doubt.example) for form in doubt.forms]
    if len(read) > 1:
        ways = " or ".join(dict.fromkeys(read))
        return f"numbers such as {doubt.example!r}: {ways}? What stands for the point in them"
    return f"cells such as {doubt.example!r}: the number {read[0]}, or several labels in a cell"


def _of_numbers(problem: str) -> bool:
    kind = problem_of(problem)
    return kind.target_kind in ("numbers", "shares", "flags") and kind.predictions == "numbers"


def _commas(column: "pd.Series[str]") -> bool:
    return bool(column.str.contains(",", regex=False).any())


def _form_of_sample(
    column: "pd.Series[str]", own: NumberForm | None, several: bool, overrides: Overrides
) -> NumberForm | Doubt | None:
    """How the sample writes the numbers of a *column*: as train does (*own*), where it can be, of
    whole numbers with the same decimal mark; None too where its cells may be *several* labels."""
    cells = [text.strip() for text in pd.unique(column) if text.strip()]
    if own and cells and all(map(own.fits, cells)):
        shown = not all(map(is_number, cells))
        return own if shown else NumberForm(decimal=own.decimal) if own.decimal != "." else None
    form = form_of(cells, overrides.decimal)
    if not isinstance(form, Doubt):
        return form
    if several:
        return None
    return form if len(form.forms) > 1 else form.forms[0]


def _say_numbers(
    tables: Mapping[Path, pd.DataFrame],
    found: Mapping[Path, Mapping[str, NumberForm]],
    choices: Choices,
) -> None:
    """One line on all numbers that are read another way than they are written."""
    told: dict[NumberForm, dict[str, str]] = {}
    for path, forms in found.items():
        for name, form in forms.items():
            cell = next((each for each in tables[path][name] if form.plain(each) != each), "0")
            told.setdefault(form, {}).setdefault(name, f"{cell} for {form.plain(cell)}")
    lines = [f"{', '.join(own)} (as {next(iter(own.values()))})" for own in told.values()]
    if lines:
        choices.because("data.files", f"Numbers are written another way: {'; '.join(lines)}.")
