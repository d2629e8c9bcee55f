"""Documents as tables of units: a row for every character, given token or word.

    klue-ner-00012            ->  klue-ner-00012#0, klue-ner-00012#1, …

A row's text is the unit's; its document's texts follow from `Units`. Folds, groups and near copies
look at documents, everything about predictions looks at units. How the organiser wants the tags of
a document written (a list in a cell, or a row per tagged unit) is read off the sample submission
and written back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.base import Competition
from pipeline.base.config import TaskConfig, Unit
from pipeline.base.inputs import SPANS, End
from pipeline.data.join import NUMBER, compare
from pipeline.data.labels import spans_in, tags_of_cells
from pipeline.data.reading.json_lines import held_in
from pipeline.data.sample import OTHERS, Sample
from pipeline.data.table import MENDED, Findings, Table, Units, id_problems, listing
from pipeline.problems.entities import OUTSIDE, entities_of, inventory_of

ENDS = frozenset(".,;:!?)]}'\"…%")
"""Given tokens that follow the one before without a space, where no column says so."""


def list_in(cell: str) -> list[str] | None:
    """The texts of the list that a *cell* holds, as JSON or Python write it; None for no list.

    >>> list_in('["a", "b"]'), list_in("['O', 'B-PS']"), list_in("[true]"), list_in("a b")
    (['a', 'b'], ['O', 'B-PS'], ['true'], None)
    """
    found = held_in(cell, list)
    if found is None:
        return None
    return [each if isinstance(each, str) else json.dumps(each) for each in found]


def units_in(cell: str, unit: Unit) -> tuple[list[str], list[str]] | None:
    """The units of a *cell*, and what stands behind each of them; None where it is no list but
    should be.

    >>> units_in("Ann  left.", "word"), units_in("ab", "character")
    ((['Ann', 'left.'], ['  ', '']), (['a', 'b'], ['', '']))
    """
    if unit == "character":
        return list(cell), [""] * len(cell)
    if unit == "word":
        words = cell.split()
        after, rest = [], cell.lstrip()
        for word in words:
            rest = rest[len(word) :]
            gap = len(rest) - len(rest.lstrip())
            after.append(rest[:gap])
            rest = rest[gap:]
        return words, after
    found = list_in(cell)
    if found is None:
        return None
    spaced = [" " if behind not in ENDS else "" for behind in found[1:]] + [""]
    single = all(len(each) == 1 for each in found)
    return found, [""] * len(found) if single else spaced


def tags_in(cell: str) -> list[str]:
    """The tags of a cell: a list, or parted by spaces."""
    found = list_in(cell)
    return cell.split() if found is None else [each.strip() for each in found]


def unit_table(
    name: str,
    frame: pd.DataFrame,
    ids: np.ndarray,
    competition: Competition,
    features: Sequence[str],
    labelled: bool,
) -> tuple[Table | None, list[str], list[str]]:
    """The units of the documents in *frame*, with problems and notes; no table where there are
    problems.

    Args:
        ids: (d,) of the documents.
        features: columns that every unit of a document gets.
        labelled: whether the documents have tags.
    """
    columns, task, found, notes = competition.columns, competition.task, Findings(), Findings()
    texts, after, rows = [], [], []
    spaces = frame[columns.space_after].tolist() if columns.space_after in frame.columns else None
    for row, cell in enumerate(frame[columns.texts[0]].tolist()):
        units = units_in(cell, columns.unit)
        if units is None:
            what = f"column {columns.texts[0]!r}: no list of units (columns.unit is given)"
            told = "Set columns.unit to character or word where cells are plain text"
            found.add(what, f"id {ids[row]} ({cell[:20]!r})", told)
            units = ([], [])
        elif not units[0]:
            found.add("documents without a unit", f"id {ids[row]}", MENDED)
        if spaces is not None:
            said = [each.lower() in ("true", "1") for each in list_in(spaces[row]) or []]
            if len(said) != len(units[0]):
                what = f"column {columns.space_after!r} has not one entry per unit"
                where = f"id {ids[row]} ({len(said)} for {len(units[0])} units)"
                found.add(what, where, "Mend them, or set columns.space_after to null")
            units = (units[0], [" " if each else "" for each in said])
        texts += units[0]
        after += units[1]
        rows.append(len(units[0]))
    targets = None
    if labelled:
        cells = frame[columns.targets[0]].tolist()
        if columns.unit == "character" and all(spans_in(cell) is not None for cell in cells):
            cells = tags_of_cells(cells, rows, ids, found)
        targets = _targets(cells, rows, ids, task, found, notes)
    if found.sentences():
        return None, found.sentences(), notes.sentences()
    place = np.concatenate([np.arange(count) for count in rows])
    document = np.repeat(ids, rows)
    table = Table(
        ids=unit_ids(document, place),
        texts=np.array(texts, dtype=object)[:, None],
        targets=targets,
        features={
            column: np.repeat(frame[column].to_numpy(dtype=object), rows)
            for column in features
            if column in frame.columns
        },
        units=Units(document=document, place=place, after=np.array(after, dtype=object)),
        source=name,
    )
    return table, [], notes.sentences()


def _targets(
    cells: Sequence[str],
    rows: Sequence[int],
    ids: np.ndarray,
    task: TaskConfig,
    found: Findings,
    notes: Findings,
) -> np.ndarray:
    """(n, 2) targets of the tags in *cells*; what is wrong with them goes into *found*."""
    inventory, parts = inventory_of(tuple(task.classes)), [np.empty((0, 2))]
    for cell, count, document in zip(cells, rows, ids.tolist(), strict=True):
        tags = tags_in(cell)
        if len(tags) != count:
            what = "documents that have not as many tags as units"
            found.add(what, f"id {document} ({len(tags)} tags, {count} units)", MENDED)
            continue
        targets, unknown = task.problem_type.unit_targets(tags, task.classes)
        for tag in sorted(unknown):
            what, told = "a tag that is not in task.classes", "Mend it, or add it there"
            found.add(what, f"id {document} ({tag!r})", told)
        parts.append(targets)
        numbers = np.nan_to_num(targets[:, 0]).astype(int)
        if inventory.broken(numbers, targets[:, 1] == 0).any():
            what = "I- tags that follow no entity of their type, so that they count for none"
            notes.add(what, f"id {document}")
    return np.concatenate(parts)


def unit_ids(document: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(n,) the ids of units, of their documents' ids and their places."""
    pairs = zip(document.tolist(), place.tolist(), strict=True)
    return np.array([f"{name}{NUMBER}{number}" for name, number in pairs], dtype=object)


