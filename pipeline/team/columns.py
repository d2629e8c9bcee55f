"""Which column of a team-mate's file is what: found by name, and refused where that is ambiguous.

Every tool names its columns in its own way. An id column is the one that holds our ids; folds,
parts and passports have their usual names; predictions carry the names of classes or targets, or
are the only numbers left. Nothing is guessed from values but what the docstrings say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.base.config import Competition
from pipeline.base.errors import DataError
from pipeline.folds.fold_file import fold_columns
from pipeline.team.cells import is_numeric
from pipeline.team.predicted import find_outputs, other_numbers

FOLDS = ("fold", "folds", "kfold", "fold_id", "foldid", "cv_fold")
PARTS = ("part", "split", "set", "kind", "dataset")
PART_OF = {
    **dict.fromkeys(("train", "oof", "valid", "val", "cv"), "train"),
    **dict.fromkeys(("test", "submission", "sub"), "test"),
    **dict.fromkeys(("holdout", "dev"), "holdout"),
}
"""What a part column may say -> our word."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of one file are."""

    id: str
    outputs: dict[str, int]
    """Column -> column of our predictions, (k,); of a binary problem perhaps one per class."""
    folds: list[str] = field(default_factory=list)
    """One per repeat; empty where the file tells no folds."""
    part: str | None = None
    passport: str | None = None
    labels: list[str] = field(default_factory=list)
    """The targets themselves, where the file holds them beside the predictions."""
    unused: list[str] = field(default_factory=list)


def find_columns(
    frame: pd.DataFrame,
    competition: Competition,
    name: str,
    known_ids: set[str],
    is_label: Callable[[str, str], bool],
    id_column: str | None = None,
    fold_column: str | None = None,
) -> Columns:
    """The columns of *frame*, which messages call *name*.

    Args:
        known_ids: ids of all rows of the competition.
        is_label: whether a column holds today's labels, given it and the column of ids.
        id_column, fold_column: as the user named them; None to look for them.

    Raises DataError saying what was found, what was expected and which flag decides.
    """
    header = [str(column) for column in frame.columns]
    row_id = _id_column(frame, header, competition, name, known_ids, id_column)
    rest = [column for column in header if column != row_id]
    folds = _fold_columns(rest, competition.folds.repeats, name, fold_column)
    rest = [column for column in rest if column not in folds]
    part = next((column for column in rest if _is_part(frame, column)), None)
    passport = next((column for column in rest if column.strip().casefold() == "passport"), None)
    rest = [column for column in rest if column not in (part, passport)]
    numeric = [column for column in rest if is_numeric(frame[column].to_numpy(dtype=object))]
    targets = [column for column in rest if column in competition.columns.targets]
    labels = _labels_beside(targets, numeric, competition, lambda name: is_label(name, row_id))
    free = [column for column in numeric if column not in labels]
    outputs = find_outputs(free, competition, name, other_numbers(frame, rest, numeric))
    used = {*outputs, *labels}
    return Columns(
        id=row_id,
        outputs=outputs,
        folds=folds,
        part=part,
        passport=passport,
        labels=labels,
        unused=[column for column in rest if column not in used],
    )


def _id_column(
    frame: pd.DataFrame,
    header: Sequence[str],
    competition: Competition,
    name: str,
    known_ids: set[str],
    given: str | None,
) -> str:
    if given is not None:
        return _named(given, header, name, "--id")
    if competition.columns.id in header:
        return competition.columns.id
    shares = {column: float(np.mean(frame[column].isin(known_ids))) for column in header}
    holding = [column for column, share in shares.items() if share > 0.5]
    if len(holding) == 1:
        return holding[0]
    found = f"several hold ids: {', '.join(holding)}" if holding else "no column holds our ids"
    raise DataError(
        f"{name} has no column {competition.columns.id!r}, and {found}. Its columns are "
        f"{', '.join(header)}. Name the one with the ids: --id COLUMN"
    )


def _named(given: str, header: Sequence[str], name: str, flag: str) -> str:
    if given not in header:
        raise DataError(f"{name} has no column {given!r} ({flag}); it has {', '.join(header)}")
    return given


def _fold_columns(rest: Sequence[str], repeats: int, name: str, given: str | None) -> list[str]:
    """The column of folds, of every repeat where there are several."""
    if given is not None:
        return [_named(given, rest, name, "--fold")]
    usual = fold_columns(repeats)
    if repeats > 1 and all(column in rest for column in usual):
        return usual
    found = [column for column in rest if column.strip().casefold() in FOLDS]
    if len(found) > 1:
        raise DataError(
            f"{name} has several columns of folds: {', '.join(found)}. Name one: --fold COLUMN"
        )
    return found


def _is_part(frame: pd.DataFrame, column: str) -> bool:
    """Whether *column* says of each row which file it is of."""
    if column.strip().casefold() not in PARTS:
        return False
    return {str(text).strip().casefold() for text in frame[column].unique()} <= PART_OF.keys()


def _labels_beside(
    targets: Sequence[str],
    numeric: Sequence[str],
    competition: Competition,
    is_label: Callable[[str], bool],
) -> list[str]:
    """Columns that hold the labels while the predictions stand elsewhere.

    A column with a target's name may be either; it is taken for the labels where it is equal to
    them in most rows, or is text, and there are columns enough without it.
    """
    found = [column for column in targets if column not in numeric or is_label(column)]
    left = len([column for column in numeric if column not in found])
    return found if left >= len(competition.outputs) else []
