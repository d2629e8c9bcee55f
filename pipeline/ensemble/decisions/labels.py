"""Classes where the metric would rather have numbers: what the file's form does to the score.

A sample submission that shows classes is filled with classes, whatever the metric. This is no
choice, but it has its effect, and the score that is shown is that of the file.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.problems.decide import THRESHOLD, nearest_labels


@dataclass(frozen=True)
class Labels:
    """Predictions as the classes that will be written."""

    problem: str
    limits: tuple[float, float]
    """Lowest and highest label of a regression."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k): whole numbers, 0 and 1, or a single 1 in each row."""
        if self.problem == "regression":
            return nearest_labels(predicted, self.limits)
        if self.problem == "multiclass":
            return np.eye(predicted.shape[1])[predicted.argmax(axis=1)]
        return (predicted >= THRESHOLD).astype(float)

    def says(self, names: list[str]) -> str:
        """Which classes."""
        return {
            "regression": "the nearest whole numbers",
            "multiclass": "the likeliest class",
        }.get(self.problem, f"positive from {THRESHOLD:g} on")

    def as_dict(self) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}
