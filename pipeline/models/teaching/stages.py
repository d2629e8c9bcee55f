"""What learners that did not see a row say of it: the stages before a fold's own training.

A stage is one learner, fitted and asked; what it says is kept beside its checkpoints, so a killed
fold goes on in the stage that it was in, and ends with the same bytes.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Competition, DataError
from pipeline.base.command import STOP
from pipeline.base.errors import DivergedError
from pipeline.base.fault_injection import reach
from pipeline.base.files import commit_arrays, commit_json, read_arrays, read_json
from pipeline.base.paths import Workspace
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.folds.recipe import groups_of
from pipeline.folds.splitter import assign, strata
from pipeline.models.learner import LearnerFactory, Watch


class StageWatch:
    """Says which stage a phase belongs to."""

    def __init__(self, watch: Watch, stage: str) -> None:
        self.watch, self.stage = watch, stage

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """With the stage in front."""
        self.watch.phase(f"{self.stage}: {name}", total, done, per_epoch)

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """As it is."""
        self.watch.advance(steps, rows, tokens)

    def event(self, what: str, message: str, **facts: Any) -> None:
        """With the stage in front."""
        self.watch.event(what, f"{self.stage}: {message}", **facts)


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of one fold's training."""

    competition: Competition
    hidden: frozenset[str]
    """Further columns of training rows, which are taken away before rows are predicted."""
    seed: int
    workspace: Workspace
    watch: Watch
    rate_scale: float

    def ask(
        self, name: str, factory: LearnerFactory, train: Table, asked: Table, place: int
    ) -> np.ndarray:
        """(len(asked), k) float32: what a fresh learner, fitted on *train*, says of *asked*.

        Raises DivergedError where it came to NaN; the stage then begins anew.
        """
        space = self.workspace.stage(name)
        if (kept := _kept(space, len(asked))) is not None:
            return kept
        watch = StageWatch(self.watch, name.replace("-", " "))
        learner = factory.make(derive_seed(self.seed, "teacher", place))
        try:
            learner.fit(train, space, watch, self.rate_scale)
        except DivergedError:
            shutil.rmtree(space.folder, ignore_errors=True)
            raise
        shown = {key: each for key, each in asked.features.items() if key not in self.hidden}
        bare = replace(asked, targets=None, references=None, features=shown)
        values = np.asarray(learner.predict(bare, watch), dtype=np.float32)
        if not np.isfinite(values).all():
            shutil.rmtree(space.folder, ignore_errors=True)
            raise DivergedError(f"{name} answers NaN or infinity. Try a lower learning_rate.")
        space.check()
        digest = commit_arrays(space.folder / "answers.npz", {"answers": values})
        commit_json(space.folder / "answers.json", {"sha256": digest, "of": space.fingerprint})
        for done in (space.checkpoints, space.weights, space.logs):
            shutil.rmtree(done, ignore_errors=True)
        reach("stage")
        STOP.check()
        return values

    def saved(self, name: str, factory: LearnerFactory, train: Table) -> Path:
        """Where a learner, fitted on *train*, is saved; it is trained where it is not there."""
        space = self.workspace.stage(name)
        if not _there(space):
            learner = factory.make(derive_seed(self.seed, name))
            try:
                learner.fit(train, space, StageWatch(self.watch, f"{name} stage"), self.rate_scale)
            except DivergedError:
                shutil.rmtree(space.folder, ignore_errors=True)
                raise
            space.check()
            learner.save(space.weights)
            commit_json(space.trained, {"settings": space.fingerprint})
            shutil.rmtree(space.checkpoints, ignore_errors=True)
            reach("stage")
            STOP.check()
        return space.weights

    def out_of_fold(self, name: str, factory: LearnerFactory, train: Table, K: int) -> np.ndarray:
        """(n, k) float32: each row of *train* by a learner of the other inner folds, of *K*."""
        fold_of_row = self._inner_folds(train, K)
        parts = [
            (held := fold_of_row == fold, self._of_one(name, factory, train, held, fold, K))
            for fold in range(K)
        ]
        answers = np.empty((len(train), parts[0][1].shape[1]), dtype=np.float32)
        for held, values in parts:
            answers[held] = values
        return answers

    def _of_one(
        self, name: str, factory: LearnerFactory, train: Table, held: np.ndarray, fold: int, K: int
    ) -> np.ndarray:
        where = f"{name}-{fold + 1}-of-{K}"
        return self.ask(where, factory, train.rows(~held), train.rows(held), fold)

    def _inner_folds(self, train: Table, K: int) -> np.ndarray:
        """(n,) the inner fold of each row: rows stay together and are spread as in the folds."""
        there = [name for name in self.competition.folds.group_columns if name in train.features]
        by = [name for name in self.competition.folds.stratify_by if name in train.features]
        folds = replace(
            self.competition.folds,
            group_columns=there,
            stratify_by=by,
            count=K,
            seed=derive_seed(self.seed, "inner folds") % 2**31,
        )
        groups = groups_of(train, folds)
        if groups.max() + 1 < K:
            raise DataError(
                f"the {len(train)} rows of a training part form {groups.max() + 1} groups of rows "
                f"that stay together, fewer than the {K} inner folds; set teacher.folds lower"
            )
        stratum = strata(train, self.competition.task.problem, folds)
        return assign(stratum, groups, K, folds.seed)


def _there(space: Workspace) -> bool:
    """Whether the stage's learner was saved under these settings."""
    try:
        return read_json(space.trained).get("settings") == space.fingerprint
    except ArtifactError:
        return False


def _kept(space: Workspace, rows: int) -> np.ndarray | None:
    """What the stage has answered before; None where it has not, or not under these settings."""
    try:
        said = read_json(space.folder / "answers.json")
        if said.get("of") != space.fingerprint:
            return None
        found = read_arrays(space.folder / "answers.npz", expected_sha256=str(said.get("sha256")))
    except ArtifactError:
        return None
    values = found["answers"]
    return values if len(values) == rows else None
