"""What methods may ask about members: moments and gains on any set of folds.

A method is fitted on a set of folds and scored on others; nothing here hands out rows of a fold
that was not asked for. Metrics that need only second moments are scored from them, whatever the
number of rows; all others take the row-wise way behind the same two questions, `steps` and `gain`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from pipeline.ensemble.predictor import Blend, Predictor, RowFeatures, Rows
from pipeline.metrics import Metric, MetricError, Moments
from pipeline.metrics.greedy import GreedySteps
from pipeline.metrics.metric import climb
from pipeline.metrics.moments import (
    FromMoments,
    combine,
    measure_by_fold,
    pair,
    pearson_gain,
    step_gains,
)
from pipeline.problems.problem import Problem
from pipeline.problems.registry import problem_of

FoldSet = frozenset[int]
BLOCK = 2**22  # predictions of members that are put into the order of folds at once


@dataclass(frozen=True, eq=False)
class Evidence:
    """Out-of-fold predictions of M members, the truth, and the folds."""

    names: list[str]
    """(M,)."""
    oof: Sequence[np.ndarray]
    """M arrays (n, k)."""
    truth: np.ndarray
    """Targets as the metric takes them: (n, 1) class numbers for multiclass, else (n, k)."""
    fold_of_row: np.ndarray
    """(n,)."""
    group_of_row: np.ndarray
    """(n,) rows that belong together; no group is in two folds."""
    metric: Metric
    problem: str
    by_fold: Mapping[int, Moments]
    """Moments of the members and the target, fold by fold."""
    facts: RowFeatures | None = None
    """About the n rows; None where nothing but predictions is known."""
    _cache: dict[tuple[str, FoldSet], Any] = field(default_factory=dict, repr=False)
    _latest: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def gather(
        cls,
        names: list[str],
        oof: Sequence[np.ndarray],
        truth: np.ndarray,
        fold_of_row: np.ndarray,
        group_of_row: np.ndarray,
        metric: Metric,
        problem: str,
        facts: RowFeatures | None = None,
    ) -> "Evidence":
        """Evidence with its moments measured: the one pass over all rows."""
        target = problem_of(problem).expand(truth, oof[0].shape[1])
        by_fold = measure_by_fold(oof, target, fold_of_row)
        return cls(names, oof, truth, fold_of_row, group_of_row, metric, problem, by_fold, facts)

    @property
    def kind(self) -> Problem:
        """The problem type."""
        return problem_of(self.problem)

    @property
    def folds(self) -> FoldSet:
        """All folds."""
        return frozenset(self.by_fold)

    @property
    def cells(self) -> int:
        """How many predictions there are: rows x columns x members."""
        return len(self.truth) * self.given.columns * len(self.names)

    @property
    def uses_moments(self) -> bool:
        """Whether the metric is scored from moments alone."""
        return self.metric.formula.from_moments is not None

    @property
    def sees_level(self) -> bool:
        """Whether the metric changes where all predictions are moved up alike."""
        return self.metric.record.sees == "level"

    @property
    def climbs_by(self) -> FromMoments | None:
        """The gain from moments that greedy steps are scored by; None: they pass over the rows."""
        if self.metric.cuts is not None:  # only the order counts, and what correlates is ordered
            return pearson_gain
        return self.metric.formula.from_moments

    def judged_by(self, metric: Metric) -> "Evidence":
        """The same rows and members under another metric."""
        if metric is self.metric:
            return self
        return replace(self, metric=metric, _cache={}, _latest={})

    def without(self, member: int) -> "Evidence":
        """The same rows with one member left out."""
        return self.keep([place for place in range(len(self.names)) if place != member])

    def keep(self, members: Sequence[int]) -> "Evidence":
        """The same rows with the *members* at these positions only."""
        return replace(
            self,
            names=[self.names[position] for position in members],
            oof=[self.oof[position] for position in members],
            by_fold={
                fold: moments.keep(np.array(members, dtype=int))
                for fold, moments in self.by_fold.items()
            },
            _cache={},
            _latest={},
        )

    def moments(self, folds: FoldSet) -> Moments:
        """The moments of all rows of *folds*."""
        key = ("moments", folds)
        if key not in self._cache:
            self._cache[key] = combine([self.by_fold[fold] for fold in sorted(folds)])
        return cast(Moments, self._cache[key])

    def column_weights(self, folds: FoldSet) -> np.ndarray:
        """(k,) how much the squared error of each column counts where columns are added up.

        Several numbers or labels count alike, whatever their spread. The classes of one label or
        head are left as they are: a class with three rows must not weigh as much as one with a
        thousand.
        """
        spread = self.moments(folds).scatter[:, -1, -1]
        if self.kind.blocks(len(spread)) or not spread.any():
            return np.ones(len(spread))
        return np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)

    def remembered(self, key: tuple[str, FoldSet], make: Callable[[], Any]) -> Any:
        """What *make* gives, made once."""
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def rows(self, folds: FoldSet) -> np.ndarray:
        """Positions of the rows of *folds*, in row order."""
        key = ("rows", folds)
        if key not in self._cache:
            self._cache[key] = np.flatnonzero(np.isin(self.fold_of_row, sorted(folds)))
        return cast(np.ndarray, self._cache[key])

    def steps(
        self, folds: FoldSet, counts: np.ndarray, members: Sequence[int] | None = None
    ) -> np.ndarray:
        """(M,) the gain on *folds* of picking each member once more, after *counts* picks (M,).

        -inf for those that are not among *members*; None asks for all.
        """
        if self.climbs_by is None:
            return self._climb(folds).steps(counts, members)
        gains = step_gains(self.moments(folds), counts, self.climbs_by)
        if members is None:
            return gains
        asked = np.isin(np.arange(len(gains)), list(members))
        return np.where(asked, gains, -math.inf)

    @property
    def given(self) -> Rows:
        """All rows as a blend may see them."""
        return Rows(self.oof, self.facts)

    def _climb(self, folds: FoldSet) -> GreedySteps:
        """Steps on the rows of *folds*; only the last one is kept."""
        if self._latest.get("folds") != folds:
            rows = self.rows(folds)
            members = [member[rows] for member in self.oof]
            steps = climb(self.metric, self.truth[rows], members)
            self._latest.update(folds=folds, climb=steps)
        return cast(GreedySteps, self._latest["climb"])

    def gain(self, blends: Mapping[int, Predictor]) -> float:
        """The gain pooled over folds, each predicted by its own blend; -inf where undefined."""
        sums = {fold: blend for fold, blend in blends.items() if isinstance(blend, Blend)}
        from_moments = self.metric.formula.from_moments
        if from_moments is not None and len(sums) == len(blends):
            parts = [
                self.by_fold[fold].blend(blend.weights, blend.intercept)
                for fold, blend in sums.items()
            ]
            return float(from_moments(pair(combine(parts))))
        return self.gain_of(*self.predict(blends))

    def gain_of(self, rows: np.ndarray, predicted: np.ndarray) -> float:
        """The gain of predictions (n_S, k) for the rows at these positions; -inf if undefined."""
        return self._gain(self.truth[rows], predicted)

    def _gain(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        try:
            return self.metric.gain(truth, predicted)
        except MetricError:  # a candidate that cannot be scored is worse than any that can
            return -math.inf

    def predict(self, blends: Mapping[int, Predictor]) -> tuple[np.ndarray, np.ndarray]:
        """Row positions (n_S,) and predictions (n_S, k), each fold predicted by its own blend."""
        rows = self.rows(frozenset(blends))
        predicted = np.full((len(rows), self.oof[0].shape[1]), np.nan)
        for fold, blend in blends.items():
            here = self.fold_of_row[rows] == fold
            predicted[here] = self._predicted(blend, rows[here])
        return rows, predicted

    def _predicted(self, blend: Predictor, rows: np.ndarray) -> np.ndarray:
        """(len(rows), k) by one blend, block by block: members may be too large for memory."""
        size = max(BLOCK // (len(self.names) * self.given.columns), 1)
        parts = [rows[start : start + size] for start in range(0, max(len(rows), 1), size)]
        found = [blend.predict(self.given.take(part), self.problem) for part in parts]
        return np.concatenate(found)


def as_known(evidence: Evidence) -> tuple[Evidence, list[str]]:
    """The *evidence*, and a note where its metric is a function of the user's own that says what a
    metric of the table says; the evidence under the function as it is where it says something else
    of a member.
    """
    metric = evidence.metric
    if metric.own is None:
        return evidence, []
    everywhere = np.arange(len(evidence.truth))
    for member in evidence.oof:
        mine, theirs = (
            evidence.judged_by(each).gain_of(everywhere, member) for each in (metric.own, metric)
        )
        if mine != theirs and not math.isclose(mine, theirs, rel_tol=1e-9):
            told = (
                f"{metric.name} says {metric.as_gain(mine):.6g} of a member where "
                f"{metric.known_as}, which it seemed to be, says {metric.as_gain(theirs):.6g}: it "
                "is taken as it is"
            )
            return evidence.judged_by(metric.own), [told]
    return evidence, [
        f"{metric.name} says what {metric.known_as} says, of the members and of made-up rows: it "
        "is blended, and its intervals are found, as that one"
    ]
