"""What one run is asked to do, and the settings that make its predictions comparable."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.base import Competition, Paths
from pipeline.base.config import as_dict, flat, short
from pipeline.base.paths import Part, Workspace
from pipeline.base.stopping import STOP, Stop
from pipeline.data import Table, Tables
from pipeline.folds import Folds
from pipeline.models import Recipe
from pipeline.models.learner import LearnerFactory
from pipeline.models.recipes import as_values
from pipeline.oof.manifest import HARMLESS, MANNER, SAME
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.options import OnNan

# How a run behaves when things go wrong: fixed once for all its folds.


@dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """Nothing in here changes a prediction of a training that goes well."""

    on_nan: OnNan = "stop"
    """stop: end with exit code 6. rollback: back to the start of the epoch with half the rate.
    skip-fold: go on with the other folds."""
    checkpoint_seconds: float = 600.0
    """A checkpoint is written this often; 0 for after every step."""
    min_free_bytes: int = 0
    """To be left free on every disk that is written to."""
    deterministic: bool = False
    """On a GPU, only algorithms that give the same bits every time."""
    stop: Stop = field(default=STOP)
    """Asked at every step boundary whether to end."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model on one competition's frozen folds."""

    run: str
    """Names the run's folders."""
    competition: Competition
    recipe: Recipe
    tables: Tables
    folds: Folds
    factory: LearnerFactory
    paths: Paths
    seeds: Sequence[int]
    keep_weights: bool = True
    policy: FailurePolicy = field(default_factory=FailurePolicy)
    notes: tuple[str, ...] = ()
    """What a person should know before it is trained."""

    def parts(self, seeds: Sequence[int] | None = None) -> Iterator[Part]:
        """Every training of the run, fold by fold."""
        for seed in self.seeds if seeds is None else seeds:
            for repeat in range(len(self.folds.fold_of_row)):
                for fold in range(self.folds.count):
                    yield Part(seed, repeat, fold)

    def predictions(self, part: Part) -> Path:
        """The .npz of a part; its manifest lies beside it as .json."""
        return self.paths.fold_predictions(self.run, *part)

    def workspace(self, part: Part) -> Workspace:
        """Where a part is trained."""
        content = json.dumps([*part, self._made_from])
        fingerprint = hashlib.sha256(content.encode()).hexdigest()
        return Workspace(self.paths.fold_workspace(self.run, *part), fingerprint)

    @cached_property
    def _made_from(self) -> dict[str, Any]:
        """All that a training depends on: settings, and the files behind their names."""
        table, facts = flat(self.settings), self.factory.facts()
        settings = {key: table[key] for key in sorted(table.keys() - HARMLESS)}
        rows = {"train_rows": rows_digest(self.tables.train)}  # their order too: plans are by place
        return settings | rows | {key: facts.get(key) for key in SAME}

    def checkpoints_of(self, part: Part) -> Checkpoints:
        """The states a part's training can go on from."""
        return Checkpoints(self.workspace(part), self.policy.on_nan == "rollback")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that the predictions of a part depend on, beside its seed."""
        return {
            "recipe": {
                key: value for key, value in as_values(self.recipe).items() if key != "source"
            },
            "passport": self.folds.digest,
            "task": as_dict(self.competition.task),
            "columns": as_dict(self.competition.columns),
            "test_rows": rows_digest(self.tables.test),
            "extra_rows": rows_digest(self.tables.extra),
            "holdout_rows": rows_digest(self.tables.holdout),
        }


def rows_digest(table: Table | None) -> str | None:
    """SHA-256 over ids, texts, features and targets in their order; None for no table."""
    if table is None:
        return None
    digest = hashlib.sha256()
    further = [*table.features.values(), *table.marked.values()]
    for column in (table.ids, *table.texts.T, *further):
        digest.update(json.dumps(column.tolist(), ensure_ascii=True).encode())
    if table.targets is not None:
        digest.update(table.targets.tobytes())
    return digest.hexdigest()


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The settings that differ, as "recipe.epochs: 3 before, 2 now".

    Those that leave predictions, or their meaning, as they are do not count.

    >>> differences({"recipe": {"epochs": 3}}, {"recipe": {"epochs": 2}})
    ['recipe.epochs: 3 before, 2 now']
    """
    first, second = flat(before), flat(now)
    return [
        f"{key}: {short(first.get(key))} before, {short(second.get(key))} now"
        for key in sorted(first.keys() | second.keys())
        if key not in HARMLESS | MANNER and first.get(key) != second.get(key)
    ]
