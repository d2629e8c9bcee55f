"""Everything there is to say about an ensemble before it is submitted."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pipeline.base import UsageError, generator
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.honest import (
    AUTO,
    FIT_BUNDLES,
    LEFT_OUT_BY_ROWS,
    NESTED_BUNDLES,
    Gain,
    Nest,
    contributions,
    gain_over,
)
from pipeline.ensemble.methods.rank_mean import WRONG_TOOL
from pipeline.ensemble.methods.registry import METHODS, methods_for, refusal
from pipeline.ensemble.methods.scaling import find_scale
from pipeline.ensemble.predictor import Predictor
from pipeline.metrics import Metric, MetricError
from pipeline.metrics.bootstrap import freedom
from pipeline.metrics.own import CALLS


@dataclass(frozen=True, kw_only=True)
class MemberLine:
    """One member."""

    name: str
    score: float | None
    """Over all out-of-fold rows at once."""
    fold_scores: list[float | None]
    """(K,) of each fold alone; None where the metric is undefined there."""
    weight: float
    worth: Gain | None
    """Honest gain lost when it is left out and everything is fitted anew; below 0: it harms. None
    where it is the only member, or of too many the least."""

    @property
    def cost_without(self) -> float | None:
        """What it is worth, without its interval."""
        return None if self.worth is None else self.worth.difference

    @property
    def fold_mean(self) -> float | None:
        """Mean of the fold scores that are defined."""
        known = [score for score in self.fold_scores if score is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True, kw_only=True)
class MethodLine:
    """One method."""

    name: str
    in_sample: float | None
    honest: float | None
    """None where the metric is undefined, such as for constant predictions."""
    optimism: float | None
    """In-sample gain minus honest gain: how much the in-sample score flatters."""
    over_best: Gain
    """Honest gain over the best single member, itself chosen without the scored fold."""


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """An ensemble: what was chosen, and how good it is. What the page alone tells is found when it
    is asked for: to write the file, or to make it again, nobody needs it."""

    requested: str
    method: str
    reason: str
    blend: Predictor
    nested: list[str]
    """(K,) the method that is chosen without each fold."""
    honest_blends: dict[int, Predictor]
    """Fold -> the blend that was fitted without it."""
    nest: Nest = field(repr=False)
    """The fits that this was made from."""
    told: str
    """What the honest score is of: what was requested, or the method of the file."""

    @cached_property
    def members(self) -> list[MemberLine]:
        """Each with what it is worth."""
        return _members(self.nest, self.method, self.blend)

    @cached_property
    def methods(self) -> list[MethodLine]:
        """Those that were compared, and what was requested."""
        names = self.nest.methods
        return [_method(self.nest, name) for name in [*names, *({self.requested} - set(names))]]

    @cached_property
    def over_mean(self) -> Gain:
        """Honest gain of what it tells over the plain mean."""
        return gain_over(self.nest, self.told, "mean")

    @cached_property
    def correlation(self) -> np.ndarray:
        """(M, M) of the members' errors."""
        return error_correlation(self.nest.evidence)

    def complete(self) -> None:
        """Find now what calls the metric."""
        _ = self.members, self.methods, self.over_mean

    @property
    def headline(self) -> MethodLine:
        """The line of what was requested, which covers every choice made, or of the file's own
        method where that scores lower."""
        return next(line for line in self.methods if line.name == self.told)

    def of_method(self) -> "Assessment":
        """The same, its honest score that of the file's method in every fold."""
        nest, method = self.nest, self.method
        return replace(self, told=method, honest_blends=nest.left_out(method, nest.evidence.folds))

    @property
    def wavers(self) -> bool:
        """Whether leaving out a fold changes the choice of method."""
        return any(name != self.method for name in self.nested)

    @property
    def verdict(self) -> str:
        """Whether blending pays: real, undecided or no."""
        return "no" if self.method == "best" else self.headline.over_best.verdict


def assess(evidence: Evidence, requested: str, seed: int, fitted: bool = True) -> Assessment:
    """Fit and choose; *requested* is a method's name or "auto".

    Without *fitted*, no method is compared whose weights are fitted: a member's folds are not ours.

    Raises UsageError where it cannot be fitted on such evidence.
    """
    if reason := refusal(requested, evidence):
        raise UsageError(f"--method {requested}: {reason}")
    alone = len(evidence.names) == 1
    methods = ["best"] if alone and requested in (AUTO, "best") else methods_for(evidence)
    if not fitted:
        methods = [name for name in methods if not METHODS[name].fitted]
    nest = Nest(evidence, seed, methods)
    if (told := CALLS.get()) is not None:
        told.expect(_calls_ahead(nest))
    folds = evidence.folds
    method, reason, nested = requested, "as asked for", [requested] * len(folds)
    if requested == AUTO:
        choice = nest.choose(folds)
        method = choice.method
        reason = "there is one run" if alone else choice.reason
        nested = [nest.choose(folds - {fold}).method for fold in sorted(folds)]
    return Assessment(
        requested=requested,
        method=method,
        reason=reason,
        blend=nest.fit(method, folds),
        nested=nested,
        honest_blends=nest.left_out(requested, folds),
        nest=nest,
        told=requested,
    )


STEPS_OF_GREEDY, STRENGTHS_TRIED = 28, 5
"""Calls for each member, and for each method whose weights are fitted, on one set of folds."""


