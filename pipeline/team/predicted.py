"""Which columns of a team-mate's file are the predictions: by name, or the only numbers left."""

import re
from collections.abc import Sequence
from os.path import commonprefix

import pandas as pd

from pipeline.base.config import Competition
from pipeline.base.errors import DataError
from pipeline.problems.form import match

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
    for header in (free, [column for column in free if not _is_index(column)]):
        if found := match_ends(competition.outputs, header):
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


def _ambiguous(free: Sequence[str], competition: Competition, name: str, hint: str) -> str:
    wanted = competition.outputs
    found = f"columns of numbers: {', '.join(free)}" if free else "no further column of numbers"
    if len(wanted) == 1:
        expected = f"one named {wanted[0]!r} or 'pred', or a single column of numbers"
    else:
        expected = f"{len(wanted)} of them, named {', '.join(wanted)}"
    return (
        f"{name}: it cannot be told which columns are the predictions. Found {found}; expected "
        f"{expected}. {hint}Rename the columns, or take the others out of the file"
    )
