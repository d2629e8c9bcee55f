"""What the teaching of a run stands on: recipes of teachers, and rows without labels.

All is checked before anything is trained; `pipeline.models.teaching` does the rest.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import Competition, DataError, Paths, UsageError, raise_if
from pipeline.data import Table, Tables
from pipeline.data.table import missing_columns
from pipeline.data.tables import fold_columns, frame_of, row_ids, view_columns
from pipeline.data.template import marked_texts, with_fields
from pipeline.metrics.label_doubt import check_library
from pipeline.models import Recipe
from pipeline.models.learner import LearnerFactory
from pipeline.models.recipes import as_values, find, further_columns
from pipeline.models.registry import LEARNERS
from pipeline.models.teaching.learner import Help, TaughtFactory
from pipeline.models.teaching.settings import TEACHING, Taught
from pipeline.problems.problem import Problem

TEST = "test"


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """A factory whose learners are taught, and what of it is not in the recipe."""

    factory: LearnerFactory
    settings: dict[str, Any] = field(default_factory=dict)
    """What predictions depend on beside the recipe: those of teachers, a digest of rows."""
    notes: tuple[str, ...] = ()
    """What a person should know."""


def taught(
    recipe: Recipe,
    competition: Competition,
    factory: LearnerFactory,
    paths: Paths,
    tables: Tables,
    make: Callable[[Recipe], LearnerFactory],
    digest: Callable[[Table], str | None],
) -> Teaching:
    """*factory*, or around it one whose learners are taught as *recipe* asks.

    *make* makes the factory of a teacher's recipe, *digest* is that of rows. Raises UsageError,
    DataError or ArtifactError where something that is asked for cannot be.
    """
    if not isinstance(recipe, Taught) or not recipe.teaching:
        return Teaching(factory=factory)
    raise_if([*_problems(recipe, competition), *_first_problems(recipe, tables)], UsageError)
    if recipe.noise is not None:
        check_library(competition.task.problem_type)
    models = {each.model: find(each.model, paths.root) for each in recipe.teachers if each.model}
    models = {name: _untaught(found) for name, found in models.items()}
    unlabelled = None
    if recipe.pseudo is not None:
        unlabelled = unlabelled_rows(recipe.pseudo.rows, competition, tables, paths.root)
    settings: dict[str, Any] = {
        "models": {name: _settings(found) for name, found in models.items()},
        "rows": None if unlabelled is None else digest(unlabelled),
    }
    help_ = Help(
        competition=competition,
        recipe=recipe,
        hidden=frozenset(further_columns(recipe)) - frozenset(fold_columns(competition)),
        factories={name: make(found) for name, found in models.items()},
        unlabelled=unlabelled,
        extra=frozenset() if tables.extra is None else frozenset(tables.extra.ids.tolist()),
    )
    return Teaching(
        factory=TaughtFactory(factory, help_),
        settings={name: value for name, value in settings.items() if value},
        notes=tuple(_notes(recipe, unlabelled)),
    )


def _problems(recipe: Taught, competition: Competition) -> Iterator[str]:
    """What of the teaching does not fit the problem or the learner."""
    problem, name = competition.task.problem_type, recipe.name  # type: ignore[attr-defined]
    learner = recipe.learner  # type: ignore[attr-defined]
    kind, asked = LEARNERS[learner], ", ".join(recipe.teaching)
    if problem.units:
        yield f"{asked}: rows of {problem.described} are not taught; take it out of {name}"
        return
    if recipe.noise is not None and recipe.noise.action == "down-weight" and not kind.weighs:
        can = ", ".join(name for name, each in LEARNERS.items() if each.weighs)
        yield (
            f"noise.action down-weight: learner {learner} lets all rows count alike. Set "
            f"noise.action to drop or relabel; those that weigh rows: {can}"
        )
    soft = recipe.distil is not None or (
        recipe.pseudo is not None and recipe.pseudo.labels == "soft"
    )
    if soft:
        which = "distil" if recipe.distil is not None else "pseudo.labels soft"
        for line in soft_problems(which, learner, problem):
            yield f"{line}; pseudo.labels may be hard, too"


def soft_problems(which: str, learner: str, problem: Problem) -> Iterator[str]:
    """What is wrong where *learner* is to learn soft labels, which are asked for by *which*."""
    if not LEARNERS[learner].soft and problem.target_kind not in ("numbers", "shares"):
        can = ", ".join(name for name, each in LEARNERS.items() if each.soft)
        yield (
            f"{which}: learner {learner} learns no soft labels of a {problem.name} problem. "
            f"Those that do: {can}"
        )


def _first_problems(recipe: Any, tables: Tables) -> Iterator[str]:
    """What keeps a first stage from being trained."""
    if recipe.first is None:
        return
    learner = recipe.learner
    if not LEARNERS[learner].starts:
        can = ", ".join(name for name, each in LEARNERS.items() if each.starts)
        yield f"first: learner {learner} cannot start from weights; those that can: {can}"
    elif further_columns(recipe):
        yield "first: not together with auxiliary or contrast, whose outputs differ by stage"
    elif tables.extra is None:
        yield (
            "first: the config has no data.extra_train. Name there the files, with the columns of "
            "train, that the first stage learns from"
        )


def _untaught(recipe: Recipe) -> Recipe:
    """A teacher's recipe, without teachers of its own."""
    if not isinstance(recipe, Taught):
        return recipe
    plain: Any = replace(recipe, **dict.fromkeys(TEACHING))
    return plain


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in as_values(recipe).items() if key != "source"}


