"""From members' candidates to an assessed blend of texts, and the text of each test row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.special import stdtrit

from pipeline.base import Competition, UsageError
from pipeline.data import Table
from pipeline.data.candidates import Candidates
from pipeline.ensemble.decisions.choose import NOTHING, Line
from pipeline.ensemble.forecast.given import (
    WITHHELD,
    forecast_texts,
    of_same_learners,
    refit_of,
)
from pipeline.ensemble.forecast.leaderboard import Leaderboard
from pipeline.ensemble.forecast.ranges import Labelled, Scored
from pipeline.ensemble.honest import AUTO, UPPER, Gain, contributions, gain_over, spread_of
from pipeline.ensemble.texts.more_candidates import gain_of_more
from pipeline.ensemble.texts.nest import METHODS, Consensus, TextEvidence, TextNest, decide
from pipeline.ensemble.texts.pool import MOST, Pool, Pools, Told, pooled
from pipeline.metrics import Metric, get_metric, resampled_gains
from pipeline.metrics.bootstrap import freedom
from pipeline.metrics.registry import fitting
from pipeline.oof.compatibility import FrozenFolds
from pipeline.oof.runs import FIXED, Doubt, doubted, warned
from pipeline.oof.texts import TextRun
from pipeline.problems.form import Form


def silent(kind: str, done: int, rows: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval over groups."""

    score: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class MemberLine:
    """One member."""

    name: str
    score: float
    """Of its best candidates, out of fold."""
    alone: float
    """Of minimum Bayes risk among its own candidates."""
    weight: float
    worth: Gain | None
    """Honest gain of the blend over itself without the member; None for the only one."""


@dataclass(frozen=True, kw_only=True)
class MethodLine:
    """One method."""

    name: str
    in_sample: float
    honest: float
    optimism: float
    """In-sample gain minus honest gain."""
    over_best: Gain


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedTexts:
    """The members' candidates in, one text of each row out: what answers of new rows need."""

    blend: Consensus
    form: Form
    metric: str
    """By which candidates are compared."""

    @property
    def needed(self) -> list[int]:
        """Positions of the members that answers need."""
        return np.flatnonzero(self.blend.weights).tolist()

    def keep(self, members: Sequence[int]) -> "FittedTexts":
        """The same of the *members* at these positions only."""
        weights = self.blend.weights[list(members)]
        return replace(self, blend=replace(self.blend, weights=weights))

    def chosen(
        self,
        members: Sequence[Sequence[Candidates]],
        competition: Competition,
        told: Callable[[int], None] = lambda rows: None,
    ) -> np.ndarray:
        """(m,) the texts taken, M *members* having said sets of candidates of m rows; *told* of the
        rows that are done."""
        if not len(members[0][0]):
            return np.empty(0, dtype=object)
        score = get_metric(self.metric, competition.task).formula.texts
        assert score is not None, "a metric of texts"
        return self.blend.texts(pooled(members, score, told))


@dataclass(frozen=True, kw_only=True, eq=False)
class TextOutcome:
    """All that was found, for the page, its json and the provenance."""

    competition: Competition
    metric: Metric
    rows: dict[str, int]
    groups: int
    passport: str
    runs: list[TextRun]
    requested: str
    method: str
    reason: str
    wavers: bool
    """Whether without some fold another method is chosen."""
    members: list[MemberLine]
    methods: list[MethodLine]
    blend: Consensus
    decisions: list[Line]
    """What was tried about the length of texts; [] where the method has none, or too few folds."""
    honest: float
    interval: Interval
    in_sample: float
    over_single: Gain
    others: dict[str, tuple[Interval, Interval]]
    """Metric -> the blend's honest texts, and those of the best single model."""
    holdout: float | None
    predicted: np.ndarray
    """(n,) the text of each training row by what was fitted without its fold."""
    test: np.ndarray
    """(m,) the text of each test row."""
    lengths: tuple[float, float]
    """Mean characters of honest texts, and of references."""
    form: Form
    expects: Callable[[Competition, Table], Leaderboard]
    """What the score on the rows of a table will be."""
    leaderboard: Leaderboard
    """What it will be on the test file."""
    nest: TextNest
    truth: np.ndarray
    """(n,) the references of each training row."""
    notes: list[str] = field(default_factory=list)

    @property
    def fitted(self) -> FittedTexts:
        """What of it makes answers of new rows."""
        return FittedTexts(blend=self.blend, form=self.form, metric=self.metric.name)

    @property
    def names(self) -> list[str]:
        """(M,) of the members."""
        return [line.name for line in self.members]

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """The members' run.json."""
        return [run.manifest for run in self.runs]

    @property
    def doubts(self) -> list[tuple[str, Doubt]]:
        """(run, why) of each member that keeps the score from being honest."""
        return doubted(self.manifests, self.requested in FIXED)

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """(run, what) an audit warned of."""
        return warned(self.manifests, self.requested in FIXED)

    @property
    def verdict(self) -> str:
        """Whether blending pays: real, undecided or no; untold where a member is in doubt."""
        if self.doubts:
            return "untold"
        alone = self.method == "best" and self.decided == NOTHING
        return "no" if alone else self.over_single.verdict

    @property
    def decided(self) -> str:
        """The decision that is applied, or "nothing"."""
        return next((line.name for line in self.decisions if line.applied), NOTHING)


