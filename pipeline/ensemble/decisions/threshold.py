"""Threshold: from which probability on a row counts as positive.

The best threshold lies between two neighbouring predictions. One sort and running sums give the
score of every one of them, so the optimum is exact and costs n log n; a metric that is no function
of sums is called at some of them. For calibrated probabilities
the best threshold for F1 is half the F1 it reaches (Lipton, Elkan & Narayanaswamy, "Thresholding
Classifiers to Maximize F1 Score", arXiv 1402.1892, 2014), so 0.5 is right for none but a perfect
classifier. A rare label has few positives, and some wild threshold looks best by luck: a label
leaves 0.5 only for a gain beyond its noise (`beyond_noise`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import (
    Labelled,
    Rule,
    beyond_noise,
    gains_on_the_way,
    listed,
)
from pipeline.metrics import Metric
from pipeline.problems.form import THRESHOLD

ROUNDS = 5  # of going round the labels, where they depend on each other


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


def thresholds_for(metric: Metric) -> Rule:
    """The rule that fits thresholds to *metric*.

    Where each label is scored alone, one look at each is enough. Otherwise labels are gone round,
    each set to its best threshold with the others as they are, until none moves: a local optimum.
    """

    def fit(rows: Labelled) -> Thresholds:
        levels = np.full(rows.predicted.shape[1], THRESHOLD)
        for _ in range(1 if metric.formula.columns == "mean" or len(levels) == 1 else ROUNDS):
            before = levels.copy()
            for column in range(len(levels)):
                levels[column] = _level(metric, rows, levels, column)
            if (levels == before).all():
                break
        return Thresholds(levels)

    return fit


def _level(metric: Metric, rows: Labelled, levels: np.ndarray, column: int) -> float:
    """The best threshold of a column, or the one it has where it gains no more than noise.

    Where a row counts only if all its labels are right, the column's threshold matters in those
    rows alone in which all others are.
    """
    truth, found = rows.truth, (rows.predicted >= levels).astype(float)
    values, groups, current = rows.predicted[:, column], rows.group_of_row, float(levels[column])
    if metric.formula.columns == "all":
        open_ = (np.delete(found == truth, column, axis=1)).all(axis=1)
        if not open_.any():
            return current
        truth, found, values, groups = truth[open_], found[open_], values[open_], groups[open_]
    if metric.formula.columns != "together":  # the other columns do not matter
        truth, found, column = truth[:, [column]], found[:, [column]], 0
    best = best_level(metric, truth, found, values, column)
    before, after = found, found.copy()
    after[:, column] = values >= best
    return best if beyond_noise(metric, truth, before, after, groups, classes=2) else current


def best_level(
    metric: Metric, truth: np.ndarray, found: np.ndarray, values: np.ndarray, column: int
) -> float:
    """The threshold of *values* (n,) that gains most for a column; of equals nearest 0.5.

    *truth* and *found* are (n, k) of 0 and 1; the other columns stay as they were found.
    """
    order = np.argsort(-values, kind="stable")
    ranked, none, all_ = values[order], found[order], found[order]
    none[:, column], all_[:, column] = 0.0, 1.0
    # cuts between different values, before the first and behind the last
    cuts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1], [True]]))
    edges = np.concatenate([[np.nextafter(ranked[0], np.inf)], ranked, [ranked[-1]]])
    levels = (edges[cuts] + edges[cuts + 1]) / 2
    levels[0], levels[-1] = edges[0], ranked[-1]
    levels = np.where(levels > edges[cuts + 1], levels, edges[cuts])  # where no float lies between
    levels[-1] = ranked[-1]
    gains = gains_on_the_way(metric, truth[order], none, all_, cuts, classes=2)
    top = np.flatnonzero(gains >= gains.max() - 1e-12)
    return float(levels[top[np.abs(levels[top] - THRESHOLD).argmin()]])
