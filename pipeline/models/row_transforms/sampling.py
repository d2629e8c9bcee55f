"""Rows of some labels count less, or more, or are left out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pipeline.data import Table
from pipeline.models.row_transforms.transform import Place, RowTransform, chosen, originals


@dataclass(frozen=True, kw_only=True)
class UnderSample(RowTransform):
    """Rows are left out of the training part, with what was made of them: of a label that there is
    too much of."""

    texts: ClassVar[bool] = False
    random: ClassVar[bool] = False
    at_test: ClassVar[bool] = False
    share: float = 0.5
    """Of the rows that it may be done to, drawn, which are left out; in (0, 1]."""

    def own_problems(self) -> Iterator[str]:
        """It makes no copies."""
        yield from no_copies(self)

    def apply(self, table: Table, place: Place) -> Table:
        """*table* without them."""
        ids = table.rows(originals(table) & chosen(self, table, place.competition)).ids
        out = {each for each in ids.tolist() if place.draws(each).random() < self.share}
        assert table.parents is not None
        return table.rows(np.array([each not in out for each in table.parents.tolist()], bool))


@dataclass(frozen=True, kw_only=True)
class Weight(RowTransform):
    """Rows, and what was made of them before, count more or less in the loss of a training."""

    texts: ClassVar[bool] = False
    random: ClassVar[bool] = False
    at_test: ClassVar[bool] = False
    weighs: ClassVar[bool] = True
    weight: float = 2.0
    """What each counts, where others count 1; two such transforms multiply."""

    def own_problems(self) -> Iterator[str]:
        """It makes no copies, and has a weight."""
        yield from no_copies(self)
        if not 0 < self.weight < math.inf:
            yield f"weight is {self.weight:g}; it must be above 0"

    def apply(self, table: Table, place: Place) -> Table:
        """*table* with its weights."""
        ids = table.rows(originals(table) & chosen(self, table, place.competition)).ids
        drawn = {each for each in ids.tolist() if place.draws(each).random() < self.share}
        assert table.parents is not None
        counted = [self.weight if each in drawn else 1.0 for each in table.parents.tolist()]
        before = np.ones(len(table)) if table.weights is None else table.weights
        return replace(table, weights=before * np.array(counted))


def no_copies(transform: RowTransform) -> Iterator[str]:
    """What is wrong where *transform*, which makes no rows, is asked for several of each."""
    if transform.copies != 1:
        yield "copies is set, and no rows are made"
