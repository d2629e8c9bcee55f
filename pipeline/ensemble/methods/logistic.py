"""The logistic stacker: a weighted sum of the members' log probabilities, with a bias per column.

Averaging logarithms instead of probabilities is the logarithmic opinion pool (Genest & Zidek,
"Combining Probability Distributions", Statistical Science 1(1), 1986, section 3.3): weights adding
up to more than one sharpen, less than one soften, so it also mends members that are too sure or not
sure enough. One weight per member, shared by all classes, is pulled towards the plain mean of
logarithms; its strength is chosen inside the folds that it is fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.ridge import tuned
from pipeline.ensemble.predictor import Rows
from pipeline.problems.registry import problem_of

# A small penalised logistic regression whose coefficients are shared by all classes or labels.
#
# scikit-learn's fits a coefficient per class and feature and takes no offset; here a problem with
# seven classes fits no more numbers than one with two, and starts from predictions that are already
# good. Newton's method with step halving; the problem is convex, so it has one optimum.


STEPS = 30
ENOUGH = 1e-10  # gain of a Newton step, in nats per row, below which it is the last
LOWEST = 1e-6  # probabilities are kept this far from 0 and 1 before their logarithm is taken


def scores_of(probabilities: np.ndarray, problem: str) -> np.ndarray:
    """(..., k) log probabilities where columns exclude each other, else log odds, in float64."""
    return problem_of(problem).to_scores(probabilities, LOWEST)


def probabilities_of(scores: np.ndarray, problem: str) -> np.ndarray:
    """(n, k) probabilities of *scores* (n, k)."""
    return problem_of(problem).from_scores(scores)


@dataclass(frozen=True, eq=False)
class Task:
    """n rows to be explained: scores = offset + design @ coefficients, and each column's bias."""

    offset: np.ndarray
    """(n, k)."""
    design: np.ndarray
    """(n, k, d)."""
    truth: np.ndarray
    """(n, k) of 0 and 1."""
    blocks: Sequence[slice]
    """Columns of which exactly one is 1 in a row (softmax); none where each stands for itself
    (sigmoid)."""
    biased: bool = False
    """Whether each column has a bias: k more coefficients, behind those of the design. As columns
    of the design they would make it k times as wide."""

    def take(self, rows: np.ndarray) -> "Task":
        """Some of the rows."""
        return replace(
            self, offset=self.offset[rows], design=self.design[rows], truth=self.truth[rows]
        )

    @property
    def size(self) -> int:
        """The number of coefficients."""
        return self.design.shape[2] + self.biased * self.design.shape[1]

    @cached_property
    def unit(self) -> float:
        """The mean curvature of the loss at 0."""
        curved = self.slopes(self.explain(np.zeros(self.size))[1])[1]
        return max(float(np.trace(curved)) / self.size, np.finfo(float).tiny)

    def scores(self, coefficients: np.ndarray) -> np.ndarray:
        """(n, k)."""
        shared, biases = np.split(coefficients, [self.design.shape[2]])
        scores = self.offset + self.design @ shared
        return scores + biases if self.biased else scores

    def explain(self, coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean negative log likelihood of a row, in nats, and the probabilities (n, k)."""
        scores = self.scores(coefficients)
        if not self.blocks:
            losses = np.logaddexp(0, scores) - scores * self.truth
            return float(losses.sum(axis=1).mean()), expit(scores)
        chance, loss = np.empty_like(scores), -(scores * self.truth).sum(axis=1)
        for own in self.blocks:
            top = scores[:, own].max(axis=1, keepdims=True)
            chance[:, own] = np.exp(scores[:, own] - top)
            whole = chance[:, own].sum(axis=1, keepdims=True)
            chance[:, own] /= whole
            loss += (top + np.log(whole))[:, 0]
        return float(loss.mean()), chance

    def slopes(self, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (d,) and Hessian (d, d) of the loss where the probabilities are *chance*; d here
        with the biases."""
        n, k, d = self.design.shape
        flat = self.design.reshape(n * k, d)
        bend = chance if self.blocks else chance * (1 - chance)
        off = chance - self.truth
        gradient, curved = flat.T @ off.ravel(), flat.T @ (flat * bend.reshape(-1, 1))
        if self.biased:
            between = np.einsum("nk,nkd->dk", bend, self.design)
            curved = np.block([[curved, between], [between.T, np.diag(bend.sum(axis=0))]])
            gradient = np.concatenate([gradient, off.sum(axis=0)])
        for own in self.blocks:
            expected = np.einsum("nc,ncd->nd", chance[:, own], self.design[:, own])
            if self.biased:
                of_biases = np.zeros((n, k))
                of_biases[:, own] = chance[:, own]
                expected = np.hstack([expected, of_biases])
            curved = curved - expected.T @ expected
        return gradient / n, curved / n


def fit(task: Task, strength: float, start: np.ndarray | None = None) -> np.ndarray:
    """(d,) coefficients of least loss + strength/2 times their squared length.

    *strength* is in units of the task's own curvature at 0, so it means the same for every task.
    """
    pull = strength * task.unit
    found = np.zeros(task.size) if start is None else start

    def at(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        loss, chance = task.explain(coefficients)
        return loss + pull / 2 * float(coefficients @ coefficients), chance

    value, chance = at(found)
    for _ in range(STEPS):
        gradient, curved = task.slopes(chance)
        gradient = gradient + pull * found
        step = np.linalg.solve(curved + (pull + 1e-12 * task.unit) * np.eye(task.size), gradient)
        size = 1.0
        while (tried := at(found - size * step))[0] > value and size > 1e-6:
            size /= 2
        if not tried[0] < value:
            break
        found, gained = found - size * step, value - tried[0]
        value, chance = tried
        if gained < ENOUGH:
            break
    return found


STRENGTHS = (1e1, 1e0, 1e-1, 1e-2, 1e-3)
"""Tried from strong to weak, in units of the mean curvature."""
LARGEST = 20_000_000  # numbers in the design: beyond, evenly spaced rows stand for all


@dataclass(frozen=True, eq=False)
class Pool:
    """Probabilities from weighted log probabilities."""

    weights: np.ndarray
    """(M,), of any sign and sum."""
    bias: np.ndarray
    """(k,) added to the scores."""

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k)."""
        total = np.tile(self.bias, (len(rows), 1))
        for weight, member in zip(self.weights, rows.members, strict=True):
            total += weight * scores_of(member, problem)
        return probabilities_of(total, problem)

    def details(self) -> dict[str, Any]:
        """Weights of the logarithms, and the bias."""
        return {"weights": self.weights.tolist(), "bias": self.bias.tolist(), "logarithms": True}


def pools(evidence: Evidence, folds: FoldSet, strengths: Sequence[float] = STRENGTHS) -> list[Pool]:
    """One pool per strength, each fit started from the stronger one."""
    members = len(evidence.names)
    task = _task(evidence, folds)
    found, start = [], None
    for strength in strengths:
        start = fit(task, strength, start)
        found.append(Pool(1 / members + start[:members], start[members:]))
    return found


def _task(evidence: Evidence, folds: FoldSet) -> Task:
    """Scores of the members; the offset is their plain mean."""
    rows = evidence.rows(folds)
    k, members = evidence.given.columns, len(evidence.names)
    apart = -(-len(rows) * k * (members + k) // LARGEST)
    given = evidence.given.take(rows[:: max(apart, 1)])
    truth = evidence.kind.expand(evidence.truth[rows[:: max(apart, 1)]], k)
    scores = [scores_of(member, evidence.problem) for member in given.members]
    design, offset = np.stack(scores, axis=-1), np.mean(scores, axis=0)
    return Task(offset, design, truth, evidence.kind.blocks(k), biased=True)


logistic = tuned("logistic", pools, 2)
