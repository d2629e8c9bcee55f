"""Scores from moments: what a metric needs to know of predictions and target, and no rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.metrics.moments import Moments

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


def _pearson(rows: Pair) -> np.ndarray:
    """Mean of the columns' correlations; -inf where a column is constant."""
    squares = np.where(rows.varied, rows.pp * rows.yy, 1.0)
    return np.asarray(np.where(rows.varied, rows.py / np.sqrt(squares), -np.inf).mean(axis=-1))


def _r2(rows: Pair) -> np.ndarray:
    spread = np.where(rows.yy > 0, rows.yy, 1.0)
    explained = 1 - rows.mse * rows.count[..., None] / spread
    return np.asarray(np.where(rows.yy > 0, explained, -np.inf).mean(axis=-1))


def _rmse(rows: Pair) -> np.ndarray:
    return np.asarray(-np.sqrt(rows.mse).mean(axis=-1))


def _mse(rows: Pair) -> np.ndarray:
    return np.asarray(-rows.mse.mean(axis=-1))


GAINS: dict[str, Callable[[Pair], np.ndarray]] = {
    "pearson": _pearson,
    "r2": _r2,
    "rmse": _rmse,
    "mse": _mse,
    "mcrmse": _rmse,
}
"""Metrics that need no more than a pair: each gives (...) gains, where more is better; -inf where
the metric is undefined."""


def step_gains(moments: Moments, counts: np.ndarray, metric: str) -> np.ndarray:
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
    return GAINS[metric](candidates)
