"""From finished runs to the bytes of a submission: one path for writing a file and for making it
again.

Whatever a file was made from goes in by arguments, so a config that has changed since, or runs that
were added, cannot get into a rebuilt file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.config import Competition
from pipeline.base.paths import Paths
from pipeline.data.sample import Sample
from pipeline.data.tables import load
from pipeline.ensemble.outcome import Outcome, conclude
from pipeline.ensemble.predictor import Rows
from pipeline.folds.frozen import read_frozen
from pipeline.metrics.metric import get_metric
from pipeline.oof.members import read_members
from pipeline.submissions.submission_file import build, check


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
    def honest(self) -> np.ndarray:
        """(n, k) each row predicted, and decided, by what was fitted and chosen without its fold.

        Rows are in the order of the frozen folds, as in `outcome.evidence`.
        """
        return self.outcome.decided.predicted


def make(
    root: Path, competition: Competition, asked: BuildRequest, notes: Sequence[str] = ()
) -> BuiltSubmission:
    """Read everything, fit, choose and score; *notes* are told on the page."""
    paths = Paths(root, competition.name)
    metric = get_metric(competition.task.metric, competition.task, paths.root)
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
        members,
        asked.method,
        form,
        test=tables.test,
        holdout=holdout,
        slice_by=asked.slice_by,
        notes=[*tables.notes, *notes],
    )
    content = fill(outcome, tables.test.ids.tolist(), tables.sample)
    return BuiltSubmission(asked=asked, outcome=outcome, content=content)


def fill(outcome: Outcome, test_ids: Sequence[str], sample: Sample) -> bytes:
    """The submission's bytes; DataError where the predictions do not fit the sample."""
    task = outcome.competition.task
    rows = Rows(outcome.members.test, outcome.facts)
    predicted = outcome.assessment.blend.predict(rows, task.problem)
    check(test_ids, sample.ids.tolist(), predicted)
    decided = outcome.decided.apply(predicted)
    limits = task.label_range or outcome.seen_range
    texts = task.problem_type.texts(outcome.form, task, decided, limits)
    return build(sample, test_ids, texts)
