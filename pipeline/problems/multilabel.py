"""Any of several labels per row: a probability for each, independent of the others."""

from collections.abc import Sequence

import numpy as np

from pipeline.problems.cells import joined, labels_in, manner
from pipeline.problems.classes import YesOrNo
from pipeline.problems.form import (
    THRESHOLD,
    Form,
    Sample,
    columns_by_name,
    flag_columns,
    kind_of,
    match,
    number_columns,
    refuse_contradiction,
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
    several_in_a_cell = True

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """The labels: target columns, or named in task.classes where one cell holds several."""
        return list(classes or targets)

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
            for name, column in zip(classes or names, targets.astype(np.int64).T, strict=True)
        ]

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """The share of each label."""
        return dict(zip(classes or names, targets.mean(axis=0).tolist(), strict=True))

    def looks_like(self, clues: Clues) -> str:
        """Always the same."""
        return "several labels"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """One column per label: 0 and 1, or probabilities; or one for all labels of a row."""
        if task.separator is not None:
            if len(sample.columns) == 1 or match(task.classes, sample.columns) is None:
                return _joined_form(task, targets, sample)
            targets = task.classes
        columns = columns_by_name(targets, sample.columns, f"{len(targets)} of them")
        kind, more = kind_of(task.submit, needs, shown_in(columns, sample), FLAGS)
        return Form(kind=kind, columns=columns, notes=untouched(columns, sample.columns) + more)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """0 and 1, or probabilities; or the labels of a row in one cell."""
        if form.join:
            given = predicted >= THRESHOLD
            names = np.array(task.class_codes or task.classes, dtype=object)
            cells = [joined(names[row].tolist(), form.join) for row in given]
            return dict.fromkeys(form.columns, cells)
        if form.kind == "label":
            return flag_columns(form, predicted, FLAGS)
        return number_columns(form, predicted)


def _joined_form(task: Task, targets: Sequence[str], sample: Sample) -> Form:
    columns = dict.fromkeys(columns_by_name(targets, sample.columns, "one"), -1)
    shown = shown_in(columns, sample)
    how = manner(task.separator or "", shown, task.class_codes or task.classes)
    parts = sorted({part for text in shown for part in labels_in(text, task.separator or "")})
    refuse_contradiction(parts, task.classes, task.class_codes)
    return Form(
        kind="label",
        columns=columns,
        notes=untouched(columns, sample.columns),
        join=how,
        words="the labels of a row in one cell",
    )


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
