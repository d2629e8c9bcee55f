"""Greedy steps over rows: what each member would do to a sum of picks, for any metric.

A candidate is scored from the sum of all picks so far plus one member. The sum is kept from step to
step; what of a member enters it depends on the metric, so that a candidate costs a few passes over
numbers that lie together:

- log-loss: the probability of what came true
- auc: one sort of whole numbers that carry their label
- any other metric is called on the rows (`metric.climb`)

Each equals the metric of the mean of the picks. Which way there is stands in the metric's record
(`Formula.greedy`). Of decided labels there is none: counting them anew costs as little.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics.formulas import EPSILON, indicators


@dataclass(frozen=True, eq=False)
class Prepared:
    """M members made ready for greedy steps by one metric."""

    parts: Sequence[np.ndarray]
    """M arrays of one shape, to be added up."""
    gain: Callable[[np.ndarray, float], float]
    """(sum of picks, number of picks) -> gain, -inf where the metric has no value; the sum is
    float64 and may be written over."""


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


def within(members: Sequence[np.ndarray], low: float, high: float) -> bool:
    """Whether all predictions are finite and from *low* to *high*."""
    lowest = float(np.min([member.min() for member in members]))
    highest = float(np.max([member.max() for member in members]))
    return lowest >= low and highest <= high


# AUC of sums of picks: one sort of whole numbers instead of ranks.
#
# The bits of a float64 that is not negative, read as a whole number, stand in the order of the
# values. Shifted by one they leave room for the label, so sorting them sorts the labels along, and
# among equal values the negatives come first. The area is then the number of negatives before each
# positive, less half of the pairs that are equal.


LARGEST = 1e300  # sums of picks stay finite


def ranked(truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared | None:
    """Members (n, k) ready for the auc; None where a prediction is negative."""
    if not within(members, 0.0, LARGEST):
        return None
    labels = np.ascontiguousarray(indicators(truth, members[0].shape[1]).T == 1)
    positive = labels.sum(axis=1)
    pairs = positive * (labels.shape[1] - positive)
    bits = labels.astype(np.uint64)

    def gain(summed: np.ndarray, size: float) -> float:
        if not pairs.all():  # one class only
            return -math.inf
        summed /= size
        keys = summed.view(np.uint64)
        keys <<= np.uint64(1)
        keys |= bits
        return float(np.mean([ordered_pairs(each) for each in keys] / pairs))

    return Prepared([np.ascontiguousarray(member.T) for member in members], gain)


def ordered_pairs(keys: np.ndarray) -> float:
    """Pairs of a negative below a positive, equals counting half; *keys* end in the label.

    >>> ordered_pairs(np.array([2 * 7, 2 * 3, 2 * 7 + 1, 2 * 9 + 1], dtype=np.uint64))
    3.5
    """
    keys.sort()
    places = np.flatnonzero(keys & np.uint64(1))
    below = int(places.sum()) - len(places) * (len(places) - 1) // 2
    last = np.flatnonzero((keys[1:] ^ keys[:-1]) == 1)  # negatives with an equal positive behind
    if not len(last):
        return float(below)
    first = np.searchsorted(keys, keys[last], side="left")
    end = np.searchsorted(keys, keys[last + 1], side="right")
    return below - float(((last + 1 - first) * (end - last - 1)).sum()) / 2


# Log-loss of sums of picks: the logarithm of what came true, taken once per sixteen rows.
#
# The logarithms of sixteen probabilities are that of their product, which cannot underflow: none is
# below 2.2e-16. Logarithms are what a step costs, so this is most of the saving.


TOGETHER = 16


def likely(truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared | None:
    """Members (n, k) ready for the log-loss of 0/1 *truth*; None where they are no probabilities.

    All that came true stands first, then all that did not.
    """
    if not within(members, 0.0, 1.0):
        return None
    wanted = truth.ravel() == 1
    order = np.argsort(~wanted, kind="stable")
    split = int(wanted.sum())

    def gain(summed: np.ndarray, size: float) -> float:
        summed /= size
        np.subtract(1, summed[split:], out=summed[split:])
        return log_sum(np.maximum(summed, EPSILON, out=summed)) / len(summed)

    return Prepared([member.ravel()[order] for member in members], gain)


def likely_classes(truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared | None:
    """The same for class numbers *truth* (n, 1): the probability of the right class, and the sum
    over all of them; None where they are no probabilities."""
    if not within(members, 0.0, 1.0):
        return None
    number = truth.astype(np.int64)
    sums = [member.sum(axis=1, dtype=float) for member in members]
    if not within(sums, 0.5, 2.0):
        return None
    right = [np.take_along_axis(member, number, axis=1)[:, 0] for member in members]

    def gain(summed: np.ndarray, size: float) -> float:
        summed /= size
        chance = np.maximum(summed[0], EPSILON, out=summed[0])
        return (log_sum(chance) - log_sum(summed[1])) / len(chance)

    return Prepared([np.stack(pair) for pair in zip(right, sums, strict=True)], gain)


def log_sum(values: np.ndarray) -> float:
    """The sum of the logarithms of *values* (n,), each from 1e-19 to 1e19.

    >>> round(log_sum(np.full(40, 0.5)), 9)  # 40 log 0.5
    -27.725887222
    """
    whole = len(values) // TOGETHER * TOGETHER
    products = np.multiply.reduce(values[:whole].reshape(TOGETHER, -1), axis=0)
    return float(np.log(products).sum() + np.log(values[whole:]).sum())
