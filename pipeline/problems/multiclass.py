"""One of three or more classes per row: a probability for each, in the order of task.classes.

The label is a class, or a share of each (`SoftLabels`), such as shares of votes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.base.errors import DataError
from pipeline.problems.classes import OneClass, SumsToOne
from pipeline.problems.form import (
    LABEL_IN_CLASS_COLUMNS,
    Form,
    Sample,
    columns_by_name,
    number_columns,
    number_texts,
    refuse,
    refuse_contradiction,
    shown_in,
    spelled,
    untouched,
)
from pipeline.problems.label_texts import Reader, canonical, is_number, number
from pipeline.problems.problem import Clues, Task


class Multiclass(OneClass, SumsToOne):
    """Several classes, a column of probabilities for each, rows sum to one."""

    name = "multiclass"
    scored_as = "multiclass"
    described = "multiclass (one of several classes)"
    target_kind = "classes"
    usual_loss = "cross-entropy"
    alone = "accuracy"

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """Three or more."""
        if len(classes) >= 3:
            return None
        what = f"task.classes has {len(classes)} entries; multiclass needs 3 or more"
        return f"{what}: name all, or set task.problem to binary where there are two"

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """The classes."""
        return list(classes)

    def expand(self, targets: np.ndarray, k: int) -> np.ndarray:
        """One-hot; a probability for each class stays (`Problem.as_targets`)."""
        return targets if targets.shape[1] == k else np.eye(k)[targets[:, 0].astype(int)]

    def looks_like(self, clues: Clues) -> str:
        """By what the sample shows: a column per class, or the class."""
        return "a probability per class" if clues.shown_columns > 1 else "several classes"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """A column per class of probabilities; one column of classes, or of several guesses; or a
        list of all probabilities, with the class beside it."""
        if listed := list_column(sample):
            columns = columns_with_list(listed, sample, targets, task.classes)
            notes = [
                *untouched(columns, sample.columns),
                f"{listed!r} lists the probabilities in the order of task.classes",
            ]
            words = "the class and all probabilities" if len(columns) > 1 else "lists"
            return Form(kind="value", columns=columns, notes=notes, words=words)
        form = self.class_form(task, targets, sample)
        if len(form.columns) > 1:
            return form
        shown, written = shown_in(form.columns, sample), task.class_codes or task.classes
        if (top := guesses(shown, written)) > 1:
            words = f"the {top} likeliest classes"
            return replace(form, top=top, words=words, join=between(shown, written))
        refuse(
            task.submit == "value",
            "task.submit is value, but the sample submission has one column for "
            f"{len(task.classes)} classes: it takes the class. Set task.submit to auto or label",
        )
        refuse_contradiction(shown, task.classes, task.class_codes)
        names = task.class_codes or spelled(shown, task.classes)
        strange = [text for text in shown if text not in names][:1]
        more = [f"the sample shows {text!r}, which is no class of train" for text in strange]
        return replace(form, kind="label", names=names, notes=form.notes + more)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """The likeliest class or classes, and the probability of each."""
        written = form.names or task.class_codes or task.classes
        texts = {}
        for column, place in form.columns.items():
            if place == -2:
                texts[column] = number_lists(predicted)
            elif place == -1:
                texts[column] = likeliest(predicted, written, form.top, form.join or " ")
            else:
                texts[column] = number_texts(predicted[:, place])
        return texts


MULTICLASS = Multiclass()


# Answers that hold more than a class's name: several guesses, or a list of all probabilities.


def guesses(shown: Sequence[str], classes: Sequence[str]) -> int:
    """How many classes each of the answers *shown* names, parted by spaces or, where all are
    classes, by what is `between` them; 1 for usual answers.

    >>> guesses(["1 2 3"], ["1", "2", "5"]), guesses(["art"], ["art", "new music"])
    (3, 1)
    >>> guesses(["new music,art"], ["art", "new music"])
    2
    """
    if (separator := between(shown, classes)) != " ":
        return max(len(text.split(separator)) for text in shown)
    answers = [text.split() for text in shown if text.strip()]
    if not answers or any(len(name.split()) > 1 for name in classes):
        return 1
    known = {canonical(name) for name in classes}
    words = [canonical(word) for answer in answers for word in answer]
    numbers = all(map(is_number, words)) and all(map(is_number, classes))
    if min(map(len, answers)) < 2 or not (numbers or known & set(words)):
        return 1
    return max(map(len, answers))


def between(shown: Sequence[str], classes: Sequence[str]) -> str:
    """What parts several classes in each of the answers *shown*: a space where nothing else does,
    or where it stands in cells of train as well, which have several labels then.

    >>> between(["a, b"], ["a", "b", "c"]), between(["a b"], ["a", "b"]), between(["a,x"], ["a"])
    (', ', ' ', ' ')
    >>> between(["a,b"], ["a", "b", "a,b"])
    ' '
    """
    known = {canonical(name) for name in classes}
    for separator in (", ", ",", "; ", ";", "|"):
        if any(separator in name for name in classes):
            break
        parts = [text.split(separator) for text in shown]
        named = all(canonical(part) in known for each in parts for part in each)
        if parts and named and min(map(len, parts)) > 1:
            return separator
    return " "


def likeliest(
    predicted: np.ndarray, names: Sequence[str], count: int, separator: str = " "
) -> list[str]:
    """(m,) the *count* likeliest of *names* for each row of (m, k), the likeliest first."""
    best = np.argsort(-predicted, axis=1, kind="stable")[:, :count]
    return [separator.join(names[place] for place in row) for row in best.tolist()]


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
            f"one for the class, called like the target {targets[0]!r}: call it so there"
        )
    return {**dict.fromkeys(named, -1), listed: -2}


def number_lists(predicted: np.ndarray) -> list[str]:
    """(m,) the predictions of each row of (m, k) as a list.

    >>> number_lists(np.array([[0.25, 0.75]]))
    ['[0.25, 0.75]']
    """
    columns = [number_texts(column) for column in predicted.T]
    return [f"[{', '.join(row)}]" for row in zip(*columns, strict=True)]


# Shares of classes as labels.


SLACK = 0.02
"""By how much a row may miss one: shares are handed out rounded."""


class SoftLabels(SumsToOne):
    """A share of each class as the label; predicted, blended and bounded like one of several."""

    name = "soft-labels"
    scored_as = "soft-labels"
    described = "soft-labels (a probability per class, rows sum to one)"
    target_kind = "shares"
    usual_loss = "soft-cross-entropy"
    drawn = False
    copied_labels = "equal"
    alone = "Pearson"
    spread = "numbers"

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """The target columns are the classes."""
        if not classes:
            return None
        return (
            f"task.classes has {len(classes)} entries; leave them out: soft-labels have a column "
            "of columns.targets per class"
        )

    def reader(self, task: Task) -> Reader:
        """Numbers from 0 to 1."""
        return lambda text: number(text, (0.0, 1.0))

    def whole_rows(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        """Rows that sum to one but for rounding, made to do so."""
        total = targets.sum(axis=1, keepdims=True)
        wrong = np.abs(total[:, 0] - 1) > SLACK
        scaled = np.divide(targets, total, out=targets.copy(), where=~wrong[:, None])
        return scaled, wrong, "rows whose shares do not sum to 1"

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """The class with the largest share."""
        return targets.argmax(axis=1)

    def looks_like(self, clues: Clues) -> str:
        """Always the same."""
        return "a share per class"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """One column of probabilities per class."""
        columns = columns_by_name(targets, sample.columns, f"{len(targets)} of them")
        refuse(task.submit == "label", LABEL_IN_CLASS_COLUMNS)
        return Form(kind="value", columns=columns, notes=untouched(columns, sample.columns))

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """Probabilities as they are."""
        return number_columns(form, predicted)


SOFT_LABELS = SoftLabels()
