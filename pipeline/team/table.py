"""One file of a team-mate: its rows as numbers, each said to be of train, test or holdout."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base import Competition, DataError
from pipeline.base.files import sha256
from pipeline.data.join import shared
from pipeline.data.labels import encode
from pipeline.data.reading.reader import Reading, read, with_points
from pipeline.data.table import listing
from pipeline.problems.label_texts import NumberForm, form_of, is_number
from pipeline.team.columns import PART_OF, Columns, find_columns, fold_names, numbers
from pipeline.team.competition import PARTS, CompetitionView
from pipeline.team.spelled import as_numbers


@dataclass(frozen=True, kw_only=True)
class CandidateTable:
    """The r rows of one file, in its order."""

    name: str
    sha256: str
    columns: Columns
    ids: np.ndarray
    """(r,) str objects."""
    part: np.ndarray
    """(r,) train, test, holdout, or empty for a row that is none of the competition's."""
    values: np.ndarray
    """(r, c) float64 as written, c columns in the order of `columns.outputs`; NaN: no number."""
    folds: np.ndarray | None
    """(R, r) names of folds; None where the file has none for every repeat."""
    labels: np.ndarray | None
    """(r, k) the labels that stand beside the predictions; None without any."""
    passports: list[str]
    """What stands in the column of that name."""
    notes: list[str]
    said: np.ndarray | None = None
    """Of texts (r,) the candidates of each row and their log-probabilities, or None where it has
    none; *values* are then how many."""


def read_sheet(
    path: Path,
    contest: CompetitionView,
    expected: Sequence[str],
    id_column: str | None = None,
    fold_column: str | None = None,
    encoding: str = "utf-8",
    id_may_lack: bool = False,
) -> CandidateTable:
    """Read the file of numbers at *path*; DataError where it cannot be read or its columns be told.

    *expected* are the parts whose rows may stand in it. An id that several of them have needs a
    column that tells the part. With *id_may_lack*, *id_column* was named for another file.
    """
    reading, known, id_column = opened(path, contest, encoding, id_column, id_may_lack)
    frame, name = reading.frame, path.name

    def found_in(frame: pd.DataFrame) -> Columns:
        return find_columns(
            frame,
            contest.competition,
            name,
            known,
            lambda column, row_id: _holds_labels(frame, column, row_id, contest),
            id_column,
            fold_column,
        )

    spelled = None
    try:
        columns = found_in(frame)
    except DataError:  # no columns of numbers; they may stand in lists, or be names of classes
        spelled = as_numbers(frame, contest.competition)
        if spelled is None:
            raise
        frame = spelled.frame
        columns = found_in(frame)
    notes = [f"{name}: {spelled.note}"] if spelled else []
    values = [numbers(frame[column].to_numpy(dtype=object)) for column in columns.outputs]
    reading = replace(reading, frame=frame)
    table = table_of(path, reading, columns, contest, expected, np.stack(values, axis=1), notes)
    return replace(table, labels=_labels(frame, columns, table.ids, contest))


def opened(
    path: Path, contest: CompetitionView, encoding: str, id_column: str | None, id_may_lack: bool
) -> tuple[Reading, set[str], str | None]:
    """The file, all ids of the competition, and *id_column* unless it was named for another."""
    reading = with_plain_numbers(read(path, encoding, option="--encoding {0}"), contest.competition)
    known = {row_id for ids in contest.ids.values() for row_id in ids.tolist()}
    return reading, known, None if id_may_lack and id_column not in reading.frame else id_column


def with_plain_numbers(reading: Reading, competition: Competition) -> Reading:
    """*reading* with a point in its numbers where they are written another way, as the files of the
    *competition* have them or as nothing but that way can be; and a note on it."""
    known = [each for file in competition.data.files for each in file.number_forms.values()]
    forms, told = {}, {}
    for name in [str(name) for name in reading.frame.columns]:
        cells = [text.strip() for text in pd.unique(reading.frame[name]) if text.strip()]
        odd = next((text for text in cells if not is_number(text)), "")
        own = next((form for form in known if odd and all(map(form.fits, cells))), form_of(cells))
        if not isinstance(own, NumberForm) or name == competition.columns.id:
            continue
        if own in known or not own.percent or not competition.task.problem_type.numeric:
            own = replace(own, shares=bool(own.percent) and own not in known)
            forms[name], told[name] = own, f"{odd} is read as {own.plain(odd)}"
    if not forms:
        return reading
    note = f"numbers are written another way in {', '.join(told)}: {next(iter(told.values()))}"
    return replace(reading, frame=with_points(reading.frame, forms), notes=[*reading.notes, note])


