"""What makes folds fit to be used: every row once, no fold empty, no group cut, no class unseen.

And which change of the config makes them so, where they cannot be made (`ways_out`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.base import Competition, DataError
from pipeline.base.config import FoldsConfig, GroupBy
from pipeline.data import Table, compare, named
from pipeline.data.labels import apart
from pipeline.folds.recipe import groups_of
from pipeline.folds.splitter import table as count_table
from pipeline.problems.problem import Division

# What every training part must hold: each class, and of each label both rows with and without it.
#
# Numbers have no classes; of them only a constant target is refused.


def divisions(train: Table, competition: Competition) -> list[Division]:
    """The classes of a classification; with several labels one division for each of them."""
    assert train.targets is not None
    names, task = competition.columns.targets, competition.task
    return task.problem_type.divisions(train.targets, names, task.classes)


def target_problems(
    train: Table, competition: Competition, divided: Sequence[Division]
) -> list[str]:
    """Targets that cannot be learnt: constant numbers, classes (*divided*) without a row."""
    assert train.targets is not None
    problems = []
    for classes in divided:
        amount = np.bincount(classes.class_of_row, minlength=len(classes.names))
        kind = competition.task.problem_type  # the classes of several labels have to be there
        refused = competition.folds.rare == "refuse" or not kind.blocks(len(competition.outputs))
        for number in np.flatnonzero((amount == 0) & refused):
            problems.append(
                f"{train.source} has no row of {classes.names[number]}: a learner cannot tell it "
                "from the others. Take it out of the config (init: name the others with --target "
                "or --classes), or add rows that have it."
            )
    if competition.task.problem_type.numeric:
        for name, column in zip(competition.columns.targets, train.targets.T, strict=True):
            if (column == column[0]).all():
                problems.append(
                    f"every row of {train.source} has {name} {column[0]:g}: there is nothing to "
                    "learn. Is columns.targets the right column?"
                )
    return problems


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How one class lies over groups of rows that stay together."""

    name: str
    rows: np.ndarray
    """Where it stands in train, ascending."""
    groups: int
    """In so many groups."""


