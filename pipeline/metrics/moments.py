"""Second moments of members and target: all that Pearson and squared-error blending needs.

One pass over the rows (`measured`) gives, per fold and for each of the k columns, a count, a mean
and a scatter matrix of the M members with the target as the last variable. Moments of several folds
are added up; weights turn the moments of M members into those of one blend. So fitting, scoring and
leaving folds or members out costs the same for a thousand rows and for ten million.

Precision. A part's rows are measured from a value amidst the first of them; parts are added by the
rule of Chan, Golub & LeVeque (1983), their means kept to twice float64. So no large squares are
subtracted: an offset of 1e6 over a spread of 1e-6 costs nothing, nor does a factor of 1e6. Scores
agree with the row-wise way to 1e-8 until a root mean squared error falls below about 1e-4 of the
spread of what is blended, where the error's square is lost in the rounding of the squares it is the
difference of.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import ThreadpoolController

from pipeline.base.cores import threads

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


# The one pass over the rows that measures moments, fold by fold, on all cores.
#
# Rows are cut into shares, which depend on the numbers of rows and members alone, so that the sums
# are the same on one core and on many. Each share is put into the order of folds, in pieces that
# stay in the processor's cache, widened to float64 and multiplied with itself. Members may be
# memory-mapped. What the threads hold in memory is some 30 MB each, whatever the number of rows.


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


@cache
def _libraries() -> ThreadpoolController:
    """Of the products; looking for what is loaded takes longer than to measure few rows."""
    return ThreadpoolController()


def _on_all_cores(rows: "_Rows") -> Iterator[dict[int, Moments]]:
    """The moments of every share, in their order."""
    shares = rows.shares()
    jobs = min(threads(), len(shares))
    with _libraries().limit(limits=1, user_api="blas"):  # more add up in another order
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


# Scores from moments: what a metric needs to know of predictions and target, and no rows.


CONSTANT = 1e-14  # relative spread below which a column counts as constant


@dataclass(frozen=True)
class Pair:
    """What a score needs to know of predictions p and target y; arrays are (..., k)."""

    count: np.ndarray
    """(...) rows."""
    bias: np.ndarray
    """Mean of p - y."""
    pp: np.ndarray
    """Sum of squared deviations of p; *py* and *yy* alike."""
    py: np.ndarray
    yy: np.ndarray
    varied: np.ndarray
    """Whether neither p nor y is constant, but for rounding."""

    @property
    def mse(self) -> np.ndarray:
        """(..., k) mean squared error."""
        spread = np.maximum(self.pp - 2 * self.py + self.yy, 0.0)
        return np.asarray(spread / self.count[..., None] + self.bias**2)


def pair(blended: Moments) -> Pair:
    """The pair of a blend's moments (V = 2)."""
    squares = np.diagonal(blended.scatter, axis1=1, axis2=2)
    return Pair(
        count=np.asarray(blended.count),
        bias=blended.mean[:, 0] - blended.mean[:, 1],
        pp=squares[:, 0],
        py=blended.scatter[:, 0, 1],
        yy=squares[:, 1],
        varied=np.all(varied(squares, blended.mean, blended.count), axis=1),
    )


def varied(squares: np.ndarray, mean: np.ndarray, count: float) -> np.ndarray:
    """Whether sums of squared deviations are more than rounding for columns with that mean."""
    return np.asarray(squares > count * (CONSTANT * mean) ** 2)


FromMoments = Callable[[Pair], np.ndarray]
"""Turns a pair (..., k) into gains (...), where more is better; -inf where a gain is undefined."""


def pearson_gain(rows: Pair) -> np.ndarray:
    """Mean of the columns' correlations; -inf where a column is constant."""
    squares = np.where(rows.varied, rows.pp * rows.yy, 1.0)
    return np.asarray(np.where(rows.varied, rows.py / np.sqrt(squares), -np.inf).mean(axis=-1))


def r2_gain(rows: Pair) -> np.ndarray:
    """Mean of the columns' shares of variance explained; -inf where a target is constant."""
    spread = np.where(rows.yy > 0, rows.yy, 1.0)
    explained = 1 - rows.mse * rows.count[..., None] / spread
    return np.asarray(np.where(rows.yy > 0, explained, -np.inf).mean(axis=-1))


def rmse_gain(rows: Pair) -> np.ndarray:
    """Minus the mean of the columns' root mean squared errors."""
    return np.asarray(-np.sqrt(rows.mse).mean(axis=-1))


def mse_gain(rows: Pair) -> np.ndarray:
    """Minus the mean squared error."""
    return np.asarray(-rows.mse.mean(axis=-1))


def step_gains(moments: Moments, counts: np.ndarray, gain: FromMoments) -> np.ndarray:
    """(M,) the gain of picking each member once more, after *counts* picks (M,)."""
    size = counts.sum() + 1
    members, cross = moments.scatter[:, :-1, :-1], moments.scatter[:, :-1, -1]
    mean, target_mean = moments.mean[:, :-1], moments.mean[:, -1:]
    toward = members @ counts  # (k, M)
    own = np.diagonal(members, axis1=1, axis2=2)
    squares = ((toward @ counts)[:, None] + 2 * toward + own) / size**2
    blended_mean = ((mean @ counts)[:, None] + mean) / size
    target_squares = np.broadcast_to(moments.scatter[:, -1, -1:], squares.shape)
    known = varied(squares, blended_mean, moments.count)
    known &= varied(target_squares, target_mean, moments.count)
    candidates = Pair(
        count=np.full(len(counts), moments.count),
        bias=(blended_mean - target_mean).T,
        pp=squares.T,
        py=(((cross @ counts)[:, None] + cross) / size).T,
        yy=target_squares.T,
        varied=known.T,
    )
    return gain(candidates)


# What the mean of several learners gains over one of them.


OfMean = Callable[[float, np.ndarray, np.ndarray, np.ndarray], float | None]
"""(gain of one learner, predictions of L learners (L, m, k), of their mean (m, k), targets (n, k))
-> gain of the mean minus that of one; None where they do not say."""


def mse_of_mean(
    gain: float, learners: np.ndarray, mean: np.ndarray, truth: np.ndarray
) -> float | None:
    """The spread of the learners around their mean: the ambiguity of squared error."""
    return float(learners.var(axis=0).mean())


def rmse_of_mean(
    gain: float, learners: np.ndarray, mean: np.ndarray, truth: np.ndarray
) -> float | None:
    """The same under a root."""
    left = max(gain**2 - float(learners.var(axis=0).mean()), 0.0)
    return float(-np.sqrt(left) - gain)


def r2_of_mean(
    gain: float, learners: np.ndarray, mean: np.ndarray, truth: np.ndarray
) -> float | None:
    """The same as a share of the targets' variance."""
    return float(learners.var(axis=0).mean()) / float(truth.var(axis=0).mean())


def pearson_of_mean(
    gain: float, learners: np.ndarray, mean: np.ndarray, truth: np.ndarray
) -> float | None:
    """Covariance with the targets stays, the deviation of the predictions falls."""
    single, together = learners.var(axis=1).mean(axis=0), mean.var(axis=0)
    if not (together > 0).all():
        return None
    return min(gain * float(np.sqrt(single / together).mean()), 1.0) - gain
