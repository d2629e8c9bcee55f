"""What makes folds fit to be used: every row once, no fold empty, no group cut, no class unseen."""

from collections.abc import Sequence

import numpy as np

from pipeline.base.config import FoldsConfig
from pipeline.folds.balance import table as count_table
from pipeline.folds.classes import Classes, missing_from_training
from pipeline.folds.groups import looser

NAMED = 5
"""So many offending ids are named."""


def named(ids: Sequence[object]) -> str:
    """The first of *ids*, and how many more there are.

    >>> named(["a", "b"]), named(list("abcdefgh"))
    ('a, b', 'a, b, c, d, e and 3 more')
    """
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(map(str, ids[:NAMED])) + more


def row_problems(found: np.ndarray, train: np.ndarray, file: str, source: str) -> list[str]:
    """How the ids *found* in a fold file differ from those of *train*; their order is free."""
    position = dict.fromkeys(found.tolist())
    wanted = set(train.tolist())
    seen: set[str] = set()
    twice = [row_id for row_id in found.tolist() if row_id in seen or seen.add(row_id)]  # type: ignore[func-returns-value]
    missing = [row_id for row_id in train.tolist() if row_id not in position]
    unknown = [row_id for row_id in position if row_id not in wanted]
    problems = []
    if twice:
        problems.append(f"{file} names {len(twice)} ids more than once: {named(twice)}")
    if missing:
        problems.append(f"{len(missing)} rows of {source} have no fold in {file}: {named(missing)}")
    if unknown:
        problems.append(f"{len(unknown)} ids of {file} are not in {source}: {named(unknown)}")
    return problems


def places(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(n,) where each of the *wanted* ids stands among those *found*, which are the same ids."""
    position = {row_id: place for place, row_id in enumerate(found.tolist())}
    return np.array([position[row_id] for row_id in wanted.tolist()], dtype=np.int64)


def fold_problems(
    fold_of_row: np.ndarray,
    group_of_row: np.ndarray,
    ids: np.ndarray,
    folds: FoldsConfig,
    classes: Sequence[Classes],
) -> list[str]:
    """What is wrong with one assignment (n,) for the config's *folds*; [] where nothing is."""
    count = folds.count
    found = np.unique(fold_of_row)
    if found.tolist() != list(range(count)):
        given = ", ".join(map(str, found.tolist()[:20]))
        hint = ""
        if len(found) == count and found.tolist() == list(range(1, count + 1)):
            hint = ". Folds are numbered from 0: subtract 1 from each"
        elif found.tolist() == list(range(len(found))):
            hint = f". If that is meant, set folds.count to {len(found)}"
        return [f"there are the folds {given}, expected 0 to {count - 1}{hint}"]
    problems = _cut_groups(fold_of_row, group_of_row, ids, folds)
    for division in classes:
        for number, fold in missing_from_training(fold_of_row, division):
            problems.append(
                f"fold {fold} holds out every row of {division.names[number]}: "
                "its learner would train without it"
            )
    return problems


def _cut_groups(
    fold_of_row: np.ndarray, group_of_row: np.ndarray, ids: np.ndarray, folds: FoldsConfig
) -> list[str]:
    cut = np.flatnonzero((count_table(group_of_row, fold_of_row) > 0).sum(axis=1) > 1)
    if not len(cut):
        return []
    examples = []
    for group in cut[:3].tolist():
        rows = np.flatnonzero(group_of_row == group)
        other = rows[fold_of_row[rows] != fold_of_row[rows[0]]][0]
        examples.append(
            f"{ids[rows[0]]} (fold {fold_of_row[rows[0]]}) with {ids[other]} "
            f"(fold {fold_of_row[other]})"
        )
    more = f" and {len(cut) - 3} more groups" if len(cut) > 3 else ""
    return [
        f"rows that belong together stand in different folds: {'; '.join(examples)}{more}. "
        f"Put them into one fold; or, if they may be, {looser(folds.groups, folds.group_columns)}"
    ]
