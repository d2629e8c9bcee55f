"""What tags say of entities, and the likeliest tags of a document that make sense.

Tags are IOB2 (`B-PS`, `I-PS`, `O`: an entity begins at B- and runs over the I- of its type that
follow; Tjong Kim Sang & Veenstra, "Representing Text Chunks", EACL 1999) or plain types (`PS`,
`O`), whose runs are the entities.

Notation: n units, c tags, t types, e entities.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

OUTSIDE = "O"
TAG = re.compile(r"O|[BIESLU]-\S+")
"""How a tag is written where it has a prefix, in IOB2 or another scheme."""
TINY = 1e-30
"""Lowest probability, for its logarithm: below what float16 and float32 hold."""
SURE = 1 - 1e-9
"""Highest probability beside a mark (`limited`)."""
BRIDGE = 256
"""In a mark: what stands below it is the length, how often it is in it is the bridge."""


@dataclass(frozen=True)
class Inventory:
    """The tags there are, c of them."""

    names: tuple[str, ...]

    @cached_property
    def plain(self) -> bool:
        """Whether tags are types, without B- and I-."""
        return not any(name[:2] in ("B-", "I-") for name in self.names)

    @cached_property
    def types(self) -> list[str]:
        """(t,) the types of entities, in the order in which tags name them."""
        return list(dict.fromkeys(self._type(name) for name in self.names if name != OUTSIDE))

    @cached_property
    def type_of(self) -> np.ndarray:
        """(c,) the number of each tag's type, -1 for O."""
        number = {name: place for place, name in enumerate(self.types)}
        return np.array([number.get(self._type(name), -1) for name in self.names])

    @cached_property
    def begins(self) -> np.ndarray:
        """(c,) bool: whether a tag says that an entity begins."""
        return np.array([name.startswith("B-") for name in self.names])

    @cached_property
    def inside(self) -> np.ndarray:
        """(i,) the numbers of the I- tags."""
        return np.flatnonzero([name.startswith("I-") for name in self.names])

    @cached_property
    def opening(self) -> np.ndarray:
        """(i,) of each I- tag the number of the B- tag that it may follow, beside itself."""
        return np.array([self.names.index(f"B-{self.names[tag][2:]}") for tag in self.inside], int)

    @cached_property
    def opens(self) -> np.ndarray:
        """(t,) the number of the tag with which an entity of each type begins."""
        return np.array([self._first(name if self.plain else f"B-{name}") for name in self.types])

    @cached_property
    def goes_on(self) -> np.ndarray:
        """(t,) the number of the tag with which it goes on, -1 where it has one unit only."""
        return np.array([self._first(name if self.plain else f"I-{name}") for name in self.types])

    def _first(self, name: str) -> int:
        return self.names.index(name) if name in self.names else -1

    @property
    def outside(self) -> int:
        """The number of O."""
        return self.names.index(OUTSIDE)

    def _type(self, name: str) -> str:
        if name == OUTSIDE:
            return ""
        return name if self.plain else name[2:]

    def broken(self, tags: np.ndarray, first: np.ndarray) -> np.ndarray:
        """(n,) bool: whether a tag is an I- that no entity of its type stands before."""
        if self.plain or not len(tags):
            return np.zeros(len(tags), dtype=bool)
        kind = self.type_of[tags]
        follows = np.concatenate([[False], kind[1:] == kind[:-1]]) & ~first
        return (kind >= 0) & ~self.begins[tags] & ~follows

    def entities(
        self, tags: np.ndarray, first: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First rows (e,), last rows (e,) and types (e,) of the entities in *tags* (n,).

        *first* (n,) says where a document begins. Strict IOB2: an I- that follows no entity of its
        type is none. Plain types: an entity is a run of one type.

        >>> inventory = Inventory(("O", "B-PS", "I-PS"))
        >>> tags, first = np.array([1, 2, 0, 2, 1, 2]), np.array([1, 0, 0, 0, 0, 1], dtype=bool)
        >>> [each.tolist() for each in inventory.entities(tags, first)]
        [[0, 4], [1, 4], [0, 0]]
        """
        kind, starts = self.type_of[tags], self.begins[tags]
        changes = np.concatenate([[True], kind[1:] != kind[:-1]])[: len(tags)] | first | starts
        begin = np.flatnonzero(changes)
        end = np.append(begin[1:], len(tags)) - 1
        kept = kind[begin] >= 0
        if not self.plain:
            kept &= starts[begin]
        return begin[kept], end[kept], kind[begin[kept]]


@lru_cache(maxsize=64)
def inventory_of(names: tuple[str, ...]) -> Inventory:
    """The inventory of these tags."""
    return Inventory(names)


def decoded(predicted: np.ndarray, first: np.ndarray, inventory: Inventory) -> np.ndarray:
    """(n,) the likeliest tags of each document under which no I- follows what it may not.

    The best path by the sum of log-probabilities (Viterbi, "Error bounds for convolutional codes",
    IEEE Transactions on Information Theory, 1967). Where the likeliest tag of every unit makes
    sense already, it is that.

    Args:
        predicted: (n, c) probabilities of whole documents, unit by unit, maybe `limited`.
        first: (n,) bool, where a document begins.

    >>> inventory, first = Inventory(("O", "B-PS", "I-PS")), np.array([True, False])
    >>> decoded(np.array([[0.5, 0.4, 0.1], [0.1, 0.2, 0.7]]), first, inventory).tolist()
    [1, 2]
    """
    marks = np.floor(predicted[:, inventory.opens])
    if (marked := marks > 1).any():
        predicted = np.array(predicted, dtype=float)
        predicted[:, inventory.opens] -= np.where(marked, marks, 0.0)
        plain = decoded(predicted, first, inventory)
        return edited(plain, first, inventory, np.where(marked, marks, 0.0))
    found = predicted.argmax(axis=1)
    if not (wrong := inventory.broken(found, first)).any():
        return found
    document = np.cumsum(first)
    rows = np.flatnonzero(np.isin(document, document[wrong]))
    scores = np.log(np.maximum(predicted[rows].astype(np.float64), TINY))
    found[rows] = _best_paths(scores, np.flatnonzero(first[rows]), inventory)
    return found


def _best_paths(scores: np.ndarray, starts: np.ndarray, inventory: Inventory) -> np.ndarray:
    """(n,) the best allowed path of each document, all of them one unit further at a time."""
    length = np.diff(starts, append=len(scores))
    order = np.argsort(-length, kind="stable")
    starts, length = starts[order], length[order]
    before = np.zeros(scores.shape, dtype=np.int16)
    best = scores[starts].copy()
    inside, opening = inventory.inside, inventory.opening
    best[:, inside] = -np.inf
    ends = np.empty(len(starts), dtype=np.int64)
    for place in range(1, int(length.max()) + 1):
        going = int(np.searchsorted(-length, -place, side="left"))  # documents that are longer
        ends[going : len(best)] = best[going:].argmax(axis=1)
        if not going:
            break
        best, rows = best[:going], starts[:going] + place
        came = np.repeat(best.argmax(axis=1)[:, None], scores.shape[1], axis=1)
        came[:, inside] = np.where(best[:, opening] >= best[:, inside], opening, inside)
        best = np.take_along_axis(best, came, axis=1) + scores[rows]
        before[rows] = came
    path = np.empty(len(scores), dtype=np.int64)
    last = starts + length - 1
    path[last] = ends
    for place in range(int(length.max()) - 1, 0, -1):
        rows = (starts + place)[length > place]
        path[rows - 1] = before[rows, path[rows]]
    return path


def limited(
    predicted: np.ndarray, inventory: Inventory, shortest: Sequence[int], bridges: Sequence[int]
) -> np.ndarray:
    """(n, c) *predicted* with what a decision says of entities, for `decoded`.

    It stands, as a mark, in the whole part of the probability of the tag that begins a type.

    Args:
        shortest: (t,) the fewest units that an entity of each type has; 1 for any number.
        bridges: (t,) two entities of a type with fewer units than that between them are one; 0
            for never.
    """
    marks = np.array(shortest) + BRIDGE * np.array(bridges)
    changed, own = np.array(predicted, dtype=float), inventory.opens[marks > 1]
    changed[:, own] = np.clip(changed[:, own], 0.0, SURE) + marks[marks > 1]
    return changed


def edited(
    tags: np.ndarray, first: np.ndarray, inventory: Inventory, marks: np.ndarray
) -> np.ndarray:
    """(n,) *tags* that make sense, neighbours joined and what is too short then left out.

    *marks* (n, t) or (t,) are those of `limited`.

    >>> inventory, first = Inventory(("O", "B-PS", "I-PS")), np.eye(5)[0] > 0
    >>> edited(np.array([1, 0, 1, 0, 0]), first, inventory, np.array([3 + 2 * BRIDGE])).tolist()
    [1, 2, 2, 0, 0]
    """
    begin, end, kind = inventory.entities(tags, first)
    bridge, shortest = np.divmod(marks[kind] if marks.ndim == 1 else marks[begin, kind], BRIDGE)
    document = np.cumsum(first)[begin]
    alone = (kind[1:] != kind[:-1]) | (document[1:] != document[:-1])
    alone |= (begin[1:] - end[:-1] > bridge[1:]) | (inventory.goes_on[kind[1:]] < 0)
    heads = np.flatnonzero(np.concatenate([[True], alone]))[: len(begin)]
    tails = np.append(heads[1:], len(begin))[: len(heads)] - 1
    begin, end, kind, shortest = begin[heads], end[tails], kind[heads], shortest[heads]
    kept = end - begin + 1 >= shortest
    begin, end, kind = begin[kept], end[kept], kind[kept]
    found = np.full(len(tags), inventory.outside)
    found[units_of(begin, end)] = np.repeat(inventory.goes_on[kind], end - begin + 1)
    found[begin] = inventory.opens[kind]
    return found


def units_of(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """All rows of the entities that begin and *end* there, one entity after the other."""
    size = end - begin + 1
    return np.asarray(np.repeat(begin - np.cumsum(size) + size, size) + np.arange(size.sum()))


OUTSIDE_TEXT = "spans that are empty or end behind their text"
OVERLAP = "spans that overlap another; a unit has one tag, so take one out"


def tags_of_spans(
    count: int, spans: Sequence[tuple[int, int, str]]
) -> tuple[list[str], list[tuple[str, tuple[int, int, str]]]]:
    """(count,) tags in IOB2 of *spans*, each the first unit, the one after the last, and its type;
    and what is wrong with those that cannot be tags.

    >>> tags_of_spans(3, [(0, 2, "PER"), (1, 3, "LOC")])[0]
    ['B-PER', 'I-PER', 'O']
    """
    tags, wrong = [OUTSIDE] * count, []
    for begin, behind, label in spans:
        kind = "_".join(label.split())
        if not 0 <= begin < behind <= count:
            wrong.append((OUTSIDE_TEXT, (begin, behind, label)))
        elif set(tags[begin:behind]) != {OUTSIDE}:
            wrong.append((OVERLAP, (begin, behind, label)))
        else:
            tags[begin:behind] = [f"B-{kind}", *[f"I-{kind}"] * (behind - begin - 1)]
    return tags, wrong


def entities_of(tags: Sequence[str], behind: int) -> list[tuple[int, int, str]]:
    """The start, the end and the type of each entity; *behind*: 1 for ends after the last unit."""
    inventory = inventory_of(tuple(dict.fromkeys([OUTSIDE, *tags])))
    numbers = np.array([inventory.names.index(tag) for tag in tags], dtype=int)
    found = inventory.entities(numbers, np.arange(len(numbers)) == 0)
    rows = zip(*(each.tolist() for each in found), strict=True)
    return [(start, end + behind, inventory.types[kind]) for start, end, kind in rows]
