"""What learners say of training rows that saw neither the row nor the fold of the student.

A student of fold j may not learn from a learner that saw labels of fold j, and a row of fold i is
not answered by a learner that saw the row. So the row is answered by a learner of all folds but i
and j. It answers the rows of j for the student of i as well: K (K - 1) / 2 learners of each
teacher's recipe, where inner folds in every fold would take K (K - 1).

Their answers are kept under runs/COMP/.teachers, found again by all that they were trained under,
so that another student of the same teachers costs no further training.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.base.leases import lease
from pipeline.base.paths import Part, Workspace
from pipeline.data import Table
from pipeline.data.table import concatenate
from pipeline.data.tables import fold_columns
from pipeline.folds import Folds
from pipeline.models.learner import Watch
from pipeline.models.recipes import further_columns
from pipeline.models.teaching.stages import Stages
from pipeline.training.jobs import Job

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
