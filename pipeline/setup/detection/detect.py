"""From a folder of files to the Competition they seem to be, with a reason for every choice.

Whatever cannot be decided is asked for at once, naming the flag and the candidates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base import Competition, DataError, raise_if
from pipeline.base.config import ColumnsConfig, DataConfig, FoldsConfig, TaskConfig
from pipeline.base.inputs import MARKED, JoinConfig, Role
from pipeline.data import id_column_of
from pipeline.data.labels import labelled_rows, one_hot
from pipeline.data.reading.packed import FILE_NAME
from pipeline.data.sample import index_columns
from pipeline.data.table import called_alike
from pipeline.problems.registry import problem_of
from pipeline.setup.detection.choices import (
    Choices,
    Overrides,
    ask_unlabelled,
    find_codes,
    ways_of,
)
from pipeline.setup.detection.columns import (
    ask_beside,
    find_groups,
    find_holdout,
    find_id,
    find_strata,
    mention_others,
    no_ids,
    pairs_of,
)
from pipeline.setup.detection.files import (
    Files,
    find_files,
    role_of,
)
from pipeline.setup.detection.heads import find_heads, heads_classes
from pipeline.setup.detection.inputs import find_entities, find_inputs, opened, say_unused
from pipeline.setup.detection.joins import find_joins, refuse_spans, spelled, wide_sample
from pipeline.setup.detection.joins import widened as with_joins
from pipeline.setup.detection.names import (
    ask_bare_sample,
    ask_names,
    plain_words,
    unseen,
    valued,
)
from pipeline.setup.detection.profile import Profile, find_numbers, profile_of, profiles_of
from pipeline.setup.detection.spans import Spanned, find_spans, span_columns, span_task
from pipeline.setup.detection.tags import Tagged, find_tags, tag_columns, tag_task
from pipeline.setup.detection.target import (
    Answers,
    answers_of,
    find_targets,
    name_column,
    other_form,
    refuse_tags,
)
from pipeline.setup.detection.task import (
    are_shares,
    find_classes,
    find_metric,
    find_problem,
    find_range,
    graded,
    separator_in,
)

__all__ = ["Detected", "Overrides", "detect"]


@dataclass(frozen=True, kw_only=True)
class Detected:
    """What was found."""

    competition: Competition
    reasons: dict[str, str]
    """Field of the config, such as task.metric -> why it has its value."""
    headers: dict[str, list[str]]
    """All column names of "train" and "test"."""

    def with_rare_rows(self) -> "Detected":
        """The same with classes of a single row trained on in every fold."""
        folds = replace(self.competition.folds, rare="train-only")
        why = "A class of a single row cannot be trained on and held out; refuse stops instead."
        return replace(
            self,
            competition=replace(self.competition, folds=folds),
            reasons={**self.reasons, "folds.rare": why},
        )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was read."""

    files: Files
    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame | None
    joined: str
    """A key of the sample, where its keys join ids with names of columns."""
    profiles: dict[str, Profile]
    """Of the columns of train."""
    holdout: dict[Path, pd.DataFrame]
    """Of the files that may be the holdout."""
    joins: list[JoinConfig]
    """Tables beside them; the rows have their columns already."""
    overrides: Overrides
    """Those given, which know how numbers are written."""

    @cached_property
    def in_test(self) -> list[str]:
        """The columns of test, without those that are empty or a mark in every row."""
        return valued(self.profiles, self.test)


