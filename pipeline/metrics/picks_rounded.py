"""Quadratic weighted kappa of a regression: sums over the nearest labels."""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.metrics.metric import Metric
from pipeline.metrics.prepared import Prepared, within

LARGEST = 1e300  # sums of picks stay finite


def rounded(metric: Metric, truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared | None:
    """Members (n, k) ready for the kappa of *metric*; None where it would raise an error."""
    if metric.name != "qwk" or (truth != np.rint(truth)).any():
        return None
    if not within(members, -LARGEST, LARGEST):
        return None
    low, high = metric.label_range or (truth.min(), truth.max())
    wanted = np.ascontiguousarray(truth.T)
    own, squares = wanted.sum(axis=1), (wanted**2).sum(axis=1)
    single = (wanted == wanted[:, :1]).all(axis=1)

    def gain(summed: np.ndarray, size: float) -> float:
        summed /= size
        summed += 0.5
        nearest = np.floor(summed, out=summed)
        np.clip(nearest, math.ceil(low), math.floor(high), out=nearest)
        theirs = nearest.sum(axis=1)
        squared = np.array([column @ column for column in nearest])
        shared = np.array([column @ other for column, other in zip(nearest, wanted, strict=True)])
        apart = squares + squared - 2 * shared
        if (single & (apart == 0)).any():  # one and the same label throughout
            return -math.inf
        expected = squares + squared - 2 * own * theirs / wanted.shape[1]
        return float((1 - apart / expected).mean())

    return Prepared([np.ascontiguousarray(member.T) for member in members], gain)
