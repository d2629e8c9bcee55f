"""What one run is asked to do, the settings that make its predictions comparable, and the way from
the options of `pipeline.cv` to the jobs it trains."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.base import Competition, Paths, UsageError
from pipeline.base.config import as_dict, flat, short
from pipeline.base.cores import wait_asleep
from pipeline.base.doors import load as load_object
from pipeline.base.paths import Part, Workspace
from pipeline.data import Table, Tables
from pipeline.data.template import view_of
from pipeline.folds import Folds
from pipeline.models import Recipe
from pipeline.models.clean import SeenFactory, libraries_of
from pipeline.models.learner import Engine, Learner, LearnerFactory
from pipeline.models.recipes import (
    as_values,
    find,
    row_steps_of,
    template_of,
    tta_steps_of,
)
from pipeline.models.registry import LEARNERS
from pipeline.models.row_transforms.transform import (
    Place,
    Step,
    record_of,
    steps_of,
)
from pipeline.oof.manifest import HARMLESS, MANNER, SAME
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.options import FailurePolicy

if TYPE_CHECKING:
    from jsonargparse import Namespace


class LearnersOfOthers(Protocol):
    """Makes a part's learner of those of finished runs: `training.averaging`."""

    def learner(self, job: "Job", part: Part, workspace: Workspace) -> Learner:
        """The one that answers test and new rows, kept as trained ones are."""

    def speaker(
        self, job: "Job", part: Part, workspace: Workspace, name: str, learner: Learner
    ) -> Learner:
        """Who answers the rows called *name*: the *learner*, or another."""


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
    home: Path | None = None
    """The competition's root, where that of *paths* is another: a trial's."""
    teaching: Mapping[str, Any] = field(default_factory=dict)
    """What predictions depend on beside the recipe where rows are taught (`training.teachers`)."""
    averaging: "LearnersOfOthers | None" = None
    """Where the learners are not trained but made of those of finished runs."""
    lessons: Callable[[Part, Table], Table] | None = None
    """A part and its training rows -> the rows that its learner is fitted on, where others teach it
    (`pipeline.distil`); *teaching* says by what."""

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
        return Workspace(
            self.paths.fold_workspace(self.run, *part), fingerprint(part, self._made_from)
        )

    @cached_property
    def _made_from(self) -> dict[str, Any]:
        return made_from(self.settings, self.factory.facts(), self.tables.train)

    def checkpoints_of(self, part: Part) -> Checkpoints:
        """The states a part's training can go on from."""
        return Checkpoints(self.workspace(part), self.policy.on_nan == "rollback")

    @cached_property
    def row_steps(self) -> list[Step]:
        """What is made of the training rows of each fold."""
        return steps_of(row_steps_of(self.recipe))

    @cached_property
    def tta_steps(self) -> list[Step]:
        """The other wordings of a row that are predicted too."""
        return steps_of(tta_steps_of(self.recipe))

    @property
    def root(self) -> Path:
        """Relative paths of files start there."""
        return self.home or self.paths.root

    @property
    def place(self) -> Place:
        """Where that is done."""
        return Place(competition=self.competition, root=self.root)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that the predictions of a part depend on, beside its seed."""
        steps = record_of(self.row_steps, self.root)
        wordings = record_of(self.tta_steps, self.root)
        libraries = libraries_of(self.recipe.clean)
        return {
            **shared_settings(self.competition, self.folds, self.tables),
            "recipe": settings_of(self.recipe),
            **({"teaching": dict(self.teaching)} if self.teaching else {}),
            **({"row_transforms": steps} if steps else {}),
            **({"tta": wordings} if wordings else {}),
            **({"text_transforms": libraries} if libraries else {}),
        }


def made_from(
    settings: Mapping[str, Any], facts: Mapping[str, Any], train: Table
) -> dict[str, Any]:
    """All that a training depends on: *settings*, the *facts* of its factory about the files behind
    their names, and the rows of *train*, their order too: plans are by place."""
    table = flat(dict(settings))
    kept = {key: table[key] for key in sorted(table.keys() - HARMLESS)}
    rows = {"train_rows": rows_digest(train)}
    return kept | rows | {key: facts.get(key) for key in SAME}


def fingerprint(part: Part, made: Mapping[str, Any]) -> str:
    """SHA-256 of what a part is trained under, *made* by `made_from`."""
    return hashlib.sha256(json.dumps([*part, made]).encode()).hexdigest()


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The settings of *recipe* that its predictions depend on."""
    return {key: value for key, value in as_values(recipe).items() if key != "source"}


