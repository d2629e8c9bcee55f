"""Offsets: what is added to the log-probability of each class before the largest wins.

Macro-F1 counts a rare class as much as a common one, so its rows must be claimed sooner than at the
largest probability. Coordinate search: with all other offsets fixed, raising that of one class
makes rows change over to it one by one, in an order that one sort gives. Running counts give the
score after each change, so the best offset of a class is exact and costs n log n; classes are gone
round until none moves, a local optimum. (For a mean of ratios such as macro-F1 no better search is
known; the optimum is of this form by Koyejo, Natarajan, Ravikumar & Dhillon, "Consistent multilabel
classification", NeurIPS 2015, and Narasimhan et al., "Consistent multiclass algorithms for complex
performance measures", ICML 2015.) A class moves only for a gain beyond its noise (`beyond_noise`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule, beyond_noise

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


def offsets_for(metric: str) -> Rule:
    """The rule that fits offsets to *metric*: macro-f1, accuracy or qwk."""

    def fit(rows: Labelled) -> Offsets:
        logs, truth = _logs(rows.predicted), rows.truth[:, 0].astype(np.int64)
        offsets = np.zeros(logs.shape[1])
        found = logs.argmax(axis=1)
        for _ in range(ROUNDS):
            before = offsets.copy()
            for j in range(len(offsets)):
                best, after = best_offset(metric, logs, offsets, truth, j)
                if beyond_noise(metric, truth, found, after, rows.group_of_row):
                    offsets[j], found = best, after
            if (offsets == before).all():
                break
        return Offsets(offsets)

    return fit


def best_offset(
    metric: str, logs: np.ndarray, offsets: np.ndarray, truth: np.ndarray, j: int
) -> tuple[float, np.ndarray]:
    """The best offset of class *j*, all others fixed, and the classes (n,) that it gives.

    Args:
        logs: (n, c) log-probabilities.
        offsets: (c,) of all classes; that of j is not used.
        truth: (n,) class numbers.
    """
    others = logs + offsets
    others[:, j] = -np.inf
    rival = others.argmax(axis=1)
    needed = others[np.arange(len(logs)), rival] - logs[:, j]  # offset from which the row is j's
    order = np.argsort(needed, kind="stable")
    ladder, rivals, wanted = needed[order], rival[order], truth[order]
    changes = CHANGES[metric](wanted, rivals, j, logs.shape[1])
    gains = np.concatenate([[0.0], np.cumsum(changes)])
    cuts = np.flatnonzero(np.concatenate([[True], ladder[1:] != ladder[:-1], [True]]))
    edges = np.concatenate([[ladder[0] - 1], ladder, [ladder[-1] + 1]])
    levels = (edges[cuts] + edges[cuts + 1]) / 2
    top = np.flatnonzero(gains[cuts] >= gains[cuts].max() - 1e-12)
    place = top[np.abs(levels[top]).argmin()]
    return float(levels[place]), np.where(needed < levels[place], j, rival)


def _logs(predicted: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(predicted, FLOOR))


def _accuracy(wanted: np.ndarray, rivals: np.ndarray, j: int, c: int) -> np.ndarray:
    return ((wanted == j).astype(float) - (wanted == rivals)) / len(wanted)


def _macro_f1(wanted: np.ndarray, rivals: np.ndarray, j: int, c: int) -> np.ndarray:
    """(n,) what macro-F1 gains as row after row changes from its rival to class *j*."""
    share = 1 / len(np.unique(wanted))
    positives = np.bincount(wanted, minlength=c)
    changes = np.diff(_f1(np.cumsum(wanted == j), np.arange(1, len(wanted) + 1), positives[j]),
                      prepend=0.0)  # fmt: skip
    for rival in np.unique(rivals):
        rows = np.flatnonzero(rivals == rival)
        hits = np.concatenate([[0], np.cumsum(wanted[rows] == rival)])
        left, count = hits[-1] - hits, len(rows) - np.arange(len(rows) + 1)
        changes[rows] += np.diff(_f1(left, count, positives[rival]))
    return share * changes


def _f1(hits: np.ndarray, found: np.ndarray, positive: int) -> np.ndarray:
    return 2 * hits / np.maximum(found + positive, 1)


def _kappa(wanted: np.ndarray, rivals: np.ndarray, j: int, c: int) -> np.ndarray:
    """(n,) what quadratic weighted kappa gains, the same way."""
    n, y = len(wanted), wanted.astype(float)

    def running(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return before.sum() + np.concatenate([[0.0], np.cumsum(after - before)])

    apart = running((y - rivals) ** 2, (y - j) ** 2)
    mean = running(rivals.astype(float), np.full(n, float(j)))
    square = running(rivals.astype(float) ** 2, np.full(n, float(j**2)))
    chance = float(y @ y) + square - 2 * y.sum() * mean / n
    ratio = np.divide(apart, chance, out=np.ones(n + 1), where=chance > 1e-9)
    return -np.diff(ratio)


CHANGES = {"macro-f1": _macro_f1, "accuracy": _accuracy, "qwk": _kappa}
