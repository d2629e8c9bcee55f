"""The one pass over the rows that measures moments, fold by fold, on all cores.

Rows are cut into shares, which depend on the numbers of rows and members alone, so that the sums
are the same on one core and on many. Each share is put into the order of folds, in pieces that stay
in the processor's cache, widened to float64 and multiplied with itself. Members may be
memory-mapped. What the threads hold in memory is some 30 MB each, whatever the number of rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from pipeline.base.cores import threads
from pipeline.metrics.moments import Moments, combine

PIECE = 2**22  # predictions put into the order of folds at once
CACHED = 2**19  # … of them multiplied at once
SHARES = 64  # at most: a share's moments are as large as the whole's
FIRST = 100  # rows whose mean the others are measured from


def measure(members: Sequence[np.ndarray], target: np.ndarray) -> Moments:
    """The moments of M *members* (n, k) each and *target* (n, k)."""
    return measure_by_fold(members, target, np.zeros(len(target), dtype=int))[0]


def measure_by_fold(
    members: Sequence[np.ndarray], target: np.ndarray, fold_of_row: np.ndarray
) -> dict[int, Moments]:
    """The moments of each fold, *fold_of_row* (n,), in one pass over M *members* (n, k)."""
    place, folds = pd.factorize(np.asarray(fold_of_row), sort=True)
    place = place.astype(np.min_scalar_type(len(folds)))  # small ones are sorted faster
    rows = _Rows([*map(np.asarray, members)], np.asarray(target, float), place, len(folds))
    whole: dict[int, Moments] = {}
    for share in _on_all_cores(rows):
        for fold, part in share.items():
            whole[fold] = combine([whole[fold], part]) if fold in whole else part
    return {fold: whole[number] for number, fold in enumerate(folds.tolist())}


def _on_all_cores(rows: "_Rows") -> Iterator[dict[int, Moments]]:
    """The moments of every share, in their order."""
    shares = rows.shares()
    jobs = min(threads(), len(shares))
    with threadpool_limits(1, user_api="blas"):  # more add up in another order
        if jobs == 1:
            yield from [rows.moments(start, end) for start, end in shares]
            return
        pool = Parallel(n_jobs=jobs, require="sharedmem", return_as="generator")
        yield from pool(delayed(rows.moments)(start, end) for start, end in shares)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is measured."""

    members: list[np.ndarray]
    """M arrays (n, k)."""
    target: np.ndarray
    """(n, k)."""
    fold_of_row: np.ndarray
    """(n,) from 0."""
    folds: int

    def shares(self) -> list[tuple[int, int]]:
        """Where each share starts and ends."""
        count = len(self.target)
        pieces = -(-count // self._piece())
        cuts = np.linspace(0, count, min(pieces, SHARES) + 1).astype(int).tolist()
        return list(pairwise(cuts))

    def _piece(self) -> int:
        return max(PIECE // (len(self.members) * self.target.shape[1]), FIRST)

    def moments(self, start: int, end: int) -> dict[int, Moments]:
        """The moments of each fold that has rows from *start* to *end*."""
        size = min(self._piece(), end - start)
        kind = np.result_type(*self.members)
        room = np.empty((self.target.shape[1], len(self.members), size), kind)
        sums: dict[int, _Sums] = {}
        for begin in range(start, end, size):
            here = slice(begin, min(begin + size, end))
            order = np.argsort(self.fold_of_row[here], kind="stable")
            for place, member in enumerate(self.members):
                for column, into in zip(member[here].T, room[:, place], strict=True):
                    same = column.astype(kind, copy=False)
                    np.take(same, order, out=into[: len(order)], mode="clip")
            target = self.target[here][order].T
            ends = np.cumsum(np.bincount(self.fold_of_row[here], minlength=self.folds)).tolist()
            for fold, (low, high) in enumerate(zip([0, *ends], ends, strict=False)):
                if high > low:
                    known = sums.setdefault(fold, _Sums(room[:, :, low:high], target[:, low:high]))
                    known.add(room[:, :, low:high], target[:, low:high])
        return {fold: each.moments() for fold, each in sums.items()}


class _Sums:
    """Products of M members, the target and 1, all measured from a *start*, added up."""

    def __init__(self, members: np.ndarray, target: np.ndarray) -> None:
        """*members* (k, M, rows) and *target* (k, rows) are the first rows: start amidst them."""
        first = np.hstack([members[:, :, :FIRST], target[:, None, :FIRST]]).astype(float)
        k, variables, _ = first.shape
        self.start = first[:, :, 0] + (first - first[:, :, :1]).mean(axis=2)
        self.products = np.zeros((k, variables + 1, variables + 1))

    def add(self, members: np.ndarray, target: np.ndarray) -> None:
        """Add (k, M, rows) members and (k, rows) target."""
        k, variables = self.start.shape
        size = max(CACHED // variables, FIRST)
        block = np.ones((variables + 1, min(size, target.shape[1])))
        for column in range(k):
            start = self.start[column, :, None]
            for begin in range(0, target.shape[1], size):
                here = slice(begin, begin + size)
                part = block[:, : len(target[column, here])]
                np.subtract(members[column, :, here], start[:-1], out=part[:-2])
                np.subtract(target[column, here], start[-1], out=part[-2])
                self.products[column] += part @ part.T

    def moments(self) -> Moments:
        """The moments of all that was added."""
        count = float(self.products[0, -1, -1])
        away = self.products[:, -1, :-1] / count
        mean = self.start + away
        scatter = self.products[:, :-1, :-1] - count * away[:, :, None] * away[:, None]
        return Moments(count, mean, scatter, away - (mean - self.start))
