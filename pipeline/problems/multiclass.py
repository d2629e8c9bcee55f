"""One of three or more classes per row: a probability for each, in the order of task.classes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.problems.answers import (
    columns_with_list,
    guesses,
    likeliest,
    list_column,
    number_lists,
)
from pipeline.problems.classes import OneClass, SumsToOne
from pipeline.problems.form import (
    Form,
    Sample,
    number_texts,
    refuse,
    refuse_contradiction,
    shown_in,
    untouched,
)
from pipeline.problems.problem import Clues, Task


class Multiclass(OneClass, SumsToOne):
    """Several classes, a column of probabilities for each, rows sum to one."""

    name = "multiclass"
    scored_as = "multiclass"
    described = "multiclass (one of several classes)"
    target_kind = "classes"
    usual_loss = "cross-entropy"
    alone = "accuracy"

    def class_count_problem(self, count: int) -> str | None:
        """Three or more."""
        if count >= 3:
            return None
        return f"task.classes has {count} entries; multiclass needs 3 or more"

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """The classes."""
        return list(classes)

    def expand(self, targets: np.ndarray, k: int) -> np.ndarray:
        """One-hot."""
        return np.eye(k)[targets[:, 0].astype(int)]

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
            return replace(form, top=top, words=words)
        refuse(
            task.submit == "value",
            "task.submit is value, but the sample submission has one column for "
            f"{len(task.classes)} classes: it takes the class. Set task.submit to auto or label",
        )
        refuse_contradiction(shown, task.classes, task.class_codes)
        strange = [text for text in shown if text not in written][:1]
        more = [f"the sample shows {text!r}, which is no class of train" for text in strange]
        return replace(form, kind="label", notes=form.notes + more)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """The likeliest class or classes, and the probability of each."""
        written = task.class_codes or task.classes
        texts = {}
        for column, place in form.columns.items():
            if place == -2:
                texts[column] = number_lists(predicted)
            elif place == -1:
                texts[column] = likeliest(predicted, written, form.top)
            else:
                texts[column] = number_texts(predicted[:, place])
        return texts


MULTICLASS = Multiclass()
