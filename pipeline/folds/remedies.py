"""What to change in the config where no folds can be made: each way is tried before it is told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.base import Competition, DataError
from pipeline.base.config import FoldsConfig, GroupBy
from pipeline.data import Table
from pipeline.data.rare import apart
from pipeline.folds.recipe import groups_of

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
