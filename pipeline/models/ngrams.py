"""Texts to hashed n-gram counts, whole tables at a time. Stateless: nothing here is fitted.

All texts of a chunk stand in one array of code points; an n-gram's hash is a polynomial in its
characters (or in the hashes of its words), so every position of every text is hashed at once,
many times as fast as an analyser that makes each n-gram a Python string.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from scipy import sparse

Unit = Literal["char", "word"]
Family = tuple[Unit, int]
"""Unit and size of n-grams: ("char", 3)."""

BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so multiplying by it loses nothing
MIX = np.uint64(0xBF58476D1CE4E5B9)
END = "\x00"  # stands between texts; `tidy` keeps it out of them
CHUNK_CHARACTERS = 4_000_000
CACHE_NONZEROS = 50_000_000  # about 400 MB


def tidy(text: str) -> str:
    """*text* as it is counted: compatibility forms joined, lower case, one space between words.

    >>> tidy("  Ｆull\\nWIDTH ")
    ' full width '
    """
    words = unicodedata.normalize("NFKC", text).lower().replace(END, " ").split()
    return f" {' '.join(words)} "


def count_ngrams(texts: Sequence[str], family: Family, buckets: int) -> sparse.csr_array:
    """(n, buckets) float32: how often each n-gram of *family* occurs in each of n tidy texts.

    Different n-grams may share a bucket.

    >>> count_ngrams([" ab ab "], ("word", 1), 16).data.tolist()
    [2.0]
    """
    parts = [_count_chunk(chunk, family, buckets) for chunk in _chunks(texts)]
    if not parts:
        return sparse.csr_array((0, buckets), dtype=np.float32)
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if characters > CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _count_chunk(texts: list[str], family: Family, buckets: int) -> sparse.csr_array:
    unit, size = family
    joined = END.join([*texts, ""])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    symbols, rows = codes.astype(np.uint64), np.cumsum(codes == 0)
    rows[codes == 0] = -1  # no n-gram holds the end of a text
    if unit == "word":
        symbols, rows = _words(codes, rows)
    hashes, row_of_ngram = _rolling(symbols, rows, size)
    columns = (hashes % np.uint64(buckets)).astype(np.int32)
    ones = np.ones(len(columns), dtype=np.float32)
    places = (row_of_ngram.astype(np.int32), columns)
    return sparse.coo_array((ones, places), shape=(len(texts), buckets)).tocsr()


def _words(codes: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each word, a run of letters and digits, and its row, both (words,)."""
    alphabet, which = np.unique(codes, return_inverse=True)
    is_word = np.array([chr(code).isalnum() for code in alphabet.tolist()], dtype=bool)[which]
    inner = np.flatnonzero(is_word)
    if not len(inner):
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    starts = np.flatnonzero(np.diff(inner, prepend=-2) > 1)
    lengths = np.diff(starts, append=len(inner))
    powers = np.multiply.accumulate(np.full(int(lengths.max()), BASE, dtype=np.uint64))
    terms = codes[inner].astype(np.uint64) * powers[np.arange(len(inner)) - starts.repeat(lengths)]
    return _mixed(np.add.reduceat(terms, starts)), rows[inner[starts]]


def _rolling(symbols: np.ndarray, rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash and row of every run of *size* symbols that lies within one row."""
    count = max(len(symbols) - size + 1, 0)
    hashes = np.zeros(count, dtype=np.uint64)
    for step in range(size):
        hashes = hashes * BASE + symbols[step : step + count]
    first, last = rows[:count], rows[size - 1 : size - 1 + count]
    within = (first == last) & (first >= 0)
    return _mixed(hashes[within]), first[within]


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Spread every bit over all others, so that the low ones may choose the bucket."""
    mixed = (hashes ^ (hashes >> np.uint64(30))) * MIX
    return mixed ^ (mixed >> np.uint64(27))


class NgramCounter:
    """Counts n-grams of several families; a text that was counted before is looked up.

    Holds counts of texts only, nothing that was learnt, so the folds of a run can share it.
    """

    def __init__(
        self, families: Sequence[Family], buckets: int, most_nonzeros: int = CACHE_NONZEROS
    ) -> None:
        self.families = tuple(families)
        self.buckets = buckets
        self.most_nonzeros = most_nonzeros
        self._position: dict[str, int] = {}
        self._store = self._count([])

    def count(self, texts: Sequence[str]) -> list[sparse.csr_array]:
        """One (n, buckets) count matrix per family, for n tidy texts."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._position]
        if sum(map(len, fresh)) * len(self.families) + self.nonzeros > self.most_nonzeros:
            return self._count(texts)  # an n-gram begins at a character, so this is an upper bound
        if fresh:
            counted = self._count(fresh)
            known = len(self._position)
            self._position.update((text, known + place) for place, text in enumerate(fresh))
            self._store = [
                sparse.csr_array(sparse.vstack(pair, format="csr"))
                for pair in zip(self._store, counted, strict=True)
            ]
        places = np.array([self._position[text] for text in texts], dtype=np.int64)
        return [matrix[places] for matrix in self._store]

    @property
    def nonzeros(self) -> int:
        """Counts held in memory, 8 bytes each."""
        return sum(int(matrix.nnz) for matrix in self._store)

    def _count(self, texts: Sequence[str]) -> list[sparse.csr_array]:
        return [count_ngrams(texts, family, self.buckets) for family in self.families]
