"""Which column, or which simple property of a row, predicts the target alone.

The guess for a row is the mean target of the rows with the same value in the other four of five
random parts, drawn towards the mean of all rows where those are few. So no row helps to predict
itself, and a property that says nothing scores at chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.base.seeding import generator
from pipeline.problems.registry import problem_of
from pipeline.setup.inspection.row_properties import SEED, Kind, Property, auc, mean_auc, pearson

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
