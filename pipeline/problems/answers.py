"""Answers of one class per row that hold more than its name: several guesses, or a list of all
probabilities."""

from collections.abc import Sequence

import numpy as np

from pipeline.base.errors import DataError
from pipeline.problems.form import Sample, number_texts
from pipeline.problems.label_texts import canonical, is_number


def guesses(shown: Sequence[str], classes: Sequence[str]) -> int:
    """How many classes each of the answers *shown* names, parted by spaces; 1 for usual answers.

    >>> guesses(["1 2 3"], ["1", "2", "5"]), guesses(["art"], ["art", "new music"])
    (3, 1)
    """
    answers = [text.split() for text in shown if text.strip()]
    if not answers or any(len(name.split()) > 1 for name in classes):
        return 1
    known = {canonical(name) for name in classes}
    words = [canonical(word) for answer in answers for word in answer]
    numbers = all(map(is_number, words)) and all(map(is_number, classes))
    if min(map(len, answers)) < 2 or not (numbers or known & set(words)):
        return 1
    return max(map(len, answers))


def likeliest(predicted: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    """(m,) the *count* likeliest of *names* for each row of (m, k), the likeliest first."""
    best = np.argsort(-predicted, axis=1, kind="stable")[:, :count]
    return [" ".join(names[place] for place in row) for row in best.tolist()]


def list_column(sample: Sample) -> str:
    """The column whose every answer is a list of numbers; an empty text where there is none."""
    if sample.made_up:
        return ""
    for place, name in enumerate(sample.columns):
        cells = sample.values[:, place].tolist()
        if len(cells) and all(numbers_in(cell) > 1 for cell in cells):
            return name
    return ""


def numbers_in(cell: str) -> int:
    """How many numbers a list in a cell holds; 0 where it is no list of numbers.

    >>> numbers_in("[0.25, 0.75]"), numbers_in("['a', 'b']")
    (2, 0)
    """
    inside = cell.strip()
    if not (inside.startswith("[") and inside.endswith("]")):
        return 0
    parts = inside[1:-1].split(",")
    return len(parts) if all(map(is_number, parts)) else 0


def columns_with_list(
    listed: str, sample: Sample, targets: Sequence[str], classes: Sequence[str]
) -> dict[str, int]:
    """The column *listed* for all probabilities (-2), and the one for the class (-1) if any.

    DataError where the lists are not as long as there are classes.
    """
    cells = sample.values[:, sample.columns.index(listed)].tolist()
    if wrong := sorted({numbers_in(cell) for cell in cells} - {len(classes)}):
        raise DataError(
            f"the sample submission lists {wrong[0]} probabilities in column {listed!r}, "
            f"task.classes has {len(classes)}: name all classes in task.classes, in the order "
            "that the organiser's list has (init: --classes A B C …)"
        )
    rest = [name for name in sample.columns if name != listed]
    named = [name for name in rest if name in targets] or rest
    if len(named) > 1:
        raise DataError(
            f"the sample submission has the columns {rest} beside the list {listed!r}; expected "
            f"one for the class, called like the target {targets[0]!r}"
        )
    return {**dict.fromkeys(named, -1), listed: -2}


def number_lists(predicted: np.ndarray) -> list[str]:
    """(m,) the predictions of each row of (m, k) as a list.

    >>> number_lists(np.array([[0.25, 0.75]]))
    ['[0.25, 0.75]']
    """
    columns = [number_texts(column) for column in predicted.T]
    return [f"[{', '.join(row)}]" for row in zip(*columns, strict=True)]
