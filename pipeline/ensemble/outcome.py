"""From members to an assessed ensemble, and from there to the bytes of a submission."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.base.config import Competition
from pipeline.data.table import Table
from pipeline.ensemble.assessment import Assessment, as_score, assess, score_or_none
from pipeline.ensemble.decisions.choose import Decided
from pipeline.ensemble.decisions.nested import decide_on
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.facts import Facts, facts_of
from pipeline.ensemble.forecast.leaderboard import Labelled, Leaderboard, leaderboard
from pipeline.ensemble.forecast.sampling import Scored
from pipeline.ensemble.holdout import Holdout, known_rows, score_holdout
from pipeline.ensemble.prune import without_copies
from pipeline.ensemble.remarks import remarks
from pipeline.ensemble.rows import Rows
from pipeline.metrics.kappa_by_shares import judging
from pipeline.metrics.metric import Metric
from pipeline.oof.compatibility import FrozenFolds
from pipeline.oof.members import Members
from pipeline.problems.decide import render
from pipeline.problems.form import Form
from pipeline.submissions.submission_file import Sample, build, check


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that the command found, for its printed page, its JSON and the provenance."""

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
    in_sample: float | None
    """In-sample score with the decisions fitted and scored on the same rows."""
    leaderboard: Leaderboard
    """What the score on the test file will be."""
    holdout: Holdout | None
    facts: Facts | None = None
    """About the test rows."""
    notes: list[str] = field(default_factory=list)
    """What a person should know: runs left out, how the form was found, copies."""

    @property
    def honest(self) -> float | None:
        """The honest score with the decisions applied: what the file is expected to score."""
        return as_score(self.metric, self.decided.gain)

    @property
    def undecided(self) -> float | None:
        """The same without decisions, by the metric itself."""
        if self.assessment.nest.evidence.metric.cuts is None:
            return self.assessment.headline.honest
        return as_score(self.metric, self.decided.gain - self.decided.effect.difference)

    @property
    def optimism(self) -> float | None:
        """By how much the in-sample score flatters; above 0 in either direction of the metric."""
        if self.in_sample is None or self.honest is None:
            return None
        sign = 1 if self.metric.greater_is_better else -1
        return sign * (self.in_sample - self.honest)


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
    """Fit, choose and score; everything a submission needs except its bytes.

    Without *test*, nothing but predictions is known of any row.
    """
    train = _in_order(train, folds.ids)
    assert train.targets is not None
    truth, about = train.targets, _facts(train, test, holdout, slice_by)
    evidence = Evidence.gather(
        members.names,
        members.oof,
        truth,
        folds.fold_of_row[0],
        folds.group_of_row,
        metric,
        competition.task.problem,
        about.get("train"),
    )
    evidence, members, pruned = without_copies(evidence, members)
    judged = evidence.judged_by(judging(metric, evidence.problem))
    assessment = assess(judged, method, competition.folds.seed)
    if assessment.headline.honest is None:  # let the metric say why it has no value
        judged.metric.score(truth, judged.predict(assessment.honest_blends)[1])
    seen_range = (float(truth.min()), float(truth.max()))
    decided = decide_on(competition, metric, assessment.nest, method, form, seen_range)
    known = known_rows(
        evidence, holdout, Rows(members.holdout, about.get("holdout")), assessment.blend, decided
    )
    fitted = evidence.predict(dict.fromkeys(evidence.folds, assessment.blend))[1]
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
        in_sample=score_or_none(metric, truth, decided.apply(fitted)),
        leaderboard=_expect(competition, evidence, decided, train, test, known),
        facts=about.get("test"),
        holdout=None if known is None else score_holdout(known, members.holdout),
        notes=[*notes, *pruned, *remarks(judged, assessment.method)],
    )


def _in_order(table: Table, ids: np.ndarray) -> Table:
    """The rows of *table* in the order of *ids*."""
    place_of = {row_id: place for place, row_id in enumerate(table.ids.tolist())}
    return table.rows(np.array([place_of[row_id] for row_id in ids.tolist()], dtype=int))


def _facts(
    train: Table, test: Table | None, holdout: Table | None, slice_by: str | None
) -> dict[str, Facts]:
    """File -> facts about its rows."""
    if test is None:
        return {}
    tables = {"train": train, "test": test} | ({} if holdout is None else {"holdout": holdout})
    return dict(zip(tables, facts_of(list(tables.values()), slice_by), strict=True))


def _expect(
    competition: Competition,
    evidence: Evidence,
    decided: Decided,
    train: Table,
    test: Table | None,
    holdout: Labelled | None,
) -> Leaderboard:
    """What the leaderboard will say of the decided predictions; *train* in the folds' order."""
    if test is None:
        return Leaderboard(notes=["withheld: nothing is known of the test rows"])
    parts = {"whole": len(test)}
    if shares := competition.submissions.rows(len(test)):
        parts |= {"public": shares[0], "private": shares[1]}
    metric, problem = evidence.metric, evidence.problem
    scored = Scored(metric, problem, evidence.truth, decided.predicted, evidence.group_of_row)
    known = Labelled(table=train, scored=scored, gain=decided.gain)
    seed, grouped_by = competition.folds.seed, competition.folds.group_columns
    return leaderboard(known, holdout, test, parts, seed, grouped_by)


def fill(outcome: Outcome, test_ids: Sequence[str], sample: Sample) -> bytes:
    """The submission's bytes; DataError where the predictions do not fit the sample."""
    task = outcome.competition.task
    rows = Rows(outcome.members.test, outcome.facts)
    predicted = outcome.assessment.blend.predict(rows, task.problem)
    check(test_ids, sample.ids.tolist(), predicted)
    decided = outcome.decided.apply(predicted)
    texts = render(outcome.form, task, decided, task.label_range or outcome.seen_range)
    return build(sample, test_ids, texts)
