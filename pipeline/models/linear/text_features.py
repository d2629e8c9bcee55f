"""Texts to hashed n-gram counts. Stateless: nothing here is fitted.

Counting is scikit-learn's HashingVectorizer, one family of n-grams at a time. A text that was
counted before is looked up, so the folds of a run count every text once.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from rapidfuzz.distance import LCSseq, Levenshtein
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from pipeline.base.config import as_dict
from pipeline.models.settings import Recipe

Unit = Literal["char", "char_wb", "word"]
Family = tuple[Unit, int]
"""Unit and size of n-grams: ("char", 3). Those of char_wb stay inside a word and its edges."""

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


def families_of(
    char_ngrams: tuple[int, int], word_ngrams: tuple[int, int], within_words: bool = False
) -> list[Family]:
    """The families of a recipe's shortest and longest n-grams.

    >>> families_of((1, 2), (1, 1))
    [('char', 1), ('char', 2), ('word', 1)]
    """
    char: Unit = "char_wb" if within_words else "char"
    spans: list[tuple[Unit, tuple[int, int]]] = [(char, char_ngrams), ("word", word_ngrams)]
    return [(unit, size) for unit, (low, high) in spans for size in range(low, high + 1)]


def ngram_settings(recipe: Recipe) -> dict[str, Any]:
    """The part of a *recipe* that says which n-grams learned numbers belong to."""
    settings = as_dict(recipe)
    names = ["char_ngrams", "word_ngrams", "buckets"]
    if settings.get("within_words"):
        names.append("within_words")
    return {name: settings[name] for name in names}


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


# What can be said about a text, or about two texts side by side. Stateless.
#
# Texts went through `ngrams.tidy`, except for `surface`, which wants them as they were written.


LONGEST = 4000  # characters compared one by one; what follows is left to the n-grams
TINY = 1e-6
SIGNED_WEIGHT = 0.5  # which text a difference is in says less than that there is one
NUMBER = re.compile(r"\d+")
SENTENCE_END = re.compile(r"[.!?。！？]+")


def surface(texts: Sequence[str]) -> np.ndarray:
    """(n, 12) float32: length, words, case, digits, punctuation and repetition of each text."""
    return np.array([_surface(text) for text in texts], dtype=np.float32).reshape(len(texts), 12)


def _surface(text: str) -> list[float]:
    words = text.split()
    characters, count = max(len(text), 1), max(len(words), 1)
    letters = sum(map(str.isalpha, text))
    digits = sum(map(str.isdigit, text))
    spaces = sum(map(str.isspace, text))
    return [
        np.log1p(len(text)),
        np.log1p(len(words)),
        np.log1p(sum(map(len, words)) / count),
        sum(map(str.isupper, text)) / characters,
        digits / characters,
        (len(text) - letters - digits - spaces) / characters,
        np.log1p(text.count("!")),
        np.log1p(text.count("?")),
        np.log1p(text.count("\n")),
        np.log1p(len(SENTENCE_END.findall(text))),
        len(set(words)) / count,
        np.log1p(len(set(words))),
    ]


def side_by_side(firsts: Sequence[str], seconds: Sequence[str]) -> np.ndarray:
    """(n, 15) float32: lengths, common subsequences, edits and numbers of each pair."""
    pairs = zip(firsts, seconds, strict=True)
    rows = [_side_by_side(first[:LONGEST], second[:LONGEST]) for first, second in pairs]
    return np.array(rows, dtype=np.float32).reshape(len(firsts), 15)


def _side_by_side(first: str, second: str) -> list[float]:
    words, others = first.split(), second.split()
    length, other_length = max(len(first), 1), max(len(second), 1)
    count, other_count = max(len(words), 1), max(len(others), 1)
    same = LCSseq.similarity(first, second)
    same_words = LCSseq.similarity(words, others)
    numbers, other_numbers = set(NUMBER.findall(first)), set(NUMBER.findall(second))
    either = numbers | other_numbers
    return [
        np.log1p(length) + np.log1p(other_length),
        abs(np.log(length / other_length)),
        np.log(length / other_length),
        2 * same / (length + other_length),
        same / min(length, other_length),
        2 * same_words / (count + other_count),
        same_words / min(count, other_count),
        np.log1p(count + other_count),
        abs(count - other_count) / (count + other_count),
        len(numbers & other_numbers) / len(either) if either else 0.5,
        float(bool(either)),
        float(bool(numbers - other_numbers)),
        float(bool(other_numbers - numbers)),
        float(first == second),
        Levenshtein.normalized_similarity(first, second),
    ]


def similarities(first: sparse.csr_array, second: sparse.csr_array) -> np.ndarray:
    """(n, 4) float32: Jaccard, cosine, and the share of the smaller and of the larger side.

    *first* and *second* hold the (weighted) n-gram counts of each side, (n, p).
    """
    shared, sizes, other_sizes = (_sums(m) for m in (first.minimum(second), first, second))
    product = _sums(first.multiply(second))
    norms = np.sqrt(_sums(first.power(2)) * _sums(second.power(2)))
    wholes = (
        sizes + other_sizes - shared,
        norms,
        np.minimum(sizes, other_sizes),
        np.maximum(sizes, other_sizes),
    )
    parts = (shared, product, shared, shared)
    ratios = [part / (whole + TINY) for part, whole in zip(parts, wholes, strict=True)]
    return np.stack(ratios, axis=1).astype(np.float32)


def text_blocks(text: sparse.csr_array) -> list[sparse.csr_array]:
    """The n-grams of single texts (n, p), each row scaled to length one."""
    return [_shrink(text, text)]


def pair_blocks(first: sparse.csr_array, second: sparse.csr_array) -> list[sparse.csr_array]:
    """N-grams of both texts, of one only, and signed by which; each (n, p).

    Each row is scaled by the length of both texts' n-grams together.
    """
    both, only = first.minimum(second), first - second
    return [_shrink(block, first + second) for block in (both, abs(only), SIGNED_WEIGHT * only)]


def _shrink(block: sparse.csr_array, whole: sparse.csr_array) -> sparse.csr_array:
    """*block* divided row by row by the length of *whole*."""
    lengths = np.sqrt(_sums(whole.power(2)))
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(lengths, TINY)) @ block)


def _sums(matrix: sparse.csr_array) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1)).ravel()
