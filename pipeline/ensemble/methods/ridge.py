"""Ridge stacking: weights pulled towards the plain mean, of any sign or not below 0.

The learner on top is kept linear and small: one weight per member, shared by all columns, so a
problem with six labels or seven classes fits no more numbers than one with a single target, and a
rare class cannot fit weights of its own to a handful of rows. Only the intercept is per column.

The penalty is on the distance to equal weights, not to zero: an infinite strength gives the mean,
and strength 0 ordinary least squares. Weights that may not be negative are those of Breiman,
"Stacked Regressions" (Machine Learning 24, 1996), with that penalty.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.predictor import Blend, Predictor
from pipeline.metrics import Moments

# How strongly a method is held back, chosen inside the folds it is fitted on.
#
# Every method with a strength is fitted with a few of them, from strong to weak. Each is scored on
# folds left out in turn, *inside* the folds that the method may see, and the one with the highest
# pooled gain is taken; of equals the stronger.


Fits = Callable[[Evidence, FoldSet], Sequence[Predictor]]
"""Fits on the rows of a set of folds, one predictor per strength, from strong to weak."""


def tuned(name: str, fits: Fits, untuned: int) -> Callable[[Evidence, FoldSet], Predictor]:
    """A method: *fits* with the strength chosen inside.

    *name* is the method's; fits are remembered under it, because the folds left out inside one set
    are left out inside others too. *untuned* is the place of the strength that is taken where a
    single fold leaves nothing to choose it on.
    """

    def all_of(evidence: Evidence, folds: FoldSet) -> Any:
        return evidence.remembered((name, folds), lambda: fits(evidence, folds))

    def fit(evidence: Evidence, folds: FoldSet) -> Predictor:
        found: Sequence[Predictor] = all_of(evidence, folds)
        if len(folds) < 2:
            return found[untuned]
        left_out = {fold: all_of(evidence, folds - {fold}) for fold in folds}
        gains = [
            evidence.gain({fold: tried[place] for fold, tried in left_out.items()})
            for place in range(len(found))
        ]
        return found[int(np.argmax(gains))]

    return fit


STRENGTHS = (1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Tried from strong to weak, in units of a member's mean variance."""

UNTUNED = 5  # place of the strength taken where a single fold leaves nothing to choose it on


def blends(
    evidence: Evidence, folds: FoldSet, strengths: Sequence[float] = STRENGTHS
) -> list[Blend]:
    """One blend per strength, weights of any sign, all from one eigendecomposition."""
    moments = evidence.moments(folds)
    members, toward = moments.pooled(evidence.column_weights(folds))
    even = np.full(len(members), 1 / len(members))
    values, vectors = np.linalg.eigh(members)
    residual = vectors.T @ (toward - members @ even)
    unit = _unit(members)
    return [
        _centred(evidence, moments, even + vectors @ (residual / (np.maximum(values, 0) + pull)))
        for pull in unit * np.array(strengths)
    ]


def nonnegative_blends(
    evidence: Evidence, folds: FoldSet, strengths: Sequence[float] = STRENGTHS
) -> list[Blend]:
    """One blend per strength, no weight below 0.

    |Rw - d|² + s |w - even|² with R'R the members' scatter: least squares over stacked rows.
    """
    moments = evidence.moments(folds)
    members, toward = moments.pooled(evidence.column_weights(folds))
    count, unit = len(members), _unit(members)
    values, vectors = np.linalg.eigh(members)
    spread = np.sqrt(np.maximum(values, 0.0))
    seen = spread > spread.max() * np.finfo(float).eps * count
    wanted = np.divide(vectors.T @ toward, spread, out=np.zeros(count), where=seen)
    root = spread[:, None] * vectors.T
    found = []
    for strength in strengths:
        pull = np.sqrt(strength * unit)
        rows = np.vstack([root, pull * np.eye(count)])
        weights = nnls(rows, np.append(wanted, np.full(count, pull / count)))[0]
        found.append(_centred(evidence, moments, weights))
    return found


ridge = tuned("ridge", blends, UNTUNED)
nonnegative_ridge = tuned("nonnegative-ridge", nonnegative_blends, UNTUNED)


def _unit(members: np.ndarray) -> float:
    return max(float(np.trace(members)) / len(members), np.finfo(float).tiny)


def _centred(evidence: Evidence, moments: Moments, weights: np.ndarray) -> Blend:
    """The blend with the intercept that leaves no bias but, maybe, the labels' level."""
    wanted = moments.mean[:, -1] - _level(evidence, moments)
    return Blend(weights, wanted - moments.mean[:, :-1] @ weights)


def label_level(evidence: Evidence, folds: FoldSet) -> np.ndarray:
    """(k,) how much higher the labels of *folds* lie than the members' mean, if it is of no use.

    For a metric that sees no intercept an intercept is taken from the members' mean, which no label
    has moved: the labels' mean is a little lower without a fold whose labels are high, so that with
    it the predictions of all folds, pooled, would agree less with the labels than those of any one
    fit. Zeros for any other metric.
    """
    return _level(evidence, evidence.moments(folds))


def _level(evidence: Evidence, moments: Moments) -> np.ndarray:
    if evidence.sees_level:
        return np.zeros(len(moments.mean))
    return np.asarray(moments.mean[:, -1] - moments.mean[:, :-1].mean(axis=1))
