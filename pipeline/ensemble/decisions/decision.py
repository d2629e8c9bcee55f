"""What a decision is, and what it is fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Labelled:
    """Rows that a decision may be fitted on."""

    truth: np.ndarray
    """Targets as the metric takes them: (n, 1) class numbers for multiclass, else (n, k)."""
    predicted: np.ndarray
    """(n, k) predictions by blends that had not seen the row."""
    group_of_row: np.ndarray
    """(n,) rows that belong together."""

    def rows(self, which: np.ndarray) -> "Labelled":
        """The rows selected by a mask (n,), everything cut alike."""
        return Labelled(self.truth[which], self.predicted[which], self.group_of_row[which])


class Decision(Protocol):
    """A fitted decision."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) decided values from predictions (m, k)."""

    def says(self, names: list[str]) -> str:
        """What was fitted, in words; *names* (k,) are the prediction columns."""

    def as_dict(self) -> dict[str, Any]:
        """What was fitted, as plain values for JSON."""


Rule = Callable[[Labelled], Decision]
"""Fits a decision."""


def listed(names: list[str], values: np.ndarray, form: str) -> str:
    """Values by name, all of them.

    >>> listed(["toxic", "rude"], np.array([0.5, 0.31]), ".2f")
    'toxic 0.50, rude 0.31'
    >>> listed(["label"], np.array([0.5]), ".2f")
    '0.50'
    """
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return ", ".join(
        f"{name} {value:{form}}" for name, value in zip(names, values.tolist(), strict=True)
    )
