"""Rows are known by id: the one place where the rows of two files are brought together.

    compare(found, wanted)     which ids are missing, surplus or doubled, by name
    places_of(wanted, found)   where each wanted row stands in a file of exactly these rows
    shared(first, second)      the rows of two files that have the same id
    Order(ids)                 the same for many files: predictions put into the order asked for

A team's runs name the same million rows in the same order, again and again. So where the ids of one
file stand is looked up once by an `Order`, and remembered for the next file with these ids.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.base import ArtifactError, DataError, raise_if

KEPT = 64  # files whose order is remembered; a run has as many as seeds x repeats x folds
Ids = Sequence[str] | np.ndarray
NAMED = 5
"""So many ids are named in a message."""


def named(ids: Sequence[object]) -> str:
    """The first of *ids*, and how many more there are.

    >>> named(["a", "b"]), named(list("abcdefgh"))
    ('a, b', 'a, b, c, d, e and 3 more')
    """
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(map(str, ids[:NAMED])) + more


@dataclass(frozen=True)
class Differences:
    """How the ids of a file differ from those that are wanted; each of them is named once."""

    missing: list[str] = field(default_factory=list)
    """Wanted but not found, in the order in which they are wanted."""
    surplus: list[str] = field(default_factory=list)
    """Found but not wanted, in the order in which they were found."""
    doubled: list[str] = field(default_factory=list)
    """Found more than once, in the order in which they were found."""

    def __str__(self) -> str:
        """For a sentence.

        >>> str(Differences(missing=["b"], doubled=["a", "c"]))
        '1 missing: b; 2 stand more than once: a, c'
        """
        told = {
            "missing": self.missing,
            "not asked for": self.surplus,
            "stand more than once": self.doubled,
        }
        return "; ".join(f"{len(ids)} {what}: {named(ids)}" for what, ids in told.items() if ids)

    def of_predictions(self, kind: str) -> list[str]:
        """A sentence about the *kind* of rows without a prediction, and one about unknown rows."""
        problems = []
        if self.missing:
            what = f"of {kind} rows have no prediction, or more than one"
            problems.append(f"{len(self.missing)} {what}: {self.missing[:NAMED]}")
        if self.surplus:
            what = f"of {kind} rows are not in today's files"
            problems.append(f"{len(self.surplus)} {what}: {self.surplus[:NAMED]}")
        return problems


def doubled(ids: Iterable[str]) -> dict[str, int]:
    """How often each id stands that stands more than once, in the order of its first time.

    >>> doubled(["a", "b", "a", "c", "a"])
    {'a': 3}
    """
    return {row_id: count for row_id, count in Counter(ids).items() if count > 1}


def compare(found: Iterable[str], wanted: Iterable[str]) -> Differences:
    """How the ids *found* differ from those *wanted*, in whatever order they stand.

    >>> compare(["a", "b", "b", "x"], ["a", "b", "c"])
    Differences(missing=['c'], surplus=['x'], doubled=['b'])
    """
    times, asked = Counter(found), dict.fromkeys(wanted)
    return Differences(
        missing=[row_id for row_id in asked if row_id not in times],
        surplus=[row_id for row_id in times if row_id not in asked],
        doubled=[row_id for row_id, count in times.items() if count > 1],
    )


def places_of(wanted: Ids, found: Ids, what: str = "rows") -> np.ndarray:
    """(len(wanted),) where each of the ids *wanted* stands among those *found*.

    Both name the same rows, each once; where they do not, DataError names the ids that differ.

    >>> places_of(["a", "b", "c"], ["c", "a", "b"])
    array([1, 2, 0])
    """
    places = _looked_up(wanted, found)
    times = np.bincount(places + 1, minlength=len(found) + 1)  # the first are those not found
    if times[0] or (times[1:] != 1).any():
        problem = str(compare(_texts(found), _texts(wanted))) or "an id is asked for twice"
        raise DataError(f"{what} cannot be joined by id: {problem}")
    return places


def shared(first: Ids, second: Ids) -> tuple[np.ndarray, np.ndarray]:
    """Rows of *first* whose id stands in *second* too, ascending, and where it stands there.

    An id may stand in *first* more than once; of *second* the last one counts.

    >>> shared(["x", "b", "a", "b"], ["a", "b"])
    (array([1, 2, 3]), array([1, 0, 1]))
    """
    places = _looked_up(first, second)
    rows = np.flatnonzero(places >= 0)
    return rows, places[rows]


def same_ids(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether both name the same rows in the same order."""
    if one is other:
        return True
    if len(one) != len(other) or not len(one):
        return len(one) == len(other)
    return bool(one[0] == other[0] and one[-1] == other[-1]) and np.array_equal(one, other)


