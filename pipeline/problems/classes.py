"""What problem types of classes have in common: a class per row, a probability per
class, and columns of yes or no; and the type of two classes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.problems.form import (
    LABEL_IN_CLASS_COLUMNS,
    THRESHOLD,
    Form,
    Sample,
    class_columns,
    flag_columns,
    kind_of,
    number_columns,
    refuse,
    refuse_contradiction,
    shown_in,
    spelled,
    untouched,
)
from pipeline.problems.label_texts import Reader, class_reader, is_number, without_case
from pipeline.problems.problem import Clues, Division, Problem, Task


class OneClass(Problem):
    """Targets are class numbers in one column: places in task.classes."""

    named_classes = True
    column_word = "classes"
    spread = "classes"

    def columns_problem(self, targets: Sequence[str], task: Task) -> str | None:
        """One, or one of 0 and 1 for each of several classes."""
        one_hot = len(targets) > 2 and list(targets) == list(task.classes)
        if len(targets) == 1 or one_hot:
            return None
        return (
            f"columns.targets names {len(targets)} columns; a {self.name} problem has one, or one "
            "of 0 and 1 per class, named as in task.classes"
        )

    def reader(self, task: Task) -> Reader:
        """The names in task.classes, numbers in any way to write them."""
        return class_reader(task.classes)

    def label_text(self, values: np.ndarray, classes: Sequence[str]) -> str:
        """The class."""
        return classes[int(values[0])]

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """The class."""
        return np.asarray(targets[:, 0])

    def divisions(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> list[Division]:
        """The classes."""
        told = [f"class {name!r}" for name in classes]
        return [Division(names=told, class_of_row=targets[:, 0].astype(np.int64))]

    def class_form(self, task: Task, targets: Sequence[str], sample: Sample) -> Form:
        """A column per class, of probabilities; or the one column that each type fills its way."""
        columns = class_columns(task.classes, targets, sample.columns)
        if len(columns) > 1:
            refuse(task.submit == "label", LABEL_IN_CLASS_COLUMNS)
        return Form(kind="value", columns=columns, notes=untouched(columns, sample.columns))

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """The share of each class."""
        rows = np.bincount(targets[:, 0].astype(int), minlength=len(classes))
        return dict(zip(classes, (rows / len(targets)).tolist(), strict=True))


class SumsToOne(Problem):
    """Predictions are a probability for each class, rows sum to one."""

    exclusive = True
    value_checks = ("sums",)

    def within_range(self, values: np.ndarray, floor: float) -> np.ndarray:
        """Probabilities that sum to one."""
        kept = np.clip(values, floor, 1 - floor)
        return np.asarray(kept / kept.sum(axis=1, keepdims=True))

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """A single 1 in each row; of equals the first."""
        return np.eye(predicted.shape[1])[predicted.argmax(axis=1)]

    def labels_said(self) -> str:
        """Which class."""
        return "the likeliest class"

    def to_scores(self, predicted: np.ndarray, lowest: float) -> np.ndarray:
        """Logarithms."""
        return np.log(np.clip(np.asarray(predicted, dtype=float), lowest, 1 - lowest))

    def from_scores(self, scores: np.ndarray) -> np.ndarray:
        """The softmax."""
        from scipy.special import softmax  # here, so that the room stays quick to import

        return np.asarray(softmax(scores, axis=1))


# Columns that are yes or no each: what one label of two classes and several labels share.


class YesOrNo(Problem):
    """Targets are 0 or 1; predictions are the probability of 1, column by column."""

    target_kind = "flags"
    usual_loss = "bce"
    alone = "AUC"

    def within_range(self, values: np.ndarray, floor: float) -> np.ndarray:
        """Probabilities."""
        return np.clip(values, floor, 1 - floor)

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """0 and 1."""
        return (predicted >= THRESHOLD).astype(float)

    def labels_said(self) -> str:
        """From where on."""
        return f"positive from {THRESHOLD:g} on"

    def to_scores(self, predicted: np.ndarray, lowest: float) -> np.ndarray:
        """Log odds."""
        chance = np.clip(np.asarray(predicted, dtype=float), lowest, 1 - lowest)
        return np.asarray(np.log(chance) - np.log1p(-chance))

    def from_scores(self, scores: np.ndarray) -> np.ndarray:
        """The logistic function."""
        from scipy.special import expit  # here, so that the room stays quick to import

        return np.asarray(expit(scores))


# One of two classes: the probability of the positive one, which stands second.


class Binary(OneClass, YesOrNo):
    """Two classes, one column of probabilities."""

    name = "binary"
    scored_as = "binary"
    described = "binary"

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """Two."""
        if len(classes) == 2:
            return None
        return f"task.classes has {len(classes)} entries; binary needs 2: negative, positive"

    def by_class(self, predicted: np.ndarray) -> np.ndarray:
        """The probability of the negative class first."""
        return np.hstack([1 - predicted, predicted])

    def looks_like(self, clues: Clues) -> str:
        """By what the sample shows: a column per class, classes, or probabilities."""
        if clues.shown_columns > 1:
            return "a probability per class"
        classes, shown = without_case(clues.labels), without_case(clues.shown)
        plain = bool(clues.shown) and all("." not in value for value in clues.shown)
        codes = shown <= {"0", "1"} and not any(map(is_number, classes))  # of words, most likely
        no_numbers = not any(map(is_number, clues.shown))
        if plain and (shown <= classes or codes or no_numbers):
            return "two classes, a class is shown"
        if clues.shown:
            return "two classes, probabilities are shown"
        if clues.shown_columns and not all(map(is_number, classes)):
            return "two words, an empty column is shown"
        return "two classes, nothing is shown"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """A column per class of probabilities; or one column of classes or probabilities."""
        form = self.class_form(task, targets, sample)
        if len(form.columns) > 1:
            return form
        shown = shown_in(form.columns, sample)
        written = task.class_codes or task.classes
        if all("." not in text for text in shown):  # else they may be probabilities
            written = task.class_codes or spelled(shown, task.classes)
        kind, more = kind_of(task.submit, needs, shown, written)
        if kind == "label" or not all(map(is_number, shown)):
            refuse_contradiction(shown, task.classes, task.class_codes)
        return replace(form, kind=kind, names=written, notes=form.notes + more)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """Class names, or probabilities of the positive class or of both."""
        if form.kind == "label":
            return flag_columns(form, predicted, form.names or task.class_codes or task.classes)
        both = self.by_class(predicted) if len(form.columns) > 1 else predicted
        return number_columns(form, both)


BINARY = Binary()
