"""What a blend is, and how it predicts.

`Blend`, the weighted sum, is what most methods fit, and the only kind that can be scored from
moments. Other kinds (`pools`, `slices`, `layers`) answer the same two questions row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.ensemble.rows import Rows

FLOOR = (
    0.001  # lowest probability of a blend that is no average: a false 0 would cost log-loss dear
)


class Predictor(Protocol):
    """Fitted on some folds; predicts rows it has not seen."""

    @property
    def weights(self) -> np.ndarray:
        """(M,) how much each member counts, for a person to read."""

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k) predictions for *problem*: probabilities stay probabilities."""

    def details(self) -> dict[str, Any]:
        """All that was fitted, as plain values for JSON."""


@dataclass(frozen=True)
class Blend:
    """A weighted sum of members plus an intercept per column."""

    weights: np.ndarray
    """(M,)."""
    intercept: np.ndarray
    """(k,); zero for everything but ridge."""

    @property
    def is_average(self) -> bool:
        """Whether its predictions lie between those of the members."""
        inside = bool((self.weights >= 0).all()) and not self.intercept.any()
        return inside and abs(float(self.weights.sum()) - 1) < 1e-6

    def of(self, members: Sequence[np.ndarray]) -> np.ndarray:
        """(n, k) float64, the plain weighted sum of M arrays (n, k)."""
        total = np.tile(np.asarray(self.intercept, dtype=float), (len(members[0]), 1))
        for weight, member in zip(self.weights, members, strict=True):
            if weight:
                total += weight * member
        return total

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k) predictions for *problem*: probabilities stay probabilities.

        Averages of probabilities pass unchanged; ridge, which can leave the range, is brought back
        into it, for multiclass with rows that sum to one.
        """
        values = self.of(rows.members)
        return values if self.is_average else within_range(values, problem)

    def details(self) -> dict[str, Any]:
        """Weights and intercept."""
        return {"weights": self.weights.tolist(), "intercept": self.intercept.tolist()}


def within_range(values: np.ndarray, problem: str) -> np.ndarray:
    """(n, k) *values* as they are for numbers; else as probabilities, for multiclass with rows that
    sum to one."""
    if problem == "regression":
        return values
    kept = np.clip(values, FLOOR, 1 - FLOOR)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True)) if problem == "multiclass" else kept


def expand(truth: np.ndarray, problem: str, k: int) -> np.ndarray:
    """Targets in the shape of predictions, (n, k): one-hot where a class number is given."""
    if problem != "multiclass":
        return truth
    return np.eye(k)[truth[:, 0].astype(int)]


def mean_of(members: Sequence[np.ndarray]) -> np.ndarray:
    """(n, k) float64, the plain mean of M arrays (n, k), one of them in memory at a time."""
    return Blend(np.full(len(members), 1 / len(members)), np.zeros(members[0].shape[1])).of(members)
