"""Ridge and logistic regression on a dense and a sparse block at once, by Newton's method; and the
choice of how strongly they are held back.

For both losses the gradient in the scores is `predicted - target`. Squared error needs one Newton
step, the exact ridge; the sigmoid takes a few. Each step is solved by conjugate gradients, which
are preconditioned with the exact inverse of the dense block and the diagonal of the sparse one.
Every output is a system of its own. Deterministic; memory is twice that of the inputs.

Notation: n rows, d dense columns, p sparse columns, k outputs.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.linalg
from scipy import sparse

from pipeline.data import Table
from pipeline.models.linear.text_features import tidy

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
    counts: np.ndarray | None = None
    """(n, 1) what a row counts in the sum that is minimised; None where all count 1."""

    def __len__(self) -> int:
        return len(self.dense)

    def rows(self, which: np.ndarray) -> "Design":
        """The rows at the positions *which*."""
        counts = None if self.counts is None else self.counts[which]
        return Design(self.dense[which], self.ngrams[which], counts)

    def weighed(self, weights: np.ndarray | None) -> "Design":
        """The same rows, each counting its *weights* (n,)."""
        if weights is None:
            return self
        return Design(self.dense, self.ngrams, weights.astype(np.float32)[:, None])

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


def loss_sum(
    scores: np.ndarray, targets: np.ndarray, loss: Loss, counts: np.ndarray | float = 1.0
) -> float:
    """Summed over rows, each times its *counts* (n, 1), and outputs: half squared error, or
    negative log likelihood."""
    wide = scores.astype(np.float64)
    if loss == "squared":
        return float(0.5 * (counts * (wide - targets) ** 2).sum())
    return float((counts * (np.logaddexp(0, wide) - wide * targets)).sum())


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
        if promise <= CLOSE * problem.loss_sum(scores):
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

    def loss_sum(self, scores: np.ndarray) -> float:
        """Of all rows, each as often as it counts."""
        counts = 1.0 if self.design.counts is None else self.design.counts
        return loss_sum(scores, self.targets, self.loss, counts)

    def height(self, weights: np.ndarray, scores: np.ndarray) -> float:
        """The sum that is minimised."""
        held_back = 0.5 * float((self.penalty * weights * weights).sum(dtype=np.float64))
        return self.loss_sum(scores) + held_back

    def newton_step(self, weights: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, float]:
        """The step (d + p, k) to the minimum as it looks from here, and by how much it lowers."""
        chance = predicted(scores, self.loss)
        bend = np.ones_like(scores) if self.loss == "squared" else chance * (1 - chance)
        off, counts = chance - self.targets, self.design.counts
        if counts is not None:
            bend, off = counts * bend, counts * off
        gradient = self.design.back(off) + self.penalty * weights
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


# How strongly the linear learner is held back, chosen inside the training part.
#
# Rows are cut into inner folds by a hash of their text, so copies of a text never stand on both
# sides; or, where folds are grouped by a column, by its value, as the folds themselves are.
# Strengths are tried from strong to weak until the held-out loss rises.


STANDARD: dict[Loss, tuple[float, ...]] = {
    "squared": (30.0, 10.0, 3.0, 1.0, 0.3, 0.1),
    "sigmoid": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01),
}
"""Penalties tried on n-gram weights; inputs have length one per row."""
WEAKER = (0.003, 0.001)
"""Tried after the others of the sigmoid: classes that are many, or told by a word, want them."""
DENSE = 100.0
"""Penalty on the weights of dense numbers, whose spread is one."""
INNER_FOLDS = 3
ENOUGH_HELD_OUT = 2_000
"""Rows after which no further inner fold is held out: the choice would not change."""
MOST_ROWS = 30_000
"""More rows than this do not change it either."""


Fit = Callable[[Design, np.ndarray, float], np.ndarray]
"""(inputs of n rows, targets (n, k), strength) -> weights (d + p, k)."""
Judge = Callable[[np.ndarray, np.ndarray], float]
"""(scores (h, k), targets (h, k)) of held-out rows -> loss per row."""


@dataclass(frozen=True)
class Trial:
    """One strength, and what its learners said about rows they had not seen."""

    strength: float
    loss: float
    """Per held-out row; NaN where nothing could be held out."""
    scores: np.ndarray
    """(h, k)."""
    answers: np.ndarray
    """(h, k) targets of the held-out rows."""


def row_hashes(table: Table, grouped_by: Sequence[str] = ()) -> np.ndarray:
    """(n,) int64: equal where the texts of two rows are alike, in whichever order; or where the
    first column that folds are *grouped_by* is, as far as it is filled. A row that was made of
    another has that one's."""
    names = next((table.features[name] for name in grouped_by if name in table.features), None)
    rows = table.texts.tolist()
    if names is not None:
        rows = [[name] if name else row for name, row in zip(names.tolist(), rows, strict=True)]
    hashes = [
        min(zlib.crc32(tidy(text).encode("utf-8", "surrogatepass")) for text in row) for row in rows
    ]
    if table.parents is not None:
        there = dict(zip(table.ids.tolist(), hashes, strict=True))
        parents = table.parents.tolist()  # one that was left out keeps its children together
        hashes = [there.get(each, zlib.crc32(each.encode())) for each in parents]
    return np.array(hashes, dtype=np.int64)


