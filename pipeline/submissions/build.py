"""From finished runs to the bytes of a submission, and where they came from: enough to judge a file
later and to make it again.
"""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import Competition, Paths
from pipeline.base.config import TaskConfig, as_dict
from pipeline.data import Table, load
from pipeline.data.join import begins
from pipeline.data.sample import Sample
from pipeline.ensemble import Outcome
from pipeline.ensemble.assessment import MemberLine
from pipeline.ensemble.decisions.choose import Judge, Line
from pipeline.ensemble.forecast.leaderboard import Leaderboard
from pipeline.ensemble.honest import Nest
from pipeline.ensemble.outcome import Instead, conclude
from pipeline.ensemble.predictor import Fitted, Rows
from pipeline.folds.frozen import read_frozen
from pipeline.metrics import metric_of
from pipeline.oof import doubts_of, origin_of
from pipeline.oof.members import Members, read_members
from pipeline.oof.runs import remarks_of, seen_by_audit, standing
from pipeline.submissions.submission_file import build, check, conversion, digests, versions

# From finished runs to the bytes of a submission: one path for writing a file and for making it
# again.
#
# Whatever a file was made from goes in by arguments, so a config that has changed since, or runs
# that were added, cannot get into a rebuilt file.


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What was asked for: with the config, all that decides the bytes of a file."""

    runs: list[str]
    """(M,) folder names, in the order of the members."""
    method: str = "auto"
    slice_by: str | None = None
    """As --slice-by."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BuiltSubmission:
    """An assessed ensemble and its file."""

    asked: BuildRequest
    outcome: Outcome
    content: bytes
    """The submission's bytes."""

    @property
    def method(self) -> str:
        """Of the blend."""
        return self.outcome.assessment.method

    @property
    def weights(self) -> dict[str, float]:
        """Of the members, by name."""
        weights = self.outcome.assessment.blend.weights.tolist()
        return dict(zip(self.outcome.names, weights, strict=True))

    @property
    def decision(self) -> str:
        """What is done to predictions before they are written."""
        return self.outcome.decided.chosen

    @property
    def lines(self) -> Sequence[MemberLine]:
        """The members."""
        return self.outcome.assessment.members

    @property
    def nest(self) -> Nest:
        """The fits of its methods."""
        return self.outcome.assessment.nest

    @property
    def truth(self) -> np.ndarray:
        """(n, t) targets, rows in the order of the frozen folds."""
        return self.outcome.evidence.truth

    @property
    def honest(self) -> np.ndarray:
        """(n, k) each row predicted, and decided, by what was fitted and chosen without its fold.

        Rows are in the order of the frozen folds, as in `outcome.evidence`.
        """
        return self.outcome.decided.predicted

    @property
    def errors(self) -> np.ndarray:
        """(n, k) those minus the targets."""
        return self.honest - self.outcome.evidence.kind.expand(self.truth, self.honest.shape[1])

    @property
    def fitted(self) -> Fitted:
        """What of it makes answers of new rows."""
        return fitted_of(self.outcome)

    @property
    def said(self) -> Sequence[np.ndarray]:
        """(M,) predictions (m, k) of the test rows."""
        return self.outcome.members.test


def make(
    root: Path,
    competition: Competition,
    asked: BuildRequest,
    notes: Sequence[str] = (),
    instead: Callable[[Members], Members] = lambda members: members,
) -> BuiltSubmission:
    """Read everything, fit, choose and score.

    Args:
        root: where all is read from.
        competition: as it was when the runs were trained.
        asked: which runs, and how they are blended.
        notes: told on the page.
        instead: the members that are blended instead of those that were read.
    """
    paths = Paths(root, competition.name)
    metric = metric_of(competition, paths.root)
    tables = load(competition, paths.root)
    task = competition.task
    form = task.problem_type.form(task, competition.columns.targets, metric.needs, tables.sample)
    folds = read_frozen(competition, paths, tables.train)
    holdout = tables.holdout
    members = read_members(
        paths,
        asked.runs,
        folds,
        competition.outputs,
        tables.test.ids,
        tables.test.ids[:0] if holdout is None else holdout.ids,
    )
    outcome = conclude(
        competition,
        metric,
        tables.train,
        folds,
        instead(members),
        asked.method,
        form,
        test=tables.test,
        holdout=holdout,
        slice_by=asked.slice_by,
        notes=[
            *tables.notes,
            *conversion(competition.data.sample_submission, tables.sample.id_column),
            *notes,
        ],
    )
    given = Rows(outcome.members.test, outcome.facts)
    content = fill(fitted_of(outcome), task, tables.test.ids.tolist(), tables.sample, given)
    return BuiltSubmission(asked=asked, outcome=outcome, content=content)


