"""What the report is made of: read once, when a page first asks for it.

Whatever is missing raises the error that its own command would end with, each time it is asked for:
the page that needs it says so, the others are made.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.base import Competition, Paths, UsageError, read_json
from pipeline.base.errors import PipelineError
from pipeline.data import Table, Tables, load
from pipeline.ensemble import Outcome
from pipeline.ensemble.texts.outcome import TextOutcome
from pipeline.folds import Folds
from pipeline.folds.frozen import read_frozen
from pipeline.metrics import Metric, metric_of
from pipeline.oof.predictions import complete_runs
from pipeline.oof.runs import find_runs
from pipeline.setup.detection.tags import by_documents, of_units
from pipeline.setup.inspection.inspect import Inspection, look
from pipeline.submissions.build import BuildRequest
from pipeline.submissions.built import Built, make_any
from pipeline.team import CompetitionView

Value = TypeVar("Value")


class Disk:
    """One competition as it lies under *root*."""

    def __init__(self, competition: Competition, root: Path) -> None:
        self.competition, self.root = competition, root
        self.paths = Paths(root, competition.name)
        self._kept: dict[str, Any] = {}

    @cached_property
    def metric(self) -> Metric:
        """The competition's."""
        return metric_of(self.competition, self.root)

    @cached_property
    def tables(self) -> Tables:
        """The checked files."""
        return load(self.competition, self.root)

    @property
    def folds(self) -> Folds:
        """The frozen folds; ArtifactError where there are none."""
        return self._once(
            "folds", lambda: read_frozen(self.competition, self.paths, self.tables.train)
        )

    def folds_of(self, documents: Table) -> Folds:
        """The same of *documents*, whose units the rows are."""
        return read_frozen(self.competition, self.paths, documents)

    @cached_property
    def train(self) -> Table:
        """The training rows in the order of the folds."""
        return self.tables.train.in_order(self.folds.ids)

    @cached_property
    def seen(self) -> Inspection:
        """What `pipeline.init` sees."""
        found = look(*by_documents(self.competition, self.tables), self.root)
        return of_units(found, self.competition, self.tables, self.root)

    @property
    def shape(self) -> str:
        """What rows are, for what is shown of them: numbers, texts or documents."""
        kind = self.competition.task.problem_type
        return "documents" if kind.units else kind.predictions

    @property
    def contest(self) -> CompetitionView:
        """What runs are held against."""
        return self._once(
            "contest",
            lambda: CompetitionView(
                competition=self.competition,
                metric=self.metric,
                tables=self.tables,
                folds=self.folds,
                digests=read_json(self.paths.passport)["digests"],
            ),
        )

    @cached_property
    def complete(self) -> list[str]:
        """The complete runs."""
        return complete_runs(self.paths.runs)

    @property
    def made(self) -> Built:
        """The ensemble of all complete runs, as `pipeline.ensemble` makes it now."""
        return self._once("made", self._make)

    @property
    def outcome(self) -> Outcome:
        """All that was found of it, of numbers."""
        found = self.made.outcome
        assert isinstance(found, Outcome), "asked where answers are texts"
        return found

    @property
    def texts(self) -> TextOutcome:
        """The same of texts."""
        found = self.made.outcome
        assert isinstance(found, TextOutcome), "asked where answers are numbers"
        return found

    def _make(self) -> Built:
        train = "python -m pipeline.cv --model NAME"
        runs, notes = find_runs(self.paths, [], False, self.competition.folds, train)
        return make_any(self.root, self.competition, BuildRequest(runs=runs), notes)

    @property
    def honest(self) -> np.ndarray:
        """(n, k) honest out-of-fold predictions of the ensemble, before decisions."""
        outcome = self.outcome
        rows, predicted = outcome.evidence.predict(outcome.assessment.honest_blends)
        full = np.full((len(outcome.evidence.truth), predicted.shape[1]), np.nan)
        full[rows] = predicted
        return full

    def _once(self, name: str, make: Callable[[], Value]) -> Value:
        """What *make* gives, or the error it ends with: made once."""
        if name not in self._kept:
            try:
                self._kept[name] = make()
            except PipelineError as error:
                self._kept[name] = error
        found = self._kept[name]
        if isinstance(found, PipelineError):
            raise found
        value: Value = found
        return value

    def need_files(self) -> None:
        """Raise DataError or UsageError where the competition itself cannot be read or shown."""
        _ = self.tables, self.metric

    def need_runs(self) -> None:
        """Raise UsageError where no run has been trained."""
        if not self.complete:
            raise UsageError(
                "no run is complete yet. Train one: python -m pipeline.cv --model NAME"
            )