def _looked_up(ids: Ids, among: Ids) -> np.ndarray:
    """(len(ids),) where each of the *ids* stands *among* others, last; -1 where it does not."""
    place_of = _numbered(among)
    return np.array([place_of.get(row_id, -1) for row_id in _texts(ids)], dtype=np.int64)


def _numbered(ids: Ids) -> dict[str, int]:
    return {row_id: place for place, row_id in enumerate(_texts(ids))}


def _texts(ids: Ids) -> Sequence[str]:
    """Plain strings, which are looked up twice as fast as those of numpy."""
    return ids.tolist() if isinstance(ids, np.ndarray) else ids


class Order:
    """The order in which rows are asked for."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids
        self._place_of: dict[str, int] = {}
        self._known: list[tuple[np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, found: np.ndarray) -> np.ndarray:
        """(len(found),) where each of the ids *found* stands; -1 for those not asked for."""
        for ids, places in self._known:
            if same_ids(ids, found):
                return places
        if not self._place_of:
            self._place_of = _numbered(self.ids)
        places = np.array([self._place_of.get(row_id, -1) for row_id in found.tolist()], dtype=int)
        self._known = [(found, places), *self._known[: KEPT - 1]]
        return places

    def aligned(self, values: np.ndarray, found: np.ndarray, where: str) -> np.ndarray:
        """*values* (rows as the ids *found*, each once) put into this order.

        ArtifactError, after *where*, names the rows that are missing and those that are surplus.
        """
        places = self.places(found)
        known = places[places >= 0]
        if len(known) < len(found) or len(known) < len(self.ids):
            differ = compare(found.tolist(), self.ids.tolist())
            told = Differences(missing=differ.missing, surplus=sorted(differ.surplus))
            raise_if(told.of_predictions("its"), ArtifactError, where)
        ordered = np.empty_like(values)
        ordered[places] = values
        return ordered


# Of very many rows a part is enough, where each learner's predictions are kept. Ids of units say
# where their documents begin: klue-ner-00012#0.


NUMBER = "#"
"""Between a document's id and a unit's place in it."""
SAMPLED, SAMPLED_UNITS = 4096, 32768
"""Test and holdout rows whose predictions are kept fold by fold, at most; and units of documents
(or those of one document, where it has more)."""


def begins(ids: Sequence[str]) -> np.ndarray:
    """(n,) bool: whether a document begins with the unit of this id."""
    return np.array([name.endswith(f"{NUMBER}0") for name in ids], dtype=bool)


def sampled(rows: int, most: int = SAMPLED) -> np.ndarray:
    """Positions of *most* of the rows, evenly spread.

    >>> sampled(3).tolist(), len(sampled(10**6))
    ([0, 1, 2], 4096)
    """
    if rows <= most:
        return np.arange(rows)
    return np.linspace(0, rows - 1, most).astype(np.int64)


def kept_by_fold(ids: np.ndarray) -> np.ndarray:
    """Positions of the rows of these *ids* that are kept fold by fold; of units whole documents.

    >>> kept_by_fold(np.array(["a#0", "a#1", "b#0"], dtype=object)).tolist()
    [0, 1, 2]
    """
    if len(ids) <= SAMPLED or not begins(ids[:1].tolist())[0]:
        return sampled(len(ids))
    starts = np.flatnonzero(begins(ids.tolist()))
    lengths = np.diff(starts, append=len(ids))
    kept = np.arange(len(starts))
    while lengths[kept].sum() > SAMPLED_UNITS and len(kept) > 1:
        fewer = int(len(kept) * SAMPLED_UNITS / lengths[kept].sum())
        kept = sampled(len(starts), max(min(fewer, len(kept) - 1), 1))
    return np.concatenate([np.arange(starts[at], starts[at] + lengths[at]) for at in kept])