def beside_equal_weights(
    made: BuiltSubmission, root: Path, runs: Sequence[str], command: str
) -> BuiltSubmission:
    """The same, with what equal weights make of all *runs*: they need no proof of folds.

    Where a run that was left out scores better alone, it is that one. *command* writes the mean of
    all of them.
    """
    outcome, metric = made.outcome, made.outcome.metric
    competition = outcome.competition
    other = make(root, competition, BuildRequest(runs=list(runs), method="mean")).outcome
    sign = 1 if metric.greater_is_better else -1
    alone = [
        (sign * line.score, line.name)
        for line in other.assessment.members
        if line.score is not None and line.name not in made.asked.runs
    ]
    if alone and max(alone)[0] > other.decided.gain:
        name = max(alone)[1]
        command = f"{command} --runs {shlex.quote(name)}"
        other = make(root, competition, BuildRequest(runs=[name], method="mean")).outcome
    if other.honest is None or outcome.honest is None:
        return made
    nest = outcome.assessment.nest
    draws = nest.draws(nest.evidence.folds)
    judge = Judge(metric, nest.evidence.problem, nest.evidence.truth, draws)
    instead = Instead(
        runs=other.members.names,
        honest=other.honest,
        gain=judge.gain(other.decided.predicted, outcome.decided.predicted),
        command=command,
    )
    return replace(made, outcome=replace(outcome, instead=instead))


def fitted_of(outcome: Outcome) -> Fitted:
    """What of an *outcome* makes answers of rows."""
    facts = outcome.facts
    return Fitted(
        blend=outcome.assessment.blend,
        decision=outcome.decided.step,
        form=outcome.form,
        limits=outcome.competition.task.label_range or outcome.seen_range,
        column="" if facts is None else facts.column,
        levels=[] if facts is None else list(facts.levels),
    )


def fill(fitted: Fitted, task: TaskConfig, ids: Sequence[str], sample: Sample, rows: Rows) -> bytes:
    """The submission's bytes; DataError where the predictions do not fit the sample.

    *rows*: what is known of the rows with these *ids*.
    """
    predicted = fitted.blend.predict(rows, task.problem_type.name)
    check(ids, sample.ids.tolist(), predicted)
    return build(sample, ids, answers(fitted, task, ids, predicted))


