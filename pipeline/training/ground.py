"""From the options of `pipeline.cv` to the jobs that it trains: what they share is read once."""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, Paths, UsageError, read_json
from pipeline.base.config import as_dict
from pipeline.data import Tables, load
from pipeline.data.units import documents
from pipeline.folds import Folds
from pipeline.folds.frozen import frozen
from pipeline.folds.relation import questions
from pipeline.metrics import metric_of
from pipeline.models import Recipe
from pipeline.models.clean import libraries_of
from pipeline.models.recipes import (
    YOUNGER,
    as_begun,
    as_values,
    further_columns,
    row_steps_of,
    tta_steps_of,
)
from pipeline.models.registry import LEARNERS
from pipeline.models.row_transforms.transform import (
    Place,
    check_steps,
    check_tta,
    steps_of,
)
from pipeline.submissions.submission_file import try_submission
from pipeline.training.averaging import Averaged, averaged
from pipeline.training.jobs import (
    Job,
    make_factory,
    planned,
    recipes_of,
    rows_digest,
    settings_of,
    shared_settings,
)
from pipeline.training.options import FailurePolicy, policy_of
from pipeline.training.teachers import taught

if TYPE_CHECKING:
    from jsonargparse import Namespace


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the jobs of one competition share: its tables, its frozen folds, how trouble is met."""

    args: "Namespace"
    """As the command was asked, for its seeds, and what becomes of earlier folds and of weights."""
    competition: Competition
    policy: FailurePolicy
    tables: Tables
    folds: Folds
    _wider: dict[str, Tables] = field(default_factory=dict, repr=False)
    _settled: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _made: dict[str, Averaged] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, args: "Namespace", competition: Competition) -> "Ground":
        """Read the tables, and freeze the folds where that has not been done."""
        policy, root = policy_of(args), Path(args.root)
        tables = load(competition, root)
        metric = metric_of(competition, root)
        try_submission(competition, tables, metric)
        paths = Paths(root, competition.name)
        folds = frozen_folds(competition, paths, tables, keep=not args.dry_run)
        asked = _questions(competition, tables, folds)
        folds = replace(folds, notes=(*folds.notes, *asked))
        return cls(args=args, competition=competition, policy=policy, tables=tables, folds=folds)

    @property
    def root(self) -> Path:
        """The root of the competition's files."""
        return Path(self.args.root)

    def tables_for(self, recipe: Recipe) -> Tables:
        """The tables with what *recipe* learns from beside texts and targets, read once."""
        if not (columns := further_columns(recipe)):
            return self.tables
        key = json.dumps(columns)
        if key not in self._wider:
            self._wider[key] = load(self.competition, self.root, columns)
        return self._wider[key]

    def settings_of(self, recipe: Recipe) -> dict[str, Any]:
        """Of `Job.settings`, what is known without the job: not its teachers, nor the files that
        its rows are made with."""
        tables, key = self.tables_for(recipe), json.dumps(further_columns(recipe))
        if key not in self._settled:
            self._settled[key] = shared_settings(self.competition, self.folds, tables)
        return self._settled[key] | {"recipe": settings_of(self.made_of(recipe).recipe)}

    def made_of(self, recipe: Recipe) -> Averaged:
        """*recipe*, with the runs that it averages where it does, read once."""
        key = json.dumps(as_values(recipe), sort_keys=True)
        if key not in self._made:
            home = Paths(self.root, self.competition.name)
            self._made[key] = averaged(
                recipe,
                self.competition,
                home,
                self.folds,
                lambda each: self.tables_for(each).train,
            )
        return self._made[key]

    def job(self, found: Recipe, into: str = ".") -> Job:
        """The job that trains the recipe *found*; its files lie below the folder *into* of the
        root. Whoever asks for it closes its factory."""
        args, competition, policy, name = self.args, self.competition, self.policy, found.name
        check_rows(found, competition, self.root)
        home, paths = (Paths(self.root / each, competition.name) for each in (".", into))
        tokens = None if args.dry_run else home.tokens
        recipe = found if args.fresh and not args.only_fold else _as_begun(paths, found)
        made = self.made_of(recipe)
        recipe = made.recipe
        tables, seeds, notes = self.tables_for(found), sorted(set(args.seed)), list[str]()
        teaching = taught(
            recipe,
            competition,
            make_factory(planned(recipe, bool(args.cluster)), competition, policy, tokens),
            home,
            tables,
            lambda each: make_factory(each, competition, policy, tokens),
            rows_digest,
        )
        factory = teaching.factory
        if made.averaging is None and recipe != found:
            old = {key: as_dict(recipe)[key] for key in YOUNGER if key in as_dict(recipe)}
            settings = ", ".join(f"{key} {value}" for key, value in old.items() if value)
            notes += [f"it was begun by an earlier release and goes on so: {settings}"]
        drawn = any(step.transform.seeds_matter for step in steps_of(row_steps_of(recipe)))
        if not drawn and not factory.seeds_matter(self.tables.train):
            seeds = _one_seed(seeds, begun_seeds(paths, name))
            if seeds != sorted(set(args.seed)):
                notes.append(f"every seed gives the same bytes: seed {seeds[0]} stands for all")
        return Job(
            run=name,
            competition=competition,
            recipe=recipe,
            tables=tables,
            folds=self.folds,
            factory=factory,
            paths=paths,
            seeds=seeds,
            keep_weights=not args.no_weights,
            policy=policy,
            notes=(*notes, *made.notes, *teaching.notes),
            home=self.root,
            teaching=teaching.settings | made.settings,
            averaging=made.averaging,
        )


