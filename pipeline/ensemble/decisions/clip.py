"""Clip: numbers are cut to the range that labels can have.

An error in the label's unit can only shrink. Pearson and spearman see shape and order, where a cut
may as well hurt.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule


@dataclass(frozen=True)
class Clip:
    """Cuts to a range."""

    low: float
    high: float
    outside: int
    """Rows it was fitted on that lie outside."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) within the range."""
        return np.clip(predicted, self.low, self.high)

    def says(self, names: list[str]) -> str:
        """The range, and how many rows lie outside it."""
        return f"to {self.low:g} … {self.high:g}; {self.outside} out-of-fold rows lie outside"

    def as_dict(self) -> dict[str, Any]:
        """The range."""
        return {"low": self.low, "high": self.high}


def clip_to(limits: tuple[float, float]) -> Rule:
    """The rule that clips to *limits*."""

    def fit(rows: Labelled) -> Clip:
        outside = (rows.predicted < limits[0]) | (rows.predicted > limits[1])
        return Clip(*limits, int(outside.any(axis=1).sum()))

    return fit