def documents_in(ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The documents that units of these *ids* are of, and those of which a unit is missing between
    the first and the last.

    >>> documents_in(["a#0", "b#1", "a#1"])
    (['a', 'b'], ['b'])
    """
    places: dict[str, list[int]] = {}
    for row in ids:
        name, _, place = row.rpartition(NUMBER)
        places.setdefault(name, []).append(int(place) if place.isdecimal() else -1)
    cut = [name for name, found in places.items() if sorted(found) != list(range(len(found)))]
    return list(places), cut


def documents(table: Table, task: TaskConfig) -> Table:
    """A row per document of *table*, with its whole text; the table itself where its rows stand
    for themselves.

    Targets are those that the problem type has for documents (`Problem.document_targets`).
    """
    if table.units is None:
        return table
    units, first = table.units, table.units.first
    pieces = [text + after for text, after in zip(table.texts[:, 0], units.after, strict=True)]
    whole = ["".join(pieces[rows]) for rows in units.documents]
    return Table(
        ids=units.document[first],
        texts=np.array(whole, dtype=object)[:, None],
        targets=None
        if table.targets is None
        else task.problem_type.document_targets(table.targets, task.classes),
        features={name: column[first] for name, column in table.features.items()},
        source=table.source,
    )


# Samples: how the tags of a document are written.


@dataclass(frozen=True, kw_only=True)
class DocumentForm:
    """How the rows of the file come from the units of documents."""

    kind: Literal["list", "units", "spans"]
    """A cell per document, a row per unit that is not O, or a row per entity."""
    frame: pd.DataFrame
    """The file as it is, or made up."""
    value_column: str
    """Its column of tags."""
    order: list[str]
    """The documents, in the order in which they are written."""
    join: str = " "
    """What stands between the tags of a cell; "json" for a list, "spans" for one of entities."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Of a row per unit or entity: column -> what it holds, one of ROLES."""
    end_is: End = "after"
    """Of a row per entity: whether its end is its last unit, or the one after it."""

    @property
    def told(self) -> str:
        """What its rows are."""
        if self.kind == "units":
            return "a row per unit that is not O"
        if self.kind == "spans":
            told = "its last unit" if self.end_is == "last" else "the unit after it"
            return f"a row per entity, whose end is {told}"
        if self.join == SPANS:
            return "a cell lists the entities of a document: start, the character after it, type"
        return "a cell holds all tags of a document"

    def rows(self, ids: Sequence[str], cells: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """The file for the tags that *cells* has for the units *ids*, whole documents in order."""
        tags: dict[str, list[str]] = {}
        for row, tag in zip(ids, cells[self.value_column], strict=True):
            tags.setdefault(row.rpartition(NUMBER)[0], []).append(tag)
        same = len(tags) == len(self.order) and tags.keys() == set(self.order)
        order = self.order if same else list(tags)
        if self.kind == "units":
            return self._tagged(order, tags)
        if self.kind == "spans":
            return self._spans(order, tags)
        written = [self._cell(tags[name]) for name in order]
        if same:
            return self.frame.assign(**{self.value_column: written})
        others = [name for name in self.frame.columns if name != self.value_column]
        return pd.DataFrame({others[0]: order, self.value_column: written}, dtype=object)

    def of_rows(self, ids: Sequence[str]) -> "DocumentForm":
        """The same of documents that are written in their own order."""
        return replace(self, frame=self.frame.head(0), order=[])

    def _cell(self, tags: Sequence[str]) -> str:
        if self.join == SPANS:
            found = entities_of(tags, behind=1)
            return json.dumps([list(each) for each in found], ensure_ascii=False)
        return json.dumps(tags, ensure_ascii=False) if self.join == "json" else self.join.join(tags)

    def _tagged(self, order: Sequence[str], tags: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """A row for each unit that is not O."""
        shown = [
            (name, place, tag)
            for name in order
            for place, tag in enumerate(tags[name])
            if tag != OUTSIDE
        ]
        return self._made(
            {
                "document": [name for name, _, _ in shown],
                "place": [str(place) for _, place, _ in shown],
                "tag": [tag for _, _, tag in shown],
            }
        )

    def _spans(self, order: Sequence[str], tags: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """A row for each entity."""
        behind, shown = int(self.end_is == "after"), []
        for name in order:
            for start, end, kind in entities_of(tags[name], behind):
                shown.append((name, str(start), str(end), kind))
        held = ("document", "start", "end", "tag")
        return self._made({role: [row[at] for row in shown] for at, role in enumerate(held)})

    def _made(self, held: dict[str, list[str]]) -> pd.DataFrame:
        held = {**held, "number": [str(row) for row in range(len(held["tag"]))]}
        made = {str(name): held[self.roles[str(name)]] for name in self.frame.columns}
        return pd.DataFrame(made, dtype=object)


ROLES = {
    "document": ("document", "doc", "doc_id", "document_id", "id"),
    "place": ("token", "token_id", "token_index", "position", "place", "unit"),
    "number": ("row_id", "row", "rowid", "index"),
    "start": ("start", "begin", "start_offset", "start_idx", "start_char", "start_word"),
    "end": ("end", "end_offset", "end_idx", "end_char", "end_word"),
    "tag": ("label", "tag", "target", "entity", "prediction", "type", "class"),
}
"""What a column of a row per unit holds -> names that say so, in small letters. The document, the
unit's place from 0 (or an entity's start and end), and the tag have to be there; a number counts
the rows of the file."""


def by_units(
    sample: Sample, table: Table, separator: str | None, end_is: End = "after"
) -> tuple[Sample, list[str], list[str]]:
    """A *sample* of documents, as it was read, with a row per unit of *table*; problems and notes.

    The organiser's ids have to be those of the documents, unless the file shows tagged units or
    entities only. *end_is* says what the end of an entity is there, *separator* what a cell is
    (`task.separator`) where the sample does not show it.
    """
    assert table.units is not None, "a table of units"
    order = list(dict.fromkeys(table.units.document.tolist()))
    frame = pd.DataFrame(sample.values, columns=pd.Index(sample.columns, dtype=object))
    written = sample.ids if sample.written_ids is None else sample.written_ids
    frame.insert(0, sample.id_column, written)
    header = [name for name, _ in sample.header or []]
    frame = frame[header] if header else frame
    column, problems = sample.columns[0] if sample.columns else "", []
    roles = _roles(list(map(str, frame.columns)))
    if roles:
        column = next(name for name, role in roles.items() if role == "tag")
        form = DocumentForm(
            kind="spans" if "start" in roles.values() else "units",
            frame=frame,
            value_column=column,
            order=order,
            roles=roles,
            end_is=end_is,
        )
    else:
        if len(sample.columns) != 1:
            told = f"it has the columns {sample.columns} beside the id; expected one, of tags"
            problems = [f"{told}: take the others out"]
        given = sample.ids.tolist()
        differ = compare(order, given)
        if differ.missing:
            problems.append(
                f"ids that are not in the test file: {listing(differ.missing)}. {OTHERS}"
            )
        if differ.surplus:
            lacking = f"documents of the test file that it lacks: {listing(differ.surplus)}"
            problems.append(f"{lacking}. {OTHERS}")
        problems += id_problems(sample.ids)
        shown = sample.values[:, 0].tolist() if sample.columns else []
        own = table.texts[table.units.document == order[0], 0].tolist()
        if own in map(list_in, sample.values[sample.ids == order[0]].ravel().tolist()):
            problems = [
                "it has a unit per line (or a list of the units), a form that is read and not "
                "written. Take it away: the submission is then a csv with the tags of a document "
                "in a cell, in the order of the test file, to be converted to that form"
            ]
        lists = bool(shown) and all(list_in(each) is not None for each in shown)
        spans = lists and all(spans_in(each) is not None for each in shown)
        join = SPANS if spans else "json" if lists else " "
        join = separator or join if sample.made_up else join
        form = DocumentForm(kind="list", frame=frame, value_column=column, order=given, join=join)
    wide = replace(
        sample,
        columns=[column],
        ids=table.ids,
        values=np.full((len(table), 1), OUTSIDE, dtype=object),
        header=None,
        written_ids=None,
        file_form=form,
    )
    return wide, problems, [f"{form.told}, as the submission will have"]


def _roles(columns: Sequence[str]) -> dict[str, str]:
    """Column -> what it holds, where the columns are those of a row per unit; else {}."""
    found = {
        name: role for name in columns for role, known in ROLES.items() if name.lower() in known
    }
    held = set(found.values()) - {"number"}
    whole = held in ({"document", "place", "tag"}, {"document", "start", "end", "tag"})
    return found if whole and len(found) == len(columns) == len(set(found.values())) else {}
