"""From finished runs and a recipe to the job that trains a student on every fold.

The job is one of `pipeline.training` like any other: the same folds, files, checkpoints and
fingerprints. What it has beside its recipe are `lessons`, and in its settings what they are from.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import Paths, UsageError, raise_if
from pipeline.base.paths import safe_name
from pipeline.data import Table
from pipeline.data.table import concatenate
from pipeline.distil.lessons import (
    FOLDER,
    Lessons,
    Pair,
    about_training_rows,
    about_unlabelled,
    blends_without_each_fold,
    nested_answers,
    pairs_of,
    test_answers,
)
from pipeline.ensemble import Outcome
from pipeline.models import Recipe
from pipeline.models.recipes import find, row_steps_of
from pipeline.models.registry import LEARNERS
from pipeline.oof import origin_of
from pipeline.oof.manifest import read_manifest
from pipeline.oof.runs import find_runs
from pipeline.submissions.build import BuildRequest, BuiltSubmission, make
from pipeline.training import Job
from pipeline.training.ground import Ground
from pipeline.training.jobs import check_weights, rows_digest
from pipeline.training.new_rows import (
    NewRows,
    by_members,
    jobs_again,
    lacking,
    of_each_fold,
    saved_run,
    teaching_of,
)
from pipeline.training.progress import Preparing
from pipeline.training.teachers import TEST, soft_problems, unlabelled_rows

if TYPE_CHECKING:
    from rich.console import Console

NONE = "none"
"""As --rows or --teachers: none at all."""
ALL = "all"
TAUGHT = "distilled"
"""In the settings of a student's folds: what it was taught by."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person asks for."""

    student: str
    """As --model names a recipe."""
    overrides: Sequence[str] = ()
    runs: Sequence[str] = ()
    """Of the ensemble; none for all that are complete and our own."""
    method: str = "auto"
    rows: str = TEST
    """Unlabelled rows: test, a file below the root, or none."""
    teachers: Sequence[str] = ()
    """Runs whose recipes answer about training rows; `all`, `none`; empty for those without
    torch."""
    weight: float = 0.5


def student_recipe(asked: Asked, ground: Ground) -> Recipe:
    """The student's recipe, still under its own name; UsageError where it cannot be taught."""
    recipe = find(asked.student, ground.root, asked.overrides)
    check_weights(recipe)
    competition, problems = ground.competition, list[str]()
    if not 0 < asked.weight <= 1:
        problems.append(f"--weight {asked.weight:g}: it must be above 0, at most 1")
    if len(ground.folds.fold_of_row) > 1:
        problems.append(
            f"folds.repeats is {len(ground.folds.fold_of_row)}: a student is taught on folds "
            "without repeats"
        )
    if own := [*getattr(recipe, "teaching", {}), *(["rows"] if row_steps_of(recipe) else [])]:
        problems.append(
            f"{recipe.name} has {', '.join(own)} already: rows that are taught twice, or made of "
            "others, have no answer of their own. Leave it out"
        )
    if not LEARNERS[recipe.learner].fitted:
        problems.append(
            f"--student {recipe.name}: it is made of the learners of finished runs, and learns "
            "nothing. Name a recipe that is trained"
        )
    elif competition.task.problem_type.learnt_as != "rows":
        described = competition.task.problem_type.described
        problems.append(f"rows of {described} are not taught: a student is of whole rows")
    else:
        problems += soft_problems("--student", recipe.learner, competition.task.problem_type)
    raise_if(problems, UsageError)
    return recipe


def ensemble_to_learn_from(asked: Asked, ground: Ground) -> tuple[BuiltSubmission, list[str]]:
    """The ensemble, and notes about runs that were left out: students and team-mates' files."""
    paths, competition = _paths(ground), ground.competition
    train = "python -m pipeline.cv --model linear"
    names, notes = find_runs(paths, asked.runs, False, competition.folds, train, asked.method)
    kept = []
    for name in names:
        manifest = read_manifest(paths.run(name))
        if origin_of(manifest) is not None:
            why = "a team-mate's file: its learners of single folds are not here"
        elif not LEARNERS[manifest["recipe"]["learner"]].fitted:
            why = "it is made of other runs' learners, and cannot be trained without a fold"
        elif not asked.runs and TAUGHT in teaching_of(paths, manifest):
            why = "it is a student itself; --runs takes it"
        else:
            kept.append(name)
            continue
        notes.append(f"{name} left out: {why}")
    if not kept:
        why = "".join(f"\n  - {note}" for note in notes)
        raise UsageError(f"there is no run of our own to learn from. Train one first: {train}{why}")
    return make(ground.root, competition, BuildRequest(runs=kept, method=asked.method)), notes


def _paths(ground: Ground) -> Paths:
    return Paths(ground.root, ground.competition.name)


def teachers_of(asked: Asked, outcome: Outcome, folds: int) -> list[str]:
    """Names of the members that answer about training rows, in their order."""
    names = outcome.members.names
    given = list(asked.teachers)
    if given == [NONE] or (folds < 3 and not given):
        return []
    if folds < 3:
        raise UsageError(
            f"--teachers: of {folds} folds none is left to train a teacher on without two. "
            f"--teachers {NONE} learns from unlabelled rows alone"
        )
    if given == [ALL]:
        return list(names)
    if unknown := [name for name in given if name not in names]:
        raise UsageError(
            f"--teachers {' '.join(unknown)}: not in the ensemble, which has {', '.join(names)}"
        )
    if given:
        return [name for name in names if name in given]
    recipes = {each["name"]: each["recipe"]["learner"] for each in outcome.members.manifests}
    return [name for name in names if not LEARNERS[recipes[name]].torch]