def table_of(
    path: Path,
    reading: Reading,
    columns: Columns,
    contest: CompetitionView,
    expected: Sequence[str],
    values: np.ndarray,
    notes: Sequence[str] = (),
) -> CandidateTable:
    """What stands in the file beside its *values* (r, c); *notes* are of how these were read."""
    frame, name = reading.frame, path.name
    ids = frame[columns.id].to_numpy(dtype=object)
    told = [] if columns.passport is None else frame[columns.passport].tolist()
    return CandidateTable(
        name=name,
        sha256=sha256(path),
        columns=columns,
        ids=ids,
        part=parts_of(frame, ids, columns, contest, expected, name),
        values=values,
        folds=folds_of(frame, columns, contest.competition.folds.repeats),
        labels=None,
        passports=sorted({text.strip() for text in told} - {""}),
        notes=[
            *(f"{name}: {note}" for note in reading.notes),
            *notes,
            *notes_of(columns, name),
        ],
    )


def notes_of(columns: Columns, name: str) -> list[str]:
    """What a person should know of the columns of the file called *name*."""
    notes = []
    if columns.labels:
        notes.append(f"{name}: {', '.join(columns.labels)} taken as the labels, not as predictions")
    if columns.unused:
        notes.append(f"{name}: columns not used: {', '.join(columns.unused)}")
    return notes


def parts_of(
    frame: pd.DataFrame,
    ids: np.ndarray,
    columns: Columns,
    contest: CompetitionView,
    expected: Sequence[str],
    name: str,
) -> np.ndarray:
    """(r,) which part each row is of: as the file says, else by its id."""
    if columns.part is not None:
        told = [PART_OF[text.strip().casefold()] for text in frame[columns.part].tolist()]
        return np.array(told, dtype=object)
    sets = {part: set(contest.ids[part].tolist()) for part in PARTS}
    shared = [
        row_id for row_id in ids.tolist() if sum(row_id in sets[part] for part in expected) > 1
    ]
    if shared:
        several = " and ".join(part for part in expected if sets[part])
        raise DataError(
            f"{name}: ids that stand in several of {several}: {listing(shared[:6])}. Say "
            "which row is which: a column 'part' with train, test and holdout, or the "
            "test predictions in a file of their own (--test FILE)"
        )
    order = [*expected, *(part for part in PARTS if part not in expected)]
    found = [next((part for part in order if row_id in sets[part]), "") for row_id in ids.tolist()]
    return np.array(found, dtype=object)


def folds_of(frame: pd.DataFrame, columns: Columns, repeats: int) -> np.ndarray | None:
    """(R, r) names of folds; None where the file has none for every repeat."""
    if len(columns.folds) != repeats:
        return None
    return np.stack([fold_names(frame[name].to_numpy(dtype=object)) for name in columns.folds])


def _labels(
    frame: pd.DataFrame, columns: Columns, ids: np.ndarray, contest: CompetitionView
) -> np.ndarray | None:
    """(r, k) labels of the file; NaN where a cell is none. None unless every target is there."""
    targets = contest.competition.columns.targets
    if set(columns.labels) != set(targets):
        return None
    return encode(frame, targets, ids, contest.competition.task)[0]


def _holds_labels(
    frame: pd.DataFrame, column: str, id_column: str, contest: CompetitionView
) -> bool:
    """Whether most training rows of *column* are today's labels, as far as printing keeps them."""
    target = contest.competition.columns.targets.index(column)
    ids = frame[id_column].to_numpy(dtype=object)
    rows, places = shared(ids, contest.folds.ids)
    if not len(rows):
        return False
    part, task, truth = frame.iloc[rows], contest.competition.task, contest.truth[places]
    if task.problem_type.in_a_cell == "one of each":
        reader = task.problem_type.readers(task, len(contest.competition.columns.targets))[target]
        read = [reader(text.strip()) for text in part[column]]
        found = np.array([np.nan if isinstance(each, str) else each for each in read])
        truth = task.problem_type.scored(truth)[:, target]
    else:
        found = encode(part, [column], ids[rows], task)[0][:, 0]
        truth = truth[:, target]
    return float(np.mean(np.isclose(found, truth, rtol=1e-6, atol=1e-9))) > 0.5
