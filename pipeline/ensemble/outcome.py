"""From members to an assessed ensemble, and from there to the bytes of a submission."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.base import Competition
from pipeline.data import Table
from pipeline.ensemble.assessment import Assessment, as_score, assess, remarks, score_or_none
from pipeline.ensemble.decisions.choose import NOTHING, Decided, Judge, decide_on
from pipeline.ensemble.evidence import Evidence, as_known
from pipeline.ensemble.forecast.given import (
    WITHHELD,
    Given,
    Holdout,
    forecast,
    known_rows,
    score_holdout,
)
from pipeline.ensemble.forecast.leaderboard import Leaderboard
from pipeline.ensemble.forecast.ranges import Labelled
from pipeline.ensemble.honest import Gain
from pipeline.ensemble.predictor import RowFeatures, Rows, facts_by_file
from pipeline.metrics import Metric
from pipeline.metrics.metric import judging
from pipeline.oof import Members
from pipeline.oof.compatibility import FrozenFolds
from pipeline.oof.runs import FIXED, Doubt, doubted, warned
from pipeline.problems.form import Form

# Members that only repeat another are left out before anything is fitted.
#
# A run under two names, or a team-mate's copy, splits one weight in two, hides in the table that
# both are needed, and costs time. It is seen from predictions alone: nothing has to be nested.


SAME_MODEL = 0.9999  # correlation of predictions from which two members count as one model


@dataclass(frozen=True)
class Redundant:
    """One member that repeats another."""

    member: int
    kept: int
    correlation: float
    """Of their predictions: the lower one of out-of-fold rows and test rows."""


def redundant(evidence: Evidence, test: Sequence[np.ndarray]) -> list[Redundant]:
    """Members that repeat one that stands before them; *test* holds M arrays (m, k)."""
    scatter = evidence.moments(evidence.folds).pooled(evidence.column_weights(evidence.folds))[0]
    alike = _correlation(scatter)
    found: list[Redundant] = []
    kept: list[int] = []
    for member in range(len(evidence.names)):
        near = [place for place in kept if alike[place, member] > SAME_MODEL]
        same = [(_test_correlation(test[place], test[member]), place) for place in near]
        if same and (best := max(same))[0] > SAME_MODEL:
            found.append(Redundant(member, best[1], min(best[0], float(alike[best[1], member]))))
        else:
            kept.append(member)
    return found


def without_copies(evidence: Evidence, members: Members) -> tuple[Evidence, Members, list[str]]:
    """Both without members that repeat another, and a note about each of these."""
    found = redundant(evidence, members.test)
    dropped = {each.member for each in found}
    kept = [place for place in range(len(members.names)) if place not in dropped]
    notes = [
        f"{members.names[each.member]} is left out: its predictions correlate "
        f"{each.correlation:.6f} with those of {members.names[each.kept]}, so it adds nothing"
        for each in found
    ]
    return (evidence.keep(kept), members.keep(kept), notes) if found else (evidence, members, [])


def _correlation(scatter: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.maximum(np.diagonal(scatter), 0.0))
    scale = np.outer(spread, spread)
    return np.divide(scatter, scale, out=np.zeros_like(scatter), where=scale > 0)


def _test_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Over all columns, each centred."""
    centred = np.stack([(each - each.mean(axis=0)).ravel() for each in (one, other)])
    return float(_correlation(centred @ centred.T)[0, 1])


CARRIES = 0.5  # of what is left to gain: a member that is worth more carries the score


