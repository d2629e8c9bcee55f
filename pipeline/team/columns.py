"""Which column of a team-mate's file is what: found by name, and refused where that is ambiguous.

Every tool names its columns in its own way. An id column is the one that holds our ids; folds,
parts and passports have their usual names; predictions carry the names of classes or targets, or
are the only numbers left. Nothing is guessed from values but what the docstrings say.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from os.path import commonprefix

import numpy as np
import pandas as pd

from pipeline.base import Competition, DataError
from pipeline.folds.passport import fold_columns
from pipeline.problems.form import match
from pipeline.problems.label_texts import canonical

# From the texts of a file to numbers, and from logits to probabilities.


SAMPLED = 2000  # cells that decide whether a column is one of numbers


def numbers(texts: np.ndarray) -> np.ndarray:
    """(r,) float64 of (r,) texts; NaN where a cell is empty or no number.

    >>> numbers(np.array(["0.5", " 1e-3", "", "a", "-inf"], dtype=object)).tolist()
    [0.5, 0.001, nan, nan, -inf]
    """
    stripped = pd.Series(texts, dtype=object).str.strip()
    return pd.to_numeric(stripped, errors="coerce").to_numpy(dtype=float)


def is_numeric(texts: np.ndarray) -> bool:
    """Whether most cells of a column that are not empty are numbers."""
    written = [text for text in texts.tolist() if text.strip()]
    step = max(1, len(written) // SAMPLED)
    values = numbers(np.array(written[::step], dtype=object))
    return bool(len(values)) and float(np.isfinite(values).mean()) > 0.5


def fold_names(texts: np.ndarray) -> np.ndarray:
    """(r,) one text for all ways to write a fold's number; empty where there is none.

    >>> fold_names(np.array(["1.0", "1", "", "b", "-1"], dtype=object)).tolist()
    ['1', '1', '', 'b', '']
    """
    named = {text: canonical(text) for text in set(texts.tolist())}
    none = {"", "nan", "NaN", "None", "-1"}
    found = [named[text] for text in texts.tolist()]
    return np.array(["" if text in none else text for text in found], dtype=object)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logits to probabilities, each alone, without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))


def softmax(values: np.ndarray) -> np.ndarray:
    """(r, k) logits to probabilities whose rows sum to one."""
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


# Which columns of a team-mate's file are the predictions: by name, or the only numbers left.


PREDICTIONS = (
    *("pred", "preds", "prediction", "predictions", "predicted", "oof", "oof_pred", "y_pred"),
    *("prob", "proba", "probability", "p", "logit", "logits", "score", "value", "test_pred"),
)
"""What tools call the one column of predictions."""
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
PERCENTAGE = re.compile(r"[-+]?\d+([.,]\d+)? ?%")


def other_numbers(frame: pd.DataFrame, rest: Sequence[str], numeric: Sequence[str]) -> str:
    """A hint for columns that hold numbers as Germany writes them, or percentages."""
    for column in rest:
        cells = [str(text).strip() for text in frame[column].head(50) if str(text).strip()]
        if column in numeric or not cells:
            continue
        if all(DECIMAL_COMMA.fullmatch(cell) for cell in cells):
            return f"{column!r} has decimal commas ({cells[0]}): write them as decimal points. "
        if all(PERCENTAGE.fullmatch(cell) for cell in cells):
            return f"{column!r} holds percentages ({cells[0]}): write shares such as 0.93. "
    return ""


def find_outputs(
    free: Sequence[str], competition: Competition, name: str, hint: str = ""
) -> dict[str, int]:
    """Column -> column of our predictions."""
    task = competition.task
    _refuse_two(free, competition, name)
    for names in task.problem_type.spellings(competition.outputs):
        for header in (free, [column for column in free if not _is_index(column)]):
            if found := match_ends(names, header):
                return found
    if task.classes and (found := match_ends(task.classes, free)):
        return found
    if len(competition.outputs) == 1:
        usual = [column for column in free if column.strip().casefold() in PREDICTIONS]
        choice = usual if len(usual) == 1 else [c for c in free if not _is_index(c)]
        if len(choice) == 1:
            return {choice[0]: 0}
    numbers = [str(place) for place in range(len(task.classes))]
    if task.classes and (found := match_ends(numbers, free)):
        return found
    raise DataError(_ambiguous(free, competition, name, hint))


def _refuse_two(free: Sequence[str], competition: Competition, name: str) -> None:
    """DataError where a column is named after the target and another one like predictions."""
    target = competition.outputs[0]
    rivals = [each for each in free if each != target and each.strip().casefold() in PREDICTIONS]
    if len(competition.outputs) == 1 and target in free and rivals:
        raise DataError(
            f"{name}: {target!r} and {', '.join(map(repr, rivals))} may both be the predictions, "
            f"and {target!r} does not hold today's labels. Take the others out of the file"
        )


def _is_index(column: str) -> bool:
    """What DataFrame.to_csv writes without being asked."""
    return column.startswith("Unnamed:") or column == "index"


def match_ends(names: Sequence[str], header: Sequence[str]) -> dict[str, int] | None:
    """As `match`, where all columns of *header* may share an end as well as a beginning.

    >>> match_ends(["sad", "happy"], ["sad_oof", "happy_oof"])
    {'sad_oof': 0, 'happy_oof': 1}
    """
    if found := match(names, header):
        return found
    if len(header) < 2:
        return None
    end = len(commonprefix([column[::-1] for column in header]))  # noqa: RUF071 (names, not paths)
    if not end:
        return None
    found = match(names, [column[:-end] for column in header])
    ending = header[0][-end:]
    return None if found is None else {f"{column}{ending}": at for column, at in found.items()}


def _first(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + " …" * (len(names) > most)


def _ambiguous(free: Sequence[str], competition: Competition, name: str, hint: str) -> str:
    wanted = competition.outputs
    found = f"columns of numbers: {_first(free)}" if free else "no further column of numbers"
    if len(wanted) == 1:
        expected = f"one named {wanted[0]!r} or 'pred', or a single column of numbers"
    else:
        expected = f"{len(wanted)} of them, named {_first(wanted)}"
    return (
        f"{name}: it cannot be told which columns are the predictions. Found {found}; expected "
        f"{expected}. {hint}Rename the columns, or take the others out of the file"
    )


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
    found = about_rows(frame, competition, name, known_ids, id_column, fold_column)
    row_id, rest = found.id, found.unused
    numeric = [column for column in rest if is_numeric(frame[column].to_numpy(dtype=object))]
    targets = [column for column in rest if column in competition.columns.targets]
    labels = _labels_beside(targets, numeric, competition, lambda name: is_label(name, row_id))
    free = [column for column in numeric if column not in labels]
    outputs = find_outputs(free, competition, name, other_numbers(frame, rest, numeric))
    left = [column for column in rest if column not in {*outputs, *labels}]
    return replace(found, outputs=outputs, labels=labels, unused=left)


def about_rows(
    frame: pd.DataFrame,
    competition: Competition,
    name: str,
    known_ids: set[str],
    id_column: str | None,
    fold_column: str | None,
) -> Columns:
    """The columns that say which row is which, the others being unused; see `find_columns`."""
    header = [str(column) for column in frame.columns]
    row_id = _id_column(frame, header, competition, name, known_ids, id_column)
    rest = [column for column in header if column != row_id]
    folds = _fold_columns(rest, competition.folds.repeats, name, fold_column)
    rest = [column for column in rest if column not in folds]
    part = next((column for column in rest if _is_part(frame, column)), None)
    passport = next((column for column in rest if column.strip().casefold() == "passport"), None)
    rest = [column for column in rest if column not in (part, passport)]
    return Columns(
        id=row_id, outputs={}, folds=folds, part=part, passport=passport, labels=[], unused=rest
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