def spreads(groups: np.ndarray, divided: Sequence[Division]) -> list[Spread]:
    """Of every class that has a row; *groups* is (n,)."""
    found = []
    for classes in divided:
        width = int(groups.max()) + 1
        pairs = np.unique(classes.class_of_row * width + groups)
        amount = np.bincount(pairs // width, minlength=len(classes.names))
        for number in np.flatnonzero(amount):
            rows = np.flatnonzero(classes.class_of_row == number)
            name = classes.names[number]
            found.append(Spread(name=name, rows=rows, groups=int(amount[number])))
    return found


def group_problems(train: Table, spread: Sequence[Spread]) -> list[str]:
    """Classes whose rows all stand in one group: held out, none would be left to train on; in one
    sentence where they are more than a few."""
    alone = [each for each in spread if each.groups == 1]
    if len(alone) > MOST_NOTES:
        shown = ", ".join(f"{each.name} ({train.ids[each.rows[0]]})" for each in alone[:MOST_NOTES])
        return [
            f"{len(alone)} of {len(spread)} classes of {train.source} stand in a single row, or "
            f"group of rows that stay together ({shown}, …): the fold that holds one out would "
            "train without it. Are they classes at all? Join them with others, take their rows "
            "out of the file, or add rows of them."
        ]
    problems = []
    for each in alone:
        name, rows = each.name, each.rows
        shown = ", ".join(map(str, train.ids[rows[:3]])) + (", …" if len(rows) > 3 else "")
        why = "stands in a single group of rows that stay together"
        why = "has a single row" if len(rows) == 1 else why
        problems.append(
            f"{name} of {train.source} {why} ({shown}): the fold that holds it out would "
            "train without it. Join it with another class, take its rows out of the file, or "
            "add rows of it."
        )
    return problems


MOST_NOTES = 4
"""Classes that get a sentence of their own."""


def rare_notes(spread: Sequence[Spread], count: int) -> list[str]:
    """Classes that some of *count* folds cannot hold out any row of; in one sentence where they are
    more than a few."""
    rare = [each for each in spread if 1 < each.groups < count]
    if len(rare) <= MOST_NOTES:
        return [
            f"{each.name} stands in {each.groups} groups of rows, fewer than the {count} folds: "
            "some folds hold out none of it, and a score of the class is shaky"
            for each in rare
        ]
    shown = ", ".join(f"{each.name} ({each.groups})" for each in rare[:MOST_NOTES])
    return [
        f"{len(rare)} of {len(spread)} classes stand in fewer groups of rows than the {count} "
        f"folds: some folds hold out none of them, and their scores are shaky; {shown}, …"
    ]


def missing_from_training(fold_of_row: np.ndarray, classes: Division) -> list[tuple[int, int]]:
    """(class, fold) where the fold holds out every row of the class; *fold_of_row* is (n,)."""
    count = count_table(fold_of_row, classes.class_of_row)
    total = count.sum(axis=0)
    return [
        (int(number), int(fold)) for fold, number in np.argwhere((count == total) & (total > 0))
    ]


MOVES = 100
"""So many groups are moved at most, lest two classes chase each other for ever."""


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


def row_problems(found: np.ndarray, train: np.ndarray, file: str, source: str) -> list[str]:
    """How the ids *found* in a fold file differ from those of *train*; their order is free."""
    differ, problems = compare(found.tolist(), train.tolist()), []
    if twice := differ.doubled:
        problems.append(f"{file} names {len(twice)} ids more than once: {named(twice)}")
    if missing := differ.missing:
        problems.append(f"{len(missing)} rows of {source} have no fold in {file}: {named(missing)}")
    if unknown := differ.surplus:
        problems.append(f"{len(unknown)} ids of {file} are not in {source}: {named(unknown)}")
    return problems


def fold_problems(
    fold_of_row: np.ndarray,
    group_of_row: np.ndarray,
    ids: np.ndarray,
    folds: FoldsConfig,
    classes: Sequence[Division],
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
    problems = _cut_groups(fold_of_row, group_of_row, ids)
    for division in classes:
        for number, fold in missing_from_training(fold_of_row, division):
            problems.append(
                f"fold {fold} holds out every row of {division.names[number]}: "
                "its learner would train without it. Move one of them to another fold"
            )
    return problems


def _cut_groups(fold_of_row: np.ndarray, group_of_row: np.ndarray, ids: np.ndarray) -> list[str]:
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
        "Put them into one fold"
    ]


# What to change in the config where no folds can be made: each way is tried before it is told.


Make = Callable[[Competition, Table, np.ndarray], object]
"""Makes folds of a table with known groups (n,); DataError where it cannot."""
LOOSER: dict[GroupBy, tuple[GroupBy, ...]] = {
    "near": ("exact", "none"),
    "exact": ("none",),
    "none": (),
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """Settings by which folds can be made."""

    folds: FoldsConfig
    told: str
    """What is changed, in words."""


def ways_out(competition: Competition, train: Table, make: Make) -> list[Way]:
    """The settings, each changed alone, by which *make* makes folds of *train*; where there are
    none, the first that do together; [] where it takes other data."""
    trial = _Trial(competition, train, make)
    folds = competition.folds
    alone = [way for way in (*_looser(folds), *_rare(folds)) if trial.works(way)]
    alone += trial.first(_fewer(folds, len(train)))
    return alone or trial.first(_together(folds, len(train)))


def advice(ways: Sequence[Way]) -> str:
    """The *ways* in a sentence; an empty text where there are none.

    >>> advice([Way(folds=FoldsConfig(), told="set folds.count to 3")])
    'Folds can be made with this change: set folds.count to 3.'
    """
    changes = "; or ".join(way.told for way in ways)
    return f"Folds can be made with this change: {changes}." if ways else ""


class _Trial:
    """Makes folds, and finds the groups of rows once for each way to have them."""

    def __init__(self, competition: Competition, train: Table, make: Make) -> None:
        self.competition, self.train, self.make = competition, train, make
        self.groups: dict[tuple[object, ...], np.ndarray] = {}

    def works(self, way: Way) -> bool:
        changed = replace(self.competition, folds=way.folds)
        rows = apart(self.train, None, changed)[0]
        key = (way.folds.groups, *way.folds.group_columns, len(rows))
        if key not in self.groups:
            self.groups[key] = groups_of(rows, way.folds)
        try:
            self.make(changed, rows, self.groups[key])
        except DataError:
            return False
        return True

    def first(self, ways: Iterator[Way]) -> list[Way]:
        return next(([way] for way in ways if self.works(way)), [])


def _looser(folds: FoldsConfig) -> Iterator[Way]:
    """Fewer rows stay together, the strictest way first."""
    for how in LOOSER[folds.groups]:
        yield Way(folds=replace(folds, groups=how), told=f"set folds.groups to {how}")
    if folds.group_columns:
        named = ", ".join(folds.group_columns)
        bare = replace(folds, group_columns=[])
        yield Way(folds=bare, told=f"take {named} out of folds.group_columns")


def _rare(folds: FoldsConfig) -> Iterator[Way]:
    if folds.rare == "refuse":
        told = "set folds.rare to train-only, so that such a class is never scored"
        yield Way(folds=replace(folds, rare="train-only"), told=told)


def _fewer(folds: FoldsConfig, rows: int) -> Iterator[Way]:
    if not folds.file:
        for count in range(min(folds.count - 1, rows), 1, -1):
            yield Way(folds=replace(folds, count=count), told=f"set folds.count to {count}")


def _together(folds: FoldsConfig, rows: int) -> Iterator[Way]:
    """Pairs of changes: rare rows with one of the others, then looser groups with fewer folds."""
    for one in (*_rare(folds), *_looser(folds)):
        for other in (*_looser(one.folds), *_fewer(one.folds, rows)):
            yield Way(folds=other.folds, told=f"{one.told}, and {other.told}")
