"""What can be read off a row without any model: its lengths, its overlap, its place, its columns.

A property is a column of small integers, a value or a bin for each row; `target_leaks` below and
`adversarial` ask what such a column gives away.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.base import generator
from pipeline.data import Table
from pipeline.problems.registry import problem_of

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
    from scipy.stats import rankdata  # here: it takes its time

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


# Which column, or which simple property of a row, predicts the target alone.
#
# The guess for a row is the mean target of the rows with the same value in the other four of five
# random parts, drawn towards the mean of all rows where those are few. So no row helps to predict
# itself, and a property that says nothing scores at chance.


Measure = Literal["Pearson", "AUC", "accuracy"]
Result = tuple[Measure, float, float, float]
"""Measure, score, score of knowing nothing, and the noise (sd) of the score by chance."""
Measured = Callable[[np.ndarray, np.ndarray], Result]
"""From guesses and targets, (n, k) each."""
PARTS = 5
PRIOR_ROWS = 10
NOTABLE = {"Pearson": 0.1, "AUC": 0.05, "accuracy": 0.03}
"""How far above chance a property is worth a line …"""
ANSWER = 0.95
"""A column or text property that goes this far from chance to perfect looks like the answer
itself; row order and ids look like a leak as soon as they are notable."""


@dataclass(frozen=True, kw_only=True)
class Alone:
    """What one property predicts."""

    name: str
    kind: Kind
    measure: Measure
    score: float
    """Over held-out rows; the mean over several targets."""
    chance: float
    """What knowing nothing scores."""
    notable: bool
    suspicious: bool


def alone(found: Sequence[Property], targets: np.ndarray, problem: str) -> list[Alone]:
    """What each property of n rows says about their targets (n, k), the strongest first.

    Of two properties with one name (a column by value and by bins) the stronger is kept.
    """
    part = generator(SEED, "inspect-alone").permutation(len(targets)) % PARTS
    kind = problem_of(problem)
    columns = kind.expand(targets, int(targets.max()) + 1)
    measure = MEASURES[kind.alone]
    best: dict[str, Alone] = {}
    for one in found:
        result = _judge(one, held_out_means(one.values, columns, part), columns, measure)
        if one.name not in best or result.score > best[one.name].score:
            best[one.name] = result
    return sorted(best.values(), key=lambda result: -result.score)


def held_out_means(values: np.ndarray, targets: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n, k) mean target of the rows with the same value (n,) in the other parts (n,)."""
    cells, shape = values * PARTS + part, (int(values.max()) + 1, PARTS)
    counts = np.bincount(cells, minlength=shape[0] * PARTS).reshape(shape)
    others = (counts.sum(axis=1, keepdims=True) - counts)[values, part]
    guess = np.empty(targets.shape)
    for j, column in enumerate(targets.T):
        sums = np.bincount(cells, weights=column, minlength=shape[0] * PARTS).reshape(shape)
        total = (sums.sum(axis=1, keepdims=True) - sums)[values, part]
        # the mean of all rows is one constant, so it tells no row about itself
        guess[:, j] = (total + PRIOR_ROWS * column.mean()) / (others + PRIOR_ROWS)
    return guess


def _judge(one: Property, guess: np.ndarray, targets: np.ndarray, measured: Measured) -> Alone:
    measure, score, chance, noise = measured(guess, targets)
    notable = score - chance > max(NOTABLE[measure], 4 * noise)
    answer = one.kind == "order" or score - chance > ANSWER * (1 - chance)
    return Alone(
        name=one.name,
        kind=one.kind,
        measure=measure,
        score=score,
        chance=chance,
        notable=bool(notable),
        suspicious=bool(notable and answer),
    )


def _correlation(guess: np.ndarray, targets: np.ndarray) -> Result:
    scores = [pearson(y, p) for y, p in zip(targets.T, guess.T, strict=True)]
    return "Pearson", float(np.mean(scores)), 0.0, 1 / np.sqrt(len(targets))


def _accuracy(guess: np.ndarray, targets: np.ndarray) -> Result:
    n, chance = len(targets), float(targets.mean(axis=0).max())
    right = targets[np.arange(n), guess.argmax(axis=1)].mean()
    return "accuracy", float(right), chance, float(np.sqrt(chance * (1 - chance) / n))


def _area(guess: np.ndarray, targets: np.ndarray) -> Result:
    parts = [auc(y > 0, p) for y, p in zip(targets.T, guess.T, strict=True) if np.ptp(y) > 0]
    if not parts:
        return "AUC", 0.5, 0.5, 0.0
    score, low, high = mean_auc(parts)
    return "AUC", score, 0.5, (high - low) / (2 * 1.96)


MEASURES: dict[str, Measured] = {
    "Pearson": _correlation,
    "accuracy": _accuracy,
    "AUC": _area,
}
"""What a problem type is measured by (`Problem.alone`)."""