def detect(folder: Path, overrides: Overrides, spell: Callable[[Path], str]) -> Detected:
    """Look at the files of *folder*; *spell* writes a path as the config should have it.

    Raises UsageError where it takes flags (all of them at once), DataError where files cannot be
    read or hold token tags.
    """
    choices = Choices()
    seen = _read(find_files(folder, overrides, choices), overrides, choices)
    overrides = seen.overrides
    id_column = find_id(seen.profiles, seen.test, seen.sample, overrides, choices)
    if seen.joined and not overrides.id:
        told = f"The sample's keys join it with the names of columns, as in {seen.joined!r}."
        choices.reasons["columns.id"] = told
    answers = answers_of(seen.sample, id_column, seen.test, no_ids(seen.profiles, seen.test))
    tagged, named_by = _tags(seen, id_column, overrides), ""
    spanned = None if tagged else _spans(seen, id_column, overrides)
    if tagged:
        shared = _shared(seen, id_column, [tagged.target])
        columns = tag_columns(tagged, id_column, shared, choices)
    elif spanned:
        shared = _shared(seen, id_column, spanned.targets)
        columns = span_columns(spanned, id_column, shared, choices)
    else:
        before = dict(choices.reasons)
        columns = _columns(seen, id_column, answers, overrides, choices)
        if named_by := next((join.file for join in seen.joins if join.key in columns.targets), ""):
            seen = _without_names_of_classes(seen, columns.targets)
            choices.reasons = before if seen.joins else {**before, "data.joins": ""}
            columns = _columns(seen, id_column, answers, overrides, choices)
    answers = answers.without_kept(columns.targets)
    strata, groups = _fold_columns(seen, columns, choices)
    holdout = find_holdout(seen.holdout, columns, choices)
    beside = [join.file for join in seen.joins]
    others = [path for path in seen.files.others if str(path) not in beside]
    mention_others(others, columns, overrides, choices)
    ask_beside(len(seen.train), [] if columns.targets else others, overrides, choices)
    labelled = [seen.train, *(seen.holdout[path] for path in holdout)]
    task: TaskConfig | None
    if tagged:
        task = tag_task(labelled, tagged, overrides, choices)
    elif spanned:
        task = span_task(spanned, overrides, choices)
    else:
        task = _task(labelled, columns, answers, folder, named_by, overrides, choices)
    choices.settle()
    assert task is not None, "settled"
    read_from = [*seen.files.tables, *(Path(join.file) for join in seen.joins)]
    encoding, otherwise = ways_of(read_from, overrides, spell, choices)
    return Detected(
        competition=Competition(
            name=overrides.name or folder.resolve().name,
            data=DataConfig(
                train=spell(seen.files.train),
                test=spell(seen.files.test),
                sample_submission=spell(seen.files.sample) if seen.files.sample else "",
                extra_train=[spell(path) for path in seen.files.extra],
                holdout=[spell(path) for path in holdout],
                encoding=encoding,
                short_sample=overrides.short_sample,
                joins=spelled(seen.joins, spell),
                files=otherwise,
            ),
            columns=columns,
            task=task,
            folds=FoldsConfig(
                count=FoldsConfig.count if overrides.folds is None else overrides.folds,
                seed=FoldsConfig.seed if overrides.seed is None else overrides.seed,
                stratify_by=strata,
                group_columns=groups,
            ),
        ),
        reasons=choices.reasons,
        headers={"train": list(seen.profiles), "test": [str(name) for name in seen.test.columns]},
    )


