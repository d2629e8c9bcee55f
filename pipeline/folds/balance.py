"""How even an assignment to folds is, in the two measures that matter.

A fold whose label mix differs from the whole is scored on another task than the others; a fold of
another size trains its learner on fewer rows.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Both measures of one assignment; 0 is perfect."""

    share_deviation: float
    """Largest difference, over folds and strata, between a stratum's share of the rows of a fold
    and its share of all rows."""
    size_difference: int
    """Rows in the largest fold less rows in the smallest."""


def balance(fold_of_row: np.ndarray, strata: np.ndarray) -> Balance:
    """Measure (n,) folds against (n,) strata, both numbered from 0 without gaps.

    >>> balance(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0]))
    Balance(share_deviation=0.25, size_difference=0)
    """
    sizes = np.bincount(fold_of_row)
    return Balance(
        share_deviation=float(deviation_by_fold(fold_of_row, strata).max()),
        size_difference=int(sizes.max() - sizes.min()),
    )


def deviation_by_fold(fold_of_row: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """(K,) the largest deviation of a stratum's share in each fold from its share in the whole."""
    count = table(fold_of_row, strata)
    whole = count.sum(axis=0) / count.sum()
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.abs(share - whole).max(axis=1))


def table(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Contingency table of two arrays (n,) of numbers from 0: how often each pair occurs.

    >>> table(np.array([0, 1, 1]), np.array([0, 0, 0])).tolist()
    [[1], [2]]
    """
    height, width = int(rows.max()) + 1, int(columns.max()) + 1
    flat = np.bincount(rows * width + columns, minlength=height * width)
    return flat.reshape(height, width)
