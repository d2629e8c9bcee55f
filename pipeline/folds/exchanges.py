"""Exchanges of groups between folds, weighed all at once.

An exchange (a, b, t, u) takes a group of kind t from fold a to fold b and gives one of kind u back.
Groups of one kind have the same rows of every stratum; the last kind is empty: nothing is given.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

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
