"""The range of the labels and a metric that fits, by problem and by the sample's form."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.base.config import Problem
from pipeline.data.labels import canonical, is_number
from pipeline.setup.detection.choices import Doubts, Wishes
from pipeline.setup.detection.profile import Profile
from pipeline.setup.detection.target import Answers
from pipeline.setup.detection.task import MOST_GRADES


def find_range(
    problem: Problem, labels: pd.DataFrame, doubts: Doubts
) -> tuple[float, float] | None:
    """Lowest and highest possible label (n, k) of a regression, where it shows; else None.

    Round extremes (0 and 5, 1 and 6, 0 and 100) are taken for the ends of a scale, any others for
    the chance extremes of an open one.
    """
    if problem != "regression":
        return None
    texts = labels.to_numpy(dtype=object).ravel()
    values = np.array([float(text) for text in texts if is_number(text)])
    if not len(values):  # the reader of labels will say what is wrong with them
        return None
    low, high = float(values.min()), float(values.max())
    if low == high:
        doubts.because("task.label_range", f"All labels are {low:g}.")
        return None
    if _round_end(low) and _round_end(high) and high - low <= 100:
        doubts.because("task.label_range", "The lowest and highest label found, both round.")
        return low, high
    if low >= 0 and high <= 1:
        doubts.because("task.label_range", f"All labels, {low:g} to {high:g}, lie in 0 to 1.")
        return 0.0, 1.0
    seen = f"Labels run from {low:g} to {high:g}, no round ends: taken as open, not clipped."
    doubts.because("task.label_range", seen)
    return None


def _round_end(value: float) -> bool:
    """Is *value* a usual end of a scale: up to 10, or a multiple of 5?"""
    return value == int(value) and (abs(value) <= 10 or value % 5 == 0)


def find_metric(
    problem: Problem,
    targets: Sequence[Profile],
    pairs: bool,
    bounded: bool,
    answers: Answers,
    wishes: Wishes,
    doubts: Doubts,
) -> str:
    """The metric's name; its reason goes to *doubts*."""
    if wishes.metric:
        doubts.because("task.metric", "Given by --metric.")
        return wishes.metric
    shown = [value for values in answers.values.values() for value in values]
    if problem == "regression":
        metric, reason = _of_numbers(targets, pairs, bounded, shown)
    elif problem == "multilabel":
        metric, reason = "auc", "Usual for several labels: the mean of their areas."
    elif len(answers.columns) > 1:
        metric, reason = "log-loss", "The sample submission has one probability per class."
    elif problem == "multiclass":
        metric, reason = "macro-f1", "One class per row, every class counts the same."
    else:
        metric, reason = _of_two(targets[0], shown)
    doubts.because("task.metric", f"{reason} A guess: check the competition's rules.")
    return metric


def _of_numbers(
    targets: Sequence[Profile], pairs: bool, bounded: bool, shown: Sequence[str]
) -> tuple[str, str]:
    if len(targets) > 1:
        return "mcrmse", "Several numbers: the mean of their root mean squared errors."
    values = [*targets[0].values, *(value.replace(".", "fraction") for value in shown)]
    whole = all(canonical(value).lstrip("-").isdigit() for value in values)
    if whole and targets[0].distinct <= MOST_GRADES:
        return "qwk", "Whole grades: quadratic weighted kappa is usual (predictions are rounded)."
    if pairs and bounded:
        return "pearson", "A graded similarity of two texts."
    return "rmse", "A number."


def _of_two(target: Profile, shown: Sequence[str]) -> tuple[str, str]:
    classes = {canonical(value) for value in target.values}
    plain = all("." not in value for value in shown)
    if shown and plain and {canonical(value) for value in shown} <= classes:
        return "f1", "The sample submission shows classes."
    if shown:
        return "auc", "The sample submission shows probabilities."
    return "auc", "There is no sample submission to tell classes from probabilities."
