"""What each student learns from: its fold's rows with softened labels, and rows without labels.

Nothing that a student of fold j is told comes from a label of fold j:

    training rows    answered by learners of neither the row's fold nor j (`Pair`)
    unlabelled rows  answered by the learners of fold j, which saw no label of j
    the blend        of both, fitted without fold j, as for the ensemble's own honest score

The out-of-fold predictions that lie there would cost nothing and leak: the learner that answers
about a training row saw the labels of fold j (`pipeline.models.teaching.settings.Teacher`). So
would the mean of all learners about unlabelled rows.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.base import Competition, Paths
from pipeline.base.leases import lease
from pipeline.base.paths import Part, Workspace
from pipeline.data import Table
from pipeline.data.join import Order
from pipeline.data.table import concatenate
from pipeline.data.tables import fold_columns
from pipeline.ensemble import Outcome
from pipeline.ensemble.honest import AUTO, Nest
from pipeline.ensemble.predictor import Predictor, RowFeatures, Rows, about_rows
from pipeline.folds import Folds
from pipeline.models.learner import Watch
from pipeline.models.recipes import further_columns
from pipeline.models.teaching.learner import joined_rows, softened, within
from pipeline.models.teaching.stages import Stages
from pipeline.oof.manifest import parts_of
from pipeline.oof.predictions import read_fold
from pipeline.submissions.build import fitted_of
from pipeline.training.jobs import Job


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


# What learners say of training rows that saw neither the row nor the fold of the student.
#
# A student of fold j may not learn from a learner that saw labels of fold j, and a row of fold i is
# not answered by a learner that saw the row. So the row is answered by a learner of all folds but i
# and j. It answers the rows of j for the student of i as well: K (K - 1) / 2 learners of each
# teacher's recipe, where inner folds in every fold would take K (K - 1).
#
# Their answers are kept under runs/COMP/.teachers, found again by all that they were trained under,
# so that another student of the same teachers costs no further training.


FOLDER = ".teachers"


class Pair(NamedTuple):
    """Two folds that a learner is trained without."""

    first: int
    second: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"without-{self.first}-and-{self.second}"


def pairs_of(count: int) -> list[Pair]:
    """All pairs of *count* folds.

    >>> [pair.name for pair in pairs_of(3)]
    ['without-0-and-1', 'without-0-and-2', 'without-1-and-2']
    """
    return [Pair(*both) for both in itertools.combinations(range(count), 2)]


def nested_answers(
    jobs: Iterator[Job], folds: Folds, watch: Callable[[Job, Pair], Watch]
) -> list[np.ndarray]:
    """Of each teacher's job (K, n, k) float32: for the student of a fold, what is said of each row
    of the other folds; NaN for the rows of the fold itself.

    *folds* has one repeat, and knows which extra rows a fold may use.
    """
    return [_of_one(job, folds, watch) for job in jobs]


def _of_one(job: Job, folds: Folds, watch: Callable[[Job, Pair], Watch]) -> np.ndarray:
    fold_of_row, k = folds.fold_of_row[0], len(job.competition.outputs)
    found = np.full((folds.count, len(fold_of_row), k), np.nan, dtype=np.float32)
    train = job.tables.train
    for pair in pairs_of(folds.count):
        asked = np.isin(fold_of_row, pair)
        said = _answered(job, folds, pair, train.rows(asked), watch(job, pair))
        of_rows = np.full((len(fold_of_row), k), np.nan, dtype=np.float32)
        of_rows[asked] = said
        for student, row_fold in (pair, pair[::-1]):
            here = fold_of_row == row_fold
            found[student, here] = of_rows[here]
    return found


def _answered(job: Job, folds: Folds, pair: Pair, asked: Table, watch: Watch) -> np.ndarray:
    """(len(asked), k) by a learner without the folds of *pair*, trained now or before."""
    seed = next(iter(job.seeds))
    space = _space(job, seed, pair)
    hidden = frozenset(further_columns(job.recipe)) - frozenset(fold_columns(job.competition))
    with lease(space.lease, f"{pair.name} of {job.run}") as held:
        stages = Stages(
            competition=job.competition,
            hidden=hidden,
            seed=seed,
            workspace=Workspace(space.folder, space.fingerprint, held.check),
            watch=watch,
            rate_scale=1.0,
        )
        place = pair.first * folds.count + pair.second
        return stages.ask(pair.name, job.factory, training_rows(job, folds, pair), asked, place)


def _space(job: Job, seed: int, pair: Pair) -> Workspace:
    """Where a learner of the pair is trained, under a fingerprint of all that it depends on."""
    own = job.workspace(Part(seed, 0, pair.first)).fingerprint
    digest = hashlib.sha256(f"{own} {pair.name}".encode()).hexdigest()
    return Workspace(job.paths.workspaces / FOLDER / Path(job.run).name, digest)


def training_rows(job: Job, folds: Folds, outside: Sequence[int]) -> Table:
    """The rows, extra ones too, that a learner of no fold of *outside* may see."""
    train = job.tables.train.rows(~np.isin(folds.fold_of_row[0], outside))
    allowed = [folds.extra_rows(0, fold) for fold in outside]
    if job.tables.extra is None or not allowed or allowed[0] is None:
        return train
    both = np.all([each for each in allowed if each is not None], axis=0)
    return concatenate(train, job.tables.extra.rows(both))
