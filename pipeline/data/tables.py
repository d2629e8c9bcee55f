"""A competition's files as checked tables: every problem of every file, told at once.

Rules. Ids and classes are text. An id names one row of its table; the same id in two files is the
same row only if its texts are the same too: then a labelled row would be trained on and scored,
which is refused, while files that merely count from 0 again are fine. Empty texts are allowed.
A label outside task.label_range is an error: the range in the config can be widened.

A dev file is a holdout by default: predicted by every fold, scored, never trained on. Moving it
to `data.extra_train` trains on it; then rows related to a fold's held-out rows are left out of
that fold.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from pipeline.base import Competition, DataError, raise_if
from pipeline.base.config import ColumnsConfig
from pipeline.base.inputs import MARKED, End, Role, columns_in
from pipeline.data.joined import joined
from pipeline.data.labels import apart, encode, forms_of_sample, labelled_rows
from pipeline.data.reading.packed import FILE_NAME
from pipeline.data.reading.parts import STAR
from pipeline.data.reading.reader import SKIPPED, Reading, read
from pipeline.data.references import answered
from pipeline.data.sample import (
    NO_ANSWERS,
    Sample,
    composed,
    for_rows,
    made_up,
    sample_of,
    sample_of_documents,
    sample_problems,
)
from pipeline.data.spans import by_answers, span_table
from pipeline.data.table import (
    NUMBERED,
    LabelledFile,
    Table,
    Targets,
    called_alike,
    concatenate,
    id_problems,
    meeting_problems,
    missing_columns,
    row_notes,
    with_numbers,
)
from pipeline.data.template import marked_texts, with_fields
from pipeline.data.units import by_units, unit_table

# From one file to a checked Table, together with what was found in it.

ROW_NUMBER = "(row number)"
"""As columns.id: the labelled files have no id column, so their rows are numbered."""

T = TypeVar("T")


@dataclass(frozen=True)
class Checked(Generic[T]):
    """What a file holds, None where it cannot be used; with what a person should know of it."""

    value: T | None
    problems: list[str] = field(default_factory=list)
    """What is wrong with it: the competition cannot be read."""
    notes: list[str] = field(default_factory=list)
    """What was noticed and is no error."""


def about(name: str, sentences: Sequence[str]) -> list[str]:
    """The *sentences*, each saying that it is about the file *name*."""
    return [f"{name}: {sentence}" for sentence in sentences]


def frame_of(name: str, competition: Competition, root: Path, role: Role) -> Checked[pd.DataFrame]:
    """The rows of the file *name* below *root*, with the columns that are joined to its *role*."""
    file = _reading(name, competition, root)
    if file.value is None:
        return Checked(None, file.problems)
    joins = [join for join in competition.data.joins if role in join.to]
    frame = file.value.frame.rename(columns={FILE_NAME: competition.columns.id})
    if not joins:
        return Checked(frame, file.problems, file.notes)

    def beside(other: str) -> tuple[pd.DataFrame | None, list[str], list[str]]:
        found = _reading(other, competition, root)
        return None if found.value is None else found.value.frame, found.problems, found.notes

    wide, problems, notes = joined(frame, name, joins, beside)
    return Checked(wide, problems, [*file.notes, *notes])


def _reading(name: str, competition: Competition, root: Path) -> Checked[Reading]:
    how = competition.data.how(name)
    encoding = how.encoding or competition.data.encoding
    try:
        reading = read(root / name, encoding, name, how=how, way=SKIPPED)
    except DataError as error:
        return Checked(None, [str(error).replace("\n", "\n  ")])
    return Checked(reading, notes=about(name, reading.notes))


def labelled_file(
    name: str,
    competition: Competition,
    root: Path,
    features: Sequence[str] = (),
    role: Role = "train",
) -> Checked[Table]:
    """A file with targets, of a *role*; no table where a column or one of *features* is missing."""
    file, columns = frame_of(name, competition, root, role), competition.columns
    if file.value is None:
        return Checked(None, file.problems)
    needed = [*columns.texts, *columns.targets, *features, *view_columns(columns)]
    needed += [] if columns.id == ROW_NUMBER else [columns.id]
    frame = with_fields(file.value, needed)
    if problems := missing_columns(frame, needed):
        return Checked(None, about(name, problems), file.notes)
    ids = row_ids(frame, columns.id, name)
    kept = labelled_rows(frame, columns.targets, competition.task.unlabelled)
    frame, ids = frame[kept], ids[kept]
    further = [*fold_columns(competition), *features]
    if competition.task.problem_type.units:
        of_units = span_table if competition.task.problem_type.spans else unit_table
        units, problems, told = of_units(name, frame, ids, competition, further, labelled=True)
        wrong = id_problems(ids) + problems
        return Checked(units, about(name, wrong), file.notes + about(name, told))
    same_ids, references = id_problems(ids, NUMBERED), None
    if competition.task.problem_type.predictions == "texts":
        inputs = [*columns.texts, *columns.features, *further, *view_columns(columns)]
        rows, references, problems, notes = answered(frame, ids, columns.targets[0], inputs)
        targets = competition.task.problem_type.reference_targets(references.tolist())
        frame, ids = frame.iloc[rows], ids[rows]
    else:
        targets, problems, notes = encode(frame, columns.targets, ids, competition.task)
    if left_out := int(len(kept) - kept.sum()):
        mark = competition.task.unlabelled
        notes.append(f"{left_out:,} rows without a label ({mark}) are left out")
    if ":" in competition.task.metric:  # a function of their own may look at the rows themselves
        named = frame.assign(**{columns.id: ids})
        whole = with_numbers(named, [columns.id, *columns.texts])
        known = LabelledFile(whole, columns.id, competition.outputs)
        targets = Targets.of(targets, known, np.arange(len(targets)))
    table, wrong = _table(name, frame, ids, competition, targets, features)
    return Checked(
        replace(table, references=references),
        about(name, same_ids + problems + wrong),
        file.notes + about(name, notes),
    )


def labelled_files(
    names: Sequence[str],
    competition: Competition,
    root: Path,
    features: Sequence[str] = (),
    role: Role = "train",
) -> Checked[Table]:
    """The rows of several files one after the other; ids must stay unique."""
    files = [labelled_file(name, competition, root, features, role) for name in names]
    tables = [file.value for file in files if file.value is not None]
    table = reduce(concatenate, tables) if tables else None
    problems = [problem for file in files for problem in file.problems]
    if table is not None and len(tables) > 1:
        together = " + ".join(each.source for each in tables)
        problems += about(together, id_problems(table.ids))
    return Checked(table, problems, [note for file in files for note in file.notes])


def file_to_predict(
    competition: Competition, root: Path, sample: Sample | None
) -> tuple[Checked[Table], Sample | None]:
    """The rows to predict, and the sample: made up where the config names none.

    Their id column may have another name than that of train, see `test_id_column`. Where a file
    has none at all its rows are those of the sample, in order.
    """
    file = frame_of(competition.data.test, competition, root, "test")
    if file.value is None:
        return Checked(None, file.problems), sample
    return frame_to_predict(file.value, competition, sample, file.notes)


def frame_to_predict(
    given: pd.DataFrame, competition: Competition, sample: Sample | None, before: Sequence[str] = ()
) -> tuple[Checked[Table], Sample | None]:
    """As `file_to_predict`, of rows that were read; *before* are notes on how."""
    name, columns, file_notes = competition.data.test, competition.columns, list(before)
    needed = [*columns.texts, *columns.features, *view_columns(columns)]
    frame, told = called_alike(with_fields(given, needed), needed)
    file_notes += about(name, told)
    id_column = test_id_column(frame, competition, sample)
    needed += [] if id_column == ROW_NUMBER else [id_column]
    if problems := missing_columns(frame, needed):
        return Checked(None, about(name, problems), file_notes), sample
    counted = sample is not None and sample.id_column and len(sample.ids) == len(frame)
    if id_column == ROW_NUMBER and sample is not None and counted:
        ids, problems = sample.ids, []
        notes = ["no id column: rows are those of the sample, in its order"]
    else:
        ids, notes = row_ids(frame, id_column, name), []
        problems = id_problems(ids)
    if competition.task.problem_type.units:
        return _units_to_predict(name, frame, ids, competition, sample, file_notes)
    if sample is not None:
        sample, wrong, told = for_rows(sample, ids, competition.data.short_sample)
        problems, notes = problems + wrong, notes + told
    if not competition.data.sample_submission:
        own = test_id_column(frame, competition, None)
        sample = made_up(columns.targets, "id" if own == ROW_NUMBER else own, ids)
        header = ",".join([sample.id_column, *sample.columns])
        notes.append(f"no sample submission: the submission's header will be {header}")
    table, wrong = _table(name, frame, ids, competition)
    return Checked(table, about(name, problems + wrong), file_notes + about(name, notes)), sample


def _units_to_predict(
    name: str,
    frame: pd.DataFrame,
    ids: np.ndarray,
    competition: Competition,
    sample: Sample | None,
    notes: list[str],
) -> tuple[Checked[Table], Sample | None]:
    """As `file_to_predict`, of the documents in *frame* with these *ids*."""
    spans, columns = competition.task.problem_type.spans, fold_columns(competition)
    of_units = span_table if spans else unit_table
    table, problems, told = of_units(name, frame, ids, competition, columns, labelled=False)
    problems = about(name, id_problems(ids) + problems)
    notes = notes + about(name, told)
    if table is not None:
        where = competition.data.sample_submission
        ends: list[End] = [join.end_is for join in competition.data.joins if join.spans]
        own = ["start", "end", "label"] if ends else competition.columns.targets
        given, form = sample or made_up(own, "id", ids), competition.task.separator
        sample, wrong, told = (
            by_answers(given, table) if spans else by_units(given, table, form, *ends[:1])
        )
        problems, notes = problems + about(where, wrong), notes + about(where or name, told)
    return Checked(table, problems, notes), sample


def test_id_column(frame: pd.DataFrame, competition: Competition, sample: Sample | None) -> str:
    """The id column of the test file: that of train, by its letters at least; else that of the
    sample submission; else, without a sample, the one column that is neither text nor feature nor
    one of the folds (and where rows of train are numbered, names each row); else that of train."""
    columns = competition.columns
    if columns.id in frame.columns:
        return columns.id
    own = columns.id.strip().casefold()
    alike = [str(name) for name in frame.columns if str(name).strip().casefold() == own]
    if len(alike) == 1:
        return alike[0]
    if sample is not None and sample.id_column:
        return sample.id_column if sample.id_column in frame.columns else columns.id
    known = {*columns.texts, *columns.targets, *fold_columns(competition)}
    numbered = columns.id == ROW_NUMBER
    left = [
        str(name)
        for name in frame.columns
        if name not in known and (frame[name].is_unique or not numbered)
    ]
    return left[0] if len(left) == 1 else columns.id


def row_ids(frame: pd.DataFrame, id_column: str, name: str) -> np.ndarray:
    """(n,) ids of a file's rows as text."""
    if id_column == ROW_NUMBER:
        stem = re.sub(r"\{.*\}", "", Path(name).stem).partition(STAR)[0].strip("-_. ")
        return np.array([f"{stem}-{row}" for row in range(1, len(frame) + 1)], object)
    return composed(frame[id_column].to_numpy(dtype=object))


