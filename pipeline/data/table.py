"""A competition's rows in memory: what every later room receives.

Rows are known by id. Position means nothing outside one table, so parallel arrays are kept in one
object and cut together by `rows`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.join import doubled, places_of, shared


@dataclass(frozen=True, eq=False)
class LabelledFile:
    """A file with labels as it was read, for a metric that looks at more than targets."""

    frame: pd.DataFrame
    """One row per labelled row, with all columns of the file; numbers where all cells are."""
    id_column: str
    outputs: Sequence[str]
    """(k,) names of the prediction columns."""


class Targets(np.ndarray):
    """Targets that know which rows of a file they are: kept through any choice of rows.

    What is computed from them knows of no rows any more: `file` is then None.
    """

    file: LabelledFile | None
    places: np.ndarray
    """(n,) positions in the file."""

    @classmethod
    def of(cls, values: np.ndarray, file: LabelledFile, places: np.ndarray) -> "Targets":
        """The targets *values* (n, k) of these rows of a *file*."""
        found = np.asarray(values).view(cls)
        found.file, found.places = file, places
        return found

    def __array_finalize__(self, origin: object) -> None:
        self.file, self.places = None, np.empty(0, dtype=int)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(found, Targets) and found.ndim and self.file is not None:
            places = self.places[key[0] if isinstance(key, tuple) and key else key]
            if np.ndim(places) == 1 and len(places) == len(found):
                found.file, found.places = self.file, places
        return found

    def rows(self) -> pd.DataFrame | None:
        """Their rows of the file, in their order, numbered from 0; None where that is not known."""
        if self.file is None:
            return None
        return self.file.frame.iloc[self.places].reset_index(drop=True)


def with_numbers(frame: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """A file's columns of cells, those of numbers as numbers; *texts* and codes with zeros in front
    stay what they are."""
    found = frame.reset_index(drop=True)
    for name in [name for name in found.columns if name not in texts]:
        cells = found[name].astype(str).str.strip()
        filled = cells != ""
        numbers = pd.to_numeric(cells.where(filled), errors="coerce")
        codes = cells.str.fullmatch(r"0\d+")
        if filled.any() and numbers[filled].notna().all() and not codes.any():
            found[name] = numbers
    return found


def stacked(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Targets (n, k) and below them others; they know their rows where both do."""
    values = np.concatenate([np.asarray(first), np.asarray(second)])
    if not (isinstance(first, Targets) and isinstance(second, Targets)):
        return values
    upper, lower = first.file, second.file
    if upper is None or lower is None:
        return values
    frame = pd.concat([upper.frame, lower.frame], ignore_index=True)
    places = np.concatenate([first.places, second.places + len(upper.frame)])
    return Targets.of(values, replace(upper, frame=frame), places)