def check_rows(recipe: Recipe, competition: Competition, root: Path) -> None:
    """Raise UsageError where what *recipe* makes of rows cannot be made, or not by its learner."""
    libraries_of(recipe.clean)
    place = Place(competition=competition, root=root)
    steps = steps_of(row_steps_of(recipe))
    check_steps("rows", steps, place)
    check_tta("tta", steps_of(tta_steps_of(recipe)), place)
    if steps and (beside := list(getattr(recipe, "teaching", {}))):
        raise UsageError(
            f"rows beside {', '.join(beside)} in {recipe.name}: a teacher asks about the rows "
            "of the fold, and rows made of them would be on both sides; leave one out"
        )
    if not LEARNERS[recipe.learner].weighs and any(each.transform.weighs for each in steps):
        raise UsageError(
            f"rows: the learner {recipe.learner} of {recipe.name} counts all rows alike; take "
            "under-sample, or copies of rows, in place of weight"
        )


def jobs_of(args: "Namespace", competition: Competition) -> Iterator[Job]:
    """One job per model. Every recipe is looked up, and the folds are frozen, before the first is
    yielded; weights are loaded one model at a time."""
    recipes = recipes_of(args)
    for recipe in recipes.values():
        check_rows(recipe, competition, Path(args.root))
    ground = Ground.of(args, competition)
    for recipe in recipes.values():
        ground.tables_for(recipe)
    for recipe in recipes.values():
        job = ground.job(recipe, args.into)
        yield job
        job.factory.close()  # before the next model is loaded


def _questions(competition: Competition, tables: Tables, folds: Folds) -> list[str]:
    """What to ask about how held-out rows, or documents, stand to their training part."""
    train = documents(tables.train, competition.task)
    test, fold_of_row = documents(tables.test, competition.task), folds.fold_of_row
    if tables.train.units is not None:
        fold_of_row = fold_of_row[:, tables.train.units.first]
    return questions(train, test, fold_of_row, competition.folds)


def _as_begun(paths: Paths, recipe: Recipe) -> Recipe:
    """*recipe*, as an earlier release read it where that has begun the run."""
    for seed in begun_seeds(paths, recipe.name):
        for fold in sorted(paths.run(recipe.name).glob(f"seed-{seed}/*.json")):
            return as_begun(recipe, read_json(fold).get("settings", {}).get("recipe", {}))
    return recipe


def begun_seeds(paths: Paths, run: str) -> list[int]:
    """Seeds of which a fold is there, ascending."""
    named = (
        re.fullmatch(r"seed-(-?\d+)", path.parent.name)
        for path in paths.run(run).glob("seed-*/*.json")
    )
    return sorted({int(name[1]) for name in named if name})


def _one_seed(asked: list[int], begun: list[int]) -> list[int]:
    """Which seed is trained where all give the same: one that was begun, else the first.

    >>> _one_seed([1, 2, 3], []), _one_seed([1, 2], [2, 7]), _one_seed([43], [42])
    ([1], [2], [42])
    """
    return ([seed for seed in begun if seed in asked] or begun or asked)[:1]


def frozen_folds(competition: Competition, paths: Paths, tables: Tables, keep: bool) -> Folds:
    """The frozen folds; where there are none and *keep* is false, those that would be frozen."""
    if keep or paths.passport.exists():
        return frozen(competition, paths, tables.train, tables.extra)
    own_file = competition.folds.file
    absolute = None if own_file is None else str((paths.root / own_file).absolute())
    trial = replace(competition, folds=replace(competition.folds, file=absolute))
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = Paths(Path(folder), competition.name)
        return frozen(trial, elsewhere, tables.train, tables.extra)