def kept_rows(hashes: np.ndarray) -> np.ndarray:
    """Positions of the rows that are tried on: about MOST_ROWS of them at most."""
    return np.flatnonzero(hashes // INNER_FOLDS % -(-len(hashes) // MOST_ROWS) == 0)


def inner_parts(
    hashes: np.ndarray, original: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows held out, of as many inner folds as it takes to hold out enough.

    *hashes* is (n,) from `row_hashes`. Of the held-out rows only the *original* (n,) ones are
    asked about: what will be predicted is like them. Empty where there are too few different texts.
    """
    kept = kept_rows(hashes)
    fold_of_row = hashes[kept] % INNER_FOLDS
    asked = np.ones(len(kept), dtype=bool) if original is None else original[kept]
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    if len(np.unique(fold_of_row[asked])) < INNER_FOLDS:
        return parts
    for fold in range(INNER_FOLDS):
        parts.append((kept[fold_of_row != fold], kept[(fold_of_row == fold) & asked]))
        if sum(len(held_out) for _, held_out in parts) >= ENOUGH_HELD_OUT:
            break
    return parts


PLAIN_GAIN = 0.05
"""Of the loss: where the order of a pair means something, reading it saves more than this."""


def plainly_lower(losses: np.ndarray, others: np.ndarray) -> bool:
    """Whether *losses* of blocks of held-out rows are below *others*, of the same blocks: by a
    twentieth at least, and by two standard errors of their differences.

    >>> plainly_lower(np.array([1.0, 1.1, 0.9]), np.array([2.0, 2.2, 1.9]))
    True
    >>> plainly_lower(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.1]))
    False
    >>> plainly_lower(np.array([1.0, 1.1, 0.9]), np.array([1.01, 1.11, 0.91]))
    False
    """
    gains = others - losses
    sure = gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))
    return bool(sure and gains.mean() > PLAIN_GAIN * others.mean())


def try_strengths(
    design: Design,
    targets: np.ndarray,
    fit: Fit,
    inner: Sequence[tuple[np.ndarray, np.ndarray]],
    strengths: Sequence[float],
    judge: Judge,
) -> list[Trial]:
    """Trials over the inner folds of *design*'s n rows, the best one first.

    *targets* is (n, k), *inner* from `inner_parts`. Where there are too few different texts to
    hold any out, the one trial is of the middle strength.
    """
    grid = sorted(strengths, reverse=True)
    parts = [
        (design.rows(learnt), targets[learnt], design.rows(held_out), targets[held_out])
        for learnt, held_out in inner
    ]
    if not parts:
        return [Trial(grid[len(grid) // 2], np.nan, targets[:0], targets[:0])]
    trials: list[Trial] = []
    for strength in grid:
        trials.append(_try(parts, fit, strength, judge))
        if len(trials) > 1 and trials[-1].loss >= trials[-2].loss:
            break
    return sorted(trials, key=lambda trial: trial.loss)


Part = tuple[Design, np.ndarray, Design, np.ndarray]
"""Inputs and targets to fit on, inputs and targets held out."""


def _try(parts: list[Part], fit: Fit, strength: float, judge: Judge) -> Trial:
    scores = np.concatenate(
        [held_out.times(fit(inputs, targets, strength)) for inputs, targets, held_out, _ in parts]
    )
    answers = np.concatenate([part[3] for part in parts])
    return Trial(strength, judge(scores, answers), scores, answers)
