"""A probability for each class as the label, such as shares of votes; rows sum to one."""

from collections.abc import Sequence

import numpy as np

from pipeline.problems.classes import SumsToOne
from pipeline.problems.form import (
    LABEL_IN_CLASS_COLUMNS,
    Form,
    Sample,
    columns_by_name,
    number_columns,
    refuse,
    untouched,
)
from pipeline.problems.label_texts import Reader, number
from pipeline.problems.problem import Clues, Task

SLACK = 0.02
"""By how much a row may miss one: shares are handed out rounded."""


class SoftLabels(SumsToOne):
    """A target column per class; predicted, blended and bounded like one of several classes."""

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
            f"task.classes has {len(classes)} entries; soft-labels have a target column per class"
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
