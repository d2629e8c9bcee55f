"""Blend weights: one number per member, fitted on the rows of a set of folds.

Weights are non-negative and sum to one. They are fitted where every row was predicted by a learner
that had not seen it, then applied unchanged to other folds and to the test predictions.

Greedy selection is Caruana et al., "Ensemble Selection from Libraries of Models" (ICML 2004),
section 2, with replacement; `greedy_bag` adds their bags. Simplex weights are the exact optimum for
Pearson and squared error of one column and for log-loss; any other metric is not convex in the
weights, so squared error stands in for it (each column divided by its target's spread, so that all
count).
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, nnls

from pipeline.base import generator
from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.predictor import Blend
from pipeline.metrics import Moments
from pipeline.metrics.moments import CELLS

ROUNDS = 40
PATIENCE = 10  # picks without a better ensemble after which greedy stops, where a pick costs rows
TIE = 1e-12  # relative difference below which two gains count as equal: rounding, not merit
FLOOR = 1e-15  # smallest probability whose logarithm is taken
NEGLIGIBLE = 1e-6  # simplex weights below this, of members on one scale, are solver dust
ROUNDING = 1e-13  # share of the target's squares below which a member's squared error is rounding


def best_single(evidence: Evidence, folds: FoldSet) -> Blend:
    """All weight on the member with the highest gain; of equals the first."""
    gains = evidence.steps(folds, np.zeros(len(evidence.names)))
    return _blend(evidence, np.eye(len(gains))[_first_best(gains)])


def mean(evidence: Evidence, folds: FoldSet) -> Blend:
    """Equal weights; nothing is fitted."""
    members = len(evidence.names)
    return _blend(evidence, np.full(members, 1 / members))


def greedy(evidence: Evidence, folds: FoldSet) -> Blend:
    """Weights from adding, again and again, the member that helps the ensemble most.

    Members may be picked more than once; of equally good ones the first is taken; the best prefix
    of the picks counts.
    """
    return _blend(evidence, select(evidence, folds))


def select(evidence: Evidence, folds: FoldSet, among: Sequence[int] | None = None) -> np.ndarray:
    """(M,) weights of one selection *among* these members; None: among all."""
    chosen, _ = picks(evidence, folds, among)
    return np.bincount(chosen, minlength=len(evidence.names)) / len(chosen)


def picks(
    evidence: Evidence, folds: FoldSet, among: Sequence[int] | None = None
) -> tuple[list[int], list[float]]:
    """The members of one greedy selection in the order they were picked, and the in-sample gain
    after each pick; up to the best prefix."""
    counts = np.zeros(len(evidence.names))
    picked: list[int] = []
    trajectory: list[float] = []
    patience = ROUNDS if evidence.uses_moments else PATIENCE
    for _ in range(ROUNDS):
        gains = evidence.steps(folds, counts, among)
        winner = _first_best(gains)
        counts[winner] += 1
        picked.append(winner)
        trajectory.append(float(gains[winner]))
        if len(picked) - _first_best(np.array(trajectory)) > patience:
            break
    kept = 1 + _first_best(np.array(trajectory))
    return picked[:kept], trajectory[:kept]


def simplex(evidence: Evidence, folds: FoldSet) -> Blend:
    """The convex weights that are best for the metric, or for squared error in its place."""
    if evidence.metric.record.log_likelihood and evidence.kind.drawn:
        return _blend(evidence, _likeliest_weights(evidence, folds))
    moments, columns = evidence.moments(folds), evidence.column_weights(folds)
    if evidence.uses_moments and not evidence.sees_level:
        return _blend(evidence, _best_direction(moments, columns))
    return _blend(evidence, _least_squares(moments, columns))


def _blend(evidence: Evidence, weights: np.ndarray) -> Blend:
    return Blend(weights, np.zeros(evidence.oof[0].shape[1]))


def _first_best(gains: np.ndarray) -> int:
    top = gains.max()
    if np.isneginf(top):
        return 0
    return int(np.argmax(gains >= top - TIE * max(1.0, abs(top))))


def _tidy(solved: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weights *solved* x *scale* summing to one, dust removed; even where nothing is left."""
    total = solved.sum()
    if not total > 0:
        return np.full(len(solved), 1 / len(solved))
    kept = np.where(solved / total < NEGLIGIBLE, 0.0, solved * scale)
    return np.asarray(kept / kept.sum())


