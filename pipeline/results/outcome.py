"""From members to an assessed ensemble, and from there to the bytes of a submission."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.config import Competition
from pipeline.data.table import Table
from pipeline.results.assess import SAME_MODEL, Assessment, assess, score_or_none
from pipeline.results.decide import Clip, measure_clip, render
from pipeline.results.evidence import Evidence
from pipeline.results.facts import Facts, facts_of
from pipeline.results.form import Form
from pipeline.results.members import FrozenFolds, Members
from pipeline.results.metrics import Metric
from pipeline.results.rows import Rows
from pipeline.results.submission import Sample, build, check


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """Scores on labelled rows that nothing was fitted on; None where undefined."""

    members: list[float | None]
    """(M,)."""
    ensemble: float | None


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
    assessment: Assessment
    form: Form
    clip: Clip | None
    """None where there is no label range to clip to."""
    holdout: Holdout | None
    facts: Facts | None = None
    """About the test rows."""
    notes: list[str] = field(default_factory=list)
    """What a person should know: runs left out, how the form was found, twins."""


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
    assessment = assess(evidence, method, competition.folds.seed)
    if assessment.headline.honest is None:  # let the metric say why it has no value
        metric.score(truth, evidence.predict(assessment.honest_blends)[1])
    return Outcome(
        competition=competition,
        metric=metric,
        rows={"train": len(folds.ids), "test": len(members.test[0])}
        | ({} if holdout is None else {"holdout": len(holdout)}),
        groups=len(np.unique(folds.group_of_row)),
        passport=folds.digest,
        seen_range=(float(truth.min()), float(truth.max())),
        members=members,
        assessment=assessment,
        form=form,
        clip=_clip(competition, evidence, assessment) if form.kind == "value" else None,
        facts=about.get("test"),
        holdout=_score_holdout(
            evidence, holdout, members.holdout, about.get("holdout"), assessment
        ),
        notes=[*notes, *_twins(assessment)],
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


def _twins(assessment: Assessment) -> list[str]:
    return [
        f"{first} and {second} make the same errors (correlation above {SAME_MODEL}): "
        "one of them adds nothing"
        for first, second in assessment.twins
    ]


def _score_holdout(
    evidence: Evidence,
    holdout: Table | None,
    members: Sequence[np.ndarray],
    facts: Facts | None,
    assessment: Assessment,
) -> Holdout | None:
    if holdout is None or holdout.targets is None:
        return None
    truth = holdout.targets
    blended = assessment.blend.predict(Rows(members, facts), evidence.problem)
    return Holdout(
        members=[score_or_none(evidence.metric, truth, member) for member in members],
        ensemble=score_or_none(evidence.metric, truth, blended),
    )


def _clip(competition: Competition, evidence: Evidence, assessment: Assessment) -> Clip | None:
    """Whether to clip to the label range, measured on the honest predictions."""
    limits = competition.task.label_range
    if limits is None or competition.task.problem != "regression":
        return None
    rows, predicted = evidence.predict(assessment.honest_blends)
    return measure_clip(evidence.metric, evidence.truth[rows], predicted, limits)


def fill(outcome: Outcome, test_ids: Sequence[str], sample: Sample) -> bytes:
    """The submission's bytes; DataError where the predictions do not fit the sample."""
    task = outcome.competition.task
    rows = Rows(outcome.members.test, outcome.facts)
    predicted = outcome.assessment.blend.predict(rows, task.problem)
    check(test_ids, sample.ids.tolist(), predicted)
    if outcome.clip is not None and outcome.clip.applied and task.label_range is not None:
        predicted = np.clip(predicted, *task.label_range)
    texts = render(outcome.form, task, predicted, task.label_range or outcome.seen_range)
    return build(sample, test_ids, texts)
