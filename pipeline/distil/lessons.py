"""What each student learns from: its fold's rows with softened labels, and rows without labels.

Nothing that a student of fold j is told comes from a label of fold j:

    training rows    answered by learners of neither the row's fold nor j (`pairs`)
    unlabelled rows  answered by the learners of fold j, which saw no label of j
    the blend        of both, fitted without fold j, as for the ensemble's own honest score

The out-of-fold predictions that lie there would cost nothing and leak: the learner that answers
about a training row saw the labels of fold j (`pipeline.models.teaching.settings.Teacher`). So
would the mean of all learners about unlabelled rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.base import Competition, Paths
from pipeline.base.paths import Part
from pipeline.data import Table
from pipeline.data.join import Order
from pipeline.ensemble import Outcome
from pipeline.ensemble.honest import AUTO, Nest
from pipeline.ensemble.predictor import Predictor, RowFeatures, Rows, about_rows
from pipeline.folds import Folds
from pipeline.models.teaching.learner import joined_rows, softened, within
from pipeline.oof.manifest import parts_of
from pipeline.oof.predictions import read_fold
from pipeline.submissions.build import fitted_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Lessons:
    """Called with a part and its training rows; gives the rows that its student is fitted on."""

    competition: Competition
    folds: Folds
    weight: float
    """Of an answer about a row with a label, in (0, 1]; the label has the rest."""
    answers: np.ndarray | None = None
    """(K, n, k): for the student of a fold, about each training row; NaN: its label alone counts.
    None where no teacher answers about them."""
    unlabelled: Table | None = None
    said: np.ndarray | None = None
    """(K, m, k): for the student of a fold, about the unlabelled rows."""

    def __call__(self, part: Part, train: Table) -> Table:
        """*train*, its labels softened, and the unlabelled rows."""
        own = self.folds.training_rows(0, part.fold)
        answers = None if self.answers is None else self.answers[part.fold][own]
        said = None if self.said is None else self.said[part.fold]
        return self.taught(train, answers, said)

    def taught(self, train: Table, answers: np.ndarray | None, said: np.ndarray | None) -> Table:
        """*train* with *answers* about its first rows (extra rows come after), and the unlabelled
        rows as they are *said* (m, k) to be."""
        task = self.competition.task
        problem = task.problem_type
        if answers is not None:
            extra = np.full((len(train) - len(answers), answers.shape[1]), np.nan)
            told = within(task, np.concatenate([answers, extra]))
            train = softened(problem, train, told, self.weight)
        if said is not None:
            assert self.unlabelled is not None
            more = replace(self.unlabelled, targets=within(task, said).astype(float))
            train = joined_rows(train, more, problem.expand)
        return train


def blends_without_each_fold(outcome: Outcome, names: Sequence[str]) -> dict[int, Predictor]:
    """Fold -> the blend of the members *names*, fitted without it."""
    evidence = outcome.assessment.nest.evidence
    if list(names) == list(evidence.names):
        return outcome.assessment.honest_blends
    part = evidence.keep([evidence.names.index(name) for name in names])
    return Nest(part, outcome.competition.folds.seed).left_out(AUTO, part.folds)


def about_training_rows(
    outcome: Outcome, names: Sequence[str], nested: Sequence[np.ndarray]
) -> np.ndarray:
    """(K, n, k) float32: what the blend of the teachers *names* says, from `pairs.nested_answers`
    of each; NaN for the rows of the student's own fold."""
    blends, problem = blends_without_each_fold(outcome, names), outcome.evidence.problem
    found = np.full(nested[0].shape, np.nan, dtype=np.float32)
    for fold, blend in blends.items():
        rows = np.flatnonzero(np.isfinite(nested[0][fold]).all(axis=1))
        facts = outcome.evidence.facts
        about = None if facts is None else facts.take(rows)
        members = [each[fold][rows].astype(float) for each in nested]
        found[fold, rows] = blend.predict(Rows(members, about), problem)
    return found


def about_unlabelled(
    outcome: Outcome, by_fold: Sequence[Mapping[int, np.ndarray]], table: Table
) -> np.ndarray:
    """(K, m, k) float32: what the blend of all members says of the rows of *table*, each fold's by
    its own learners and its own blend; *by_fold* holds (m, k) for each member and fold."""
    blends, fitted = outcome.assessment.honest_blends, fitted_of(outcome)
    facts: RowFeatures = about_rows(table, fitted.column, fitted.levels)
    said = [
        blends[fold].predict(
            Rows([each[fold] for each in by_fold], facts), outcome.evidence.problem
        )
        for fold in sorted(blends)
    ]
    return np.stack(said).astype(np.float32)


def test_answers(paths: Paths, manifest: Mapping[str, Any], test: Table) -> dict[int, np.ndarray]:
    """Fold -> (m, k) what the fold's learners of a run said of the test rows, the mean over seeds,
    as it lies in oof/."""
    order = Order(test.ids)
    found: dict[int, list[np.ndarray]] = {}
    for part in parts_of(manifest):
        said = read_fold(paths.fold_predictions(manifest["name"], *part))[0]
        found.setdefault(part.fold, []).append(
            order.aligned(said.test, said.test_ids, f"{manifest['name']}: test")
        )
    return {fold: np.stack(each).mean(axis=0, dtype=np.float64) for fold, each in found.items()}
