"""Any of several labels per row: a probability for each, independent of the others."""

import ast
import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

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
from pipeline.problems.label_texts import Reader, flag, is_number
from pipeline.problems.problem import Clues, Division, Task

FLAGS = ("0", "1")


class Multilabel(YesOrNo):
    """Several labels, a column of 0 and 1 for each."""

    name = "multilabel"
    scored_as = "multilabel"
    described = "multilabel (any of several)"
    spread = "labels"
    in_a_cell = "several"

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """The labels: target columns, or named in task.classes where one cell holds several."""
        return list(classes or targets)

    def reader(self, task: Task) -> Reader:
        """0, false, 1 or true."""
        return flag

    def label_text(self, values: np.ndarray, classes: Sequence[str]) -> str:
        """The labels of a row; 0 and 1 where they have no names."""
        if not classes:
            return super().label_text(values, classes)
        return ", ".join(classes[each] for each in np.flatnonzero(values > 0.5).tolist()) or "none"

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


# Several labels in one cell: joy,fear or ['joy', 'fear'].


SEPARATORS = (",", ";", "|", " ")
LIST = "list"
"""In place of a separator: each cell is a list."""


def labels_in(cell: str, separator: str) -> list[str]:
    """The labels of a cell that is a list, or has them parted by *separator*.

    >>> labels_in("['joy', 'fear']", ","), labels_in("joy, fear", ",")
    (['joy', 'fear'], ['joy', 'fear'])
    """
    if cell.strip().startswith("["):
        try:
            found = ast.literal_eval(cell.strip())
        except (ValueError, SyntaxError):
            found = cell.strip(" []").split(",")
        return [str(each).strip() for each in found] if isinstance(found, list) else []
    return [part.strip() for part in cell.split(separator) if part.strip()]


def manner(separator: str, shown: Sequence[str], labels: Sequence[str]) -> str:
    """How *labels* are joined in an answer, as the answers *shown* have it: what stands between
    them, or json, python or numbers for a list.

    >>> manner(",", ["joy, fear"], []), manner("list", ["['joy']"], []), manner("list", [], ["2"])
    (', ', 'python', 'numbers')
    """
    if separator == LIST:
        quoted = any(mark in text for text in shown for mark in "'\"")
        if not quoted and all(map(is_number, labels)):
            return "numbers"
        return "python" if any("'" in text for text in shown) else "json"
    spaced = f"{separator} "
    return spaced if any(spaced in text for text in shown) and separator != " " else separator


def joined(labels: Sequence[str], how: str) -> str:
    """One cell of *labels*, joined as `manner` says.

    >>> joined(["joy", "fear"], ","), joined(["joy"], "python")
    ('joy,fear', "['joy']")
    """
    if how == "numbers":
        return f"[{', '.join(labels)}]"
    if how == "json":
        return json.dumps(list(labels), ensure_ascii=False)
    return repr(list(labels)) if how == "python" else how.join(labels)


def separator_of(cells: Sequence[str]) -> str:
    """What parts the labels in the distinct *cells*, "list" for lists; empty for one label each.

    Without lists, the parts have to be labels themselves: fewer than the cells, each in several of
    them, and a cell of several has no part twice.

    >>> separator_of(["joy", "joy,fear", "fear", "joy,rage", "rage"]), separator_of(["a b", "c d"])
    (',', '')
    """
    lists = bool(cells) and all(cell.strip().startswith("[") for cell in cells)
    if lists:
        held = [labels_in(cell, LIST) for cell in cells]
        labels = {label for each in held for label in each}
        return LIST if max(map(len, held)) > 1 and len(labels) < len(cells) else ""
    for separator in SEPARATORS:
        parts = [labels_in(cell, separator) for cell in cells]
        amount = Counter(part for each in parts for part in each)
        several = [each for each in parts if len(each) > 1]
        doubled = any(len(set(each)) < len(each) for each in several)
        alone = {each[0] for each in parts if len(each) == 1}
        together = {part for each in several for part in each}
        if len(several) < 2 or doubled or len(amount) >= len(cells):
            continue
        if min(amount.values()) >= 2 and len(together & alone) >= len(together) / 2:
            return separator
    return ""
