"""Texts with an answer in them, as tables of characters: a row for each, known as ID#PLACE.

The answer is a text in a cell, with or without the place of its first character in another one; or
both cells hold lists, of several references. What the file says of a place is checked: where the
answer does not stand there, the nearest place where it does is taken, and without a place the first
one. What stands nowhere in its text cannot be learnt: such texts are left out and counted, and too
many of them are an error. An empty answer says that there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.base import Competition
from pipeline.data.join import compare
from pipeline.data.sample import OTHERS, Sample
from pipeline.data.table import MENDED, Findings, Table, Units, id_problems, listing
from pipeline.data.units import NUMBER, list_in, unit_ids
from pipeline.problems.label_texts import is_number
from pipeline.problems.span import MOST, targets_of

LOST = 0.1
"""Share of the texts that may be left out because their answer does not stand in them."""


def span_table(
    name: str,
    frame: pd.DataFrame,
    ids: np.ndarray,
    competition: Competition,
    features: Sequence[str],
    labelled: bool,
) -> tuple[Table | None, list[str], list[str]]:
    """The characters of the texts in *frame*, with problems and notes; no table where there are
    problems.

    Args:
        ids: (d,) of the texts.
        features: columns that every character of a text gets.
        labelled: whether the texts have answers.
    """
    columns, found, notes = competition.columns, Findings(), Findings()
    texts = frame[columns.texts[0]].tolist()
    kept = list(range(len(texts)))
    answers: list[list[tuple[int, int]]] = []
    if labelled:
        cells = [frame[column].tolist() for column in columns.targets]
        held = _answers(texts, cells, ids, found, notes)
        kept = [row for row in kept if held[row] is not None]
        answers = [each for each in held if each is not None]
        if (lost := len(texts) - len(kept)) > LOST * len(texts):
            told = ", ".join(notes.sentences()[:1])
            found.add(
                f"the answers (column {columns.targets[0]!r}) of {lost:,} of {len(texts):,} rows "
                f"do not stand in their texts (column {columns.texts[0]!r})",
                told,
            )
    if found.sentences():
        return None, found.sentences(), notes.sentences()
    pool: dict[str, str] = {}
    characters = [[pool.setdefault(each, each) for each in texts[row]] or [""] for row in kept]
    rows = np.array([len(each) for each in characters], dtype=int)
    document = np.repeat(ids[kept], rows)
    place = np.concatenate([np.arange(count) for count in rows] or [np.empty(0, int)])
    flat = np.empty((len(place), 1), dtype=object)
    flat[:, 0] = [each for text in characters for each in text]

    def repeated(column: str) -> np.ndarray:
        return np.repeat(frame[column].to_numpy(dtype=object)[kept], rows)

    targets = [targets_of(*each) for each in zip(characters, answers, strict=bool(labelled))]
    asked = columns.question
    table = Table(
        ids=unit_ids(document, place),
        texts=flat,
        targets=np.concatenate([np.empty((0, 4)), *targets]) if labelled else None,
        features={column: repeated(column) for column in features if column in frame.columns},
        units=Units(
            document=document,
            place=place,
            after=np.full(len(place), "", dtype=object),
            asked=None if asked is None else repeated(asked),
        ),
        source=name,
    )
    return table, [], notes.sentences()


def _answers(
    texts: Sequence[str],
    cells: Sequence[Sequence[str]],
    ids: np.ndarray,
    found: Findings,
    notes: Findings,
) -> list[list[tuple[int, int]] | None]:
    """(d,) each text's answers, (first, behind the last); None where they do not stand in it."""
    filled = [cell for cell in cells[0] if cell.strip()]
    lists = bool(filled) and all(list_in(cell) is not None for cell in filled)
    spans: list[list[tuple[int, int]] | None] = []
    for row, text in enumerate(texts):
        where = f"id {ids[row]}"
        said = (list_in(cells[0][row]) or []) if lists else [cells[0][row]]
        places: list[str] = [""] * len(said)
        if len(cells) > 1:
            given = cells[1][row]
            places = (list_in(given) or []) if lists else [given]
            if len(places) != len(said):
                what = "answers and places of answers that are not as many"
                found.add(what, f"{where} ({len(said)} and {len(places)})", MENDED)
                places = [""] * len(said)
        wanted = [(each, at) for each, at in zip(said, places, strict=True) if each.strip()]
        if len(wanted) > MOST:
            notes.add(f"more than {MOST} references: the further ones are left out", where)
        pairs = [_place(text, each, at, where, notes) for each, at in wanted[:MOST]]
        stand = list(dict.fromkeys(pair for pair in pairs if pair is not None))
        if wanted and not stand:
            what = "left out, as the answer does not stand in the text"
            notes.add(what, f"{where} ({wanted[0][0][:30]!r})")
            spans.append(None)
        else:
            spans.append(stand)
    return spans


