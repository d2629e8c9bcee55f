"""Rank metrics, written as sums over rows so that a bootstrap draw needs no sorting.

Ranks depend on all rows at once, but how a score answers to a few rows more or fewer is nearly a
sum over rows: its Hájek projection. For auc this is the classical analysis of DeLong, DeLong &
Clarke-Pearson (1988). What is left out falls as 1 / n, a standard error as 1 / sqrt(n); with every
row counted once the score is exact.

Each function gives per-row terms (n, q) and a `finish` from sums (B, q) to scores (B,).
"""

from collections.abc import Callable

import numpy as np

Finish = Callable[[np.ndarray], np.ndarray]


def auc_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Mean over columns of the area under the ROC curve; *truth* (n, k) is 0/1."""
    terms, areas = [], []
    for wanted, values in zip(truth.T > 0.5, predicted.T, strict=True):
        above = share_below(values, values[~wanted]) * wanted  # negatives that a positive beats
        under = (1 - share_below(values, values[wanted])) * ~wanted
        terms += [above, wanted, under, ~wanted]
        areas.append(above.sum() / wanted.sum())

    def finish(total: np.ndarray) -> np.ndarray:
        above, positive, under, negative = np.moveaxis(total.reshape(len(total), -1, 4), 2, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = above / positive + under / negative - np.array(areas)
        return np.asarray(found.mean(axis=1))

    return np.stack(terms, axis=1).astype(float), finish


def spearman_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Mean over columns of the correlation of ranks; ties share their mean rank."""
    n = len(truth)
    terms, offsets = [], []
    for wanted, values in zip(truth.T, predicted.T, strict=True):
        f, g = share_below(wanted, wanted), share_below(values, values)
        for first, second, one, other in (
            (wanted, values, f, g),
            (wanted, wanted, f, f),
            (values, values, g, g),
        ):
            # the mean of one x other moves with the row itself and with the ranks it moves
            moved = _mean_at_or_above(first, other) + _mean_at_or_above(second, one)
            terms.append(one * other + moved)
            offsets.append(2 * float((one * other).mean()) + 0.25)

    def finish(total: np.ndarray) -> np.ndarray:
        means = total[:, :-1] / total[:, -1:] - np.array(offsets)
        together, one, other = np.moveaxis(means.reshape(len(total), -1, 3), 2, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((together / np.sqrt(one * other)).mean(axis=1))

    return np.stack([*terms, np.ones(n)], axis=1), finish


def share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) the share of *others* below each value, equals counting half."""
    ranked = np.sort(others)
    low, high = (np.searchsorted(ranked, values, side=side) for side in ("left", "right"))
    return np.asarray((low + high) / (2 * max(len(others), 1)))


def _mean_at_or_above(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) the sum of weights of rows above each row, equals counting half, divided by n."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    low, high = (np.searchsorted(ranked, values, side=side) for side in ("left", "right"))
    return np.asarray((below[-1] - (below[low] + below[high]) / 2) / len(values))
