"""One or several numbers per row, in the label's unit: a grade, a similarity, a price."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from pipeline.problems.form import (
    Form,
    Sample,
    columns_by_name,
    nearest_labels,
    number_columns,
    untouched,
)
from pipeline.problems.label_texts import Reader, canonical, number
from pipeline.problems.problem import Clues, Problem, Task

MOST_GRADES = 20
"""More different whole numbers than this are no grades."""


class Regression(Problem):
    """Numbers."""

    name = "regression"
    scored_as = "regression"
    described = "regression"
    target_kind = "numbers"
    numeric = True
    usual_loss = "mse"
    refused_methods: ClassVar = {
        "logistic": "logistic blends probabilities; this is a regression. ridge is its counterpart"
    }
    scored_by_log_odds = False
    value_checks = ("unit",)
    copied_labels = "equal"
    alone = "Pearson"
    spread = "numbers"
    written: ClassVar = {"value": "numbers", "label": "whole numbers"}

    def reader(self, task: Task) -> Reader:
        """Finite numbers with a point, within task.label_range."""
        return lambda text: number(text, task.label_range)

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """Quantile bins; of several numbers, of what they have in common."""
        return number_strata(targets, bins)

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """The nearest whole numbers."""
        return nearest_labels(predicted, limits)

    def labels_said(self) -> str:
        """Which whole numbers."""
        return "the nearest whole numbers"

    def looks_like(self, clues: Clues) -> str:
        """By the number of columns, by whole grades, by bounded grades of pairs."""
        if clues.targets > 1:
            return "several numbers"
        seen = [*clues.labels, *(value.replace(".", "fraction") for value in clues.shown)]
        whole = all(canonical(value).lstrip("-").isdigit() for value in seen)
        if whole and len(clues.labels) <= MOST_GRADES:
            return "whole grades"
        if clues.pairs and clues.bounded:
            return "a bounded grade of two texts"
        return "a number"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """One column per target: numbers, or whole ones where the metric or task.submit says so."""
        columns = columns_by_name(targets, sample.columns, f"{len(targets)} of them")
        rounded = task.submit == "label" or (task.submit == "auto" and needs == "label")
        notes = untouched(columns, sample.columns)
        return Form(kind="label" if rounded else "value", columns=columns, notes=notes)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """Numbers as they are, or the nearest whole ones."""
        if form.kind == "value":
            return number_columns(form, predicted)
        nearest = nearest_labels(predicted, limits).astype(int).astype(str)
        return {column: nearest[:, place].tolist() for column, place in form.columns.items()}


def number_strata(targets: np.ndarray, bins: int) -> np.ndarray:
    """(n,) quantile bin of (n, t) numbers; fewer than *bins* where many rows share a value.

    A row goes by the middle rank of its value, so equal numbers never part. Of several numbers,
    bins of the first principal component of the ranks: the direction in which they move together,
    whichever way each of them points.
    """
    ranks = np.column_stack([_middle_rank(column) for column in targets.T])
    if targets.shape[1] > 1:
        spread = ranks.std(axis=0)
        scaled = (ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, 1)
        direction = np.linalg.eigh(scaled.T @ scaled)[1][:, -1]
        ranks = _middle_rank(np.round(scaled @ direction, 9))[:, None]
    values = np.unique(ranks)
    if len(values) <= bins:
        return np.searchsorted(values, ranks[:, 0])
    return np.floor(ranks[:, 0] * max(bins, 1)).astype(np.int64)


def _middle_rank(values: np.ndarray) -> np.ndarray:
    """(n,) share of the rows below the middle of the rows with the same value, in (0, 1).

    >>> _middle_rank(np.array([7.0, 1.0, 7.0, 9.0]))
    array([0.5  , 0.125, 0.5  , 0.875])
    """
    _, inverse, amount = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(((np.cumsum(amount) - amount / 2) / len(values))[inverse])


REGRESSION = Regression()
