"""What a team-mate's file is held against: today's rows, labels, folds and metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.base import Competition, Paths, read_json
from pipeline.data import Tables, load
from pipeline.folds import Folds
from pipeline.folds.frozen import read_frozen
from pipeline.metrics import Metric, get_metric
from pipeline.problems.problem import Problem

PARTS = ("train", "test", "holdout")


@dataclass(frozen=True, eq=False)
class CompetitionView:
    """One competition with everything frozen."""

    competition: Competition
    metric: Metric
    tables: Tables
    folds: Folds
    digests: Mapping[str, str]
    """What the passport's digest was made from: of texts, labels and folds."""

    @cached_property
    def ids(self) -> dict[str, np.ndarray]:
        """Part (train, test, holdout) -> its ids, in the order of its table."""
        holdout = self.tables.holdout
        return {
            "train": self.folds.ids,
            "test": self.tables.test.ids,
            "holdout": self.tables.test.ids[:0] if holdout is None else holdout.ids,
        }

    @cached_property
    def truth(self) -> np.ndarray:
        """(n, k) targets of train, (n, 1) class numbers for multiclass."""
        train = self.tables.train.in_order(self.folds.ids)
        assert train.targets is not None
        return train.targets

    @property
    def holdout_truth(self) -> np.ndarray | None:
        """(h, k) targets of the holdout; None where there is none."""
        return None if self.tables.holdout is None else self.tables.holdout.targets

    @property
    def problem(self) -> str:
        """Its name: regression, binary, multiclass or multilabel."""
        return self.competition.task.problem

    @property
    def kind(self) -> Problem:
        """The problem type."""
        return self.competition.task.problem_type


# From a config to the contest that files are held against.


def load_contest(competition: Competition, root: Path) -> tuple[Paths, CompetitionView]:
    """Read tables, frozen folds and passport; see `load` and `read_frozen` for what they raise."""
    paths = Paths(root, competition.name)
    tables = load(competition, root)
    contest = CompetitionView(
        competition=competition,
        metric=get_metric(competition.task.metric, competition.task, root),
        tables=tables,
        folds=read_frozen(competition, paths, tables.train),
        digests=read_json(paths.passport)["digests"],
    )
    return paths, contest