def _read(files: Files, overrides: Overrides, choices: Choices) -> Seen:
    """Read all files; DataError with the problems of all of them."""
    frames, problems = {}, []
    if overrides.names or overrides.skip_broken:
        choices.because("data.files", "Given by --names or --skip-broken.")
    for path in (files.train, files.test, files.sample, *files.holdout, *files.extra):
        try:
            if path:
                frames[path] = overrides.read(path)
        except DataError as error:
            problems.append(str(error).replace("\n", "\n  "))
    raise_if(problems, DataError)
    labelled = {files.train, files.test, *files.holdout}
    ask_names({path: frames[path] for path in frames if path in labelled}, overrides, choices)
    if files.sample:
        both = frames[files.train], frames[files.test]
        ask_bare_sample(files.sample, frames[files.sample], *both, overrides, choices)
    choices.settle()
    given = None if files.sample is None else (files.sample, frames[files.sample])
    rows = {path: frame for path, frame in frames.items() if path != files.sample}
    names = {str(name) for frame in rows.values() for name in frame.columns}
    stay = {name for name in names if plain_words(name)[-1:] == ["id"]} | {*overrides.texts}
    stay |= {overrides.id or "", "" if given is None else id_column_of(given[1], "")}
    overrides = find_numbers(rows, frames[files.test], given, stay, overrides, choices)
    sample, joined = None, ""
    if files.sample:
        sample, joined = wide_sample(frames[files.sample], frames[files.test])
    labelled_in: dict[Role, list[Path]] = {"train": [files.train], "test": [files.test]}
    labelled_in |= {"holdout": list(files.holdout), "extra_train": list(files.extra)}
    for path in {path for paths in labelled_in.values() for path in paths}:
        named = None if sample is None else id_column_of(sample, "")
        frames[path] = frames[path].rename(columns={FILE_NAME: named or "id"})
    others = [(path, role_of(path)) for path in [*files.folders, *files.others]]
    parts = {role: [frames[path] for path in paths] for role, paths in labelled_in.items()}
    joins = [] if overrides.no_joins else find_joins(parts, others, overrides.read, choices)
    wide = {
        path: opened(with_joins(frames[path], role, joins, overrides.read))
        for role, paths in labelled_in.items()
        for path in paths
    }
    train = wide[files.train]
    wide[files.test], _ = called_alike(wide[files.test], list(map(str, train.columns)))
    return Seen(
        files=files,
        train=train,
        test=wide[files.test],
        sample=sample,
        joined=joined,
        profiles={
            name: profile
            for name, profile in profiles_of(train).items()
            if name not in index_columns(train)
        },
        holdout={path: wide[path] for path in files.holdout},
        joins=joins,
        overrides=overrides,
    )


def _without_names_of_classes(seen: Seen, targets: Sequence[str]) -> Seen:
    """*seen* without tables that are joined by a target and name its classes: no input."""
    theirs = [join for join in seen.joins if join.key in targets]
    names = {f"{join.prefix}{name}" for join in theirs for name in join.columns}
    return replace(
        seen,
        joins=[join for join in seen.joins if join not in theirs],
        train=seen.train.drop(columns=[*names]),
        test=seen.test.drop(columns=[*names], errors="ignore"),
        profiles={name: own for name, own in seen.profiles.items() if name not in names},
    )


def _shared(seen: Seen, id_column: str, targets: Sequence[str]) -> dict[str, Profile]:
    """The columns that train and test have, beside the id and the *targets*."""
    return {
        name: profile
        for name, profile in seen.profiles.items()
        if name in seen.in_test and name not in {id_column, *targets}
    }


def _tags(seen: Seen, id_column: str, overrides: Overrides) -> Tagged | None:
    only_train = [name for name in seen.profiles if name not in {*seen.in_test, id_column}]
    return find_tags(seen.train, only_train, list(_shared(seen, id_column, [])), overrides)


def _spans(seen: Seen, id_column: str, overrides: Overrides) -> Spanned | None:
    only_train = [name for name in seen.profiles if name not in {*seen.in_test, id_column}]
    return find_spans(seen.train, only_train, _shared(seen, id_column, []), overrides)