def check_method(method: str) -> None:
    """Raise UsageError where no such method blends texts."""
    if method not in (AUTO, *METHODS):
        raise UsageError(
            f"--method {method} does not blend texts: they cannot be added up. There are "
            f"{', '.join((AUTO, *METHODS))}; mean and greedy take the candidate that is worth most "
            "if the others are right"
        )


def conclude_texts(
    competition: Competition,
    metric: Metric,
    train: Table,
    folds: FrozenFolds,
    runs: Sequence[TextRun],
    method: str,
    form: Form,
    test: Table,
    holdout: Table | None = None,
    notes: Sequence[str] = (),
    cache: Path | None = None,
    told: Told = silent,
) -> TextOutcome:
    """Compare, fit, choose and score. *cache* is a folder for what is worth keeping."""
    check_method(method)
    train = train.in_order(folds.ids)
    assert train.references is not None, "answers are texts"
    score = metric.formula.texts
    assert score is not None, "a metric of texts"
    made = Pools(score, metric.name, list(runs), cache, told)
    pool = made.of("oof", "training")
    evidence = TextEvidence.gather(
        [run.name for run in runs],
        pool,
        train.references,
        folds.fold_of_row[0],
        folds.group_of_row,
        metric,
    )
    nest = TextNest(cast(Any, evidence), competition.folds.seed, METHODS)
    every = evidence.folds
    chosen, reason, wavers = method, "as asked for", False
    if method == AUTO:
        choice = nest.choose(every)
        chosen, reason, wavers = choice.method, choice.reason, nest.wavers(choice.method)
    of_file, told_of, tried = decide(nest, method, chosen)
    blends = nest.left_out(told_of, every)
    taken = evidence.places(blends)[1]
    predicted = pool.texts[taken]
    single = pool.texts[evidence.places(nest.left_out("best", every))[1]]
    blend: Consensus = nest.fit(of_file, every)
    honest, in_sample = nest.honest_gain(told_of), nest.in_sample_gain(told_of)
    ours = Labelled(
        table=train,
        scored=_scored(metric, train.references, predicted, folds.group_of_row),
        gain=honest,
        fold_of_row=folds.fold_of_row[0],
    )
    known = None
    lacking = [run.name for run in runs if not run.holdout]
    if holdout is not None and lacking:
        notes = [*notes, f"no holdout score: {', '.join(lacking)} came without its rows"]
    elif holdout is not None and len(holdout) and holdout.references is not None:
        known = _known(metric, holdout, blend.texts(made.of("holdout", "holdout")))
    refit = refit_of(in_sample - honest, len(every), len(runs))
    together = gain_of_more(
        [run.test for run in runs], [len(run.oof) for run in runs], blend, evidence, score
    )
    in_doubt = doubted([run.manifest for run in runs], method in FIXED)

    def expects(asked: Competition, rows: Table) -> Leaderboard:
        if in_doubt:
            return Leaderboard(notes=[WITHHELD])
        found = forecast_texts(asked, ours, known, rows, folds.fold_of_row, refit, together)
        return of_same_learners(found, [run.manifest for run in runs], blend.weights)

    return TextOutcome(
        competition=competition,
        metric=metric,
        rows={"train": len(train), "test": len(test)}
        | ({} if holdout is None else {"holdout": len(holdout)}),
        groups=len(np.unique(folds.group_of_row)),
        passport=folds.digest,
        runs=list(runs),
        requested=method,
        method=chosen,
        reason=reason,
        wavers=wavers,
        members=_members(nest, told_of, blend),
        methods=[
            MethodLine(
                name=name,
                in_sample=metric.as_gain(nest.in_sample_gain(name)),
                honest=metric.as_gain(nest.honest_gain(name)),
                optimism=nest.in_sample_gain(name) - nest.honest_gain(name),
                over_best=gain_over(nest, name, "best"),
            )
            for name in METHODS
        ],
        blend=blend,
        decisions=tried,
        honest=metric.as_gain(honest),
        interval=_interval(metric, metric.as_gain(honest), nest.resampled(told_of, every), nest),
        in_sample=metric.as_gain(in_sample),
        over_single=gain_over(nest, told_of, "best"),
        others={
            name: (
                _other(name, competition, train.references, predicted, nest),
                _other(name, competition, train.references, single, nest),
            )
            for name in fitting(competition.task.problem)
            if name != metric.name
        },
        holdout=None if known is None else metric.as_gain(known.gain),
        predicted=predicted,
        test=blend.texts(made.of("test", "test")),
        lengths=(
            float(np.mean([len(text) for text in predicted])),
            float(np.mean([len(text) for each in train.references for text in each])),
        ),
        form=form,
        expects=expects,
        leaderboard=expects(competition, test),
        nest=nest,
        truth=train.references,
        notes=[*notes, *form.notes, *_cut(pool)],
    )


