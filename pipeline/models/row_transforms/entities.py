"""Documents whose entities are others of the same type (`problem: tags`).

Mention replacement of Dai and Adel, "An Analysis of Simple Data Augmentation for Named Entity
Recognition" (COLING 2020): what stands around an entity stays, what it is called changes, and the
tags go with it. Entities come from the training part of the fold alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pipeline.data import Table
from pipeline.data.table import Units, listing
from pipeline.models.row_transforms.transform import Place, RowTransform
from pipeline.problems.entities import Inventory, inventory_of
from pipeline.problems.tags import TAGS


@dataclass(frozen=True, kw_only=True)
class EntitySwap(RowTransform):
    """A document of which some entities are others of the same type; none where it has none.

    `labels` names types of entities, `rare` takes those with less than that share of all entities.
    """

    at_test: ClassVar[bool] = False

    entities: float = 0.5
    """How likely each entity of a document is swapped; in (0, 1]."""

    def own_problems(self) -> Iterator[str]:
        """The share."""
        if not 0 < self.entities <= 1:
            yield f"entities is {self.entities:g}; it must be above 0, at most 1"

    def problems(self, place: Place) -> Iterator[str]:
        """Only tags have entities, and `labels` names their types."""
        task = place.competition.task
        if task.problem_type is not TAGS:
            yield f"it swaps entities, which {task.problem} has none of"
            return
        types = inventory_of(tuple(task.classes)).types
        if strange := [str(each) for each in self.labels or () if str(each) not in types]:
            yield f"labels names {listing(strange)}; there are: {listing(types)}"
        elif self.labels == []:
            yield "labels is empty; name some, or leave it out for all"

    def made(self, rows: Table, place: Place) -> Table:
        """The documents made of those of *rows*, a table of units."""
        assert rows.units is not None, "a table of units"
        assert rows.targets is not None, "the training part is labelled"
        inventory = inventory_of(tuple(place.competition.task.classes))
        units = rows.units
        begin, end, kind = inventory.entities(rows.targets[:, 0].astype(int), units.first)
        found = [slice(one, two + 1) for one, two in zip(begin.tolist(), end.tolist(), strict=True)]
        swapped = self._kinds(kind, inventory)
        names = [_name(rows.texts[each, 0], units.after[each]) for each in found]
        others = {each: _distinct(names, np.flatnonzero(kind == each)) for each in swapped}
        made: list[_Document] = []
        for document in units.documents:
            own = range(*np.searchsorted(begin, [document.start, document.stop]))
            about = [at for at in own if int(kind[at]) in swapped]
            told = str(units.document[document.start])
            for copy in range(self.copies if about else 0):
                random = place.draws(told, copy)
                if random.random() >= self.share:
                    continue
                taken: dict[int, slice] = {}
                for at in about:
                    if random.random() < self.entities:
                        free = [n for n in others[int(kind[at])] if names[n] != names[at]]
                        if free:
                            taken[at] = found[int(random.choice(free))]
                if taken:
                    made.append(_with_others(document, found, taken, f"{told}\0{copy}"))
        return _table(rows, made)

    def _kinds(self, kind: np.ndarray, inventory: Inventory) -> set[int]:
        """The numbers of the types whose entities are swapped; *kind* (e,) of those there are."""
        asked = inventory.types if self.labels is None else [str(each) for each in self.labels]
        share = np.bincount(kind, minlength=len(inventory.types)) / max(len(kind), 1)
        return {
            number
            for number, name in enumerate(inventory.types)
            if name in asked and (self.rare is None or share[number] < self.rare)
        }


def _distinct(names: Sequence[str], among: np.ndarray) -> list[int]:
    """The first entity of each name *among* those with these numbers (e,), by name."""
    _, firsts = np.unique([names[each] for each in among.tolist()], return_index=True)
    found: list[int] = among[firsts].tolist()
    return found


def _name(pieces: np.ndarray, after: np.ndarray) -> str:
    """What an entity is called."""
    told = [one + two for one, two in zip(pieces.tolist(), [*after.tolist()[:-1], ""], strict=True)]
    return "".join(told)


@dataclass(frozen=True)
class _Document:
    """A document that is made, u units."""

    name: str
    which: list[int]
    """(u,) the rows that its units are taken from."""
    behind: list[int]
    """(u,) the rows that tell what stands behind each."""
    home: int
    """The first row of the document that it was made of."""


def _with_others(
    document: slice, found: Sequence[slice], taken: Mapping[int, slice], name: str
) -> _Document:
    """The *document* with the entities *taken* in place of its own, which *found* has."""
    which: list[int] = []
    behind: list[int] = []
    last = document.start
    for at, other in taken.items():
        for part in (slice(last, found[at].start), other):
            which += range(part.start, part.stop)
            behind += range(part.start, part.stop)
        last = found[at].stop
        behind[-1] = last - 1  # what stands behind an entity is the document's
    which += range(last, document.stop)
    behind += range(last, document.stop)
    return _Document(name, which, behind, document.start)


def _table(rows: Table, made: Sequence[_Document]) -> Table:
    """The units of the documents *made*; what is known of a document is its parent's."""
    units = rows.units
    assert units is not None
    sizes = [len(each.which) for each in made]
    which, behind = (
        np.array([row for each in made for row in getattr(each, name)], dtype=int)
        for name in ("which", "behind")
    )
    home = np.repeat(np.array([each.home for each in made], dtype=int), sizes)
    document = np.repeat(np.array([each.name for each in made], dtype=object), sizes)
    place = np.concatenate([np.zeros(0, dtype=int), *map(np.arange, sizes)])
    part = rows.rows(which)
    targets = np.array(part.targets)
    targets[:, 1] = place
    pairs = zip(document.tolist(), place.tolist(), strict=True)
    return replace(
        part,
        ids=np.array([f"{one}#{two}" for one, two in pairs], dtype=object),
        targets=targets,
        features={name: column[home] for name, column in rows.features.items()},
        units=Units(
            document=document,
            place=place,
            after=units.after[behind],
            asked=None if units.asked is None else units.asked[home],
        ),
        parents=rows.ids[which],
    )