def shared_settings(competition: Competition, folds: Folds, tables: Tables) -> dict[str, Any]:
    """What the predictions of all recipes on these *tables* depend on."""
    return {
        "passport": folds.digest,
        "task": as_dict(competition.task),
        "columns": as_dict(competition.columns),
        "test_rows": rows_digest(tables.test),
        "extra_rows": rows_digest(tables.extra),
        "holdout_rows": rows_digest(tables.holdout),
    }


def rows_digest(table: Table | None) -> str | None:
    """SHA-256 over ids, texts, features and targets in their order; None for no table."""
    if table is None:
        return None
    digest = hashlib.sha256()
    further = [*table.features.values(), *table.marked.values()]
    for column in (table.ids, *table.texts.T, *further):
        digest.update(json.dumps(column.tolist(), ensure_ascii=True).encode())
    if table.units is not None and table.units.asked is not None:
        asked = table.units.asked[table.units.first]
        digest.update(json.dumps(asked.tolist(), ensure_ascii=True).encode())
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


# From a recipe to the factory of its learners. torch is loaded only for those that need it.


def check_weights(recipe: Recipe) -> None:
    """Raise at once, before anything is trained, where the recipe's weights cannot be had."""
    if check := LEARNERS[recipe.learner].weights:
        load_object(check)(recipe)


def check_kind(recipe: Recipe, competition: Competition) -> None:
    """Raise UsageError where the recipe's learner cannot learn such a problem."""
    problem = competition.task.problem_type
    if LEARNERS[recipe.learner].factory_for(problem):
        return
    fit = [name for name, each in LEARNERS.items() if each.factory_for(problem)]
    raise UsageError(
        f"the recipe {recipe.name} is for learner {recipe.learner}, which does not learn "
        f"{problem.described}. Learners that do: {', '.join(fit)}; for a first run take "
        f"--model {problem.first_recipe}"
    )


def make_factory(
    recipe: Recipe,
    competition: Competition,
    policy: FailurePolicy,
    tokens: Path | None = None,
    fitter: Callable[[Any], Any] | None = None,
) -> LearnerFactory:
    """The factory for *recipe*; raises UsageError or BusyError where its weights are not there.

    *tokens* is the folder of the token stores; without it they stay in memory. *fitter*, as in
    `pipeline.models.learner.Engine`: what runs a torch module; Lightning by default.
    """
    kind = LEARNERS[recipe.learner]
    check_kind(recipe, competition)
    if kind.torch:
        wait_asleep()  # heeded only where torch is not loaded yet

    def by_lightning(hardware: Any) -> Any:
        from pipeline.training.lightning.trainer import FoldFitter

        return FoldFitter(hardware, policy)

    where = kind.factory_for(competition.task.problem_type)
    view = view_of(competition.columns, template_of(recipe))
    run = fitter or by_lightning
    engine = Engine(tokens=tokens, deterministic=policy.deterministic, fitter=run)
    factory: LearnerFactory = load_object(where)(recipe, competition, engine)
    return SeenFactory(factory, recipe.clean, view) if recipe.clean or view else factory


def recipes_of(args: "Namespace") -> dict[str, Recipe]:
    """The recipes asked for, by name; raises where one does not exist or its weights do not."""
    root = Path(args.root)
    found = [find(model, root, args.set or []) for model in args.model]
    for recipe in found:
        check_weights(recipe)
    return {recipe.name: recipe for recipe in found}


def models_of(args: "Namespace") -> dict[str, str]:
    """What --model calls each recipe, by the recipe's name."""
    root = Path(args.root)
    return {find(model, root, args.set or []).name: model for model in args.model}


def planned(recipe: Recipe, elsewhere: bool) -> Recipe:
    """*recipe* as this machine can make it; where it is trained *elsewhere*, the precision asked
    for need not be possible here."""
    anywhere = {"precision": "auto"} if "precision" in recipe.__dataclass_fields__ else {}
    return replace(recipe, **anywhere) if elsewhere else recipe
