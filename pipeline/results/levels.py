"""Rank metrics without sorting, for searches that try thousands of blends on many rows.

Predictions are brought to at most 16,384 levels, equal levels count as ties, and counting takes the
place of sorting: about ten times as fast, and right to about 1e-4. Only a search may use these: what
is reported is always scored by `metrics`.
"""

from collections.abc import Callable

import numpy as np

FEW = 2_000  # rows up to which a search sorts
LEVELS = 1 << 14  # more than there are 16-bit floats from 0 to 1


def level_auc(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over columns of the area under the ROC curve; *truth* is 0/1, *predicted* in [0, 1].

    The levels are those of 16-bit floats, so that rare labels, whose probabilities are all small,
    keep three digits too.
    """
    levels = predicted.astype(np.float16).view(np.uint16)
    areas = []
    for wanted, level in zip(truth.T > 0.5, levels.T, strict=True):
        ups = np.bincount(level[wanted], minlength=LEVELS).astype(float)
        downs = np.bincount(level[~wanted], minlength=LEVELS).astype(float)
        wins = ups @ (np.cumsum(downs) - downs / 2)
        areas.append(wins / (wanted.sum() * (~wanted).sum()))
    return float(np.mean(areas))


def level_spearman(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over columns of the correlation of ranks."""
    columns = zip(truth.T, predicted.T, strict=True)
    return float(np.mean([np.corrcoef(*map(_ranks, pair))[0, 1] for pair in columns]))


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,) mean rank of each value's level, but for a constant."""
    low, high = values.min(), values.max()
    level = ((values - low) * ((LEVELS - 1) / (high - low))).astype(np.intp)
    counts = np.bincount(level, minlength=LEVELS)
    return np.asarray((np.cumsum(counts) - counts / 2)[level])


QUICK: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "auc": level_auc,
    "spearman": level_spearman,
}
"""Metric -> its quick stand-in; both are better when larger."""
