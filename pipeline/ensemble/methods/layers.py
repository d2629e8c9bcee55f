"""A second layer on top of a blend: a small correction from facts about the row.

The first layer is the simplex blend, for probabilities the logistic stacker. The second sees its
prediction, how far the members disagree, and a few facts (length, difference of lengths, words in
common, the slice), and corrects: numbers by a linear term and by stretching, probabilities by their
sharpness and their bias. It is trained on first-layer predictions whose weights were fitted without
the row's fold, pulled towards no correction, and dropped where none is best on folds left out
inside (stacked generalisation, Wolpert, Neural Networks 5, 1992).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.logistic import Task, fit, logistic, probabilities_of, scores_of
from pipeline.ensemble.methods.ridge import label_level
from pipeline.ensemble.methods.weights import simplex
from pipeline.ensemble.predictor import Predictor, Rows
from pipeline.metrics.moments import CELLS
from pipeline.problems.registry import problem_of

STRENGTHS = (1e1, 1e0, 1e-1, 1e-2)
"""Tried from strong to weak; before them no correction at all."""


@dataclass(frozen=True, eq=False)
class View:
    """What the second layer sees, each feature with mean 0 and spread 1 where it was fitted."""

    mean: np.ndarray
    """(q,)."""
    spread: np.ndarray
    """(q,)."""
    centre: np.ndarray
    """(k,) mean of the first layer's predictions, for numbers; else 0."""
    problem: str

    def design(self, rows: Rows, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offset (n, k) and design (n, k, d) for the first layer's predictions (n, k); the biases
        of columns come beside it."""
        features = (raw_features(rows) - self.mean) / self.spread
        (n, q), k = features.shape, first.shape[1]
        scores = scores_of(first, self.problem)
        by = np.hstack([np.ones((n, 1)), features])
        stretch = (scores - self.centre)[:, :, None] * by[:, None]
        if problem_of(self.problem).blocks(k):  # a softmax does not see what all classes get
            return scores, stretch
        shared = np.broadcast_to(features[:, None], (n, k, q))
        return scores, np.concatenate([stretch, shared], axis=-1)


@dataclass(frozen=True, eq=False)
class Layered:
    """A blend and the correction on top."""

    base: Predictor
    view: View
    coefficients: np.ndarray
    """(d,) of the scores (1 + q), the columns' biases (k), and the features (q; none of one class
    of several), in this order in bundles of any age; zeros: no correction."""
    names: Sequence[str]
    """(q,) of the features."""

    @property
    def weights(self) -> np.ndarray:
        """(M,) of the first layer."""
        return self.base.weights

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k)."""
        first = self.base.predict(rows, problem)
        if not self.coefficients.any():
            return first
        offset, design = self.view.design(rows, first)
        own = 1 + len(self.names)
        scored, biases, shared = np.split(self.coefficients, [own, own + offset.shape[1]])
        scores = offset + design @ np.concatenate([scored, shared]) + biases
        return probabilities_of(scores, problem)

    def details(self) -> dict[str, Any]:
        """The first layer, and the second's coefficients."""
        second = {"features": list(self.names), "coefficients": self.coefficients.tolist()}
        return {**self.base.details(), "second_layer": second}


def raw_features(rows: Rows) -> np.ndarray:
    """(n, q): the members' disagreement, then the facts."""
    assert rows.facts is not None
    return np.hstack([_disagreement(rows.members), rows.facts.values])


def _disagreement(members: Sequence[np.ndarray]) -> np.ndarray:
    """(n, 1) standard deviation among the members, the mean over columns; block by block."""
    n, k = members[0].shape
    size = max(CELLS // (len(members) * k), 1)
    blocks = [
        np.std([np.asarray(each[start : start + size], dtype=float) for each in members], axis=0)
        for start in range(0, n, size)
    ]
    apart = np.concatenate([np.zeros((0, k)), *blocks])
    return np.asarray(apart.mean(axis=1, keepdims=True))


def layers(evidence: Evidence, folds: FoldSet) -> Layered:
    """Both layers, fitted on *folds*."""
    assert evidence.facts is not None
    _ = evidence.facts.values  # once for all rows, before they are cut into folds
    base = _base(evidence, folds)
    names = ["disagreement", *evidence.facts.names]
    rows, given = evidence.rows(folds), evidence.given.take(evidence.rows(folds))
    features = raw_features(given)
    numbers = not evidence.kind.scored_by_log_odds
    several = len(folds) > 1
    first = _first_layer(evidence, folds) if several else base.predict(given, evidence.problem)
    spread = features.std(axis=0)
    view = View(
        mean=features.mean(axis=0),
        spread=np.where(spread > 0, spread, 1.0),
        centre=first.mean(axis=0) if numbers else np.zeros(given.columns),
        problem=evidence.problem,
    )
    offset, design = view.design(given, first)
    truth = evidence.kind.expand(evidence.truth[rows], given.columns)
    if numbers:
        truth = truth - label_level(evidence, folds)
    task = Task(offset, design, truth, evidence.kind.blocks(given.columns), biased=True)
    strength = _best_strength(evidence, rows, task) if several else None
    found = _fitted(task, [strength], numbers)[0] if strength else np.zeros(task.size)
    scored, shared, biases = np.split(found, [1 + len(names), design.shape[2]])
    return Layered(base, view, np.concatenate([scored, biases, shared]), names)


def _base(evidence: Evidence, folds: FoldSet) -> Predictor:
    method = logistic if evidence.kind.scored_by_log_odds else simplex
    found: Predictor = evidence.remembered(("first layer", folds), lambda: method(evidence, folds))
    return found


def _first_layer(evidence: Evidence, folds: FoldSet) -> np.ndarray:
    """(n_S, k) the first layer's predictions of each of *folds*, fitted on the others."""
    return evidence.predict({fold: _base(evidence, folds - {fold}) for fold in folds})[1]


def _best_strength(evidence: Evidence, rows: np.ndarray, task: Task) -> float | None:
    """The strength with the best gain on folds left out in turn; None where no correction is."""
    numbers, fold_of_row = not evidence.kind.scored_by_log_odds, evidence.fold_of_row[rows]
    scores = np.tile(task.offset, (len(STRENGTHS), 1, 1))
    for fold in np.unique(fold_of_row):
        here = fold_of_row == fold
        left_out = task.take(here)
        for place, each in enumerate(_fitted(task.take(~here), STRENGTHS, numbers)):
            scores[place, here] = left_out.scores(each)
    best, found = evidence.gain_of(rows, evidence.kind.from_scores(task.offset)), None
    for strength, tried in zip(STRENGTHS, scores, strict=True):
        if (gain := evidence.gain_of(rows, evidence.kind.from_scores(tried))) > best:
            best, found = gain, strength
    return found


def _fitted(task: Task, strengths: Sequence[float], numbers: bool) -> list[np.ndarray]:
    """(d,) coefficients for each strength: ridge for numbers, penalised logistic regression for
    probabilities."""
    if not numbers:
        return [fit(task, strength) for strength in strengths]
    (n, k, _), d = task.design.shape, task.size
    biases = np.broadcast_to(np.eye(k), (n, k, k))
    flat = np.concatenate([task.design, biases], axis=-1).reshape(n * k, d)
    scatter, toward = flat.T @ flat, flat.T @ (task.truth - task.offset).ravel()
    unit = max(np.trace(scatter) / d, np.finfo(float).tiny)
    return [np.linalg.solve(scatter + each * unit * np.eye(d), toward) for each in strengths]