@dataclass(frozen=True, kw_only=True)
class Instead:
    """What equal weights make of all runs, those among them that no fitted weights may take."""

    runs: list[str]
    """Those it is the mean of."""
    honest: float
    gain: Gain
    """Over what was blended."""
    command: str
    """That writes it."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that the command found; what only its page, its JSON and the provenance tell is found
    when it is asked for."""

    competition: Competition
    metric: Metric
    rows: dict[str, int]
    """File -> rows."""
    groups: int
    passport: str
    seen_range: tuple[float, float]
    """Lowest and highest target of train."""
    members: Members
    evidence: Evidence
    """Members and truth, rows in the order of the frozen folds."""
    assessment: Assessment
    form: Form
    decided: Decided
    """What is done to predictions before they are written."""
    given: Given
    """The same and the files, for the forecast."""
    slice_by: str | None = None
    """The column that was asked for to slice the rows by."""
    notes: list[str] = field(default_factory=list)
    """What a person should know: runs left out, how the form was found, copies."""
    instead: Instead | None = None
    """Where runs were left out that equal weights take."""

    @property
    def facts(self) -> RowFeatures | None:
        """About the test rows."""
        return self.given.facts.get("test")

    @property
    def over_single(self) -> Gain:
        """The honest gain over the best single model, which gets decisions of its own where the
        blend does: a threshold on one side only would be told as the gain of blending."""
        return self._single[0]

    @property
    def of_single(self) -> str:
        """The decision that the best single model got."""
        return self._single[1]

    @property
    def over_mean(self) -> Gain:
        """The same over the plain mean."""
        return self._mean[0]

    @property
    def of_mean(self) -> str:
        """The decision that the plain mean got."""
        return self._mean[1]

    @property
    def plainer(self) -> tuple[str, float, Gain] | None:
        """best or mean, where a file of it scores honestly higher than this one by more than a
        standard error; its score, and the gain over this one."""
        if self.honest is None or self.doubts or len(self.members.names) < 2:
            return None
        name, gain = min(
            (("best", self.over_single), ("mean", self.over_mean)),
            key=lambda each: each[1].difference,
        )
        if not -gain.difference > max(gain.error, 0.0):
            return None
        score = as_score(self.metric, self.decided.gain - gain.difference)
        over = Gain(-gain.difference, gain.error, low=-gain.high, high=-gain.low)
        return None if score is None else (name, score, over)

    @cached_property
    def _single(self) -> tuple[Gain, str]:
        return self._over("best", self.assessment.headline.over_best)

    @cached_property
    def _mean(self) -> tuple[Gain, str]:
        return self._over("mean", self.assessment.over_mean)

    def _over(self, simple: str, plain: Gain) -> tuple[Gain, str]:
        asked = (self.competition, self.metric, self.assessment, self.form, self.seen_range)
        return _over_simple(*asked, self.decided, simple, plain)

    @cached_property
    def in_sample(self) -> float | None:
        """In-sample score with the decisions fitted and scored on the same rows."""
        evidence = self.evidence
        fitted = evidence.predict(dict.fromkeys(evidence.folds, self.assessment.blend))[1]
        return score_or_none(self.metric, evidence.truth, self.decided.apply(fitted))

    @cached_property
    def _holdout(self) -> Labelled | None:
        given = Rows(self.members.holdout, self.given.facts.get("holdout"))
        blend = self.assessment.blend
        return known_rows(self.evidence, self.given.holdout, given, blend, self.decided)

    @property
    def holdout(self) -> Holdout | None:
        """Scores on a holdout file; None where there is none."""
        known = self._holdout
        return None if known is None else score_holdout(known, self.members.holdout)

    @cached_property
    def leaderboard(self) -> Leaderboard:
        """What the score on the test file will be."""
        if self.doubts:
            return Leaderboard(notes=[WITHHELD])
        return forecast(self.given, self._holdout)

    def complete(self) -> None:
        """Find all that the page tells now, while calls of the metric are counted."""
        self.assessment.complete()
        _ = self.over_single, self.over_mean, self.in_sample, self.leaderboard

    @property
    def names(self) -> list[str]:
        """The members'."""
        return self.members.names

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """The members' run.json."""
        return self.members.manifests

    @property
    def doubts(self) -> list[tuple[str, Doubt]]:
        """(run, why) of each member that keeps the score from being honest; [] as a rule."""
        return doubted(self.members.manifests, self.assessment.requested in FIXED)

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """(run, what) an audit warned of, or what is taken on trust; [] as a rule."""
        return warned(self.members.manifests, self.assessment.requested in FIXED)

    @property
    def trusted(self) -> list[str]:
        """Members whose folds nobody can prove, in a blend in which nothing is fitted."""
        if self.doubts or self.assessment.requested not in FIXED:
            return []
        return list(dict.fromkeys(run for run, _ in doubted(self.members.manifests, fixed=False)))

    @property
    def verdict(self) -> str:
        """Whether blending pays: real, undecided or no; untold where a member is in doubt."""
        if self.doubts:
            return "untold"
        return "no" if self.assessment.method == "best" else self.over_single.verdict

    @property
    def carrier(self) -> str | None:
        """The member worth most, if half as much again would be left to gain without it."""
        if len(self.members.names) < 2 or self.honest is None:
            return None
        left = abs(self.metric.best - self.honest)
        worth = {each.name: each.cost_without or 0.0 for each in self.assessment.members}
        most = max(worth, key=lambda name: worth[name])
        return most if worth[most] > CARRIES * left else None

    @property
    def honest(self) -> float | None:
        """The honest score of the file as it is written, decisions and all."""
        return as_score(self.metric, self.decided.gain)

    @property
    def undecided(self) -> float | None:
        """The same without decisions, by the metric itself."""
        if self.assessment.nest.evidence.metric.cuts is None:
            return self.assessment.headline.honest
        return as_score(self.metric, self.decided.before)

    @property
    def optimism(self) -> float | None:
        """By how much the in-sample score flatters; above 0 in either direction of the metric."""
        if self.in_sample is None or self.honest is None:
            return None
        return self.metric.as_gain(self.in_sample) - self.metric.as_gain(self.honest)


