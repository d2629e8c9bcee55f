"""A student beside the ensemble that taught it: score, size and speed, all on this machine."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base import Competition
from pipeline.data import Table
from pipeline.ensemble import Gain
from pipeline.ensemble.decisions.choose import Judge
from pipeline.models.learner import Silent
from pipeline.submissions.build import BuildRequest, BuiltSubmission, make
from pipeline.training.fold import predict_bare
from pipeline.training.new_rows import SavedRun

ROWS = 256
"""Of the test file, that are predicted to tell the speed."""
TIMES = 2
"""The quicker of so many passes counts: the first one also fills caches."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Honest scores of the student and of another, each with the decisions of its own."""

    name: str
    honest: float | None
    gain: Gain
    """Of the student over it, above 0 is better, with its 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What answering takes."""

    learners: int
    bytes: int
    """Of the saved learners."""
    row_seconds: float

    @property
    def rows_per_second(self) -> float:
        """On this machine."""
        return 1 / self.row_seconds


def alone(root: Path, competition: Competition, run: str) -> BuiltSubmission:
    """The submission of one run by itself."""
    return make(root, competition, BuildRequest(runs=[run], method="best"))


def compared(student: BuiltSubmission, other: BuiltSubmission, name: str) -> Compared:
    """*student* beside *other*, on the same rows and draws."""
    outcome, nest = other.outcome, other.outcome.assessment.nest
    draws = nest.draws(nest.evidence.folds)
    judge = Judge(outcome.metric, nest.evidence.problem, nest.evidence.truth, draws)
    gain = judge.gain(student.outcome.decided.predicted, outcome.decided.predicted)
    return Compared(name=name, honest=outcome.honest, gain=gain)


def cost_of(runs: Iterable[SavedRun], test: Table, most: int | None = None) -> Cost:
    """Load learners of *runs*, *most* of each, and let them predict rows of *test*."""
    some = test.rows(np.arange(len(test)) < ROWS)
    learners, size, seconds = 0, 0, 0.0
    for saved in runs:
        for part in saved.parts[:most]:
            weights = saved.weights(part)
            learner = saved.factory.load(weights)
            passes = []
            for _ in range(TIMES):
                began = time.perf_counter()
                predict_bare(saved, learner, some, Silent())
                passes.append(time.perf_counter() - began)
            learners += 1
            size += sum(each.stat().st_size for each in weights.rglob("*") if each.is_file())
            seconds += min(passes)
    return Cost(learners=learners, bytes=size, row_seconds=seconds / len(some))
