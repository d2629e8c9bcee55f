"""A tag for every unit of a text: which columns hold units and tags, and what the units are.

What init looks at of such a competition are its documents: a document has or has not an entity of
each type, so folds are proposed, and files compared, as of a text with several labels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base import Competition
from pipeline.base.config import ColumnsConfig, TaskConfig, Unit
from pipeline.base.inputs import SPANS
from pipeline.data import Table, Tables
from pipeline.data.labels import spans_in
from pipeline.data.units import documents, list_in, tags_in
from pipeline.metrics.registry import fitting, suggested
from pipeline.problems.entities import OUTSIDE, TAG
from pipeline.problems.label_texts import is_number
from pipeline.problems.tags import TAGS
from pipeline.problems.text import TEXT
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.names import target_rank
from pipeline.setup.detection.profile import Profile
from pipeline.setup.fold_recipe import FoldProposal
from pipeline.setup.inspection.inspect import Inspection, machine

LOOKED_AT = 200
IOB = re.compile(rf"({TAG.pattern})( ({TAG.pattern}))*")


@dataclass(frozen=True, kw_only=True)
class Tagged:
    """The columns of a competition of tags."""

    target: str
    texts: str
    unit: Unit
    space_after: str | None
    spans: bool = False
    """Whether the cells of *target* list spans of the text."""


def find_tags(
    train: pd.DataFrame, only_train: Sequence[str], shared: Sequence[str], overrides: Overrides
) -> Tagged | None:
    """The columns of tags and of what has them, where *train* is like that.

    Args:
        only_train: columns that test lacks: one of them may hold a tag per unit.
        shared: columns that test has too.
    """
    if overrides.problem not in (None, TAGS.name):
        return None
    rows = train.iloc[:LOOKED_AT]
    given = [name for name in overrides.targets if name in train.columns]
    in_both = [name for name in shared if all(_tags(cell) for cell in rows[name].tolist())]
    in_both += [name for name in shared if any(spans_in(cell) for cell in rows[name].tolist())]
    for target in given or [*sorted(only_train, key=target_rank), *in_both]:
        cells = rows[target].tolist()
        if texts := _text_of_spans(cells, rows, overrides.texts or shared):
            return Tagged(
                target=target, texts=texts, unit="character", space_after=None, spans=True
            )
        lists = _lists(cells)
        if not lists and not all(IOB.fullmatch(cell.strip()) for cell in cells):
            continue
        lengths = [len(tags_in(cell)) for cell in cells]
        texts_of = {name: rows[name].to_list() for name in shared if name != target}
        lists_first = sorted(texts_of, key=lambda name: not _lists(texts_of[name]))
        for texts in list(overrides.texts) or lists_first:
            if unit := _unit(rows[texts].to_list(), lengths, lists):
                spaces = [name for name in shared if name != texts and _flags(rows[name], lengths)]
                space_after = spaces[0] if spaces and unit == "given" else None
                return Tagged(target=target, texts=texts, unit=unit, space_after=space_after)
    return None


def _text_of_spans(cells: Sequence[str], rows: pd.DataFrame, texts: Sequence[str]) -> str | None:
    """Which of the *texts* the *cells* list spans of: they lie in it, and neither begin nor end
    within its words; None where they are no spans, or of none."""
    found = [spans_in(cell) for cell in cells]
    if not any(found) or any(each is None for each in found):
        return None
    for name in texts:
        own = [
            (text, start, end)
            for text, spans in zip(rows[name].tolist(), found, strict=True)
            for start, end, _ in spans or []
        ]
        cut = [text[end - 1 : end + 1].isalnum() and text[end : end + 1] for text, _, end in own]
        foreign = any(ord(each) > 0x2E7F for text, _, _ in own for each in text)
        inside = all(0 <= start < end <= len(text) for text, start, end in own)
        if inside and (foreign or sum(map(bool, cut)) <= len(cut) / 2):
            return name
    return None


def _tags(cell: str) -> bool:
    """Whether a *cell* is a list of tags such as B-PS."""
    return all(IOB.fullmatch(each) for each in list_in(cell) or [""])


def _unit(cells: Sequence[str], lengths: Sequence[int], lists: bool) -> Unit | None:
    """What of the *cells* has as many pieces as there are tags, row by row."""
    found = [list_in(cell) for cell in cells]
    if all(each is not None for each in found):
        flags = all(set(each or ()) <= {"true", "false", "0", "1"} for each in found)
        return "given" if [len(each or ()) for each in found] == lengths and not flags else None
    if [len(cell.split()) for cell in cells] == lengths and max(lengths) > 1:
        return "word"
    return "character" if [len(cell) for cell in cells] == lengths and max(lengths) > 1 else None


def _lists(cells: Sequence[str]) -> bool:
    return all(list_in(cell) is not None for cell in cells)


def _flags(column: pd.Series, lengths: Sequence[int]) -> bool:
    found = [list_in(cell) or [] for cell in column.tolist()]
    same = [len(each) for each in found] == list(lengths)
    return same and all({text.lower() for text in each} <= {"true", "false"} for each in found)


def tag_columns(
    tagged: Tagged, id_column: str, shared: dict[str, Profile], choices: Choices
) -> ColumnsConfig:
    """Which column is what; columns of texts and lists are no features."""
    told = {
        "given": f"Lists as long as those of {tagged.target!r}.",
        "word": f"As many words as {tagged.target!r} has tags.",
        "character": f"The spans in {tagged.target!r} lie in it."
        if tagged.spans
        else f"As many characters as {tagged.target!r} has tags.",
    }
    choices.because("columns.texts", told[tagged.unit])
    spans = f"Spans of {tagged.texts!r}, by their characters: they become tags."
    plain = f"A tag for each of {tagged.texts!r} of a row."
    choices.because("columns.targets", spans if tagged.spans else plain)
    if tagged.unit != "given":
        choices.because("columns.unit", told[tagged.unit])
    if tagged.space_after:
        choices.because("columns.space_after", "Lists of true and false, one entry per unit.")
    taken = (id_column, tagged.target, tagged.texts, tagged.space_after)
    features = [
        name for name, profile in shared.items() if name not in taken and not _of_the_text(profile)
    ]
    return ColumnsConfig(
        id=id_column,
        texts=[tagged.texts],
        targets=[tagged.target],
        features=features,
        unit=tagged.unit,
        space_after=tagged.space_after,
    )


def _of_the_text(profile: Profile) -> bool:
    """Whether a column is the text, or a list of what is in it, again."""
    lists = profile.values[0].startswith("[")
    return profile.natural or lists or (profile.unique and not profile.numeric)


def tag_task(
    labelled: Sequence[pd.DataFrame], tagged: Tagged, overrides: Overrides, choices: Choices
) -> TaskConfig:
    """What is predicted: O, then the tags of each type."""
    cells = [cell for frame in labelled for cell in frame[tagged.target]]
    if tagged.spans:
        labels = {"_".join(span[2].split()) for cell in cells for span in spans_in(cell) or []}
        seen = {f"{begin}-{label}" for label in labels for begin in "BI"}
    else:
        seen = {tag for cell in cells for tag in tags_in(cell)}
    seen.add(OUTSIDE)
    kinds = sorted(seen - {OUTSIDE}, key=lambda tag: (tag[2:], tag) if tag[1:2] == "-" else (tag,))
    choices.because("task.problem", f"{tagged.target!r} has a tag for every unit of a text.")
    classes = list(overrides.classes)
    if kinds and not classes and all(map(is_number, kinds)):
        choices.ask(
            "--classes O 0 1 …",
            f"the tags in {tagged.target!r} are numbers. Write their names in place of them (O, "
            "B-PER, …, as the data set's card lists them); or, where they are the names, name them "
            "all",
            kinds,
        )
    choices.because(
        "task.classes", "Given by --classes." if classes else "O, then the tags found, by type."
    )
    metric, reason = suggested(TAGS.name)
    if tagged.spans:
        choices.because("task.separator", "Cells list start, end and type.")
    told = "Given by --metric." if overrides.metric else f"{reason} A guess: check the rules."
    choices.because("task.metric", told)
    return TaskConfig(
        problem=TAGS.name,
        metric=overrides.metric or metric,
        classes=classes or [OUTSIDE, *kinds],
        separator=SPANS if tagged.spans else None,
    )


def by_documents(competition: Competition, tables: Tables) -> tuple[Competition, Tables]:
    """Both as of the documents, with the labels that their problem type has for them; of texts as
    answers, as `by_lengths`.

    Where rows stand for themselves, as they are.
    """
    task, kind = competition.task, competition.task.problem_type
    if kind.predictions == "texts":
        return by_lengths(competition, tables)
    if not kind.units:
        return competition, tables
    rows = documents(tables.train, task)
    assert rows.targets is not None, "train is labelled"
    names, values = kind.document_labels(rows.targets, task.classes)
    kept = np.flatnonzero((values != values[0]).any(axis=0))  # no document is told from others by
    names = [names[place] for place in kept] or [LONG]  # what all of them have

    def labelled(table: Table) -> Table:
        whole = documents(table, task)
        if whole.targets is None:
            return whole
        values = kind.document_labels(whole.targets, task.classes)[1][:, kept]
        return replace(whole, targets=values if len(kept) else _long(whole))

    test, train = labelled(tables.test), labelled(tables.train)
    columns = replace(
        competition.columns, targets=names, unit="given", space_after=None, question=None
    )
    labels = TaskConfig(problem=kind.documents_as, metric=fitting(kind.documents_as)[0])
    sample = replace(tables.sample, ids=test.ids)
    return (
        replace(competition, columns=columns, task=labels),
        replace(
            tables,
            train=train,
            test=test,
            extra=None if tables.extra is None else labelled(tables.extra),
            holdout=None if tables.holdout is None else labelled(tables.holdout),
            sample=sample,
        ),
    )


LONG = "longer than half of the documents"
"""The label of documents that have the same types, all of them."""


def _long(whole: Table) -> np.ndarray:
    """(d, 1) whether a document is one of the longer half."""
    order = np.argsort([len(text) for text in whole.texts[:, 0]], kind="stable")
    places = np.empty(len(whole))
    places[order] = np.arange(len(whole))
    return np.asarray(places >= len(whole) / 2, dtype=float)[:, None]


def by_lengths(competition: Competition, tables: Tables) -> tuple[Competition, Tables]:
    """Both as of a regression on the length of the answers, in characters."""
    (name,) = competition.columns.targets
    task = TaskConfig(problem=TEXT.documents_as, metric=fitting(TEXT.documents_as)[0])

    def lengths(table: Table) -> Table:
        targets = None if table.targets is None else table.targets[:, :1]
        return replace(table, targets=targets, references=None)

    return (
        replace(
            competition,
            columns=replace(competition.columns, targets=[f"characters of {name}"]),
            task=task,
        ),
        replace(
            tables,
            train=lengths(tables.train),
            extra=None if tables.extra is None else lengths(tables.extra),
            holdout=None if tables.holdout is None else lengths(tables.holdout),
        ),
    )


def of_units(
    inspection: Inspection, competition: Competition, tables: Tables, root: Path
) -> Inspection:
    """What was seen of documents, or of lengths, with what is said of units, or texts: the problem,
    and a run's need."""
    kind = competition.task.problem_type
    if not kind.documents_as:
        return inspection
    if kind.spans:  # what is asked is no part of the texts that were compared
        told = replace(inspection.copies, conflicting=0, conflict_examples=[])
        inspection = replace(inspection, undecided=0, copies=told)
    targets = competition.columns.targets
    only_train = [name for name in inspection.columns.only_train if name not in targets]
    return replace(
        inspection,
        problem=competition.task.problem,
        metric=competition.task.metric,
        columns=replace(inspection.columns, only_train=only_train),
        asked=_without_scores(inspection.asked),
        machine=machine(competition, len(tables.train), len(tables.test), root),
    )


def _without_scores(asked: FoldProposal | None) -> FoldProposal | None:
    """*asked* without quick scores: they are of documents, by another metric."""
    if asked is None:
        return None
    return replace(asked, claims=[replace(each, score=None) for each in asked.claims])
