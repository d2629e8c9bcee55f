"""The windows of documents, and which token each of their units reads its tag off.

A unit reads its tag off the token that covers its first character, or off the mean of all tokens
that cover a character of it (`subwords: mean`). Several units may share a token (characters in a
word piece), and a unit may have none (a space), so it matters how a unit stands to its first token:
it begins the token, goes on in it, or stands behind it. Windows of long documents overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data import Table
from pipeline.data.tokens.store import TokenStore
from pipeline.data.tokens.tokenizer import clean

BEGINS, GOES_ON, BEHIND = range(3)
WAYS = 3
UNKNOWN = -1
"""In place of a tag, where a window has fewer units than the longest."""
STRIDE = 0.25
"""Share of a window that the next one repeats."""
SPARE = 2
"""Tokens left free in a window, as a text that is cut may be tokenised a little otherwise."""


@dataclass(frozen=True)
class Windows:
    """The windows of the documents of a table of units."""

    texts: list[str]
    """(w,) what is tokenised."""
    rows: list[np.ndarray]
    """(w,) each: positions of its units in the table."""
    places: list[np.ndarray]
    """(w,) each: WAYS x the place of a unit's token among the window's, plus how it stands to
    it."""
    sizes: list[np.ndarray]
    """(w,) each: how many tokens a unit is read off, from that one on."""

    @property
    def reach(self) -> int:
        """Most tokens of a unit."""
        return max((int(each.max()) for each in self.sizes if len(each)), default=1)

    def table(self, targets: np.ndarray | None = None) -> Table:
        """A row per window; *targets* (n, 2) of the units become (w, 3 U): tags, places, sizes."""
        ids = np.array([str(number) for number in range(len(self.texts))], dtype=object)
        texts = np.empty((len(self.texts), 1), dtype=object)
        texts[:, 0] = self.texts
        if targets is None:
            return Table(ids=ids, texts=texts)
        most = max(map(len, self.rows))
        packed = np.full((len(self.rows), 3, most), float(UNKNOWN))
        for row, units in enumerate(self.rows):
            told = (targets[units, 0], self.places[row], self.sizes[row])
            packed[row, :, : len(units)] = np.stack(told)
        return Table(ids=ids, texts=texts, targets=packed.reshape(len(self.rows), -1))


def windows_of(table: Table, store: TokenStore, longest: int, subwords: str = "first") -> Windows:
    """The windows of the documents in *table*, of at most *longest* tokens each."""
    assert table.units is not None, "a table of units"
    backend = store.tokenizer.backend_tokenizer
    documents = [np.arange(rows.start, rows.stop) for rows in table.units.documents]
    pieces = [clean(text) for text in table.texts[:, 0].tolist()]
    after = [clean(text) for text in table.units.after.tolist()]

    def encoded(parts: Sequence[np.ndarray]) -> list[Any]:
        backend.no_truncation()
        backend.no_padding()
        found: list[Any] = backend.encode_batch([_text(pieces, after, each) for each in parts])
        return found

    parts: list[np.ndarray] = []
    for units, found in zip(documents, encoded(documents), strict=True):
        parts += (
            [units] if len(found.ids) <= longest else _cut(units, pieces, after, found, longest)
        )
    places, sizes = [], []
    for units, found in zip(parts, encoded(parts), strict=True):
        place, size = _places(pieces, after, units, found.offsets[:longest], subwords == "mean")
        places.append(place)
        sizes.append(size)
    return Windows([_text(pieces, after, units) for units in parts], parts, places, sizes)


def _text(pieces: Sequence[str], after: Sequence[str], units: np.ndarray) -> str:
    return "".join(pieces[row] + after[row] for row in units.tolist())


def _cut(
    units: np.ndarray, pieces: Sequence[str], after: Sequence[str], found: Any, longest: int
) -> list[np.ndarray]:
    """The *units* of a document in overlapping windows, cut behind a space where there is one."""
    place = _places(pieces, after, units, found.offsets)[0] // WAYS  # (u,) of each unit's token
    room = max(longest - SPARE - found.special_tokens_mask.count(1), 1)
    spaced = np.array([(pieces[row] + after[row])[-1:].isspace() for row in units.tolist()])
    parts, start = [], 0
    while True:
        end = int(np.searchsorted(place, place[start] + room, side="left"))
        if end >= len(units):
            parts.append(units[start:])
            return parts
        end = max(end, start + 1)
        borders = np.flatnonzero(spaced[start:end])
        if len(borders) and borders[-1] > (end - start) // 2:
            end = start + int(borders[-1]) + 1
        parts.append(units[start:end])
        again = max(end - max(int(STRIDE * (end - start)), 1), start + 1)
        borders = np.flatnonzero(spaced[again:end])
        start = again + (
            int(borders[0]) + 1 if len(borders) and again + borders[0] + 1 < end else 0
        )


def _places(
    pieces: Sequence[str],
    after: Sequence[str],
    units: np.ndarray,
    offsets: Sequence[tuple[int, int]],
    whole: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """(u,) of each unit: WAYS x the place of its token, plus how it stands to it; and (u,) how many
    tokens it is read off: one, or if *whole* all that cover a character of it."""
    covering = np.full(sum(len(pieces[row] + after[row]) for row in units.tolist()) + 1, -1)
    opening = covering.copy()  # of a character that several tokens cover, the first of them
    for number, (first, behind) in enumerate(offsets):
        covering[first:behind] = number
        opening[first:behind] = np.where(opening[first:behind] < 0, number, opening[first:behind])
    found, sizes, at, last = [], [], 0, 0
    for row in units.tolist():
        inside = covering[at : at + len(pieces[row])]
        covered = np.flatnonzero(inside >= 0)
        size = 1
        if len(covered):
            token = int((opening if whole else covering)[at + covered[0]])
            found.append(WAYS * token + (BEGINS if offsets[token][0] >= at else GOES_ON))
            last = int(inside[covered[-1]] if whole else token)
            size = last - token + 1
        else:
            found.append(WAYS * last + BEHIND)
        sizes.append(size)
        at += len(pieces[row] + after[row])
    return np.array(found, dtype=np.int64), np.array(sizes, dtype=np.int64)
