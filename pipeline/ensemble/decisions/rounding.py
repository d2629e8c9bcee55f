"""Rounding: numbers go to the nearest of the values that labels have.

Labels that are means of a few judgements lie on a grid: whole numbers, tenths, fifths. Rounding to
it looks tidy and usually costs a little; it is offered because people do it, and measured.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule
from pipeline.problems.registry import problem_of

MOST = 101  # more distinct labels than this are no grid
EACH = 5  # rows that a value of a grid has on average, at least


@dataclass(frozen=True)
class Grid:
    """Rounds each column to its labels' values."""

    values: tuple[np.ndarray, ...]
    """Per column the values in ascending order; empty where the labels lie on no grid."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k), each the nearest value of its column's grid; halves go up."""
        decided = np.array(predicted, dtype=float)
        for column, grid in enumerate(self.values):
            if len(grid):
                between = (grid[1:] + grid[:-1]) / 2
                decided[:, column] = grid[np.searchsorted(between, decided[:, column], "right")]
        return decided

    def says(self, names: list[str]) -> str:
        """The grid of each column."""
        told = [_told(grid) for grid in self.values]
        if len(set(told)) == 1:
            return told[0]
        return ", ".join(f"{name} {one}" for name, one in zip(names, told, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """The values of each column."""
        return {"values": [grid.tolist() for grid in self.values]}


def fit_grid(rows: Labelled) -> Grid:
    """The grids of the labels of *rows*."""
    return Grid(tuple(grid_of(column) for column in rows.truth.T))


def has_grid(truth: np.ndarray) -> bool:
    """Whether a column of *truth* (n, k) lies on a grid."""
    return any(len(grid_of(column)) for column in truth.T)


def grid_of(labels: np.ndarray) -> np.ndarray:
    """The values that *labels* (n,) can have, ascending; empty where they lie on no grid.

    Where all are multiples of the smallest step apart, the whole ladder; else what was seen.

    >>> grid_of(np.repeat([0.0, 0.5, 2.0], 9)).tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    >>> grid_of(np.linspace(0, 1, 50)).tolist()
    []
    """
    seen = np.unique(labels)
    if not 2 <= len(seen) <= min(MOST, len(labels) / EACH):
        return np.empty(0)
    step = np.diff(seen).min()
    count = (seen[-1] - seen[0]) / step
    places = (seen - seen[0]) / step
    if count >= MOST or np.abs(places - np.rint(places)).max() > 0.01:
        return seen
    # labels such as 0.1 are no binary fractions: the ladder keeps those that were seen as they are
    ladder = np.round(seen[0] + np.arange(round(count) + 1) * step, 10)
    ladder[np.rint(places).astype(int)] = seen
    return ladder


def _told(grid: np.ndarray) -> str:
    if not len(grid):
        return "no grid"
    steps = np.diff(grid)
    if np.ptp(steps) < 0.01 * steps[0]:
        return f"to steps of {steps[0]:.4g} from {grid[0]:g} to {grid[-1]:g}"
    return f"to the {len(grid)} values that labels have"


# Clip: numbers are cut to the range that labels can have.
#
# An error in the label's unit can only shrink. Pearson and spearman see shape and order, where a
# cut may as well hurt.


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


# Classes where the metric would rather have numbers: what the file's form does to the score.
#
# A sample submission that shows classes is filled with classes, whatever the metric. This is no
# choice, but it has its effect, and the score that is shown is that of the file.


@dataclass(frozen=True)
class Labels:
    """Predictions as the classes that will be written."""

    problem: str
    limits: tuple[float, float]
    """Lowest and highest label of a regression."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k): whole numbers, 0 and 1, or a single 1 in each row."""
        return problem_of(self.problem).as_labels(predicted, self.limits)

    def says(self, names: list[str]) -> str:
        """Which classes."""
        return problem_of(self.problem).labels_said()

    def as_dict(self) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}
