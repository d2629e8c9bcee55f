"""A small penalised logistic regression whose coefficients are shared by all classes or labels.

scikit-learn's fits a coefficient per class and feature and takes no offset; here a problem with
seven classes fits no more numbers than one with two, and starts from predictions that are already
good. Newton's method with step halving; the problem is convex, so it has one optimum.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp, softmax

STEPS = 30
ENOUGH = 1e-10  # gain of a Newton step, in nats per row, below which it is the last
LOWEST = 1e-6  # probabilities are kept this far from 0 and 1 before their logarithm is taken


def scores_of(probabilities: np.ndarray, problem: str) -> np.ndarray:
    """(..., k) log probabilities for multiclass, else log odds, in float64."""
    chance = np.clip(np.asarray(probabilities, dtype=float), LOWEST, 1 - LOWEST)
    return np.log(chance) if problem == "multiclass" else np.log(chance) - np.log1p(-chance)


def probabilities_of(scores: np.ndarray, problem: str) -> np.ndarray:
    """(n, k) probabilities of *scores* (n, k)."""
    return np.asarray(softmax(scores, axis=1) if problem == "multiclass" else expit(scores))


@dataclass(frozen=True, eq=False)
class Task:
    """n rows to be explained: scores = offset + design @ coefficients."""

    offset: np.ndarray
    """(n, k)."""
    design: np.ndarray
    """(n, k, d)."""
    truth: np.ndarray
    """(n, k) of 0 and 1."""
    exclusive: bool
    """Whether exactly one column of a row is 1 (softmax), or each stands for itself (sigmoid)."""

    def take(self, rows: np.ndarray) -> "Task":
        """Some of the rows."""
        return Task(self.offset[rows], self.design[rows], self.truth[rows], self.exclusive)

    def scores(self, coefficients: np.ndarray) -> np.ndarray:
        """(n, k)."""
        return self.offset + self.design @ coefficients

    def loss(self, coefficients: np.ndarray) -> float:
        """Mean negative log likelihood of a row, in nats."""
        scores = self.scores(coefficients)
        if self.exclusive:
            right = (scores * self.truth).sum(axis=1)
            return float((logsumexp(scores, axis=1) - right).mean())
        return float((np.logaddexp(0, scores) - scores * self.truth).sum(axis=1).mean())

    def slopes(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (d,) and Hessian (d, d) of the loss."""
        n, k, d = self.design.shape
        scores, flat = self.scores(coefficients), self.design.reshape(n * k, d)
        if self.exclusive:
            chance = softmax(scores, axis=1)
            expected = np.einsum("nc,ncd->nd", chance, self.design)
            curved = flat.T @ (flat * chance.reshape(-1, 1)) - expected.T @ expected
        else:
            chance = expit(scores)
            curved = flat.T @ (flat * (chance * (1 - chance)).reshape(-1, 1))
        return flat.T @ (chance - self.truth).ravel() / n, curved / n


def fit(task: Task, strength: float, start: np.ndarray | None = None) -> np.ndarray:
    """(d,) coefficients of least loss + strength/2 times their squared length.

    *strength* is in units of the design's own curvature at 0, so it means the same for every task.
    """
    d = task.design.shape[2]
    unit = max(float(np.trace(task.slopes(np.zeros(d))[1])) / d, np.finfo(float).tiny)
    pull = strength * unit
    found = np.zeros(d) if start is None else start

    def whole(coefficients: np.ndarray) -> float:
        return task.loss(coefficients) + pull / 2 * float(coefficients @ coefficients)

    value = whole(found)
    for _ in range(STEPS):
        gradient, curved = task.slopes(found)
        gradient = gradient + pull * found
        step = np.linalg.solve(curved + (pull + 1e-12 * unit) * np.eye(d), gradient)
        size = 1.0
        while (tried := whole(found - size * step)) > value and size > 1e-6:
            size /= 2
        if not tried < value:
            break
        found, value, gained = found - size * step, tried, value - tried
        if gained < ENOUGH:
            break
    return found
