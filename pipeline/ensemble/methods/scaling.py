"""Members on different scales are brought to the target's by a line fitted inside the nest.

A team-mate's similarity from 0 to 1 beside labels from 0 to 5 would spoil every mean. Such a member
is replaced by a + b p, the least-squares line from its predictions to the target, fitted on the
same folds as the blend; for a metric without a level (see `stack.label_level`) moved up or down to
the mean of the other members, as far as there are any. Only members that are plainly on another
scale are touched: they lie beside the target, or are spread much wider, or much narrower although
they follow it (a weak model that predicts near the mean is narrow too, and right to be).
Probabilities are on one scale by what they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.predictor import Blend, Predictor, Rows
from pipeline.metrics import Moments

SPREAD = 3.0  # times wider or narrower than the target from which a member is on another scale
FOLLOWS = 0.5  # correlation with the target from which a narrow member is not just a weak one
AWAY = 1.0  # distance of its mean from the target's, in the target's standard deviations

Fit = Callable[[Evidence, FoldSet], Predictor]


@dataclass(frozen=True, eq=False)
class Scale:
    """A line per member: 0 + 1 p where it is left alone."""

    slope: np.ndarray
    """(M,) shared by all columns."""
    offset: np.ndarray
    """(k, M)."""

    @property
    def moved(self) -> np.ndarray:
        """(M,) whether the member is brought to another scale."""
        return np.asarray((self.slope != 1) | (self.offset != 0).any(axis=0))

    def of(self, rows: Rows) -> Rows:
        """The same rows, their members brought to one scale whenever they are asked for."""
        return Rows(_Lined(rows.members, self), rows.facts)

    def of_moments(self, moments: Moments) -> Moments:
        """The moments that the scaled members have."""
        turn = np.append(self.slope, 1.0)
        shift = np.hstack([self.offset, np.zeros((len(self.offset), 1))])
        return Moments(
            moments.count, moments.mean * turn + shift, moments.scatter * np.outer(turn, turn)
        )


@dataclass(frozen=True, eq=False)
class _Lined(Sequence[np.ndarray]):
    """Members on one scale: moved ones are made anew each time, none is kept."""

    members: Sequence[np.ndarray]
    scale: Scale

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, place: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, place: slice) -> list[np.ndarray]: ...
    def __getitem__(self, place: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        member = self.members[place]
        if not self.scale.moved[place]:
            return member
        lined = self.scale.slope[place] * member + self.scale.offset[:, place]
        return np.asarray(lined, dtype=np.result_type(member, np.float32))


@dataclass(frozen=True, eq=False)
class Scaled:
    """A predictor of scaled members."""

    scale: Scale
    inner: Predictor

    @property
    def weights(self) -> np.ndarray:
        """(M,) of the scaled members, so that they can be compared."""
        return self.inner.weights

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k)."""
        return self.inner.predict(self.scale.of(rows), problem)

    def details(self) -> dict[str, Any]:
        """The lines and what is fitted on top of them."""
        lines = {"slope": self.scale.slope.tolist(), "offset": self.scale.offset.tolist()}
        return {**self.inner.details(), "scale": lines}


def on_one_scale(fit: Fit) -> Fit:
    """The method *fit*, given members that are all on the target's scale."""

    def scaled(evidence: Evidence, folds: FoldSet) -> Predictor:
        scale = find_scale(evidence, folds)
        if not scale.moved.any():
            return fit(evidence, folds)
        return _outside(fit(_inside(evidence, folds, scale), folds), scale)

    return scaled


def find_scale(evidence: Evidence, folds: FoldSet) -> Scale:
    """The lines that *folds* ask for."""
    moments = evidence.moments(folds)
    mean, columns = moments.mean, evidence.column_weights(folds)
    scale = Scale(np.ones(mean.shape[1] - 1), np.zeros((len(mean), mean.shape[1] - 1)))
    target = np.sqrt(moments.scatter[:, -1, -1] / moments.count)
    if not evidence.kind.numeric or not target.all():
        return scale
    if len(scale.slope) == 1 and not evidence.sees_level and folds != evidence.folds:
        whole = find_scale(evidence, evidence.folds)  # one line, which such a metric does not see:
        if whole.slope[0] > 0:  # a line for each fold would be seen as a fault of the member
            return whole
    members, toward = moments.pooled(columns)
    own = np.diagonal(members)
    ratio = np.sqrt(own / columns.dot(moments.scatter[:, -1, -1]))
    away = np.abs((mean[:, :-1] - mean[:, -1:]) / target[:, None]).max(axis=0)
    follows = np.abs(toward) >= FOLLOWS * np.sqrt(own * columns.dot(moments.scatter[:, -1, -1]))
    off = ((ratio > SPREAD) | ((ratio < 1 / SPREAD) & follows) | (away > AWAY)) & (own > 0)
    slope = np.where(off, np.divide(toward, own, out=np.ones_like(own), where=own > 0), 1.0)
    level = mean[:, -1:]
    if not evidence.sees_level and not off.all():
        level = mean[:, :-1][:, ~off].mean(axis=1, keepdims=True)
    return Scale(slope, np.where(off, level - slope * mean[:, :-1], 0.0))


def _inside(evidence: Evidence, folds: FoldSet, scale: Scale) -> Evidence:
    """The evidence with every fold's members scaled, made once per set of folds."""

    def make() -> Evidence:
        by_fold = {fold: scale.of_moments(part) for fold, part in evidence.by_fold.items()}
        oof = scale.of(evidence.given).members
        return replace(evidence, oof=oof, by_fold=by_fold, _cache={}, _latest={})

    return evidence.remembered(("one scale", folds), make)


def _outside(inner: Predictor, scale: Scale) -> Predictor:
    """A predictor of members as they are; a weighted sum stays one."""
    if isinstance(inner, Blend):
        return Blend(inner.weights * scale.slope, inner.intercept + scale.offset @ inner.weights)
    return Scaled(scale, inner)