def fold_columns(competition: Competition) -> list[str]:
    """The further columns that the training file has to have: features, and what folds use."""
    folds = competition.folds
    wanted = [*competition.columns.features, *folds.stratify_by, *folds.group_columns]
    return list(dict.fromkeys(wanted))


def view_columns(columns: ColumnsConfig) -> list[str]:
    """What templates and entities need beside the texts: of every file."""
    named = [name for side in columns.template for name in columns_in(side)]
    entities = [name for entity in columns.entities for name in entity.columns]
    asked = [] if columns.question is None else [columns.question]
    return [*(name for name in named if not name.endswith(MARKED)), *entities, *asked]


def _table(
    name: str,
    frame: pd.DataFrame,
    ids: np.ndarray,
    competition: Competition,
    targets: np.ndarray | None = None,
    further: Sequence[str] = (),
) -> tuple[Table, list[str]]:
    """The rows, and what is wrong with the places of entities."""
    marked, problems = marked_texts(frame, competition.columns.entities, ids)
    table = Table(
        ids=ids,
        texts=frame[competition.columns.texts].to_numpy(dtype=object),
        targets=targets,
        features={
            column: frame[column].to_numpy(dtype=object)
            for column in dict.fromkeys([*fold_columns(competition), *further])
            if column in frame.columns
        },
        marked=marked,
        source=name,
    )
    return table, problems


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All rows of a competition."""

    train: Table
    test: Table
    extra: Table | None
    """Rows of data.extra_train, with targets."""
    holdout: Table | None
    """Rows of data.holdout, with targets."""
    sample: Sample
    notes: tuple[str, ...] = ()
    """What was noticed in the files and is no error."""

    @property
    def all(self) -> list[Table]:
        """Those that are there."""
        tables = (self.train, self.test, self.extra, self.holdout)
        return [table for table in tables if table is not None]


def load(competition: Competition, root: Path, further: Sequence[str] = ()) -> Tables:
    """Read and check every file of *competition*; relative paths start at *root*.

    The rows that are trained on also have the *further* columns. Raises DataError listing all
    problems of all files.
    """
    sample = sample_in(competition, root)
    needed = [*fold_columns(competition), *further]
    train = labelled_files([competition.data.train], competition, root, needed)
    named = {role for join in competition.data.joins for role in join.to}
    own: Role = "extra_train" if "extra_train" in named else "train"
    extra = labelled_files(competition.data.extra_train, competition, root, further, own)
    holdout = labelled_files(competition.data.holdout, competition, root, role="holdout")
    test, form = file_to_predict(competition, root, sample.value)
    labelled = [each.value for each in (train, extra, holdout) if each.value is not None]
    files: tuple[Checked[Any], ...] = (sample, train, extra, holdout, test)
    problems = [problem for file in files for problem in file.problems]
    problems += meeting_problems(labelled)
    if test.value is not None and form is not None:
        differ = sample_problems(test.value.ids, form.ids)
        problems += about(competition.data.sample_submission, differ)
    raise_if(problems, DataError)
    assert train.value is not None, "a file that cannot be read is a problem"
    assert test.value is not None, "so is this one"
    assert form is not None, "and this one"
    notes = [note for file in files for note in file.notes]
    kept, more, told = apart(train.value, extra.value, competition)
    return Tables(
        train=kept,
        test=test.value,
        extra=more,
        holdout=holdout.value,
        sample=form,
        notes=(*notes, *told, *row_notes(labelled, test.value)),
    )


def sample_in(competition: Competition, root: Path) -> Checked[Sample]:
    """The sample submission; None where there is none or it cannot be read."""
    name = competition.data.sample_submission
    if not name:
        return Checked(None)
    file = _reading(name, competition, root)
    if file.value is None:
        return Checked(None, file.problems)
    frame, columns, layout = file.value.frame, competition.columns, file.value.layout
    written = dict(zip(frame.columns, file.value.header, strict=True))
    if competition.task.problem_type.units:  # its ids may be of documents or of units
        found = sample_of_documents(frame, columns.id, columns.targets, written, name)
        return Checked(replace(found, layout=layout), notes=file.notes)
    sample = sample_of(frame, columns.id, columns.targets, written)
    forms, problems = forms_of_sample(sample.values, competition)
    sample = replace(sample, bare=competition.data.how(name).bare, layout=layout, numbers=forms)
    if form := sample.file_form:
        file.notes.append(f"{name}: {form.told}, as the submission will have")
    problems += id_problems(sample.ids)
    problems += [] if sample.columns else [NO_ANSWERS.format(sample.id_column)]
    return Checked(sample, about(name, problems), file.notes)