def _place(text: str, answer: str, at: str, where: str, notes: Findings) -> tuple[int, int] | None:
    """Where *answer* stands in *text*; None where it does not."""
    given = int(float(at)) if is_number(at.strip()) else None
    if given is not None and given >= 0 and text.startswith(answer, given):
        return given, given + len(answer)
    found = occurrences(text, answer)
    if not found:
        answer = answer.strip()
        found = occurrences(text, answer)
    if not found:
        return None
    if given is None:
        if len(found) > 1:
            notes.add("answers that stand in their text more than once: the first counts", where)
        return found[0], found[0] + len(answer)
    nearest = min(found, key=lambda place: abs(place - given))
    if nearest != given:
        what = "answers that do not stand at their place: the nearest counts"
        notes.add(what, f"{where} ({given}: {nearest})")
    return nearest, nearest + len(answer)


def occurrences(text: str, answer: str) -> list[int]:
    """Every place at which *answer* stands in *text*.

    >>> occurrences("banana", "ana"), occurrences("banana", "x")
    ([1, 3], [])
    """
    found, at = [], text.find(answer)
    while at >= 0:
        found.append(at)
        at = text.find(answer, at + 1)
    return found


# Samples: an answer per text.


@dataclass(frozen=True, kw_only=True)
class AnswerForm:
    """How the rows of the file come from characters."""

    frame: pd.DataFrame
    """The file as it is, or made up."""
    id_column: str
    value_column: str
    """Its column of answers."""
    order: list[str]
    """The texts, in the order in which they are written."""
    characters: Mapping[str, str]
    """Text -> its characters."""

    @property
    def told(self) -> str:
        """What its rows are."""
        return "a cell holds the answer of a text, empty where there is none"

    def rows(self, ids: Sequence[str], cells: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """The file for the characters *ids* that *cells* marks, whole texts in order."""
        marked: dict[str, list[bool]] = {}
        for row, mark in zip(ids, cells[self.value_column], strict=True):
            marked.setdefault(row.rpartition(NUMBER)[0], []).append(bool(mark))
        same = len(marked) == len(self.order) and marked.keys() == set(self.order)
        order = self.order if same else list(marked)
        written = [_marked(self.characters[name], marked[name]) for name in order]
        if same:
            return self.frame.assign(**{self.value_column: written})
        return pd.DataFrame({self.id_column: order, self.value_column: written}, dtype=object)

    def of_rows(self, ids: Sequence[str]) -> "AnswerForm":
        """The same of other texts, written in their own order: `of_texts` then says which."""
        return replace(self, frame=self.frame.head(0), order=[], characters={})


def of_texts(sample: Sample, table: Table) -> Sample:
    """*sample* for the texts of another *table*, where it has answers; else as it is."""
    form = sample.file_form
    if not isinstance(form, AnswerForm):
        return sample
    return replace(sample, file_form=replace(form, characters=_characters(table)))


def _marked(text: str, marks: Sequence[bool]) -> str:
    """The characters of *text* that are marked, without the space around them."""
    return "".join(each for each, mark in zip(text, marks, strict=False) if mark).strip()


def _characters(table: Table) -> dict[str, str]:
    assert table.units is not None, "a table of characters"
    names = table.units.document[table.units.first].tolist()
    flat = table.texts[:, 0]
    pieces = ["".join(flat[rows].tolist()) for rows in table.units.documents]
    return dict(zip(names, pieces, strict=True))


def by_answers(sample: Sample, table: Table) -> tuple[Sample, list[str], list[str]]:
    """A *sample* of texts, as it was read, with a row per character of *table*; problems and notes.

    The organiser's ids have to be those of the texts.
    """
    assert table.units is not None, "a table of characters"
    characters = _characters(table)
    order, problems = list(characters), []
    if sample.made_up:
        names = [sample.columns[0].partition(".")[0].removesuffix("s")]
        sample = replace(sample, columns=names, values=sample.values[:, :1])
    frame = pd.DataFrame(sample.values, columns=pd.Index(sample.columns, dtype=object))
    written = sample.ids if sample.written_ids is None else sample.written_ids
    id_column = sample.id_column or "id"
    frame.insert(0, id_column, written)
    header = [name for name, _ in sample.header or []]
    frame = frame[header] if header and sample.id_column else frame
    if len(sample.columns) != 1:
        told = f"it has the columns {sample.columns} beside the id; expected the answers"
        problems.append(f"{told}: take the others out")
    given = sample.ids.tolist()
    differ = compare(order, given)
    if differ.missing:
        problems.append(f"ids that are not in the test file: {listing(differ.missing)}. {OTHERS}")
    if differ.surplus:
        problems.append(
            f"texts of the test file that it lacks: {listing(differ.surplus)}. {OTHERS}"
        )
    problems += id_problems(sample.ids)
    column = sample.columns[0] if sample.columns else "answer"
    form = AnswerForm(
        frame=frame,
        id_column=id_column,
        value_column=column,
        order=given,
        characters=characters,
    )
    wide = replace(
        sample,
        columns=[column],
        ids=table.ids,
        values=np.full((len(table), 1), "", dtype=object),
        header=None,
        written_ids=None,
        file_form=form,
    )
    return wide, problems, [f"{form.told}, as the submission will have"]
