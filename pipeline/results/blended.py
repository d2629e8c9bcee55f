"""What a blend is, and how it predicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLOOR = (
    0.001  # lowest probability of a blend that is no average: a false 0 would cost log-loss dear
)


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

    def predict(self, members: Sequence[np.ndarray], problem: str) -> np.ndarray:
        """(n, k) predictions for *problem*: probabilities stay probabilities.

        Averages of probabilities pass unchanged; ridge, which can leave the range, is brought back
        into it, for multiclass with rows that sum to one.
        """
        values = self.of(members)
        if problem == "regression" or self.is_average:
            return values
        kept = np.clip(values, FLOOR, 1 - FLOOR)
        return kept / kept.sum(axis=1, keepdims=True) if problem == "multiclass" else kept


def expand(truth: np.ndarray, problem: str, k: int) -> np.ndarray:
    """Targets in the shape of predictions, (n, k): one-hot where a class number is given."""
    if problem != "multiclass":
        return truth
    return np.eye(k)[truth[:, 0].astype(int)]
