"""Any of several labels per row: a probability for each, independent of the others."""

from collections.abc import Sequence

import numpy as np

from pipeline.problems.classes import YesOrNo
from pipeline.problems.form import (
    Form,
    Sample,
    columns_by_name,
    flag_columns,
    kind_of,
    number_columns,
    shown_in,
    untouched,
)
from pipeline.problems.label_texts import Reader, flag
from pipeline.problems.problem import Clues, Division, Task

FLAGS = ("0", "1")


class Multilabel(YesOrNo):
    """Several labels, a column of 0 and 1 for each."""

    name = "multilabel"
    scored_as = "multilabel"
    described = "multilabel (any of several)"
    spread = "labels"

    def reader(self, task: Task) -> Reader:
        """0, false, 1 or true."""
        return flag

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """Sets of labels; rare sets by the rarest label in them."""
        return set_strata(targets, least)

    def divisions(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> list[Division]:
        """With and without, for each label."""
        return [
            Division(names=[f"label {name!r} = 0", f"label {name!r} = 1"], class_of_row=column)
            for name, column in zip(names, targets.astype(np.int64).T, strict=True)
        ]

    def looks_like(self, clues: Clues) -> str:
        """Always the same."""
        return "several labels"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """One column per label: 0 and 1, or probabilities."""
        columns = columns_by_name(targets, sample.columns, f"{len(targets)} of them")
        kind, more = kind_of(task.submit, needs, shown_in(columns, sample), FLAGS)
        return Form(kind=kind, columns=columns, notes=untouched(columns, sample.columns) + more)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """0 and 1, or probabilities."""
        if form.kind == "label":
            return flag_columns(form, predicted, FLAGS)
        return number_columns(form, predicted)


def set_strata(targets: np.ndarray, least: int) -> np.ndarray:
    """(n,) a number for the label set of each row of (n, t) 0/1; sets of fewer than *least* rows
    by their rarest label.

    >>> set_strata(np.array([[1, 0], [1, 0], [1, 1], [0, 1]]), least=2).tolist()
    [1, 1, 4, 4]
    """
    present = targets != 0
    code = np.unique(present, axis=0, return_inverse=True)[1].ravel()
    amount = np.bincount(code)
    rarest = np.where(present, present.sum(axis=0), len(targets) + 1).argmin(axis=1)
    rare = (amount[code] < least) & present.any(axis=1)
    return np.asarray(np.where(rare, len(amount) + rarest, code))


MULTILABEL = Multilabel()
