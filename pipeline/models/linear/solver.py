"""Ridge and logistic regression on a dense and a sparse block at once, by Newton's method.

For both losses the gradient in the scores is `predicted - target`. Squared error needs one Newton
step, the exact ridge; the sigmoid takes a few. Each step is solved by conjugate gradients, which
are preconditioned with the exact inverse of the dense block and the diagonal of the sparse one.
Every output is a system of its own. Deterministic; memory is twice that of the inputs.

Notation: n rows, d dense columns, p sparse columns, k outputs.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.linalg
from scipy import sparse

Loss = Literal["squared", "sigmoid"]

NEWTON_STEPS = 30
CG_STEPS = 200
ROUGH: dict[Loss, float] = {"squared": 3e-3, "sigmoid": 0.3}
"""How far conjugate gradients bring the residual down; Newton's next step mends the rest."""
CLOSE = 1e-4
"""A logistic fit ends when a step promises to lower the sum by less than this share of it."""
FREE = 1e-3  # penalty of the intercept: enough to keep it finite where an output never varies


@dataclass(frozen=True)
class Design:
    """The inputs of n rows. float32."""

    dense: np.ndarray
    """(n, d); column 0 is all ones."""
    ngrams: sparse.csr_array
    """(n, p)."""

    def __len__(self) -> int:
        return len(self.dense)

    def rows(self, which: np.ndarray) -> "Design":
        """The rows at the positions *which*."""
        return Design(self.dense[which], self.ngrams[which])

    def times(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) scores for *weights* (d + p, k)."""
        d = self.dense.shape[1]
        return np.asarray(self.dense @ weights[:d] + self.ngrams @ weights[d:])

    def back(self, values: np.ndarray) -> np.ndarray:
        """(d + p, k): the transposed design times *values* (n, k)."""
        return np.concatenate([self.dense.T @ values, self._transposed @ values])

    @cached_property
    def gram(self) -> np.ndarray:
        """(d, d): the dense block times itself."""
        return np.asarray(self.dense.T @ self.dense)

    @cached_property
    def _transposed(self) -> sparse.csr_array:
        """Rows of n-grams: memory for three times the speed of a transposed view."""
        return sparse.csr_array(self.ngrams.T.tocsr())


def predicted(scores: np.ndarray, loss: Loss) -> np.ndarray:
    """(n, k) what *scores* say: themselves, or probabilities."""
    return scores if loss == "squared" else np.asarray(0.5 * (1 + np.tanh(0.5 * scores)))


def loss_sum(scores: np.ndarray, targets: np.ndarray, loss: Loss) -> float:
    """Summed over rows and outputs: half squared error, or negative log likelihood."""
    wide = scores.astype(np.float64)
    if loss == "squared":
        return float(0.5 * ((wide - targets) ** 2).sum())
    return float((np.logaddexp(0, wide) - wide * targets).sum())


def fit_glm(
    design: Design,
    targets: np.ndarray,
    loss: Loss,
    dense_penalty: float,
    ngram_penalty: float,
) -> np.ndarray:
    """(d + p, k) float32 weights that minimise loss + half the penalties times squared weights.

    *targets* is (n, k), 0/1 for the sigmoid. The intercept (dense column 0) is all but free.
    """
    problem = _Problem(design, targets.astype(np.float32), loss, dense_penalty, ngram_penalty)
    width = design.dense.shape[1] + design.ngrams.shape[1]
    weights = np.zeros((width, targets.shape[1]), np.float32)
    scores = np.zeros(targets.shape, np.float32)
    if loss == "squared":
        return problem.newton_step(weights, scores)[0]
    for _ in range(NEWTON_STEPS):
        step, promise = problem.newton_step(weights, scores)
        weights, scores = problem.search(weights, scores, step)
        if promise <= CLOSE * loss_sum(scores, targets, loss):
            break
    return weights


class _Problem:
    """What is minimised, and the ways towards its minimum."""

    def __init__(
        self, design: Design, targets: np.ndarray, loss: Loss, dense: float, ngrams: float
    ) -> None:
        self.design, self.targets, self.loss = design, targets, loss
        self.d, p = design.dense.shape[1], design.ngrams.shape[1]
        self.penalty = np.full((self.d + p, 1), ngrams, dtype=np.float32)
        self.penalty[: self.d] = dense
        self.penalty[0] = FREE
        self.squares = np.asarray(design.ngrams.power(2).sum(axis=0)).reshape(p, 1)

    def height(self, weights: np.ndarray, scores: np.ndarray) -> float:
        """The sum that is minimised."""
        held_back = 0.5 * float((self.penalty * weights * weights).sum(dtype=np.float64))
        return loss_sum(scores, self.targets, self.loss) + held_back

    def newton_step(self, weights: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, float]:
        """The step (d + p, k) to the minimum as it looks from here, and by how much it lowers."""
        chance = predicted(scores, self.loss)
        bend = np.ones_like(scores) if self.loss == "squared" else chance * (1 - chance)
        gradient = self.design.back(chance - self.targets) + self.penalty * weights
        step = self._solve(bend, -gradient)
        return step, -0.5 * float((gradient * step).sum(dtype=np.float64))

    def search(
        self, weights: np.ndarray, scores: np.ndarray, step: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights and scores after the longest of step, step / 2, … that does not go up."""
        change, now = self.design.times(step), self.height(weights, scores)
        for halvings in range(20):
            share = np.float32(0.5**halvings)
            moved = weights + share * step, scores + share * change
            if self.height(*moved) <= now:
                return moved
        return weights, scores

    def _inverse(self, bend: float) -> "_Inverse":
        own = self.penalty[: self.d, 0].astype(np.float64) + FREE
        factor = scipy.linalg.cho_factor(bend * self.design.gram.astype(np.float64) + np.diag(own))
        return _Inverse(factor, bend * self.squares + self.penalty[self.d :])

    def _solve(self, bend: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(d + p, k): Hessian · x = *right*, solved; *bend* (n, k) is the loss's curvature."""
        inverse = self._inverse(max(float(bend.mean()), 1e-6))
        x, residual, direction = np.zeros_like(right), right, inverse(right)
        energy = _dot(residual, direction)
        goal = ROUGH[self.loss] ** 2 * _dot(right, right)
        for _ in range(CG_STEPS):
            along = self.design.back(bend * self.design.times(direction))
            curved = along + self.penalty * direction
            length = energy / np.maximum(_dot(direction, curved), TINY)
            x = x + length.astype(np.float32) * direction
            residual = residual - length.astype(np.float32) * curved
            if (_dot(residual, residual) <= goal).all():
                break
            better = inverse(residual)
            renewed = _dot(residual, better)
            direction = better + (renewed / np.maximum(energy, TINY)).astype(np.float32) * direction
            energy = renewed
        return x


TINY = 1e-30


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray((one * other).sum(axis=0, dtype=np.float64))


@dataclass(frozen=True)
class _Inverse:
    """An easy approximate inverse of the Hessian: the dense block exact, the rest its diagonal."""

    factor: tuple[np.ndarray, bool]
    diagonal: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        d = len(self.factor[0])
        dense = scipy.linalg.cho_solve(self.factor, values[:d])
        return np.concatenate([dense, values[d:] / self.diagonal]).astype(np.float32)
