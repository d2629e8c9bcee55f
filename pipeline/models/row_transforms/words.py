"""Rows with other words: some left out, hidden, replaced, or marks put between them.

What these do to a label is for the data to say: they suit classes of long texts better than fine
degrees of similarity (docs/craft.md has what was measured).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.base import DataError, UsageError
from pipeline.data import Table
from pipeline.data.reading.reader import read_file
from pipeline.data.table import missing_columns
from pipeline.models.korean import KIWI, check_kiwi, words_at
from pipeline.models.row_transforms.transform import Place, RowTransform, Writer

MARKS = (".", ";", "?", ":", "!", ",")
"""Of AEDA."""
WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class OfWords(RowTransform):
    """Something is done to a share of the words."""

    words: float = 0.1
    """The share; in (0, 1)."""

    def own_problems(self) -> Iterator[str]:
        """The share."""
        if not 0 < self.words < 1:
            yield f"words is {self.words:g}; it must be a share: above 0 and below 1"


@dataclass(frozen=True, kw_only=True)
class RandomDeletion(OfWords):
    """Each word is left out with that chance, not all of them (EDA: Wei and Zou, "EDA: Easy Data
    Augmentation Techniques", 2019)."""

    def changed(self, texts: list[str], random: np.random.Generator) -> list[str] | None:
        """Every text without some of its words."""
        return [self._shortened(text, random) for text in texts]

    def _shortened(self, text: str, random: np.random.Generator) -> str:
        kept = [word for word in text.split() if random.random() >= self.words]
        return " ".join(kept) if kept else text


@dataclass(frozen=True, kw_only=True)
class Aeda(RowTransform):
    """Marks between the words, from one to a third as many as words (AEDA: Karimi et al., "AEDA: An
    Easier Data Augmentation Technique for Text Classification", 2021)."""

    def changed(self, texts: list[str], random: np.random.Generator) -> list[str] | None:
        """Every text with marks put in."""
        return [_with_marks(text.split(), random) for text in texts]


def _with_marks(words: list[str], random: np.random.Generator) -> str:
    if not words:
        return ""
    count = int(random.integers(1, max(2, len(words) // 3 + 1)))
    places = set(random.choice(len(words), size=min(count, len(words)), replace=False).tolist())
    pieces = []
    for place, word in enumerate(words):
        if place in places:
            pieces.append(MARKS[random.integers(len(MARKS))])
        pieces.append(word)
    return " ".join(pieces)


@dataclass(frozen=True, kw_only=True)
class Mask(OfWords):
    """A share of the words is hidden behind the backbone's mask."""

    words: float = 0.15
    """The share; in (0, 1)."""
    token: str | None = None
    """What hides a word; null for the learner's own ([MASK], <mask> …)."""

    def writer(self, rows: Table, place: Place) -> Writer:
        """With the learner's own mask where none is named; UsageError where it has none."""
        token = self.token if self.token is not None else place.mask()
        if not token:
            raise UsageError(
                "rows: mask: the backbone's tokenizer has no mask; say what hides a word: "
                "{mask: {token: ...}}"
            )

        def hidden(text: str, random: np.random.Generator) -> str:
            return " ".join(
                token if random.random() < self.words else word for word in text.split()
            )

        return lambda row_id, texts, copy, random: [hidden(text, random) for text in texts]


@dataclass(frozen=True, kw_only=True)
class Synonyms(OfWords):
    """Words replaced by others that a file of yours has for them; at least one, where one is known.

    The file has columns word and synonym, a row for each of the two."""

    file: str
    """Its path, from --root."""
    morphemes: bool = False
    """Find words by Kiwi's morphemes, so that 고양이 is found in 고양이가 (the extra korean)."""

    def problems(self, place: Place) -> Iterator[str]:
        """The file and the library have to be there."""
        yield from super().problems(place)
        yield from file_problems(place.root, self.file, ["word", "synonym"])
        if self.morphemes:
            check_kiwi("synonyms with morphemes")

    def files(self) -> list[str]:
        """The synonyms."""
        return [self.file]

    def libraries(self) -> list[str]:
        """What finds morphemes."""
        return [KIWI] if self.morphemes else []

    def writer(self, rows: Table, place: Place) -> Writer:
        """With the file's synonyms."""
        frame, known = read_file(place.root / self.file), dict[str, list[str]]()
        for word, synonym in zip(frame["word"], frame["synonym"], strict=True):
            if word.strip() and synonym.strip():
                known.setdefault(word.strip().lower(), []).append(synonym.strip())
        return lambda row_id, texts, copy, random: [
            self._replaced(text, known, random) for text in texts
        ]

    def _replaced(
        self, text: str, known: Mapping[str, Sequence[str]], random: np.random.Generator
    ) -> str:
        spans = words_at(text) if self.morphemes else [each.span() for each in WORD.finditer(text)]
        there = [(start, end) for start, end in spans if text[start:end].lower() in known]
        if not there:
            return text
        drawn = random.random(len(there)) < self.words
        drawn[random.integers(len(there))] = True
        for (start, end), asked in [*zip(there, drawn, strict=True)][::-1]:
            if asked:
                others = known[text[start:end].lower()]
                text = text[:start] + others[int(random.integers(len(others)))] + text[end:]
        return text


@dataclass(frozen=True, kw_only=True)
class Variants(RowTransform):
    """Other wordings of rows, from a file of yours: what a spelling checker, a translator there and
    back or a person made of them. Columns id and text, or id and the names of columns.texts; an
    empty cell leaves that text as it is. A row may have several."""

    file: str
    """Its path, from --root."""
    random: ClassVar[bool] = False

    def problems(self, place: Place) -> Iterator[str]:
        """The file has to be there, with its columns."""
        yield from super().problems(place)
        columns, there = place.competition.columns, column_names(place.root, self.file)
        needed = [columns.id if columns.id in there else "id"]
        if len(columns.texts) == 1:
            needed += [columns.texts[0] if columns.texts[0] in there else "text"]
        yield from file_problems(place.root, self.file, needed)
        if there and len(columns.texts) > 1 and not set(columns.texts) & set(there):
            yield f"{self.file} has none of the columns {', '.join(columns.texts)}"

    def files(self) -> list[str]:
        """The wordings."""
        return [self.file]

    def writer(self, rows: Table, place: Place) -> Writer:
        """The first `copies` wordings of each; DataError where the file knows none of *rows*."""
        columns, frame = place.competition.columns, read_file(place.root / self.file)
        ids = frame[columns.id if columns.id in frame else "id"].tolist()
        names = [name if name in frame else "text" for name in columns.texts]
        cells = [frame[name].tolist() if name in frame else [""] * len(ids) for name in names]
        by_id: dict[str, list[list[str]]] = {}
        for row_id, *texts in zip(ids, *cells, strict=True):
            by_id.setdefault(row_id, []).append(texts)
        labelled = rows.targets is not None and len(rows)  # of test it may know none
        if labelled and not any(row_id in by_id for row_id in rows.ids.tolist()):
            raise DataError(
                f"{self.file} has wordings of {len(by_id)} rows and none of the {len(rows)} here: "
                f"its ids are such as {ids[:3]}, those of the rows {rows.ids[:3].tolist()}"
            )

        def worded(
            row_id: str, texts: list[str], copy: int, random: np.random.Generator
        ) -> list[str] | None:
            mine = by_id.get(row_id, [])
            if copy >= len(mine):
                return None
            return [new or old for new, old in zip(mine[copy], texts, strict=True)]

        return worded


def column_names(root: Path, name: str) -> list[str]:
    """Those of a file; none where it is not there."""
    return list(read_file(root / name).columns) if (root / name).is_file() else []


def file_problems(root: Path, name: str, columns: Sequence[str]) -> Iterator[str]:
    """What is wrong with the file *name*, which has to have the *columns*."""
    if not (root / name).is_file():
        yield f"there is no file {name} in {root.resolve()}"
        return
    for problem in missing_columns(read_file(root / name), columns):
        yield f"{name}: {problem}"