def _scored(
    metric: Metric, truth: np.ndarray, said: np.ndarray, group_of_row: np.ndarray
) -> Scored:
    return Scored(metric, metric.problem, truth, said, group_of_row)


def _known(metric: Metric, holdout: Table, said: np.ndarray) -> Labelled:
    """The holdout's rows with the texts *said* (h,) of them."""
    assert holdout.references is not None, "its answers are known"
    scored = _scored(metric, holdout.references, said, np.arange(len(said)))
    return Labelled(table=holdout, scored=scored, gain=metric.gain(holdout.references, said))


def _cut(pool: Pool) -> list[str]:
    sizes = np.diff(pool.starts, append=len(pool.texts))
    full = int((sizes >= MOST).sum())
    if not full:
        return []
    return [
        f"{full:,} rows have more than {MOST} different candidates: the likeliest were compared"
    ]


def _members(nest: TextNest, method: str, blend: Consensus) -> list[MemberLine]:
    evidence: TextEvidence = nest.evidence
    worth, as_score = contributions(nest, method), evidence.metric.as_gain
    alone = [evidence.keep([place]) for place in range(len(evidence.names))]
    return [
        MemberLine(
            name=name,
            score=as_score(evidence.score_of(evidence.pool.first[place])),
            alone=as_score(own.score_of(Consensus(np.ones(1)).places(own.pool))),
            weight=float(blend.weights[place]),
            worth=gain,
        )
        for place, (name, own, gain) in enumerate(zip(evidence.names, alone, worth, strict=True))
    ]


def _interval(metric: Metric, score: float, draws: np.ndarray, nest: TextNest) -> Interval:
    """Of a *score* by the *metric*, cut to scores that it can have."""
    every = nest.evidence.folds
    reach = float(stdtrit(freedom(nest.evidence.metric, nest.draws(every)), UPPER))
    apart, (least, most) = reach * spread_of(draws), metric.record.bounds
    return Interval(score, max(score - apart, least), min(score + apart, most))


def _other(
    name: str, competition: Competition, truth: np.ndarray, said: np.ndarray, nest: TextNest
) -> Interval:
    """Another metric of the same texts."""
    metric = get_metric(name, competition.task)
    drawn = resampled_gains(metric, truth, said, nest.draws(nest.evidence.folds))
    return _interval(metric, metric.score(truth, said), drawn, nest)
