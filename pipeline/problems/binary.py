"""One of two classes per row: the probability of the positive one, which stands second."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.problems.classes import OneClass, YesOrNo
from pipeline.problems.form import (
    Form,
    Sample,
    flag_columns,
    kind_of,
    number_columns,
    refuse_contradiction,
    shown_in,
    spelled,
)
from pipeline.problems.label_texts import canonical, is_number
from pipeline.problems.problem import Clues, Task


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
        classes = {canonical(value) for value in clues.labels}
        plain = all("." not in value for value in clues.shown)
        if clues.shown and plain and {canonical(value) for value in clues.shown} <= classes:
            return "two classes, a class is shown"
        if clues.shown:
            return "two classes, probabilities are shown"
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
