"""From finished runs of texts to the bytes of a submission, and where they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import Competition, Paths, UsageError
from pipeline.base.config import as_dict
from pipeline.data import Table, load
from pipeline.data.candidates import Candidates
from pipeline.data.sample import Sample
from pipeline.ensemble.decisions.choose import NOTHING
from pipeline.ensemble.honest import Gain
from pipeline.ensemble.texts.nest import TextNest
from pipeline.ensemble.texts.outcome import (
    FittedTexts,
    Interval,
    MemberLine,
    TextOutcome,
    Told,
    check_method,
    conclude_texts,
    silent,
)
from pipeline.folds.frozen import read_frozen
from pipeline.metrics import get_metric
from pipeline.oof.predictions import Wanted
from pipeline.oof.texts import read_text_members
from pipeline.problems.form import Form
from pipeline.submissions.build import (
    NAMED,
    BuildRequest,
    expected,
    finite,
    members_used,
    tried,
)
from pipeline.submissions.submission_file import build, check, digests, versions


@dataclass(frozen=True, kw_only=True, eq=False)
class BuiltTexts:
    """An assessed blend of texts and its file."""

    asked: BuildRequest
    outcome: TextOutcome
    content: bytes
    """The submission's bytes."""

    @property
    def method(self) -> str:
        """Of the blend."""
        return self.outcome.method

    @property
    def weights(self) -> dict[str, float]:
        """Of the members, by name."""
        return {line.name: line.weight for line in self.outcome.members}

    @property
    def decision(self) -> str:
        """What is decided about the length of texts."""
        return self.outcome.decided

    @property
    def lines(self) -> Sequence[MemberLine]:
        """The members."""
        return self.outcome.members

    @property
    def nest(self) -> TextNest:
        """The fits of its methods."""
        return self.outcome.nest

    @property
    def truth(self) -> np.ndarray:
        """(n,) the references of each row, in the order of the frozen folds."""
        return self.outcome.truth

    @property
    def honest(self) -> np.ndarray:
        """(n,) the text of each row by what was fitted and chosen without its fold."""
        return self.outcome.predicted

    @property
    def errors(self) -> np.ndarray:
        """(n,) by how much each of those, scored alone, is short of a perfect score."""
        score = self.outcome.metric.formula.texts
        assert score is not None, "a metric of texts"
        return self.outcome.metric.best - score.alone(self.truth, self.honest)

    @property
    def fitted(self) -> FittedTexts:
        """What of it makes answers of new rows."""
        return self.outcome.fitted

    @property
    def said(self) -> list[list[Candidates]]:
        """(M,) of each learner the candidates of the test rows."""
        return [run.test for run in self.outcome.runs]


def fill_table(
    fitted: FittedTexts,
    competition: Competition,
    table: Table,
    sample: Sample,
    members: Sequence[Sequence[Candidates]],
    apart: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """As `built.fill_any`; each of the M *members* has said a set of candidates by each learner."""
    said = fitted.chosen(members, competition)
    return fill_texts(fitted.form, competition, table.ids.tolist(), sample, said)


def fill_texts(
    form: Form, competition: Competition, ids: Sequence[str], sample: Sample, said: np.ndarray
) -> bytes:
    """The submission's bytes of the texts *said* (m,); DataError where the ids are not those of
    the *sample*, or a text is empty."""
    task = competition.task
    check(ids, sample.ids.tolist(), said)
    return build(sample, ids, task.problem_type.texts(form, task, said, (0, 0)))


def make_texts(
    root: Path,
    competition: Competition,
    asked: BuildRequest,
    notes: Sequence[str] = (),
    told: Told = silent,
) -> BuiltTexts:
    """Read everything, compare, fit, choose and score; *notes* are told on the page."""
    check_method(asked.method)
    if asked.slice_by:
        raise UsageError("--slice-by: texts are blended with the same weights in all rows")
    paths = Paths(root, competition.name)
    task = competition.task
    metric = get_metric(task.metric, task, paths.root)
    tables = load(competition, paths.root)
    form = task.problem_type.form(task, competition.columns.targets, metric.needs, tables.sample)
    folds = read_frozen(competition, paths, tables.train)
    nobody = tables.test.ids[:0]
    holdout = tables.holdout
    wanted = Wanted.of(folds.ids, tables.test.ids, nobody if holdout is None else holdout.ids)
    outcome = conclude_texts(
        competition,
        metric,
        tables.train,
        folds,
        read_text_members(paths, asked.runs, folds, competition.outputs, wanted),
        asked.method,
        form,
        test=tables.test,
        holdout=holdout,
        notes=[*tables.notes, *notes],
        cache=paths.workspaces / ".utilities",
        told=told,
    )
    content = fill_texts(form, competition, tables.test.ids.tolist(), tables.sample, outcome.test)
    return BuiltTexts(asked=asked, outcome=outcome, content=content)


def interval(found: Interval) -> dict[str, Any]:
    """As plain values."""
    return {"score": finite(found.score), "interval_95": [finite(found.low), finite(found.high)]}


def gained(gain: Gain) -> dict[str, Any]:
    """As plain values."""
    ends = [finite(gain.low), finite(gain.high)]
    return {"gain": finite(gain.difference), "interval_95": ends}


def text_scores(outcome: TextOutcome) -> dict[str, Any]:
    """The scores, as plain values for JSON."""
    return {
        "metric": outcome.metric.name,
        "honest": None if outcome.doubts else outcome.honest,
        "claimed": outcome.honest if outcome.doubts else None,
        "honest_interval_95": [finite(outcome.interval.low), finite(outcome.interval.high)],
        "doubts": [
            {"run": run, "kind": each.kind, "says": each.says} for run, each in outcome.doubts
        ],
        "warnings": [{"run": run, "says": says} for run, says in outcome.warnings],
        "in_sample": outcome.in_sample,
        "gain_over_best_single": finite(outcome.over_single.difference),
        "interval_95": [finite(outcome.over_single.low), finite(outcome.over_single.high)],
        "verdict": outcome.verdict,
        "holdout": outcome.holdout,
        "others": {
            name: {"blend": interval(blend), "best_single": interval(single)}
            for name, (blend, single) in outcome.others.items()
        },
        **expected(outcome.leaderboard),
    }


def text_decisions(outcome: TextOutcome) -> dict[str, Any]:
    """What is decided about the length of texts, as plain values for JSON."""
    return {
        "applied": outcome.decided,
        "fitted": outcome.blend.decision if outcome.decided != NOTHING else {},
        "candidates": tried(outcome.decisions),
    }


def text_provenance(made: BuiltTexts, message: str, root: Path) -> dict[str, Any]:
    """Where a submission came from, as plain values for JSON."""
    outcome = made.outcome
    return {
        "competition": outcome.competition.name,
        "message": message,
        "method": outcome.method,
        "requested": outcome.requested,
        "asked": {name: value for name, value in asdict(made.asked).items() if name not in NAMED},
        "members": members_used(outcome.manifests, outcome.members),
        "blend": outcome.blend.details(),
        "decisions": text_decisions(outcome),
        "form": outcome.form.kind,
        "passport": outcome.passport,
        "rows": outcome.rows,
        "scores": text_scores(outcome),
        "config": as_dict(outcome.competition),
        "files": digests(outcome.competition, root),
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
