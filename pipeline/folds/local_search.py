"""Make folds more even by moving and swapping whole groups.

Groups with the same rows of every stratum are of one kind, and which of them moves does not matter.
So the search goes over kinds: take one group of kind t from fold a to fold b, and give one of kind
u back (or nothing: the empty kind). All K²T² such exchanges are weighed at once.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pipeline.base import generator
from pipeline.folds.groups import first_appearance

# Exchanges of groups between folds, weighed all at once.
#
# An exchange (a, b, t, u) takes a group of kind t from fold a to fold b and gives one of kind u
# back. Groups of one kind have the same rows of every stratum; the last kind is empty: nothing is
# given.


CELLS = 800_000
"""Numbers in the arrays of a search step, at most."""
STEPS = 300
ROW_OF_SIZE = 0.099
"""What a row of difference in fold size is worth, in rows of deviation of a stratum: just under a
tenth, so that two rows of size are given for a fifth of a row of deviation."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """The state of the search; its arrays change in place. S strata, T kinds, the last one empty.

    Column S of *kinds* and *filled* is the sum of the others: the size.
    """

    kinds: np.ndarray
    """(T, S + 1) rows of each stratum in a group of this kind."""
    have: np.ndarray
    """(K, T) groups of each kind in each fold."""
    filled: np.ndarray
    """(K, S + 1) rows of each stratum in each fold."""
    groups: np.ndarray
    """(K,) groups in each fold, those of other kinds included."""

    def copy(self) -> "Board":
        """A board of its own, the kinds shared."""
        return Board(
            kinds=self.kinds,
            have=self.have.copy(),
            filled=self.filled.copy(),
            groups=self.groups.copy(),
        )

    def exchange(self, a: int, b: int, t: int, u: int) -> None:
        """Take a group of kind *t* from fold *a* to *b*, and one of kind *u* back."""
        moved = self.kinds[t] - self.kinds[u]
        self.filled[a] -= moved
        self.filled[b] += moved
        empty = len(self.kinds) - 1
        for kind, giver, taker in ((t, a, b), (u, b, a)):
            if kind != empty:
                self.have[[giver, taker], kind] += (-1, 1)
                self.groups[[giver, taker]] += (-1, 1)


def _harm_changes(board: Board, weight: np.ndarray) -> np.ndarray:
    """(K, K, T, T) half of what exchange (a, b, t, u) adds to the harm; inf where impossible."""
    weighted = board.kinds * weight
    product = board.filled @ weighted.T
    square = weighted @ board.kinds.T
    norm = np.diag(square)
    uphill = product[None, :, :] - product[:, None, :]  # (a, b, t): kind t against fold b less a
    change = uphill[:, :, :, None] - uphill[:, :, None, :]
    change += norm[:, None] + norm[None, :] - 2 * square
    owned = board.have > 0
    change[~(owned[:, None, :, None] & owned[None, :, None, :])] = np.inf
    change[np.arange(len(owned)), np.arange(len(owned))] = np.inf
    change[board.groups == 1, :, :, -1] = np.inf  # would leave an empty fold
    change[:, board.groups == 1, -1, :] = np.inf
    return np.asarray(change)


def lower_harm(board: Board, weight: np.ndarray) -> None:
    """Make the exchange that lowers the harm most, again and again."""
    for _ in range(STEPS):
        change = _harm_changes(board, weight)
        a, b, t, u = np.unravel_index(int(change.argmin()), change.shape)
        if change[a, b, t, u] > -1e-9 * weight.max():
            return
        board.exchange(int(a), int(b), int(t), int(u))


def lower_extremes(board: Board, weight: np.ndarray, slack: int) -> None:
    """Make exchanges that lower the largest deviation, or the size difference above *slack*.

    Neither of the two ever rises. Only the exchanges that do the least harm are looked at.
    """
    total = board.filled.sum(axis=0)
    per_fold = total[-1] / len(board.filled)
    for _ in range(STEPS):
        change = _harm_changes(board, weight)
        most = min(CELLS // 8 // len(total), int(np.isfinite(change).sum()) - 1)
        if most < 1:
            return
        cells = np.argpartition(change, most, axis=None)[:most]
        a, b, t, u = np.unravel_index(cells, change.shape)
        now, then = deviation(board.filled, total), _after(board, total, a, b, t, u)
        size_now = max(np.ptp(board.filled[:, -1]), slack)
        size_then = np.maximum(then.size_difference, slack)
        gain = (now.max() - then.deviation.max(axis=1)) * per_fold
        gain += ROW_OF_SIZE * (size_now - size_then)
        gain += (now.sum() - then.deviation.sum(axis=1)) * per_fold / 100  # off a plateau
        gain[then.deviation.max(axis=1) > now.max() + 1e-12] = -np.inf
        gain[size_then > size_now] = -np.inf
        best = int(gain.argmax())
        if gain[best] < 1e-9:
            return
        board.exchange(int(a[best]), int(b[best]), int(t[best]), int(u[best]))


class _After(NamedTuple):
    """What c exchanges would lead to."""

    deviation: np.ndarray
    """(c, K)."""
    size_difference: np.ndarray
    """(c,)."""


def _after(
    board: Board, total: np.ndarray, a: np.ndarray, b: np.ndarray, t: np.ndarray, u: np.ndarray
) -> _After:
    moved, row = board.kinds[t] - board.kinds[u], np.arange(len(a))
    deviations = np.tile(deviation(board.filled, total), (len(a), 1))
    sizes = np.tile(board.filled[:, -1], (len(a), 1))
    for fold, filled in ((a, board.filled[a] - moved), (b, board.filled[b] + moved)):
        deviations[row, fold] = deviation(filled, total)
        sizes[row, fold] = filled[:, -1]
    return _After(deviations, np.ptp(sizes, axis=1))


def deviation(filled: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Of folds (…, S + 1) the largest difference of a stratum's share from that in *total*."""
    share = total[:-1] / total[-1]
    return np.asarray(np.abs(filled[..., :-1] / filled[..., -1:] - share).max(axis=-1))


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
