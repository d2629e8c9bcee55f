"""Second moments of members and target: all that Pearson and squared-error blending needs.

One pass over the rows of a fold gives, for each of the k columns, a count, a mean and a scatter
matrix of the M members with the target as the last variable. Moments of several folds are added
up; weights turn the moments of M members into those of one blend. So fitting, scoring and leaving
folds or members out costs the same for a thousand rows and for ten million.

Precision: every fold is centred on its own means and means are combined by the parallel rule of
Chan, Golub & LeVeque (1983), so no large squares are subtracted; sums are float64. Scores agree
with the row-wise way to 1e-8 as long as a column's spread is more than about 1e-6 of its mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 65_536  # rows per block: float32 members are widened to float64 block by block
CONSTANT = 1e-12  # relative spread below which a column counts as constant


@dataclass(frozen=True)
class Moments:
    """Moments of V variables for each of k columns; the last variable is the target."""

    count: float
    mean: np.ndarray
    """(k, V)."""
    scatter: np.ndarray
    """(k, V, V) sums of products of deviations from the mean."""

    def keep(self, members: np.ndarray) -> "Moments":
        """The moments of the *members* at these positions, and the target."""
        kept = np.append(members, self.mean.shape[1] - 1)
        return Moments(self.count, self.mean[:, kept], self.scatter[:, kept[:, None], kept])

    def blend(self, weights: np.ndarray, intercept: np.ndarray) -> "Moments":
        """The moments (V = 2) of the blend and the target: weights (M,), intercept (k,)."""
        turn = np.zeros((len(weights) + 1, 2))
        turn[:-1, 0] = weights
        turn[-1, 1] = 1.0
        mean = self.mean @ turn
        mean[:, 0] += intercept
        return Moments(self.count, mean, turn.T @ self.scatter @ turn)

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
    columns = [*members, target]
    return combine(
        [
            _measure_block([column[start : start + BLOCK] for column in columns])
            for start in range(0, len(target), BLOCK)
        ]
    )


def _measure_block(columns: Sequence[np.ndarray]) -> Moments:
    variables = np.stack(columns, axis=-1).astype(float).transpose(1, 0, 2)
    mean = variables.mean(axis=1)
    centred = variables - mean[:, None]
    return Moments(float(variables.shape[1]), mean, centred.transpose(0, 2, 1) @ centred)


def combine(parts: Sequence[Moments]) -> Moments:
    """The moments of all rows of *parts* together."""
    count = sum(part.count for part in parts)
    mean = sum(part.count * part.mean for part in parts) / count
    scatter = np.zeros_like(parts[0].scatter)
    for part in parts:
        away = part.mean - mean
        scatter += part.scatter + part.count * away[:, :, None] * away[:, None, :]
    return Moments(count, np.asarray(mean), scatter)


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


GAINS: dict[str, Callable[[Pair], np.ndarray]] = {
    "pearson": _pearson,
    "r2": _r2,
    "rmse": _rmse,
    "mcrmse": _rmse,
}
"""Metrics that need no more than a pair: each gives (...) gains, where more is better; -inf where
the metric is undefined."""
