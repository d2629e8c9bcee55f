"""Groups to folds: equal shares of every stratum, equal sizes, no group cut.

Three steps. Groups of several rows go one by one, the largest first, to the fold where they do the
least harm. Rows that stand alone then fill up every stratum in bulk. Last, `rearrange` moves and
swaps whole groups while that makes the folds more even.

Harm is the chi-square distance of the folds from perfectly even ones, sum (count - even)² / even
over folds and strata, plus the same for the fold sizes at a tenth of the weight. Where a large
group forces a choice between equal shares and equal sizes, shares win: a held-out part with another
label mix is another task, a slightly larger one is not.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array

from pipeline.base import generator
from pipeline.base.config import FoldsConfig
from pipeline.data import Table
from pipeline.folds.groups import first_appearance
from pipeline.folds.local_search import rearrange
from pipeline.problems.registry import problem_of

SIZE_WEIGHT = 0.1
"""Weight of the fold sizes in the harm, beside 1 for each stratum."""
STARTS = 12
"""Orders of the groups that are tried; the most even result counts."""
FEW_GROUPS = 30_000
"""With more groups the first start is even enough."""


def assign(strata: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(n,) a fold 0 … *count* - 1 for each row; rows of one group share it, no fold is empty.

    Depends on the seed, on the order of the rows and on which of them have equal strata or groups,
    not on how strata and groups are numbered. Who wants independence of the row order too sorts
    the rows first.

    Args:
        strata: (n,) the number of each row's stratum.
        groups: (n,) the number of each row's group; at least *count* different ones.
        count: K.
        seed: decides among equals.

    >>> assign(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 2, 3, 3]), count=2, seed=0).tolist()
    [0, 0, 1, 1, 0, 0]
    """
    strata, groups = first_appearance(strata), first_appearance(groups)
    ones = np.ones(len(strata), dtype=np.int64)
    rows_of = coo_array((ones, (groups, strata))).tocsr()  # (G, S) rows per group and stratum
    size = np.asarray(rows_of.sum(axis=1))
    assert len(size) >= count, "fewer groups than folds"
    weight = 1 / np.append(np.asarray(rows_of.sum(axis=0)), len(strata) / SIZE_WEIGHT)
    starts = STARTS if len(size) <= FEW_GROUPS else 1
    results = [_one_start(rows_of, size, weight, count, seed, start) for start in range(starts)]
    return np.asarray(min(results, key=lambda result: result[1])[0][groups])


def _one_start(
    rows_of: csr_array, size: np.ndarray, weight: np.ndarray, count: int, seed: int, start: int
) -> tuple[np.ndarray, float]:
    """(G,) the fold of each group, and how uneven the folds are."""
    order = generator(seed, "folds", start).permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]
    fold = np.full(len(size), -1)
    filled = np.zeros((count, len(weight)))  # rows per fold and stratum; the last column: per fold
    _place_one_by_one(order[size[order] > 1], rows_of, weight, filled, fold)
    stratum = rows_of.indices[rows_of.indptr[:-1]]
    _fill_up(order[size[order] == 1], stratum, weight, filled, fold)
    return rearrange(rows_of, weight, fold, filled, order)


def _place_one_by_one(
    order: np.ndarray,
    rows_of: csr_array,
    weight: np.ndarray,
    filled: np.ndarray,
    fold: np.ndarray,
) -> None:
    """Enter every group in *order* into *fold* (G,) and its rows into *filled* (K, S + 1)."""
    start, column, rows = rows_of.indptr.tolist(), rows_of.indices, rows_of.data
    for group in order.tolist():
        part = slice(start[group], start[group + 1])
        cells, added = column[part], rows[part]
        size = added.sum()
        # what adding does to the harm, less what is the same for every fold
        harm = filled[:, cells] @ (added * weight[cells]) + filled[:, -1] * (size * weight[-1])
        best = int(harm.argmin())
        fold[group] = best
        filled[best, cells] += added
        filled[best, -1] += size


def _fill_up(
    order: np.ndarray,
    stratum: np.ndarray,
    weight: np.ndarray,
    filled: np.ndarray,
    fold: np.ndarray,
) -> None:
    """Do the same for groups of one row: raise every stratum to one level in all folds."""
    by_stratum = order[np.argsort(stratum[order], kind="stable")]
    amount = np.bincount(stratum[order], minlength=filled.shape[1] - 1)
    end = np.cumsum(amount)
    for number in np.argsort(amount, kind="stable").tolist():  # the plentiful mend what is left
        share = levelled(filled[:, number], int(amount[number]))
        filled[:, number] += share
        filled[:, -1] += share
        for _ in range(amount[number] - share.sum()):
            harm = filled[:, number] * weight[number] + filled[:, -1] * weight[-1]
            best = int(harm.argmin())
            share[best] += 1
            filled[best, [number, -1]] += 1
        members = by_stratum[end[number] - amount[number] : end[number]]
        fold[members] = np.repeat(np.arange(len(filled)), share)


def levelled(height: np.ndarray, amount: int) -> np.ndarray:
    """(K,) what to add to each height so that the lowest ones reach one level, in whole rows.

    The sum is at most *amount*, and less than K short of it.

    >>> levelled(np.array([5, 0, 2]), 6)
    array([0, 4, 2])
    """
    # with the j lowest under water the level is (amount + their heights) / j; a wrong j, too
    # small or too large, only gives a higher level than the true one
    lowest = np.arange(1, len(height) + 1)
    level = ((amount + np.cumsum(np.sort(height))) / lowest).min()
    return np.maximum(np.floor(level + 1e-9) - height, 0).astype(np.int64)


# How even an assignment to folds is, in the two measures that matter.
#
# A fold whose label mix differs from the whole is scored on another task than the others; a fold of
# another size trains its learner on fewer rows.


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


# The stratum of each row: what every fold should have the same share of.
#
# By the problem type (`Problem.strata`), then the combinations with each column of
# `folds.stratify_by`, one column after the other; what fewer than K rows have is joined with the
# rest of its label.


def strata(table: Table, problem: str, folds: FoldsConfig) -> np.ndarray:
    """(n,) the number of each row's stratum, 0 … in order of first appearance."""
    assert table.targets is not None
    bins = min(folds.bins, len(table) // folds.count)
    stratum = problem_of(problem).strata(table.targets, bins, folds.count)
    stratum = first_appearance(stratum)
    for name in folds.stratify_by:
        stratum = refined(stratum, table.features[name], folds.count)
    return stratum


def refined(stratum: np.ndarray, column: np.ndarray, least: int) -> np.ndarray:
    """(n,) strata split by the values of a *column*, as far as *least* rows share a part.

    >>> refined(np.array([0, 0, 0, 0, 1]), np.array(["a", "a", "b", "c", "a"]), least=2).tolist()
    [0, 0, 1, 1, 2]
    """
    value, values = pd.factorize(column)
    part = first_appearance(stratum * len(values) + value)
    whole = part.max() + 1 + stratum
    return first_appearance(np.where(np.bincount(part)[part] < least, whole, part))
