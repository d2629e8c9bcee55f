"""The logistic stacker: a weighted sum of the members' log probabilities, with a bias per column.

Averaging logarithms instead of probabilities is the logarithmic opinion pool (Genest & Zidek,
"Combining Probability Distributions", Statistical Science 1(1), 1986, section 3.3): weights adding
up to more than one sharpen, less than one soften, so it also mends members that are too sure or not
sure enough. One weight per member, shared by all classes, is pulled towards the plain mean of
logarithms; its strength is chosen inside the folds that it is fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.logit import Task, fit, probabilities_of, scores_of
from pipeline.ensemble.methods.tuned import tuned
from pipeline.ensemble.predictor import expand
from pipeline.ensemble.rows import Rows

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
    """Scores of the members, and a 1 for each column's bias; the offset is their plain mean."""
    rows = evidence.rows(folds)
    k, members = evidence.given.columns, len(evidence.names)
    apart = -(-len(rows) * k * (members + k) // LARGEST)
    given = evidence.given.take(rows[:: max(apart, 1)])
    truth = expand(evidence.truth[rows[:: max(apart, 1)]], evidence.problem, k)
    scores = [scores_of(member, evidence.problem) for member in given.members]
    biases = np.broadcast_to(np.eye(k), (len(given), k, k))
    design = np.concatenate([np.stack(scores, axis=-1), biases], axis=-1)
    return Task(np.mean(scores, axis=0), design, truth, exclusive=evidence.problem == "multiclass")


logistic = tuned("logistic", pools, 2)
