"""What can be read off a row without any model: its lengths, its overlap, its place, its columns.

A property is a column of small integers, a value or a bin for each row; the files
`target_leaks` and `adversarial` ask what such a column gives away.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from pipeline.base.seeding import generator
from pipeline.data.table import Table

Kind = Literal["column", "text", "order"]
BINS = 20
CHARACTERS = 10_000_000
"""Overlap is counted over so many characters of all texts together: very long ones are cut."""
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property of n rows."""

    name: str
    kind: Kind
    values: np.ndarray
    """(n,) 0 … number of different values - 1."""


def properties(table: Table, uses: np.ndarray | None = None) -> list[Property]:
    """Every property of n rows that takes at least two values.

    *uses* (n,) tells how often a row's texts occur over all files, where that is known.
    """
    found = [*column_properties(table.features), *text_properties(table.texts)]
    if uses is not None:
        found.append(_numeric("how often its texts occur", "text", uses))
    found += order_properties(table.ids)
    return [one for one in found if len(one.values) and one.values.min() != one.values.max()]


def column_properties(features: Mapping[str, np.ndarray]) -> list[Property]:
    """Each further column (n,) by its values, and by bins where it holds many numbers."""
    found = []
    for name, column in features.items():
        distinct = len(set(column))
        if distinct < len(column):
            found.append(_category(name, "column", column))
        numbers = pd.to_numeric(pd.Series(column, dtype=object), errors="coerce").to_numpy(float)
        if distinct > BINS and np.isfinite(numbers).mean() > 0.95:
            found.append(_numeric(name, "column", numbers))
    return found


def text_properties(texts: np.ndarray) -> list[Property]:
    """Lengths of the texts (n, s) and, for pairs, how they compare."""
    characters = _map(len, texts)
    words = _map(lambda text: len(text.split()), texts)
    found = [
        _numeric("characters", "text", characters.sum(axis=1)),
        _numeric("words", "text", words.sum(axis=1)),
    ]
    if texts.shape[1] == 2:
        found += [
            _numeric("difference in length", "text", characters[:, 0] - characters[:, 1]),
            _numeric("shared character trigrams", "text", trigram_overlap(texts)),
        ]
    return found


def order_properties(ids: np.ndarray) -> list[Property]:
    """Where a row stands in the file, and what its id (n,) may give away."""
    order = _numeric("row order", "order", np.arange(len(ids)))
    numbers = [NUMBER.findall(row_id) for row_id in ids]
    # the first 15 digits: more do not fit into a float, and order hardly needs them
    last = np.array([float(parts[-1][:15]) if parts else np.nan for parts in numbers])
    number = _numeric("number in the id", "order", last)
    digit = [parts[-1][-1] if parts else "" for parts in numbers]
    found = [order, _category("last digit of the id", "order", digit)]
    if not np.array_equal(number.values, order.values):
        found.append(number)
    prefix = [NUMBER.split(row_id, maxsplit=1)[0] for row_id in ids]
    # ids such as "a8f3…" have nearly as many beginnings as rows, which tells nothing
    if len(set(prefix)) <= max(2, len(ids) // 10):
        found.append(_category("start of the id", "order", prefix))
    return found


def trigram_overlap(texts: np.ndarray) -> np.ndarray:
    """(n,) share of the different character trigrams of a pair that both texts have, in [0, 1].

    >>> trigram_overlap(np.array([["abcd", "ABCE"]], dtype=object)).round(2).tolist()
    [0.33]
    """
    limit = max(200, CHARACTERS // max(1, texts.size))
    return np.array(
        [_jaccard(_trigrams(a[:limit]), _trigrams(b[:limit])) for a, b in texts], dtype=float
    )


def _trigrams(text: str) -> set[str]:
    lower = text.lower()
    return {lower[start : start + 3] for start in range(max(1, len(lower) - 2))}


def _jaccard(first: set[str], second: set[str]) -> float:
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def _category(name: str, kind: Kind, values: Sequence[str] | np.ndarray) -> Property:
    return Property(
        name=name, kind=kind, values=pd.factorize(np.array(list(values), dtype=object))[0]
    )


def _numeric(name: str, kind: Kind, numbers: np.ndarray) -> Property:
    """A number (n,) as quantile bins, with a bin of its own for what is no number."""
    finite = np.isfinite(numbers)
    values = np.zeros(len(numbers), dtype=np.int64)
    if finite.any():
        edges = np.unique(np.quantile(numbers[finite], np.arange(1, BINS) / BINS))
        values[finite] = np.searchsorted(edges, numbers[finite], side="right") + 1
    return Property(name=name, kind=kind, values=pd.factorize(values)[0])


def _map(measure: Callable[[str], int], texts: np.ndarray) -> np.ndarray:
    return np.array([[measure(text) for text in row] for row in texts], dtype=float)


# How well one column of numbers tells another: correlation and ranking, with their noise.


SEED = 0  # the look at the data is the same every time


def sample(n: int, limit: int, purpose: str) -> np.ndarray:
    """Positions of at most *limit* of n rows, drawn without replacement, in file order."""
    if n <= limit:
        return np.arange(n)
    return np.sort(generator(SEED, purpose).choice(n, size=limit, replace=False))


def sample_within(texts: np.ndarray, limit: int, characters: int, purpose: str) -> np.ndarray:
    """As `sample`, of rows of texts (n, s) that have about *characters* characters at most."""
    per_row = sum(map(len, texts.ravel())) / max(1, len(texts))
    return sample(len(texts), min(limit, max(1, int(characters / max(1.0, per_row)))), purpose)


def pearson(truth: np.ndarray, guess: np.ndarray) -> float:
    """Pearson correlation of two (n,); 0 where one of them is constant."""
    first, second = truth - truth.mean(), guess - guess.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else 0.0


def auc(positive: npt.ArrayLike, score: npt.ArrayLike) -> tuple[float, float]:
    """Area under the ROC curve and its variance (DeLong 1988); (0.5, 0) without both classes.

    *positive* (n,) is true or false, *score* (n,) is larger for rows held to be positive.
    """
    truth, values = np.asarray(positive, dtype=bool), np.asarray(score, dtype=float)
    above, below = int(truth.sum()), int((~truth).sum())
    if not above or not below:
        return 0.5, 0.0
    rank = rankdata(values)
    # the share of the other class that each row beats, ties counted half
    beaten = (rank[truth] - rankdata(values[truth])) / below
    beating = 1 - (rank[~truth] - rankdata(values[~truth])) / above
    variance = beaten.var() / above + beating.var() / below
    return float(beaten.mean()), float(variance)


def mean_auc(parts: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Mean of independent AUCs and the ends of its 95 % interval."""
    values = np.array([value for value, _ in parts])
    error = 1.96 * np.sqrt(sum(variance for _, variance in parts)) / len(parts)
    middle = float(values.mean())
    return middle, max(0.0, middle - float(error)), min(1.0, middle + float(error))
