"""Offsets: what is added to the log-probability of each class before the largest wins.

Macro-F1 counts a rare class as much as a common one, so its rows must be claimed sooner than at the
largest probability. Coordinate search: with all other offsets fixed, raising that of one class
makes rows change over to it one by one, in an order that one sort gives. Running sums give the
score after each change, so the best offset of a class is exact and costs n log n; classes are gone
round until none moves, a local optimum. A metric that is no function of sums over rows is called at
some of the changes instead. (For a mean of ratios such as macro-F1 no better search is
known; the optimum is of this form by Koyejo, Natarajan, Ravikumar & Dhillon, "Consistent multilabel
classification", NeurIPS 2015, and Narasimhan et al., "Consistent multiclass algorithms for complex
performance measures", ICML 2015.) A class moves only for a gain beyond its noise (`beyond_noise`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule, beyond_noise, gains_on_the_way
from pipeline.metrics import Metric

ROUNDS = 10
FLOOR = 1e-12  # lowest probability, for its logarithm


@dataclass(frozen=True)
class Offsets:
    """An offset per class."""

    offsets: np.ndarray
    """(c,) in units of log-probability; 0 leaves a class as it is."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, c), a single 1 in each row."""
        winners = (_logs(predicted) + self.offsets).argmax(axis=1)
        return np.eye(predicted.shape[1])[winners]

    def says(self, names: list[str]) -> str:
        """The offsets that are not 0."""
        moved = np.flatnonzero(self.offsets)
        if not len(moved):
            return "no class gains beyond its noise"
        rest = "" if len(moved) == len(self.offsets) else "; the others 0"
        pieces = [f"{names[place]} {self.offsets[place]:+.2f}" for place in moved]
        return ", ".join(pieces) + rest

    def as_dict(self) -> dict[str, Any]:
        """The offsets."""
        return {"offsets": self.offsets.tolist()}


def offsets_for(metric: Metric) -> Rule:
    """The rule that fits offsets to *metric*."""

    def fit(rows: Labelled) -> Offsets:
        logs, truth, groups = _logs(rows.predicted), rows.truth, rows.group_of_row
        classes = logs.shape[1]
        offsets = np.zeros(classes)
        found = logs.argmax(axis=1)[:, None].astype(float)
        for _ in range(ROUNDS):
            before = offsets.copy()
            for j in range(classes):
                best, after = best_offset(metric, logs, offsets, truth, j)
                if beyond_noise(metric, truth, found, after, groups, classes):
                    offsets[j], found = best, after
            if (offsets == before).all():
                break
        return Offsets(offsets)

    return fit


def best_offset(
    metric: Metric, logs: np.ndarray, offsets: np.ndarray, truth: np.ndarray, j: int
) -> tuple[float, np.ndarray]:
    """The best offset of class *j*, all others fixed, and the classes (n, 1) that it gives.

    Args:
        logs: (n, c) log-probabilities.
        offsets: (c,) of all classes; that of j is not used.
        truth: (n, 1) class numbers.
    """
    others = logs + offsets
    others[:, j] = -np.inf
    rival = others.argmax(axis=1)
    needed = others[np.arange(len(logs)), rival] - logs[:, j]  # offset from which the row is j's
    order = np.argsort(needed, kind="stable")
    ladder, rivals = needed[order], rival[order][:, None].astype(float)
    cuts = np.flatnonzero(np.concatenate([[True], ladder[1:] != ladder[:-1], [True]]))
    edges = np.concatenate([[ladder[0] - 1], ladder, [ladder[-1] + 1]])
    levels = (edges[cuts] + edges[cuts + 1]) / 2
    taken = np.full_like(rivals, j)
    gains = gains_on_the_way(metric, truth[order], rivals, taken, cuts, logs.shape[1])
    top = np.flatnonzero(gains >= gains.max() - 1e-12)
    place = top[np.abs(levels[top]).argmin()]
    return float(levels[place]), np.where(needed < levels[place], j, rival)[:, None].astype(float)


def _logs(predicted: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(predicted, FLOOR))
