"""Threshold: from which probability on a row counts as positive.

The best threshold lies between two neighbouring predictions. One sort and running counts give the
score of every one of them, so the optimum is exact and costs n log n. For calibrated probabilities
the best threshold for F1 is half the F1 it reaches (Lipton, Elkan & Narayanaswamy, "Thresholding
Classifiers to Maximize F1 Score", arXiv 1402.1892, 2014), so 0.5 is right for none but a perfect
classifier. A rare label has few positives, and some wild threshold looks best by luck: a label
leaves 0.5 only for a gain beyond its noise (`beyond_noise`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule, beyond_noise, listed
from pipeline.problems.form import THRESHOLD
from pipeline.problems.registry import problem_of

ROUNDS = 5  # of going round the labels, where they depend on each other

Counts = Callable[[np.ndarray, np.ndarray, float, int], np.ndarray]
"""(hits (c,), found (c,), positives, rows) -> gains (c,)."""


@dataclass(frozen=True)
class Thresholds:
    """One threshold per column."""

    levels: np.ndarray
    """(k,) positive from here on."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) of 0 and 1."""
        return (predicted >= self.levels).astype(float)

    def says(self, names: list[str]) -> str:
        """The thresholds."""
        return f"positive from {listed(names, self.levels, '.3f')} on"

    def as_dict(self) -> dict[str, Any]:
        """The thresholds."""
        return {"levels": self.levels.tolist()}


def thresholds_for(metric: str, problem: str) -> Rule:
    """The rule that fits thresholds to *metric*, one of those in COUNTS."""
    kind = problem_of(problem)
    if kind.whole_rows and metric == "accuracy":
        return _fit_jointly
    name = kind.metric_of_columns.get(metric, metric)

    def fit(rows: Labelled) -> Thresholds:
        every = np.ones(len(rows.truth), dtype=bool)
        k = rows.predicted.shape[1]
        levels = [_level(rows, column, every, THRESHOLD, name) for column in range(k)]
        return Thresholds(np.array(levels))

    return fit


def _fit_jointly(rows: Labelled) -> Thresholds:
    """Thresholds for the share of rows in which *every* label is right, one label at a time.

    A label's threshold matters only in rows where all others are right. Round after round each is
    set to its exact optimum there, until none moves: a local optimum.
    """
    levels = np.full(rows.predicted.shape[1], THRESHOLD)
    for _ in range(ROUNDS):
        before = levels.copy()
        for column in range(len(levels)):
            right = (rows.predicted >= levels) == (rows.truth > 0.5)
            others = np.delete(right, column, axis=1).all(axis=1)
            if others.any():
                levels[column] = _level(rows, column, others, levels[column], "accuracy")
        if (levels == before).all():
            break
    return Thresholds(levels)


def _level(rows: Labelled, column: int, which: np.ndarray, current: float, metric: str) -> float:
    """The best threshold of a column, or *current* where it gains no more than noise."""
    truth, values = rows.truth[which, column] > 0.5, rows.predicted[which, column]
    best = best_level(truth, values, COUNTS[metric])
    before, after = values >= current, values >= best
    kept = not beyond_noise(metric, truth, before, after, rows.group_of_row[which])
    return current if kept else best


def best_level(truth: np.ndarray, values: np.ndarray, gain: Counts) -> float:
    """The threshold of *values* (n,) that gains most for *truth* (n,) bool; of equals nearest 0.5.

    >>> best_level(np.array([False, True, True]), np.array([0.1, 0.3, 0.4]), COUNTS["f1"])
    0.2
    """
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    hits = np.concatenate([[0], np.cumsum(truth[order])])
    found = np.arange(len(ranked) + 1)
    # cuts between different values, before the first and behind the last
    cuts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1], [True]]))
    edges = np.concatenate([[np.nextafter(ranked[0], np.inf)], ranked, [ranked[-1]]])
    levels = (edges[cuts] + edges[cuts + 1]) / 2
    levels[0], levels[-1] = edges[0], ranked[-1]
    levels = np.where(levels > edges[cuts + 1], levels, edges[cuts])  # where no float lies between
    levels[-1] = ranked[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = gain(hits[cuts], found[cuts], float(hits[-1]), len(values))
    gains = np.where(np.isfinite(gains), gains, -np.inf)
    top = np.flatnonzero(gains >= gains.max() - 1e-12)
    return float(levels[top[np.abs(levels[top] - THRESHOLD).argmin()]])


def _f1(hits: np.ndarray, found: np.ndarray, positive: float, rows: int) -> np.ndarray:
    return 2 * hits / (found + positive)


def _macro_f1(hits: np.ndarray, found: np.ndarray, positive: float, rows: int) -> np.ndarray:
    quiet = rows - found - positive + hits  # right to be negative
    one, other = 2 * hits / (found + positive), 2 * quiet / (2 * rows - found - positive)
    both = np.stack([one, other])
    known = np.isfinite(both)  # a class that occurs nowhere does not count
    return np.where(known, both, 0).sum(axis=0) / known.sum(axis=0)


def _accuracy(hits: np.ndarray, found: np.ndarray, positive: float, rows: int) -> np.ndarray:
    return (rows - found - positive + 2 * hits) / rows


def _kappa(hits: np.ndarray, found: np.ndarray, positive: float, rows: int) -> np.ndarray:
    apart = found + positive - 2 * hits
    return 1 - apart / (found + positive - 2 * found * positive / rows)


def _auc(hits: np.ndarray, found: np.ndarray, positive: float, rows: int) -> np.ndarray:
    """The area under the curve of a single point: the mean of both classes' recall."""
    negative = rows - positive
    return (hits / positive + (negative - found + hits) / negative) / 2


COUNTS: dict[str, Counts] = {
    "f1": _f1,
    "macro-f1": _macro_f1,
    "accuracy": _accuracy,
    "qwk": _kappa,
    "auc": _auc,
}
"""Metrics of 0/1 classes from counts: how many found rows are hits, how many are found."""