@dataclass(frozen=True, kw_only=True)
class Units:
    """How n rows are units of documents: those of a document stand together, in order."""

    document: np.ndarray
    """(n,) str objects: the id of the document."""
    place: np.ndarray
    """(n,) int: the unit's place in it, from 0."""
    after: np.ndarray
    """(n,) str objects: what stands between the unit and the next one."""
    asked: np.ndarray | None = None
    """(n,) str objects: what is asked of the document; None where nothing is."""

    def rows(self, which: np.ndarray) -> "Units":
        """Those of some rows; whole documents as a rule."""
        return Units(
            document=self.document[which],
            place=self.place[which],
            after=self.after[which],
            asked=None if self.asked is None else self.asked[which],
        )

    def with_rows(self, other: "Units") -> "Units":
        """These, and below them *other*."""
        return Units(
            document=np.concatenate([self.document, other.document]),
            place=np.concatenate([self.place, other.place]),
            after=np.concatenate([self.after, other.after]),
            asked=None
            if self.asked is None or other.asked is None
            else np.concatenate([self.asked, other.asked]),
        )

    @property
    def first(self) -> np.ndarray:
        """(n,) bool: whether a document begins with the row."""
        return np.asarray(self.place == 0)

    @property
    def number(self) -> np.ndarray:
        """(n,) int: the number of the row's document, from 0."""
        return np.cumsum(self.first) - 1

    @property
    def documents(self) -> list[slice]:
        """(d,) the rows of each document."""
        starts = np.flatnonzero(self.first).tolist()
        ends = [*starts[1:], len(self.place)]
        return [slice(start, end) for start, end in zip(starts, ends, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Table:
    """n rows of one file."""

    ids: np.ndarray
    """(n,) str objects, unique."""
    texts: np.ndarray
    """(n, s) str objects; s = 1 for single sentences, 2 for pairs."""
    targets: np.ndarray | None = None
    """(n, k) float64, or None for unlabelled rows. Regression: the label's own unit. binary: 0/1 in
    one column. multiclass: the class number in one column. multilabel: 0/1 per
    label. heads: 0/1 per class, a single 1 for each target."""
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Further columns, each (n,) str objects."""
    marked: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Texts with their entities marked, each (n,) str objects, for templates."""
    units: Units | None = None
    """Of what documents the rows are units; None where each stands for itself."""
    references: np.ndarray | None = None
    """(n,) tuples of one or more texts, where answers are texts: the right ones of each row, for
    which the targets then stand. None where answers are no texts, or for unlabelled rows."""
    parents: np.ndarray | None = None
    """(n,) ids of the rows that each was made of, its own where it was read; None: all were."""
    weights: np.ndarray | None = None
    """(n,) float64 above 0: what each row counts in training; None where all count alike."""
    source: str = ""
    """The file the rows came from, for messages."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        assert self.texts.ndim == 2, "texts must be (n, s)"
        assert len(self.texts) == n
        assert self.targets is None or (self.targets.ndim == 2 and len(self.targets) == n)
        assert all(len(column) == n for column in self.features.values())
        assert all(len(column) == n for column in self.marked.values())
        assert self.references is None or len(self.references) == n
        assert self.parents is None or len(self.parents) == n
        assert self.weights is None or self.weights.shape == (n,)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def document(self) -> np.ndarray:
        """(n,) the number of each row's document; rows that stand for themselves are each one."""
        return np.arange(len(self)) if self.units is None else self.units.number

    @property
    def truth(self) -> np.ndarray | None:
        """What a metric compares predictions with: the targets, or the references (n,)."""
        return self.targets if self.references is None else self.references

    def rows(self, which: np.ndarray) -> "Table":
        """The rows selected by a boolean mask (n,) or by positions, everything cut alike."""
        return Table(
            ids=self.ids[which],
            texts=self.texts[which],
            targets=None if self.targets is None else self.targets[which],
            features={name: column[which] for name, column in self.features.items()},
            marked={name: column[which] for name, column in self.marked.items()},
            units=None if self.units is None else self.units.rows(which),
            references=None if self.references is None else self.references[which],
            parents=None if self.parents is None else self.parents[which],
            weights=None if self.weights is None else self.weights[which],
            source=self.source,
        )

    def weighed(self, weights: np.ndarray) -> "Table":
        """The same rows, which count so many times (n,) what they counted."""
        return replace(self, weights=weights if self.weights is None else self.weights * weights)

    def in_order(self, ids: np.ndarray) -> "Table":
        """The same rows in the order of their *ids* (n,); DataError where these are others."""
        return self.rows(places_of(ids, self.ids, f"the rows of {self.source}"))


def concatenate(first: Table, second: Table) -> Table:
    """*first*'s rows followed by *second*'s; features that only one of them has are dropped."""
    assert (first.targets is None) == (second.targets is None)
    common = [name for name in first.features if name in second.features]
    return Table(
        ids=np.concatenate([first.ids, second.ids]),
        texts=np.concatenate([first.texts, second.texts]),
        targets=None
        if first.targets is None or second.targets is None
        else stacked(first.targets, second.targets),
        features={
            name: np.concatenate([first.features[name], second.features[name]]) for name in common
        },
        marked={
            name: np.concatenate([first.marked[name], second.marked[name]])
            for name in first.marked
            if name in second.marked
        },
        units=None
        if first.units is None or second.units is None
        else first.units.with_rows(second.units),
        references=None
        if first.references is None or second.references is None
        else np.concatenate([first.references, second.references]),
        parents=_joined(first.parents, second.parents, first.ids, second.ids),
        weights=_joined(first.weights, second.weights, *map(np.ones, map(len, (first, second)))),
        source=first.source,
    )


def _joined(
    one: np.ndarray | None, other: np.ndarray | None, usual: np.ndarray, others: np.ndarray
) -> np.ndarray | None:
    if one is None and other is None:
        return None
    return np.concatenate([usual if one is None else one, others if other is None else other])


# Problems found in a file, counted by kind, with the first places of each.


MENDED = "Mend them, or take these rows out of the file"
"""What can be done about most problems that rows have."""
EXAMPLES = 5
"""Places named per kind of problem; the rest is counted."""


class Findings:
    """Collects (kind, place) pairs and tells them in one sentence per kind.

    >>> found = Findings()
    >>> for line in range(3, 10):
    ...     found.add("too few fields", f"line {line}")
    >>> found.sentences()
    ['too few fields: line 3, line 4, line 5, line 6, line 7 and 2 more']
    """

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._remedies: dict[str, str] = {}

    def add(self, kind: str, place: str, remedy: str = "") -> None:
        """Note one more *place* with this *kind* of problem; the first *remedy* of a kind is told
        behind its places."""
        places = self._places.setdefault(kind, [])
        if remedy:
            self._remedies.setdefault(kind, f". {remedy}")
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(places) < EXAMPLES:
            places.append(place)

    def sentences(self) -> list[str]:
        """One sentence per kind, in the order in which the kinds were first seen."""
        return [
            f"{kind}: {listing(places, self._counts[kind])}{self._remedies.get(kind, '')}"
            for kind, places in self._places.items()
        ]


def listing(places: list[str], count: int | None = None) -> str:
    """The first few of *places* and how many more there are (of *count*, default: all given)."""
    total = len(places) if count is None else count
    shown = ", ".join(places[:EXAMPLES])
    more = total - min(len(places), EXAMPLES)
    return f"{shown} and {more:,} more" if more else shown


# Rows are known by id: which ids are missing, doubled, or meet in two files.


NUMBERED = (
    'take the further rows out. Or name another column, or none: columns.id "(row number)" numbers '
    'the rows (init: --id "(row number)")'
)
"""What can be done about ids of labelled rows that name several."""


def id_problems(ids: np.ndarray, remedy: str = "take the further rows out") -> list[str]:
    """What is wrong with ids (n,) that have to name one row each, and the *remedy*."""
    found = Findings()
    for row in np.flatnonzero([not row_id.strip() for row_id in ids]):
        found.add("rows without an id", f"row {row + 1}")
    for row_id, count in doubled(ids.tolist()).items():
        if row_id:
            found.add("ids that stand more than once", f"{row_id} ({count} times)")
    told = found.sentences()
    return [*told[:-1], f"{told[-1]}. Mend the file: {remedy}"] if told else []


def missing_columns(frame: pd.DataFrame, needed: Sequence[str]) -> list[str]:
    """A sentence for each of the *needed* columns that is not there, with the nearest that is."""
    there = [str(column) for column in frame.columns]
    problems = []
    for column in dict.fromkeys(needed):
        if column not in there:
            lowered = {name.lower().strip(): name for name in there}
            close = get_close_matches(column.lower().strip(), lowered, n=1, cutoff=0.5)
            hint = f"the nearest is {lowered[close[0]]!r}; " if close else ""
            problems.append(
                f"there is no column {column!r}; {hint}it has {listing(there)}. Name the right "
                "one in the config's section columns, or call it so in the file"
            )
    return problems


def called_alike(frame: pd.DataFrame, wanted: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """*frame* with the names of columns that are *wanted*, where they are so but for case and outer
    spaces; and a note.

    >>> called_alike(pd.DataFrame({"text": ["a"], "n": ["1"]}), ["Text ", "id"])[1]
    ["columns called so but for case or spaces: 'text' for 'Text '"]
    """
    there = [str(name) for name in frame.columns]
    plain = [name.strip().casefold() for name in there]
    renamed = {}
    for name in wanted:
        own = name.strip().casefold()
        if name not in there and plain.count(own) == 1:
            renamed[there[plain.index(own)]] = name
    renamed = {found: name for found, name in renamed.items() if found not in wanted}
    told = ", ".join(f"{found!r} for {name!r}" for found, name in renamed.items())
    notes = [f"columns called so but for case or spaces: {told}"] if told else []
    return frame.rename(columns=renamed), notes


def same_rows(first: Table, second: Table) -> list[str]:
    """Ids that name the same row in both tables: equal id and equal texts, not all empty."""
    return [
        str(first.ids[one])
        for one, other in zip(*shared(first.ids, second.ids), strict=True)
        if any(first.texts[one]) and list(first.texts[one]) == list(second.texts[other])
    ]


def row_notes(labelled: Sequence[Table], test: Table) -> list[str]:
    """Rows of *test* that stand in a labelled table too."""
    return [
        f"{test.source}: rows that stand in {table.source} with their label (same id, "
        f"same texts): {listing(ids)}"
        for table in labelled
        if (ids := same_rows(table, test))
    ]


def meeting_problems(labelled: Sequence[Table]) -> list[str]:
    """Rows that stand in two labelled tables and would be trained on and scored."""
    problems = []
    for place, first in enumerate(labelled):
        for second in labelled[place + 1 :]:
            if ids := same_rows(first, second):
                problems.append(
                    f"{second.source}: rows that stand in {first.source} too (same id, same "
                    f"texts): {listing(ids)}. Take them out of one of the files, or the file out "
                    "of the config."
                )
    return problems