def _columns(
    seen: Seen, id_column: str, answers: Answers, overrides: Overrides, choices: Choices
) -> ColumnsConfig:
    """Which column is what; empty where it takes a flag."""
    only_train = [name for name in seen.profiles if name not in {*seen.in_test, id_column}]
    refuse_spans(seen.train, seen.test, id_column, seen.files.train.name)
    if overrides.problem is None or problem_of(overrides.problem).units:
        refuse_tags(seen.train, only_train, seen.files.train.name)
    targets = find_targets(seen.train, seen.profiles, only_train, answers, overrides, choices)
    shared = _shared(seen, id_column, targets)
    own = seen.profiles.get(id_column)
    if own and own.natural and not any(each.sentence_like for each in shared.values()):
        shared = {id_column: own, **shared}  # rows are named by their texts
    known = [name for name in targets if name in seen.in_test]
    marks = {name for name in shared if unseen(seen.profiles, seen.test, name)}
    asked = {name: targets if name in marks else known for name in shared}
    forms = [name for name in shared if other_form(seen.train, seen.profiles, name, asked[name])]
    shared = {name: profile for name, profile in shared.items() if name not in forms}
    entities = find_entities(seen.train, shared, choices)
    places = [place for each in entities for place in (each.start, each.end)]
    shared = {name: profile for name, profile in shared.items() if name not in places}
    joined = {f"{join.prefix}{name}" for join in seen.joins for name in join.columns}
    inputs = find_inputs(shared, entities, overrides, choices, joined)
    marked = any(MARKED in side for side in inputs.template)
    columns = ColumnsConfig(
        id=id_column,
        texts=inputs.texts or list(shared)[:1] or [id_column],
        targets=targets,
        features=[name for name in shared if name not in (*inputs.texts, id_column)],
        template=inputs.template,
        entities=[each for each in entities if each.text in inputs.texts] if marked else [],
    )
    headers = {"train": list(seen.profiles), "test": [str(name) for name in seen.test.columns]}
    nameless = index_columns(seen.train)
    nothing = [name for name in headers["test"] if name not in {*seen.in_test, *nameless}]
    told = {"Without a value of its own in test": [each for each in nothing if each not in targets]}
    told["The label in another form"] = forms
    say_unused(headers, columns, {**told, "Counts the rows": nameless}, choices)
    return columns


def _fold_columns(
    seen: Seen, columns: ColumnsConfig, choices: Choices
) -> tuple[list[str], list[str]]:
    """Columns to stratify on, and columns that keep rows together."""
    taken = {columns.id, *columns.texts, *columns.targets}
    others = [name for name in seen.profiles if name not in taken]
    groups = find_groups(seen.profiles, seen.test, others, choices)
    return find_strata(seen.profiles, seen.test, columns.features, choices), groups


def _task(
    labelled: Sequence[pd.DataFrame],
    columns: ColumnsConfig,
    answers: Answers,
    folder: Path,
    named_by: str,
    overrides: Overrides,
    choices: Choices,
) -> TaskConfig | None:
    """What is predicted in train, the first *labelled* frame; None where it takes a flag."""
    if not columns.targets:
        return None
    if overrides.unlabelled is not None:
        labelled = [
            frame[labelled_rows(frame, columns.targets, overrides.unlabelled)] for frame in labelled
        ]
        choices.because("task.unlabelled", "Given by --unlabelled.")
    targets = [profile_of(labelled[0][name], name) for name in columns.targets]
    if len(targets) == 1 and ask_unlabelled(
        targets[0].name, targets[0].values, answers.shown, overrides, choices
    ):
        return None
    whole = len(targets) > 2 and not np.isnan(one_hot(labelled[0][columns.targets])).any()
    shares = len(targets) > 1 and are_shares(labelled[0][columns.targets])
    one = answers.values[answers.columns[0]] if len(answers.columns) == 1 else []
    plain = whole or shares
    heads = None if plain else find_heads(labelled[0], targets, one, overrides, choices)
    if not named_by and targets[0].numeric:
        named_by = name_column(labelled[0], profiles_of(labelled[0]), targets[0].name)
    problem = find_problem(targets, answers, overrides, choices, whole, shares, heads, named_by)
    each = problem is not None and problem_of(problem).in_a_cell == "one of each"
    if problem is None or (each and heads is None):
        return None
    labels = pd.concat([frame[columns.targets] for frame in labelled])
    pairs = bool(pairs_of(columns.texts))
    bounds = find_range(problem, labels, pairs, choices)
    classes = (
        find_classes(problem, targets[0], answers, overrides, choices)
        if heads is None
        else heads_classes(heads, overrides, choices)
    )
    if whole and classes:
        classes = list(columns.targets)
        choices.reasons["task.classes"] = "The target columns."
    if choices.questions:
        return None
    return TaskConfig(
        problem=problem,
        metric=find_metric(problem, targets, pairs, graded(labels), answers, overrides, choices),
        classes=classes,
        label_range=bounds,
        class_codes=find_codes(classes, answers.shown, folder, overrides, choices),
        separator=heads.separator if heads else separator_in(problem, targets),
        unlabelled=overrides.unlabelled,
    )