def _root(matrix: np.ndarray) -> np.ndarray:
    """R with R'R = *matrix*, positive semi-definite; copies of a member make it singular."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def _best_direction(moments: Moments, columns: np.ndarray) -> np.ndarray:
    """The non-negative weights whose blend correlates best with the target.

    Correlation ignores scale, so they are the non-negative least-squares weights, rescaled.
    """
    members, toward = moments.pooled(columns)
    scale = 1 / np.sqrt(np.maximum(np.diagonal(members), np.finfo(float).tiny))
    root = _root(members * scale * scale[:, None])
    # d solves R'd = b for d, so that |Rw - d|² has the gradient of the problem at hand
    wanted = np.linalg.lstsq(root.T, toward * scale, rcond=None)[0]
    return _tidy(nnls(root, wanted)[0], scale)


def _least_squares(moments: Moments, columns: np.ndarray) -> np.ndarray:
    """The convex weights with the least squared error.

    With weights summing to one, the error of the blend is the blend of the errors, so it is a
    quadratic form w'Ew. Its minimum over the simplex has the direction of the minimum of
    v'Ev + (1'v - 1)² over v >= 0: for any direction the second grows with the first. It is solved
    for v in units of each member's error, so that members of any size are told apart.
    """
    shift = moments.mean[:, :-1] - moments.mean[:, -1:]
    bias = moments.count * np.einsum("c,ci,cj->ij", columns, shift, shift)
    errors = moments.errors(columns) + bias
    own = np.diagonal(errors)
    least = ROUNDING * float(columns @ moments.scatter[:, -1, -1])
    if not (own > least).any():  # every member is right on every row
        return np.full(len(errors), 1 / len(errors))
    scale = 1 / np.sqrt(np.maximum(own, max(least, ROUNDING * own.max())))
    rows = np.vstack([_root(errors * np.outer(scale, scale)), scale / scale.max()])
    return _tidy(nnls(rows, np.append(np.zeros(len(errors)), 1.0))[0], scale)


def _likeliest_weights(evidence: Evidence, folds: FoldSet) -> np.ndarray:
    """The convex weights of least log-loss: a mixture's maximum likelihood, which is concave."""
    given, inverted = _given(evidence, folds)
    cases, members = given.shape
    size = max(CELLS // members, 1)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = 0.0, np.zeros(members)
        for start in range(0, cases, size):
            likelihood, turned = given[start : start + size].astype(float), inverted[start:][:size]
            likelihood[turned] = 1 - likelihood[turned]
            mixed = np.maximum(likelihood @ weights, FLOOR)
            value -= float(np.log(mixed).sum())
            slope -= (likelihood / mixed[:, None]).sum(axis=0)
        return value / cases, slope / cases

    found = minimize(
        loss,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 200, "ftol": 1e-10},
    )
    return _tidy(np.clip(found.x, 0.0, None), np.ones(members))


def _given(evidence: Evidence, folds: FoldSet) -> tuple[np.ndarray, np.ndarray]:
    """(rows x labels, M) probabilities in the members' own precision, and where (rows x labels,)
    what came true has one minus them."""
    rows = evidence.rows(folds)
    truth = evidence.truth[rows]
    k = evidence.given.columns
    if evidence.kind.blocks(k):  # in each block one came true
        right = evidence.kind.expand(truth, k) == 1
        given = [member[rows][right] for member in evidence.oof]
        return np.stack(given, axis=1), np.zeros(len(given[0]), dtype=bool)
    given = [member[rows].ravel() for member in evidence.oof]
    return np.stack(given, axis=1), (truth <= 0.5).ravel()


# Greedy selection in bags: many selections, each among a random half of the members, averaged.
#
# With many members and few rows a greedy pick may be luck. A member that is best by luck is in half
# of the bags only, and the mean of many selections moves less when rows change. Caruana et al.,
# "Ensemble Selection from Libraries of Models" (ICML 2004), section 2.3. Their sorted beginning
# (section 2.2) is left out: the best prefix of the picks counts, and it changed no score.


BAGS = 20
SHARE = 0.5
"""Of the members that a bag holds."""


def greedy_bag(evidence: Evidence, folds: FoldSet, seed: int = 0) -> Blend:
    """The mean of the weights of `BAGS` greedy selections; the same *seed* gives the same bags."""
    members = len(evidence.names)
    size = max(1, round(SHARE * members))
    total = np.zeros(members)
    for number in range(BAGS):
        bag = np.sort(generator(seed, "bag", number).permutation(members)[:size])
        total += select(evidence, folds, bag.tolist())
    return Blend(total / BAGS, np.zeros(evidence.oof[0].shape[1]))
