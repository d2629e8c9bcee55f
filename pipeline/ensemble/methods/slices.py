"""Weights of their own for each slice of the rows (such as a source), shrunk to the common ones.

One model may be better on film reviews and another on news. Weights fitted on each slice alone are
noisy, so they are pulled towards the weights fitted on all rows, as strongly as is best on folds
left out inside; the strongest pull gives the common weights. Rows of a small or an unseen slice get
the common ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.ridge import label_level, tuned
from pipeline.ensemble.methods.weights import simplex
from pipeline.ensemble.predictor import Blend, Rows, within_range
from pipeline.metrics import Moments
from pipeline.metrics.moments import measure

STRENGTHS = (1e3, 1e1, 1e0, 1e-1, 1e-2)
"""Tried from strong to weak, in units of a member's mean variance in the slice."""


@dataclass(frozen=True, eq=False)
class Sliced:
    """A weighted sum per slice."""

    common: Blend
    """For rows of no slice."""
    own: Mapping[int, Blend]
    """Slice -> its weights."""
    levels: Sequence[str]
    shares: Mapping[int, float]
    """Slice -> share of the rows it was fitted on."""

    @property
    def weights(self) -> np.ndarray:
        """(M,) the mean over the rows it was fitted on."""
        rest = 1 - sum(self.shares.values())
        parts = [share * self.own[place].weights for place, share in self.shares.items()]
        return np.asarray(sum(parts, rest * self.common.weights))

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k)."""
        assert rows.facts is not None
        values = self.common.of(rows.members)
        for place, blend in self.own.items():
            here = np.flatnonzero(rows.facts.slices == place)
            values[here] = blend.of(rows.take(here).members)
        return within_range(values, problem)

    def details(self) -> dict[str, Any]:
        """The blends by the name of their slice."""
        own = {self.levels[place]: blend.details() for place, blend in self.own.items()}
        return {**self.common.details(), "slices": own}


def sliced(evidence: Evidence, folds: FoldSet) -> list[Sliced]:
    """One set of weights per strength."""
    assert evidence.facts is not None
    rows, common = evidence.rows(folds), simplex(evidence, folds)
    level = label_level(evidence, folds)
    columns, levels = evidence.column_weights(folds), evidence.facts.levels
    parts, shares = {}, {}
    for place in range(len(levels)):
        here = rows[evidence.facts.slices[rows] == place]
        if len(here) > 1:
            parts[place], shares[place] = _moments(evidence, here), len(here) / len(rows)
    return [
        Sliced(
            common,
            {
                place: _pulled(part, columns, common, strength, level)
                for place, part in parts.items()
            },
            levels,
            shares,
        )
        for strength in STRENGTHS
    ]


def _moments(evidence: Evidence, rows: np.ndarray) -> Moments:
    target = evidence.kind.expand(evidence.truth[rows], evidence.given.columns)
    return measure([member[rows] for member in evidence.oof], target)


def _pulled(
    moments: Moments, columns: np.ndarray, common: Blend, strength: float, level: np.ndarray
) -> Blend:
    """Least squares on one slice, pulled towards the *common* weights, which have no intercept.

    *level* (k,) is taken off the intercept: see `label_level`.
    """
    members, toward = moments.pooled(columns)
    unit = max(float(np.trace(members)) / len(members), np.finfo(float).tiny)
    held = members + strength * unit * np.eye(len(members))
    weights = common.weights + np.linalg.solve(held, toward - members @ common.weights)
    unbiased = moments.mean[:, -1] - level - moments.mean[:, :-1] @ weights
    return Blend(weights, 1 / (1 + strength) * unbiased)


slices = tuned("slices", sliced, 0)
