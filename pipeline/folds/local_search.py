"""Make folds more even by moving and swapping whole groups.

Groups with the same rows of every stratum are of one kind, and which of them moves does not matter.
So the search goes over kinds: take one group of kind t from fold a to fold b, and give one of kind
u back (or nothing: the empty kind). All K²T² such exchanges are weighed at once.
"""

import numpy as np
from scipy.sparse import csr_array

from pipeline.base.seeding import generator
from pipeline.folds.exchanges import (
    CELLS,
    ROW_OF_SIZE,
    Board,
    deviation,
    lower_extremes,
    lower_harm,
)
from pipeline.folds.groups import first_appearance

EXCHANGES = 150_000
"""Exchanges weighed at once, at most; the most frequent kinds take part."""
SIZE_SLACKS = (0, 2)
"""Differences in fold size up to which sizes are free; each is tried and the better result kept."""


def rearrange(
    rows_of: csr_array, weight: np.ndarray, fold: np.ndarray, filled: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, float]:
    """(G,) the fold of each group after all exchanges that help, and how uneven they are now.

    Args:
        rows_of: (G, S) rows of each stratum in each group.
        weight: (S + 1,) weights of the strata and of the size in the harm.
        fold: (G,) the fold of each group so far.
        filled: (K, S + 1) rows of each stratum, and all rows, in each fold so far.
        order: (G,) group numbers; of equal groups the first ones go to the first folds.
    """
    kind, board = _set_up(rows_of, fold, filled, order)
    before = board.have.copy()
    lower_harm(board, weight)
    boards = [board.copy() for _ in SIZE_SLACKS]
    for each, slack in zip(boards, SIZE_SLACKS, strict=True):
        lower_extremes(each, weight, slack)
    best = min(boards, key=lambda each: unevenness(each.filled))
    return _dealt(kind[order], order, fold, before, best.have), unevenness(best.filled)


def unevenness(filled: np.ndarray) -> float:
    """The largest deviation of a stratum, in rows, plus a little for the difference in size."""
    rows = deviation(filled, filled.sum(axis=0)).max() * filled[:, -1].mean()
    return float(rows + ROW_OF_SIZE * np.ptp(filled[:, -1]))


def _set_up(
    rows_of: csr_array, fold: np.ndarray, filled: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, Board]:
    """(G,) the kind of each group, -1 for rare ones, and the board with the frequent kinds."""
    count, strata = len(filled), rows_of.shape[1]
    most = max(2, min(int(EXCHANGES**0.5) // count, CELLS // strata))
    kind, example = _kinds(rows_of, order, most - 1)
    kinds = np.zeros((len(example) + 1, strata + 1))
    kinds[:-1, :-1] = rows_of[example].toarray()
    kinds[:, -1] = kinds.sum(axis=1)
    have = np.zeros((count, len(kinds)), dtype=np.int64)
    np.add.at(have, (fold[kind >= 0], kind[kind >= 0]), 1)
    have[:, -1] = len(fold)  # nothing can always be given back
    groups = np.bincount(fold, minlength=count)
    return kind, Board(kinds=kinds, have=have, filled=filled, groups=groups)


def _kinds(rows_of: csr_array, order: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(G,) the kind of each group, -1 where rare, and for every kind a group that shows it."""
    random = generator(0, "kinds").integers(2**64, size=rows_of.shape[1], dtype=np.uint64)
    cell = rows_of.data.astype(np.uint64) * random[rows_of.indices]
    key = np.add.reduceat(cell, rows_of.indptr[:-1])  # of unlike groups equal with chance 2^-64
    number = first_appearance(key[order])
    frequent = np.argsort(-np.bincount(number), kind="stable")[:most]
    rank = np.full(number.max() + 1, -1)
    rank[frequent] = np.arange(len(frequent))
    kind = np.empty(len(order), dtype=np.int64)
    kind[order] = rank[number]
    example = np.empty(len(frequent), dtype=np.int64)
    chosen = kind[order] >= 0
    example[kind[order][chosen]] = order[chosen]
    return kind, example


def _dealt(
    kind: np.ndarray, order: np.ndarray, fold: np.ndarray, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """(G,) the folds again, each kind that took part in an exchange dealt out anew.

    *kind* (G,) goes along *order*; *before* and *after* (K, T) count the groups.
    """
    fold = fold.copy()
    for changed in np.flatnonzero((before != after).any(axis=0)).tolist():
        fold[order[kind == changed]] = np.repeat(np.arange(len(after)), after[:, changed])
    return fold