def _calls_ahead(nest: Nest) -> int:
    """About how often a metric that must be called will be: to fit on each set of folds without one
    and without two, for the intervals, and for members left out in turn. Counted on toys of one to
    six members and 120 to 3,000 rows: right within a fifth."""
    folds, members = len(nest.evidence.folds), len(nest.evidence.names)
    bundles = freedom(nest.evidence.metric, nest.draws(nest.evidence.folds)) + 1
    sets = sum(math.comb(folds, without) for without in range(3))
    fitted = sum(METHODS[name].fitted for name in nest.methods)
    steps = STEPS_OF_GREEDY * members if "greedy" in nest.methods else 1
    fits = sets * (steps + STRENGTHS_TRIED * fitted)
    chosen_by = min(bundles, NESTED_BUNDLES) * min(len(nest.methods), 3)  # the rest is not asked
    drawn = bundles * (len(nest.methods) + members - 1) + folds * (chosen_by + fitted * FIT_BUNDLES)
    left_out = min(members, LEFT_OUT_BY_ROWS) * (bundles + folds * FIT_BUNDLES + sets)
    return round(fits + drawn + (left_out if members > 1 else 0))


def _method(nest: Nest, name: str) -> MethodLine:
    metric = nest.evidence.metric
    in_sample, honest = nest.in_sample_gain(name), nest.honest_gain(name)
    flattered = in_sample - honest
    return MethodLine(
        name=name,
        in_sample=as_score(metric, in_sample),
        honest=as_score(metric, honest),
        optimism=flattered if math.isfinite(flattered) else None,
        over_best=gain_over(nest, name, "best"),
    )


def as_score(metric: Metric, gain: float) -> float | None:
    """A gain (more is better) in the metric's own direction; None where it is not finite."""
    if not math.isfinite(gain):
        return None
    return metric.as_gain(gain)


def _members(nest: Nest, method: str, blend: Predictor) -> list[MemberLine]:
    evidence = nest.evidence
    worths = contributions(nest, method)
    lines = []
    for name, oof, weight, worth in zip(
        evidence.names, evidence.oof, blend.weights, worths, strict=True
    ):
        fold_rows = [evidence.rows(frozenset([fold])) for fold in sorted(evidence.folds)]
        lines.append(
            MemberLine(
                name=name,
                score=score_or_none(evidence.metric, evidence.truth, oof),
                fold_scores=[
                    score_or_none(evidence.metric, evidence.truth[rows], oof[rows])
                    for rows in fold_rows
                ],
                weight=float(weight),
                worth=worth,
            )
        )
    return lines


def score_or_none(metric: Metric, truth: np.ndarray, predicted: np.ndarray) -> float | None:
    """The score, or None where it is undefined (a constant column, a single class)."""
    try:
        return metric.score(truth, predicted)
    except MetricError:
        return None


def error_correlation(evidence: Evidence) -> np.ndarray:
    """(M, M) correlation of the members' errors over all rows and columns."""
    errors = evidence.moments(evidence.folds).errors(evidence.column_weights(evidence.folds))
    spread = np.sqrt(np.maximum(np.diagonal(errors), 0.0))
    scale = np.outer(spread, spread)
    correlation = np.divide(errors, scale, out=np.zeros_like(errors), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    return np.clip(correlation, -1.0, 1.0)


# What a person should know about how members and method fit the metric.


CUTS = (
    "members and methods are compared by {metric} with cuts that give each label its share of "
    "rows, as cut points come last; pipeline.cv and the audit round"
)


def remarks(evidence: Evidence, method: str) -> list[str]:
    """A sentence about each member on another scale, and about a method that is the wrong tool."""
    scale, found = find_scale(evidence, evidence.folds), []
    for place in np.flatnonzero(scale.moved):
        line = f"{scale.slope[place]:.3g} times the prediction {scale.offset[0, place]:+.3g}"
        found.append(
            f"{evidence.names[place]} is on another scale than the target: brought to it by "
            f"{line}{'' if len(scale.offset) == 1 else ' (first column)'}, fitted inside the nest"
        )
    if method == "rank-mean" and evidence.metric.record.sees != "order":
        found.append(WRONG_TOOL.format(metric=evidence.metric.name))
    if evidence.metric.cuts is not None:
        found.append(CUTS.format(metric=evidence.metric.name))
    return found


# How much blend weights move with the rows: refitted on bootstrap draws of whole groups.
#
# Weights that swing from draw to draw say that the data cannot tell the members apart; the blend
# may be good all the same, because members that can replace each other give the same predictions.


DRAWS = 100


def weight_spread(evidence: Evidence, method: str, seed: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, M) the weights of *method* fitted on each draw."""
    random = generator(seed, "weight spread", draws)
    _, group_of_row = np.unique(evidence.group_of_row, return_inverse=True)
    rows_of_group = np.split(
        np.argsort(group_of_row, kind="stable"), np.cumsum(np.bincount(group_of_row))[:-1]
    )
    found = []
    for _ in range(draws):
        drawn = random.integers(len(rows_of_group), size=len(rows_of_group))
        part = _rows(evidence, np.concatenate([rows_of_group[group] for group in drawn]))
        found.append(METHODS[method].fit(part, part.folds).weights)
    return np.array(found)


def shown_weights(evidence: Evidence, weights: np.ndarray) -> np.ndarray:
    """Weights (..., M) of members that are all on the target's scale, so that they compare."""
    return weights / find_scale(evidence, evidence.folds).slope


def _rows(evidence: Evidence, rows: np.ndarray) -> Evidence:
    """The evidence of these rows, which may be drawn more than once."""
    return Evidence.gather(
        evidence.names,
        [member[rows] for member in evidence.oof],
        evidence.truth[rows],
        evidence.fold_of_row[rows],
        evidence.group_of_row[rows],
        evidence.metric,
        evidence.problem,
        None if evidence.facts is None else evidence.facts.take(rows),
    )
