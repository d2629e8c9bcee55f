"""Second moments of members and target: all that Pearson and squared-error blending needs.

One pass over the rows gives, per fold and for each of the k columns, a count, a mean and a scatter
matrix of the M members with the target as the last variable. Moments of several folds are added
up; weights turn the moments of M members into those of one blend. So fitting, scoring and leaving
folds or members out costs the same for a thousand rows and for ten million.

Rows are read in blocks, each sorted by fold: members may be memory-mapped, and float32 ones are
widened block by block; all sums are float64.

Precision. A fold's rows of a block are measured from the first of them, then centred on their mean;
parts are added by the rule of Chan, Golub & LeVeque (1983), their means kept to twice float64. So
no large squares are subtracted: an offset of 1e6 over a spread of 1e-6 costs nothing, nor does a
factor of 1e6. Scores agree with the row-wise way to 1e-8 until a root mean squared error falls
below about 1e-4 of the spread of what is blended, where the error's square is lost in the rounding
of the squares it is the difference of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

CELLS = 2**20  # numbers per block: few enough to stay in the processor's cache


@dataclass(frozen=True)
class Moments:
    """Moments of V variables for each of k columns; the last variable is the target."""

    count: float
    mean: np.ndarray
    """(k, V)."""
    scatter: np.ndarray
    """(k, V, V) sums of products of deviations from the mean."""
    low: np.ndarray = field(default_factory=lambda: np.zeros(()))
    """(k, V) or one zero: what rounding took off *mean*."""

    def keep(self, members: np.ndarray) -> "Moments":
        """The moments of the *members* at these positions, and the target."""
        kept = np.append(members, self.mean.shape[1] - 1)
        low = np.broadcast_to(self.low, self.mean.shape)[:, kept]
        return Moments(self.count, self.mean[:, kept], self.scatter[:, kept[:, None], kept], low)

    def blend(self, weights: np.ndarray, intercept: np.ndarray) -> "Moments":
        """The moments (V = 2) of the blend and the target: weights (M,), intercept (k,)."""
        turn = np.zeros((len(weights) + 1, 2))
        turn[:-1, 0] = weights
        turn[-1, 1] = 1.0
        exact = (self.mean.astype(np.longdouble) + self.low) @ turn
        exact[:, 0] += intercept
        mean = exact.astype(float)
        low = (exact - mean).astype(float)
        return Moments(self.count, mean, turn.T @ self.scatter @ turn, low)

    def pooled(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scatter among members (M, M) and with the target (M,), columns weighted by (k,)."""
        members = np.einsum("c,cij->ij", columns, self.scatter[:, :-1, :-1])
        return members, columns @ self.scatter[:, :-1, -1]

    def errors(self, columns: np.ndarray) -> np.ndarray:
        """(M, M) scatter of the members' errors, columns weighted by (k,)."""
        to_target = self.scatter[:, :-1, -1]
        cross = to_target[:, :, None] + to_target[:, None, :]
        products = self.scatter[:, :-1, :-1] - cross + self.scatter[:, -1:, -1:]
        return np.einsum("c,cij->ij", columns, products)


def measure(members: Sequence[np.ndarray], target: np.ndarray) -> Moments:
    """The moments of M *members* (n, k) each and *target* (n, k)."""
    return measure_by_fold(members, target, np.zeros(len(target), dtype=int))[0]


def measure_by_fold(
    members: Sequence[np.ndarray], target: np.ndarray, fold_of_row: np.ndarray
) -> dict[int, Moments]:
    """The moments of each fold, *fold_of_row* (n,), in one pass over M *members* (n, k)."""
    columns = [np.asarray(each) for each in (*members, target)]
    folds, fold_of_row = np.unique(fold_of_row, return_inverse=True)
    sums = [_Sums(target.shape[1], len(columns)) for _ in folds]
    size = max(CELLS // (len(columns) * target.shape[1]), 64)
    block = np.empty((target.shape[1], len(columns), min(size, len(target))))
    for start in range(0, len(target), size):
        fold_here = fold_of_row[start : start + size]
        order = np.argsort(fold_here, kind="stable")
        for place, column in enumerate(columns):
            rows = np.take(column[start : start + size], order, axis=0)
            block[:, place, : len(order)] = rows.T
        ends = np.cumsum(np.bincount(fold_here, minlength=len(folds))).tolist()
        for each, begin, end in zip(sums, [0, *ends], ends, strict=False):
            if end > begin:
                each.add(block[:, :, begin:end])
    return {fold: each.moments() for fold, each in zip(folds.tolist(), sums, strict=True)}


class _Sums:
    """Scatter around the means of the parts, and these means, to be joined at the end."""

    def __init__(self, k: int, variables: int) -> None:
        self.scatter = np.zeros((k, variables, variables))
        self.counts: list[int] = []
        self.means: list[np.ndarray] = []
        self.first: np.ndarray | None = None

    def add(self, part: np.ndarray) -> None:
        """Add a part (k, V, rows), which is centred in place."""
        count = part.shape[2]
        start = part[:, :, 0].copy()
        part -= start[:, :, None]
        shift = part @ np.full(count, 1 / count)
        part -= shift[:, :, None]
        for scatter, column in zip(self.scatter, part, strict=True):
            scatter += column @ column.T
        self.first = start if self.first is None else self.first
        self.counts.append(count)
        self.means.append((start - self.first) + shift)

    def moments(self) -> Moments:
        """The moments of all parts."""
        assert self.first is not None
        counts = np.array(self.counts, dtype=float)
        means = np.stack(self.means)  # (parts, k, V) from the first row
        mean, scatter = _join(counts, means, self.scatter)
        whole = self.first + mean
        return Moments(counts.sum(), whole, scatter, mean - (whole - self.first))


def _join(
    counts: np.ndarray, means: np.ndarray, scatter: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the *means* (parts, k, V), and *scatter* with that of the means added."""
    mean = np.average(means, axis=0, weights=counts)
    away = ((means - mean) * np.sqrt(counts)[:, None, None]).transpose(1, 2, 0)
    return mean, scatter + away @ away.transpose(0, 2, 1)


def combine(parts: Sequence[Moments]) -> Moments:
    """The moments of all rows of *parts* together."""
    counts = np.array([part.count for part in parts])
    first = parts[0].mean
    means = np.stack([(part.mean - first) + part.low for part in parts])
    scatter = parts[0].scatter
    for part in parts[1:]:
        scatter = scatter + part.scatter
    mean, scatter = _join(counts, means, scatter)
    whole = first + mean
    return Moments(float(counts.sum()), whole, scatter, mean - (whole - first))
