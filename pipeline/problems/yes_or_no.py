"""Columns that are yes or no each: what one label of two classes and several labels share."""

import numpy as np

from pipeline.problems.form import THRESHOLD
from pipeline.problems.problem import Problem


class YesOrNo(Problem):
    """Targets are 0 or 1; predictions are the probability of 1, column by column."""

    target_kind = "flags"
    usual_loss = "bce"
    alone = "AUC"

    def within_range(self, values: np.ndarray, floor: float) -> np.ndarray:
        """Probabilities."""
        return np.clip(values, floor, 1 - floor)

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """0 and 1."""
        return (predicted >= THRESHOLD).astype(float)

    def labels_said(self) -> str:
        """From where on."""
        return f"positive from {THRESHOLD:g} on"

    def to_scores(self, predicted: np.ndarray, lowest: float) -> np.ndarray:
        """Log odds."""
        chance = np.clip(np.asarray(predicted, dtype=float), lowest, 1 - lowest)
        return np.asarray(np.log(chance) - np.log1p(-chance))

    def from_scores(self, scores: np.ndarray) -> np.ndarray:
        """The logistic function."""
        from scipy.special import expit  # here, so that the room stays quick to import

        return np.asarray(expit(scores))
