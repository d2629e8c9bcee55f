"""Texts to hashed n-gram counts. Stateless: nothing here is fitted.

Counting is scikit-learn's HashingVectorizer, one family of n-grams at a time. A text that was
counted before is looked up, so the folds of a run count every text once.
"""

import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

Unit = Literal["char", "word"]
Family = tuple[Unit, int]
"""Unit and size of n-grams: ("char", 3)."""

WORD = r"[^\W_]+"  # a run of letters and digits, single ones included
CACHE_NONZEROS = 50_000_000  # about 400 MB


def tidy(text: str) -> str:
    """*text* as it is counted: compatibility forms joined, lower case, one space between words.

    >>> tidy("  Ｆull\\nWIDTH ")
    ' full width '
    """
    whole = text.encode("utf-8", "replace").decode(
        "utf-8"
    )  # half a surrogate pair cannot be hashed
    words = unicodedata.normalize("NFKC", whole).lower().replace("\x00", " ").split()
    return f" {' '.join(words)} " if words else " "


def count_ngrams(texts: Sequence[str], family: Family, buckets: int) -> sparse.csr_array:
    """(n, buckets) float32: how often each n-gram of *family* occurs in each of n tidy texts.

    Different n-grams may share a bucket.

    >>> count_ngrams([" ab ab "], ("word", 1), 16).data.tolist()
    [2.0]
    """
    if not texts:
        return sparse.csr_array((0, buckets), dtype=np.float32)
    unit, size = family
    vectorizer = HashingVectorizer(
        analyzer=unit,
        ngram_range=(size, size),
        token_pattern=WORD,
        lowercase=False,
        n_features=buckets,
        alternate_sign=False,
        norm=None,
        dtype=np.float32,
    )
    return sparse.csr_array(vectorizer.transform(texts))


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
