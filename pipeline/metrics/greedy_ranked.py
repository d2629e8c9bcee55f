"""AUC of sums of picks: one sort of whole numbers instead of ranks.

The bits of a float64 that is not negative, read as a whole number, stand in the order of the
values. Shifted by one they leave room for the label, so sorting them sorts the labels along, and
among equal values the negatives come first. The area is then the number of negatives before each
positive, less half of the pairs that are equal.
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.ensemble.predictor import expand
from pipeline.metrics.prepared import Prepared, within

LARGEST = 1e300  # sums of picks stay finite


def ranked(problem: str, truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared | None:
    """Members (n, k) ready for the auc; None where a prediction is negative."""
    if not within(members, 0.0, LARGEST):
        return None
    labels = np.ascontiguousarray(expand(truth, problem, members[0].shape[1]).T == 1)
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