def fill_table(
    fitted: Fitted,
    competition: Competition,
    table: Table,
    sample: Sample,
    members: Sequence[np.ndarray],
    apart: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """As `built.fill_any`; *members* are M arrays (m, k)."""
    rows = fitted.rows(members, table, apart)
    return fill(fitted, competition.task, table.ids.tolist(), sample, rows)


def answers(
    fitted: Fitted, task: TaskConfig, ids: Sequence[str], predicted: np.ndarray
) -> dict[str, list[str]]:
    """What each column of the sample gets, (m,) texts, of the blend's predictions (m, k)."""
    decided = as_decoded(task, fitted.decide(predicted), ids)
    return task.problem_type.texts(fitted.form, task, decided, fitted.limits)


def as_decoded(task: TaskConfig, predicted: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """(m, k) *predicted* with a single 1 in the row of each unit, that of its decoded tag; where
    rows stand for themselves, as they are."""
    if not task.problem_type.units:
        return predicted
    tags = task.problem_type.decode(predicted, begins(ids), task.classes)
    return np.eye(predicted.shape[1])[tags]


NAMED = ("runs", "method")
"""What was asked for and stands in members and requested."""


def finite(value: float) -> float | None:
    """*value*, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None


def scores(outcome: Outcome) -> dict[str, Any]:
    """The scores of an outcome as plain values for JSON."""
    holdout = outcome.holdout
    return {
        "metric": outcome.metric.name,
        "honest": None if outcome.doubts else outcome.honest,
        "claimed": outcome.honest if outcome.doubts else None,
        "doubts": [
            {"run": run, "kind": each.kind, "says": each.says} for run, each in outcome.doubts
        ],
        "warnings": [{"run": run, "says": says} for run, says in outcome.warnings],
        "honest_undecided": None if outcome.doubts else outcome.undecided,
        "in_sample": outcome.in_sample,
        "optimism": outcome.optimism,
        "gain_over_best_single": finite(outcome.over_single.difference),
        "interval_95": [finite(outcome.over_single.low), finite(outcome.over_single.high)],
        "verdict": outcome.verdict,
        "holdout": None if holdout is None else holdout.ensemble,
        **expected(outcome.leaderboard),
    }


def expected(found: Leaderboard) -> dict[str, Any]:
    """What the leaderboard is to say, as plain values for JSON."""
    return {
        "expected": {name: asdict(part) for name, part in found.parts.items()},
        "expected_from": found.folds,
        "expected_moves": [asdict(move) for move in found.moves],
        "expected_notes": found.notes,
        "train_test_auc": found.auc,
    }


def decisions(outcome: Outcome) -> dict[str, Any]:
    """What is done to predictions before they are written, and what it is worth."""
    decided = outcome.decided
    return {
        "applied": decided.chosen,
        "fitted": {} if decided.decision is None else decided.decision.as_dict(),
        "form": outcome.form.kind,
        "effect": finite(decided.effect.difference),
        "interval_95": [finite(decided.effect.low), finite(decided.effect.high)],
        "without_one_fold": decided.nested,
        "score_holds_choice": decided.with_choice,
        "candidates": tried(decided.lines),
    }


def tried(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The decisions that were tried, as plain values for JSON."""
    return [
        {
            "name": line.name,
            "fitted": line.detail,
            "effect": finite(line.effect.difference),
            "error": finite(line.effect.error),
            "interval_95": [finite(line.effect.low), finite(line.effect.high)],
            "applied": line.applied,
            "why": line.why,
        }
        for line in lines
    ]


def members_used(
    manifests: Sequence[Mapping[str, Any]], lines: Sequence[Any]
) -> list[dict[str, Any]]:
    """The members of a blend, each with name, weight and score, and where they came from, as plain
    values for JSON."""
    return [
        {
            "name": line.name,
            "weight": line.weight,
            "oof_score": line.score,
            "recipe": manifest.get("recipe"),
            **audited(manifest),
            "seeds": manifest["seeds"],
            "parts": manifest["parts"],
        }
        for manifest, line in zip(manifests, lines, strict=True)
    ]


def provenance(made: BuiltSubmission, message: str, root: Path) -> dict[str, Any]:
    """Where a submission came from, as plain values for JSON."""
    outcome, assessment = made.outcome, made.outcome.assessment
    return {
        "competition": outcome.competition.name,
        "message": message,
        "method": assessment.method,
        "requested": assessment.requested,
        "asked": {name: value for name, value in asdict(made.asked).items() if name not in NAMED},
        "members": members_used(outcome.members.manifests, assessment.members),
        "blend": assessment.blend.details(),
        "form": outcome.form.kind,
        "decisions": decisions(outcome),
        "passport": outcome.passport,
        "rows": outcome.rows,
        "scores": scores(outcome),
        "config": as_dict(outcome.competition),
        "files": digests(outcome.competition, root),
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def audited(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit said of a team-mate's run; {} for a run of our own."""
    team = origin_of(manifest)
    if team is None:
        return {}
    doubts = [{"kind": each.kind, "says": each.says} for each in doubts_of(manifest)]
    told = {"verdict": standing(manifest), "doubts": doubts}
    return {"audit": told | {"warnings": remarks_of(manifest), "power": seen_by_audit(manifest)}}