def conclude(
    competition: Competition,
    metric: Metric,
    train: Table,
    folds: FrozenFolds,
    members: Members,
    method: str,
    form: Form,
    test: Table | None = None,
    holdout: Table | None = None,
    slice_by: str | None = None,
    notes: Sequence[str] = (),
) -> Outcome:
    """Fit and choose; everything a submission needs except its bytes.

    Without *test*, nothing but predictions is known of any row.
    """
    train = train.in_order(folds.ids)
    assert train.targets is not None
    truth, about = train.targets, facts_by_file(train, test, holdout, slice_by, members.apart)
    evidence = Evidence.gather(
        members.names,
        members.oof,
        truth,
        folds.fold_of_row[0],
        folds.group_of_row,
        metric,
        competition.task.problem_type.name,
        about.get("train"),
    )
    evidence, told = as_known(evidence)
    metric, (evidence, members, pruned) = evidence.metric, without_copies(evidence, members)
    if members.apart:  # what nobody is left to tell of new rows is no fact
        about = facts_by_file(train, test, holdout, slice_by, members.apart)
        evidence = replace(evidence, facts=about.get("train"), _cache={}, _latest={})
    judged = evidence.judged_by(judging(metric))
    taken = method in FIXED and not doubted(members.manifests, fixed=True)
    proved = not taken or not doubted(members.manifests, fixed=False)
    assessment = assess(judged, method, competition.folds.seed, fitted=proved)
    gain = assessment.nest.honest_gain(method)
    if not math.isfinite(gain):  # let the metric say why it has no value
        judged.metric.score(truth, judged.predict(assessment.honest_blends)[1])
    seen_range = (float(truth.min()), float(truth.max()))
    decided = decide_on(
        competition, metric, assessment.nest, method, form, seen_range, assessment.method
    )
    if decided.of_method:
        assessment = assessment.of_method()
    return Outcome(
        competition=competition,
        metric=metric,
        rows={"train": len(folds.ids), "test": len(members.test[0])}
        | ({} if holdout is None else {"holdout": len(holdout)}),
        groups=len(np.unique(folds.group_of_row)),
        passport=folds.digest,
        seen_range=seen_range,
        members=members,
        evidence=evidence,
        assessment=assessment,
        form=form,
        decided=decided,
        given=Given(
            competition=competition,
            evidence=evidence,
            members=members,
            assessment=assessment,
            decided=decided,
            train=train,
            test=test,
            holdout=holdout,
            facts=about,
            fold_of_row=folds.fold_of_row,
        ),
        slice_by=slice_by,
        notes=[*notes, *told, *pruned, *remarks(judged, assessment.method)],
    )


def _over_simple(
    competition: Competition,
    metric: Metric,
    assessment: Assessment,
    form: Form,
    seen_range: tuple[float, float],
    decided: Decided,
    simple: str,
    plain: Gain,
) -> tuple[Gain, str]:
    """The gain over a *simple* method, the best single model or the mean, both decided, each in its
    own way; what that one gets.

    A decision that does the simple one harm is left out: it would be sent without. The interval is
    no narrower than that of the undecided gain, *plain*, which also holds what the fits vary by and
    the choice of the best model.
    """
    nest = assessment.nest
    if not decided.lines or assessment.requested == simple or len(assessment.members) < 2:
        return plain, NOTHING
    single = decide_on(competition, metric, nest, simple, form, seen_range)
    if decided.decision is None and single.decision is None:
        return plain, NOTHING
    evidence = nest.evidence
    judge = Judge(metric, evidence.problem, evidence.truth, nest.draws(evidence.folds))
    ways = {single.chosen: max((single.predicted, single.anew), key=judge.score)}
    ways.setdefault(NOTHING, single.undecided)
    chosen, best = max(ways.items(), key=lambda way: judge.score(way[1]))
    found = judge.gain(decided.predicted, best)
    below = max(found.difference - found.low, plain.difference - plain.low)
    above = max(found.high - found.difference, plain.high - plain.difference)
    low, high = found.difference - below, found.difference + above
    gain = Gain(found.difference, max(found.error, plain.error), low=low, high=high)
    return gain, chosen
