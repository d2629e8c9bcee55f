"""Folds that are not frozen yet: assigned by the config, or taken from a file of your own.

Both ways are checked alike before anything is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base import Competition, DataError, raise_if
from pipeline.base.config import FoldsConfig
from pipeline.base.seeding import derive_seed
from pipeline.data import Table, places_of
from pipeline.folds.checks import (
    divisions,
    fold_problems,
    group_problems,
    missing_from_training,
    rare_notes,
    row_problems,
    spreads,
    target_problems,
)
from pipeline.folds.fold_file import read_fold_file
from pipeline.folds.groups import connect, describe, looser
from pipeline.folds.recipe import groups_of
from pipeline.folds.splitter import assign, strata
from pipeline.problems.problem import Division

MOVES = 100
"""So many groups are moved at most, lest two classes chase each other for ever."""


@dataclass(frozen=True, kw_only=True)
class NewFolds:
    """Checked folds of n rows, in their table's order."""

    fold_of_row: np.ndarray
    """(R, n) int."""
    group_of_row: np.ndarray
    """(n,) int."""
    notes: list[str]
    """What a person should know about them."""


def new_folds(competition: Competition, train: Table, root: Path) -> NewFolds:
    """Assign or read the folds of *train*; DataError, with the ways out, where that cannot be."""
    folds = competition.folds
    raise_if(_size_problems(train, folds), DataError, "no folds can be made")
    divided = divisions(train, competition)
    raise_if(target_problems(train, competition, divided), DataError, "no folds can be made")
    groups = groups_of(train, folds)
    classes = spreads(groups, divided)
    problems = group_problems(train, classes, folds)
    if (amount := int(groups.max()) + 1) < folds.count:
        problems.append(
            f"the {len(train)} rows of {train.source} form {amount} groups of rows that stay "
            f"together, fewer than the {folds.count} folds. Set folds.count to at most {amount}; "
            f"or, if they need not stay together, {looser(folds.groups, folds.group_columns)}."
        )
    raise_if(problems, DataError, "no folds can be made")
    if folds.file:
        fold_of_row = _from_file(folds, train, groups, divided, root)[None, :]
    else:
        fold_of_row = _assigned(competition, train, groups, divided)
    notes = rare_notes(classes, folds.count)
    return NewFolds(
        fold_of_row=fold_of_row,
        group_of_row=groups,
        notes=notes + _size_notes(groups, folds, train),
    )


def _size_problems(train: Table, config: FoldsConfig) -> list[str]:
    count, folds = len(train), config.count
    if count < folds:
        rows = "1 row" if count == 1 else f"{count} rows"
        fewer = f"Set folds.count to at most {count}, or get" if count > 1 else "Get"
        return [f"{train.source} has {rows}, fewer than the {folds} folds. {fewer} more rows."]
    return []


def _assigned(
    competition: Competition, train: Table, groups: np.ndarray, divided: Sequence[Division]
) -> np.ndarray:
    """(R, n) folds that do not depend on the order of the rows: they are sorted by id first."""
    folds = competition.folds
    stratum = strata(train, competition.task.problem, folds)
    order = np.argsort(train.ids, kind="stable")
    assignments, problems = [], []
    for repeat in range(folds.repeats):
        seed = derive_seed(folds.seed, "assignment", repeat)
        assignment = np.empty(len(train), dtype=np.int64)
        assignment[order] = assign(stratum[order], groups[order], folds.count, seed)
        assignment = spread(assignment, groups, divided)
        problems += fold_problems(assignment, groups, train.ids, folds, divided)
        assignments.append(assignment)
    raise_if(problems, DataError, "no folds can be made; another folds.seed or folds.count may do")
    return np.stack(assignments)


def spread(fold_of_row: np.ndarray, groups: np.ndarray, divided: Sequence[Division]) -> np.ndarray:
    """(n,) the folds again; where one holds out a whole class, its smallest group moves on.

    Strata see to this by themselves, except where a rare class was joined with others. It moves
    to the smallest fold.
    """
    fold_of_row, size = fold_of_row.copy(), np.bincount(groups)
    for _ in range(MOVES):
        found = [
            (each, *pair) for each in divided for pair in missing_from_training(fold_of_row, each)
        ]
        if not found:
            break
        classes, number, fold = found[0]
        held = np.unique(groups[(classes.class_of_row == number) & (fold_of_row == fold)])
        rows = np.bincount(fold_of_row).astype(float)
        rows[fold] = np.inf
        fold_of_row[groups == held[size[held].argmin()]] = rows.argmin()
    return fold_of_row


def _from_file(
    folds: FoldsConfig,
    train: Table,
    groups: np.ndarray,
    divided: Sequence[Division],
    root: Path,
) -> np.ndarray:
    """(n,) folds of the file that `folds.file` names."""
    path = root / str(folds.file)
    given = read_fold_file(path, 1, DataError)
    raise_if(row_problems(given.ids, train.ids, str(path), train.source), DataError)
    fold_of_row = given.fold_of_row[0, places_of(train.ids, given.ids)]
    raise_if(
        fold_problems(fold_of_row, groups, train.ids, folds, divided),
        DataError,
        f"the folds of {path} cannot be used",
    )
    return np.asarray(fold_of_row)


def _size_notes(groups: np.ndarray, folds: FoldsConfig, train: Table) -> list[str]:
    facts = describe(groups)
    if facts.largest * folds.count <= len(groups):
        return []
    first = train.ids[np.flatnonzero(groups == facts.largest_group)[0]]
    how = folds.groups
    if how == "near":
        columns = [train.features[name] for name in folds.group_columns]
        exact = describe(connect(train.texts, "exact", columns=columns))
        how = "exact" if exact.largest * folds.count > len(groups) else how
    return [
        f"the largest group of rows that stay together has {facts.largest} rows (the one of "
        f"{first}), more than a fold should have ({len(groups) // folds.count}): the folds "
        "cannot be even. If those rows may be separated, "
        f"{looser(how, folds.group_columns)}"
    ]
