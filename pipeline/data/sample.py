"""The sample submission: header, ids, order and form of what the leaderboard takes.

One with a row per class is read as one column per class, and written back as rows (`LongForm`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from unicodedata import is_normalized, normalize

import numpy as np
import pandas as pd

from pipeline.data.join import compare
from pipeline.data.reading.delimited import Layout
from pipeline.data.table import Findings
from pipeline.problems.label_texts import NumberForm

ANSWER = "answer"
"""The column of answers that stood under ids."""


class FileForm(Protocol):
    """A file whose rows are not those that are predicted."""

    @property
    def told(self) -> str:
        """What its rows are."""

    def rows(self, ids: Sequence[str], cells: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """The file's rows: *cells* has the (m,) texts of each column, for the *ids* (m,)."""

    def of_rows(self, ids: Sequence[str]) -> "FileForm":
        """The form of a file of other *ids* (m,)."""


@dataclass(frozen=True, kw_only=True)
class LongForm:
    """How the r rows of the file come from m ids and c classes, or columns."""

    frame: pd.DataFrame
    """(r, …) the file as it is."""
    ids: Sequence[str]
    """(r,) the id that each row is of."""
    names: Sequence[str]
    """(r,) the class or column that each row is of."""
    value_column: str
    told: str
    """What its rows are."""

    def rows(self, ids: Sequence[str], cells: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """The file with its value column filled: *cells* has the (m,) texts of each class, for the
        *ids* (m,)."""
        places = pd.Index(ids).get_indexer(pd.Index(self.ids)).tolist()
        values = [cells[name][place] for place, name in zip(places, self.names, strict=True)]
        return self.frame.assign(**{self.value_column: values})

    def of_rows(self, ids: Sequence[str]) -> "LongForm":
        """The same of other *ids* (m,): the rows of an id, or those of a class, stay together."""
        names = list(dict.fromkeys(self.names))
        by_class = len(set(self.ids)) > 1 and self.ids[0] != self.ids[1]
        pairs = [(each, name) for each in ids for name in names]
        if by_class:
            pairs = [(each, name) for name in names for each in ids]
        columns = {str(column): self._cells(str(column), pairs) for column in self.frame.columns}
        return replace(
            self,
            frame=pd.DataFrame(columns, dtype=object),
            ids=[each for each, _ in pairs],
            names=[name for _, name in pairs],
        )

    def _cells(self, column: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """What a *column* holds for *pairs* of id and name, by what it holds of its first row."""
        old, (own, name) = self.frame[column].tolist(), (self.ids[0], self.names[0])
        if column == self.value_column:
            return [""] * len(pairs)
        if old == list(self.ids):
            return [each for each, _ in pairs]
        if old == list(self.names):
            return [each for _, each in pairs]
        if old == [str(row) for row in range(len(old))]:
            return [str(row) for row in range(len(pairs))]
        first = str(old[0])
        if first.startswith(own) and first.endswith(name):
            between = first[len(own) : len(first) - len(name)]
            return [f"{each}{between}{kind}" for each, kind in pairs]
        between = first[len(name) : len(first) - len(own)]
        return [f"{kind}{between}{each}" for each, kind in pairs]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The sample submission: m rows, c value columns."""

    id_column: str
    """An empty text where there is none: rows are those of the test file, in its order."""
    columns: list[str]
    """Names of the value columns, (c,)."""
    ids: np.ndarray
    """(m,) str objects, in the file's order."""
    values: np.ndarray
    """(m, c) str objects: the dummy answers as they stand in the file."""
    header: list[tuple[str, str]] | None = None
    """(1 + c,) each column in the file's order: how it is called, how it is written. None: the id
    column first, all written as they are called."""
    written_ids: np.ndarray | None = None
    """(m,) str objects: the ids as they are written, where that is not composed (NFC)."""
    file_form: FileForm | None = None
    """How the file has a row per class, or per document of tagged units, where it does: here it has
    a column per class, or a row per unit."""
    counts: list[str] = field(default_factory=list)
    """Columns without a name that count the rows from 0; they do so in the submission, too."""
    bare: bool = False
    """Whether the file has no header, and the submission has none."""
    layout: Layout = field(default_factory=Layout)
    """How fields stand in a line of the file."""
    numbers: Mapping[str, NumberForm] = field(default_factory=dict)
    """Columns of the file whose numbers are written another way, and how."""
    made_up: bool = False
    """Whether there is no file, so that nothing is known of the form of an answer."""


def index_columns(frame: pd.DataFrame) -> list[str]:
    """The columns without a name that count the rows from 0: what DataFrame.to_csv leaves."""
    count = [str(row) for row in range(len(frame))]
    return [
        str(name)
        for name in frame.columns
        if str(name).startswith("Unnamed: ") and frame[name].tolist() == count
    ]


def id_column_of(sample: pd.DataFrame, id_column: str, targets: Sequence[str] = ()) -> str:
    """*id_column* where the sample has it, else its first column that is no index; an empty text
    where its rows have no ids: it has but one column, or begins with one of the *targets*."""
    if id_column in sample.columns:
        return id_column
    index = index_columns(sample)
    names = [str(name) for name in sample.columns if name not in index]
    return "" if len(names) < 2 or names[0] in targets else names[0]


def sample_of(
    frame: pd.DataFrame,
    id_column: str,
    targets: Sequence[str] = (),
    written: Mapping[str, str] | None = None,
) -> Sample:
    """The sample in a file's *frame*; without ids its rows are numbered.

    *written*: name of a column -> as it stands in the file.
    """
    name = id_column_of(frame, id_column, targets)
    if as_wide := widened(frame, name):
        return replace(sample_of(as_wide[0], id_column, targets), file_form=as_wide[1])
    return sample_as_it_is(frame, name, written)


def sample_of_documents(
    frame: pd.DataFrame,
    id_column: str,
    targets: Sequence[str],
    written: Mapping[str, str],
    source: str,
) -> Sample:
    """The sample of documents, or of their units, in the *frame* of the file *source*."""
    if source.endswith(".json") and id_column not in frame.columns:
        frame = by_keys(frame, id_column)
    return sample_as_it_is(frame, id_column_of(frame, id_column, targets), written)


def by_keys(frame: pd.DataFrame, id_column: str) -> pd.DataFrame:
    """*frame*, or its rows where it is one JSON object with an answer under each id, as SQuAD's
    evaluation takes it, that was read as a row of many columns.

    >>> by_keys(pd.DataFrame([{"q1": "Bo", "q2": ""}]), "id").to_numpy().tolist()
    [['q1', 'Bo'], ['q2', '']]
    """
    if len(frame) != 1 or len(frame.columns) < 2:
        return frame
    return pd.DataFrame({id_column: map(str, frame.columns), ANSWER: frame.iloc[0]}, dtype=object)


def sample_as_it_is(
    frame: pd.DataFrame, name: str, written: Mapping[str, str] | None = None
) -> Sample:
    """The sample in *frame*, whose ids stand in the column *name*; an empty text for none."""
    counts = [column for column in index_columns(frame) if column != name]
    columns = [str(column) for column in frame.columns if column not in (name, *counts)]
    numbers = np.array([str(row) for row in range(len(frame))], dtype=object)
    found = frame[name].to_numpy(dtype=object) if name else numbers
    ids = composed(found)
    header = [(str(each), (written or {}).get(str(each), str(each))) for each in frame.columns]
    return Sample(
        id_column=name,
        columns=columns,
        ids=ids,
        values=frame[columns].to_numpy(dtype=object).reshape(len(frame), len(columns)),
        header=header,
        written_ids=None if ids is found else found,
        counts=counts,
    )


def widened(frame: pd.DataFrame, id_column: str) -> tuple[pd.DataFrame, LongForm] | None:
    """*frame* with a row per id and a column per class; None where it is not in long form.

    In long form there are three columns, and each id stands once with each class.
    """
    rest = [str(name) for name in frame.columns if name != id_column]
    if len(rest) != 2 or id_column not in frame.columns or frame[id_column].is_unique:
        return None
    for kind, value in (rest, rest[::-1]):
        form = LongForm(
            frame=frame,
            ids=frame[id_column].tolist(),
            names=frame[kind].tolist(),
            value_column=value,
            told=f"a row per {kind!r} of each id",
        )
        if (wide := _wide(form, id_column)) is not None:
            return wide, form
    return None


SEPARATORS = ("_", "-", ":", "|", ".", "/", " ")
"""What may stand between an id and a name in one key."""


def by_joined_keys(
    frame: pd.DataFrame, id_column: str, ids: Collection[str]
) -> tuple[pd.DataFrame, LongForm] | None:
    """*frame* with a row per id and a column per name, where its keys join each of the *ids* of the
    test file with each of some names: 7_content, 7_wording, 8_content, …; None where they do not.
    """
    rest = [str(name) for name in frame.columns if name not in (id_column, *index_columns(frame))]
    if len(rest) != 1 or id_column not in frame.columns:
        return None
    known, keys = set(ids), frame[id_column].tolist()
    if known & set(keys):
        return None
    for separator in SEPARATORS:
        for id_first in (True, False):
            pairs = [_parted(key, separator, id_first, known) for key in keys]
            found = [pair for pair in pairs if pair is not None]
            if len(found) < len(pairs):
                continue
            form = LongForm(
                frame=frame,
                ids=[each for each, _ in found],
                names=[name for _, name in found],
                value_column=rest[0],
                told=f"a row per id and column, as in {keys[0]!r}",
            )
            if (wide := _wide(form, id_column)) is not None:
                return wide, form
    return None


def _parted(
    key: str, separator: str, id_first: bool, known: Collection[str]
) -> tuple[str, str] | None:
    """The id, of those *known* the longest, and the name that *key* joins."""
    parts = key.split(separator)
    cuts = range(len(parts) - 1, 0, -1) if id_first else range(1, len(parts))
    for cut in cuts:
        first, last = separator.join(parts[:cut]), separator.join(parts[cut:])
        own, name = (first, last) if id_first else (last, first)
        if own in known and name:
            return own, name
    return None


def _wide(form: LongForm, id_column: str) -> pd.DataFrame | None:
    """A row per id and a column per name, both in the order of the file; None where not each id
    stands once with each of two names or more."""
    cells = pd.DataFrame({"id": form.ids, "name": form.names})
    ids, names = cells["id"].unique(), cells["name"].unique()
    once = not cells.duplicated().any()
    if not once or len(names) < 2 or len(ids) * len(names) != len(cells):
        return None
    cells["value"] = form.frame[form.value_column].to_numpy(object)
    table = cells.pivot(index="id", columns="name", values="value").loc[ids, names]
    return table.rename_axis(index=id_column, columns=None).reset_index()


def for_rows(sample: Sample, ids: np.ndarray, short: bool) -> tuple[Sample, list[str], list[str]]:
    """A *sample* as one of the test file's rows, with problems and notes about that file.

    A sample with ids stays as it is, unless it shows some of the rows only and is known to be
    *short*: then it becomes one of all rows. One without ids has those of the file, in order.

    Args:
        sample: as it was read.
        ids: (m,) of the test file's rows, in order.
        short: data.short_sample.
    """
    if found := _of_joined_keys(sample, ids):
        assert found.file_form is not None
        return found, [], [f"the sample has {found.file_form.told}, and so will the submission"]
    if not sample.id_column:
        filled = replace(sample, ids=ids)
        if len(sample.ids) == len(ids):
            return filled, [], ["the sample has no ids: its rows are those of this file, in order"]
        rows = f"the sample has no ids and {len(sample.ids):,} rows, this file has {len(ids):,}"
        expected = "expected a row for each, in the same order. Without the sample it works as well"
        return filled, [f"{rows}: {expected}"], []
    if short and sample.file_form is None and set(sample.ids) < set(ids):
        told = (
            f"the sample shows {len(sample.ids):,} of {len(ids):,} rows (data.short_sample): the "
            "submission has all, in the order of this file"
        )
        return of_rows(sample, ids), [], [told]
    return sample, [], []


def _of_joined_keys(sample: Sample, ids: np.ndarray) -> Sample | None:
    """*sample* with a row for each of the *ids*, where its own join them with names of columns."""
    if sample.file_form is not None or len(sample.columns) != 1 or not sample.id_column:
        return None
    cells = dict(zip(sample.columns, sample.values.T, strict=True))
    written = sample.ids if sample.written_ids is None else sample.written_ids
    counted = {name: [str(row) for row in range(len(written))] for name in sample.counts}
    columns = {sample.id_column: written, **cells, **counted}
    named = sample.header or [(name, name) for name in columns]
    frame = pd.DataFrame({name: columns[name] for name, _ in named}, dtype=object)
    if (as_wide := by_joined_keys(frame, sample.id_column, ids)) is None:
        return None
    wide, form = as_wide
    found = sample_as_it_is(wide, sample.id_column)
    return replace(found, file_form=form, layout=sample.layout, numbers=sample.numbers)


def of_rows(sample: Sample, ids: np.ndarray) -> Sample:
    """A *sample* like this one of the rows with other *ids* (m,), in their order."""
    values = np.repeat(sample.values[:1], len(ids), axis=0)
    form = None if sample.file_form is None else sample.file_form.of_rows(ids.tolist())
    return replace(sample, ids=ids, values=values, written_ids=None, file_form=form)


def composed(ids: np.ndarray) -> np.ndarray:
    """(n,) *ids* in composed Unicode (NFC); the same array where they are so already."""
    if all(is_normalized("NFC", each) for each in ids):
        return ids
    return np.array([normalize("NFC", each) for each in ids], dtype=object)


def made_up(columns: Sequence[str], id_column: str, ids: np.ndarray) -> Sample:
    """A sample for a competition that has none: the id, then the *columns*, all empty."""
    values = np.full((len(ids), len(columns)), "", dtype=object)
    return Sample(id_column=id_column, columns=[*columns], ids=ids, values=values, made_up=True)


# How its ids differ from those of the test file.


def sample_problems(test_ids: np.ndarray, sample_ids: np.ndarray) -> list[str]:
    """How the ids of the sample submission differ from those of the test file; order is free."""
    found, differ = Findings(), compare(test_ids.tolist(), sample_ids.tolist())
    if differ.missing and (alike := _equal_but_for(differ.surplus, differ.missing)):
        return [alike]
    way = "" if differ.missing else SHORT
    for row_id in differ.surplus:
        found.add(f"{len(differ.surplus):,} ids of the test file are not in it{way}", row_id)
    for row_id in differ.missing:
        found.add(f"{len(differ.missing):,} of its ids are not in the test file", row_id, OTHERS)
    return found.sentences()


OTHERS = (
    "Both have to name the same rows: put the test file and the sample of one release beside each "
    "other; or take the sample away (it may be left out: the submission then has the test file's "
    "ids)"
)
NO_ANSWERS = "there is no column beside {0!r}; expected the answers: add it, or remove the sample"
SHORT = " (if it shows some rows only, set data.short_sample to true; init: --short-sample)"
LOOSELY: dict[str, Callable[[str], str]] = {
    "spaces around them": str.strip,
    "a .0 at their end": lambda text: text.removesuffix(".0"),
    "zeros in front": lambda text: text.lstrip("0"),
    "upper and lower case": str.casefold,
}
"""What spreadsheets do to ids -> what undoes it."""


def _equal_but_for(test: Sequence[str], sample: Sequence[str]) -> str:
    """A sentence where the ids that differ are equal but for one thing; else an empty text."""
    for what, plain in LOOSELY.items():
        there = {plain(each): each for each in test}
        if len(there) == len(test) and {plain(each) for each in sample} == set(there):
            return (
                f"its ids are those of the test file but for {what}: {sample[0]!r} here is "
                f"{there[plain(sample[0])]!r} there, {len(sample):,} in all. A spreadsheet does "
                "that. Take the file as the organiser gave it; or, where the leaderboard wants the "
                "ids as they are here, write them so into the test file as well"
            )
    return ""