@dataclass(frozen=True, kw_only=True, eq=False)
class Student:
    """The job of a student, and where its lessons are from."""

    job: Job
    made: BuiltSubmission
    teachers: list[str]
    lessons: Callable[[], Lessons]
    """Made by the first call, with all the trainings that they take."""


def student_of(
    asked: Asked, ground: Ground, recipe: Recipe, made: BuiltSubmission, console: "Console"
) -> Student:
    """The student's job; UsageError where nothing is left to learn from."""
    outcome, competition = made.outcome, ground.competition
    teachers = teachers_of(asked, outcome, ground.folds.count)
    unlabelled = None
    if asked.rows != NONE:
        unlabelled = unlabelled_rows(asked.rows, competition, ground.tables, ground.root, "--rows")
    if unlabelled is None and not teachers:
        raise UsageError(
            "there is nothing to learn from but the labels: name rows without labels (--rows test, "
            "or a file), or --teachers, members that answer about training rows"
        )
    runs = {each["name"]: _digest(each["parts"]) for each in outcome.members.manifests}
    told = {"method": asked.method, "weight": asked.weight, "teachers": teachers}
    settings = {TAUGHT: {"runs": runs, "rows": rows_digest(unlabelled), **told}}
    name = _digest([sorted(runs), asked.rows, told])
    named = replace(recipe, name=f"{safe_name(recipe.name)}-{TAUGHT}-{name[:6]}")

    @cache
    def lessons() -> Lessons:
        said = None
        if unlabelled is not None:
            said = _of_rows(asked, ground, outcome, unlabelled, console)
        return Lessons(
            competition=competition,
            folds=ground.folds,
            weight=asked.weight,
            answers=_of_training_rows(ground, outcome, teachers, console),
            unlabelled=unlabelled,
            said=said,
        )

    job = ground.job(named)
    notes = (*job.notes, *_notes(asked, outcome, teachers, unlabelled))
    job = replace(
        job,
        lessons=lambda part, train: lessons()(part, train),
        teaching=settings,
        notes=notes,
    )
    return Student(job=job, made=made, teachers=teachers, lessons=lessons)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _of_training_rows(
    ground: Ground, outcome: Outcome, teachers: Sequence[str], console: "Console"
) -> np.ndarray | None:
    """(K, n, k), in the order of the training rows; None without *teachers*."""
    if not teachers:
        return None
    manifests = [each for each in outcome.members.manifests if each["name"] in teachers]

    def prepared() -> Iterator[Job]:
        for job in jobs_again(ground.root, ground.competition, manifests):
            job.factory.prepare(job.tables.all, Preparing(job.run, console))
            count = len(pairs_of(ground.folds.count))
            console.print(f"{job.run}: taught by {count} learners, each without two folds")
            yield replace(job, policy=ground.policy)

    def watch(job: Job, pair: Pair) -> Preparing:
        return Preparing(f"{job.run} {pair.name}", console)

    nested = nested_answers(prepared(), ground.folds, watch)
    return about_training_rows(outcome, teachers, nested)


def _of_rows(
    asked: Asked, ground: Ground, outcome: Outcome, table: Table, console: "Console"
) -> np.ndarray:
    """(K, m, k) of the unlabelled rows of *table*."""
    manifests, paths = outcome.members.manifests, _paths(ground)
    if asked.rows == TEST:
        test = ground.tables.test
        return about_unlabelled(
            outcome, [test_answers(paths, each, test) for each in manifests], table
        )
    gone = [f"{each['name']}: {why}" for each in manifests if (why := lacking(paths, each))]
    raise_if(gone, UsageError, "--rows: members cannot answer new rows; leave them out of --runs")
    kept = paths.workspaces / FOLDER / f"rows-{str(rows_digest(table))[:12]}"
    rows = NewRows(table=table, kept=kept)
    found = []
    for job, manifest in zip(
        jobs_again(ground.root, ground.competition, manifests), manifests, strict=True
    ):
        saved = saved_run(job, manifest)
        by_members([saved], rows, console)
        found.append({fold: each for (_, fold), each in of_each_fold(saved, rows).items()})
    return about_unlabelled(outcome, found, table)


def _notes(
    asked: Asked, outcome: Outcome, teachers: Sequence[str], unlabelled: Table | None
) -> Iterator[str]:
    """What a person should know before it is trained."""
    rest = [name for name in outcome.members.names if name not in teachers]
    if teachers and rest:
        yield (
            f"training rows are answered by {', '.join(teachers)} alone; --teachers {ALL} trains "
            f"{', '.join(rest)} without every two folds, too"
        )
    if not teachers:
        yield (
            "training rows keep their labels: no member answers about them. --teachers names those "
            "that are trained without every two folds for it"
        )
    if asked.rows == TEST and unlabelled is not None:
        yield (
            f"it learns from the texts of the {len(unlabelled):,} test rows, with the ensemble's "
            f"answers: not every competition's rules allow that (--rows {NONE} leaves them)"
        )


def all_rows(student: Student) -> Table:
    """What a student learns from that is handed on: all rows of train, and the unlabelled ones.

    Its score is that of the folds' students. Rows of train are mixed with the teachers'
    out-of-fold answers, none of which saw its row; no row is held out whose label they could tell.
    """
    job, outcome, lessons = student.job, student.made.outcome, student.lessons()
    train, answers = job.tables.train, None
    if student.teachers:
        blends = blends_without_each_fold(outcome, student.teachers)
        evidence = outcome.assessment.nest.evidence
        part = evidence.keep([evidence.names.index(name) for name in student.teachers])
        rows, raw = part.predict(blends)
        answers = np.empty_like(raw)
        answers[rows] = raw
    if job.tables.extra is not None:
        train = concatenate(train, job.tables.extra)
    said = None if lessons.said is None else lessons.said.mean(axis=0)
    return lessons.taught(train, answers, said)