def unlabelled_rows(
    name: str, competition: Competition, tables: Tables, root: Path, setting: str = "pseudo.rows"
) -> Table:
    """The rows to learn without labels: *name* is test, or a file below *root* with the text
    columns of the competition; their ids are told apart from those of other rows. *setting* is
    what names them, for messages."""
    table = replace(tables.test) if name == TEST else _file(name, competition, root, setting)
    if not len(table):
        raise DataError(f"{setting}: {table.source} has no rows")
    ids = np.array([f"{table.source}:{each}" for each in table.ids.tolist()], dtype=object)
    return replace(table, ids=ids)


def _file(name: str, competition: Competition, root: Path, setting: str) -> Table:
    if not (root / name).is_file():
        raise UsageError(f"{setting}: there is no file {root / name}; expected test, or a file")
    columns = competition.columns
    read = frame_of(name, competition, root, "test")
    raise_if([*read.problems], DataError)
    assert read.value is not None
    needed = [*columns.texts, *fold_columns(competition), *view_columns(columns)]
    frame = with_fields(read.value, needed)
    if problems := missing_columns(frame, needed):
        raise DataError(f"{setting}: {name}: {'; '.join(problems)}")
    numbered = columns.id not in frame.columns
    ids = np.array([str(row) for row in range(1, len(frame) + 1)], object)
    ids = ids if numbered else row_ids(frame, columns.id, name)
    marked, problems = marked_texts(frame, columns.entities, ids)
    raise_if(problems, DataError, f"{setting}: {name}")
    return Table(
        ids=ids,
        texts=frame[columns.texts].to_numpy(dtype=object),
        features={each: frame[each].to_numpy(dtype=object) for each in fold_columns(competition)},
        marked=marked,
        source=name,
    )


def _notes(recipe: Taught, unlabelled: Table | None) -> Iterator[str]:
    """What a person should know before it is trained."""
    if recipe.pseudo is not None and recipe.pseudo.rows == TEST and unlabelled is not None:
        yield (
            f"it learns from the texts of the {len(unlabelled):,} test rows, with labels of its "
            "own: not every competition's rules allow that"
        )
    for teacher in recipe.teachers:
        whose = teacher.model or "the recipe itself"
        yield f"teachers: {whose}, {teacher.folds} inner folds in every fold"
