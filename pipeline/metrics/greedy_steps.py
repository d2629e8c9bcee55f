"""Greedy steps over rows: what each member would do to a sum of picks, for any metric.

A candidate is scored from the sum of all picks so far plus one member. The sum is kept from step to
step; what of a member enters it depends on the metric, so that a candidate costs a few passes over
numbers that lie together:

- log-loss: the probability of what came true
- auc: one sort of whole numbers that carry their label
- any other metric is called on the rows

Each equals the metric of the mean of the picks. Which way there is stands in the metric's record
(`Formula.greedy`). Of decided labels there is none: counting them anew costs as little.
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.metrics.greedy_ranked import Prepared
from pipeline.metrics.metric import Metric, MetricError


class GreedySteps:
    """Sums of picks on some rows, one step after the other."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._counts = np.zeros(len(prepared.parts))
        self._total = np.zeros(prepared.parts[0].shape)

    def steps(self, counts: np.ndarray, members: Sequence[int] | None = None) -> np.ndarray:
        """(M,) the gain of picking each of *members* (default: all) after *counts* picks (M,).

        -inf for members that were not asked for, and where the metric has no value.
        """
        self._reach(counts)
        parts, size = self._prepared.parts, float(counts.sum()) + 1
        gains, summed = np.full(len(parts), -math.inf), np.empty_like(self._total)
        for place in range(len(parts)) if members is None else members:
            gains[place] = self._prepared.gain(np.add(self._total, parts[place], out=summed), size)
        return gains

    def _reach(self, counts: np.ndarray) -> None:
        """Add the picks that are new; begin anew where one was taken back."""
        new = counts - self._counts
        if (new < 0).any():
            self._total[:] = 0
            new = counts
        for place in np.flatnonzero(new).tolist():
            self._total += new[place] * self._prepared.parts[place]
        self._counts = counts.copy()


def climb(metric: Metric, truth: np.ndarray, members: Sequence[np.ndarray]) -> GreedySteps:
    """Steps among M *members* (n, k) for *metric*; *truth* as the metric takes it."""
    fast = metric.formula.greedy
    prepared = None if fast is None else fast(truth, members)
    return GreedySteps(prepared or called(metric, truth, members))


def called(metric: Metric, truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared:
    """Any metric, called on the mean of the picks."""

    def gain(summed: np.ndarray, size: float) -> float:
        try:
            return metric.gain(truth, summed / size)
        except MetricError:  # a candidate that cannot be scored is worse than any that can
            return -math.inf

    return Prepared(members, gain)
