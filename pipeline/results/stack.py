"""Ridge stacking: weights of any sign and an intercept, pulled towards the plain mean.

The learner on top is kept linear and small: one weight per member, shared by all columns, so a
problem with six labels or seven classes fits no more numbers than one with a single target, and a
rare class cannot fit weights of its own to a handful of rows. Only the intercept is per column.

The penalty is on the distance to equal weights, not to zero: an infinite strength gives the mean,
and strength 0 ordinary least squares. The strength is chosen by leaving out one fold at a time
*inside* the folds the stack is fitted on.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.results.blended import Blend
from pipeline.results.evidence import Evidence, FoldSet

STRENGTHS = (1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Tried from strong to weak, in units of a member's mean variance; of equals the stronger wins."""

UNTUNED = 1e-2  # the strength where a single fold leaves nothing to choose it on


def ridge(evidence: Evidence, folds: FoldSet) -> Blend:
    """Ridge weights on *folds*, their strength chosen by the gain on folds left out in turn."""
    return blends(evidence, folds, [best_strength(evidence, folds)])[0]


def best_strength(evidence: Evidence, folds: FoldSet) -> float:
    """The strength with the highest gain pooled over the folds left out in turn."""
    if len(folds) < 2:
        return UNTUNED
    left_out = {fold: blends(evidence, folds - {fold}, STRENGTHS) for fold in folds}
    gains = [
        evidence.gain({fold: tried[place] for fold, tried in left_out.items()})
        for place in range(len(STRENGTHS))
    ]
    return STRENGTHS[int(np.argmax(gains))]


def blends(evidence: Evidence, folds: FoldSet, strengths: Sequence[float]) -> list[Blend]:
    """One blend per strength, all from one eigendecomposition."""
    moments = evidence.moments(folds)
    members, toward = moments.pooled(evidence.column_weights(folds))
    even = np.full(len(members), 1 / len(members))
    values, vectors = np.linalg.eigh(members)
    unit = max(float(np.trace(members)) / len(members), np.finfo(float).tiny)
    residual = vectors.T @ (toward - members @ even)
    found = []
    for strength in strengths:
        weights = even + vectors @ (residual / (np.maximum(values, 0.0) + strength * unit))
        intercept = moments.mean[:, -1] - moments.mean[:, :-1] @ weights
        found.append(Blend(weights, intercept))
    return found
