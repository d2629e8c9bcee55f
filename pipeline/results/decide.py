"""From blended predictions to submitted values: rounded, cut, named, or as they are.

Whatever is done to a prediction is returned beside its measured effect, so that it can be printed.
"""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.config import TaskConfig
from pipeline.results.form import Form
from pipeline.results.metrics import Metric

SCALE_FREE = ("pearson", "spearman")
THRESHOLD = 0.5  # as in results.metrics


def render(
    form: Form, task: TaskConfig, predicted: np.ndarray, limits: tuple[float, float]
) -> dict[str, list[str]]:
    """What each column of the sample gets, (m,) texts, from predictions (m, k).

    Where a regression is submitted as labels, they are the nearest whole numbers within *limits*.
    """
    if form.kind == "label" and task.problem == "regression":
        nearest = nearest_labels(predicted, limits).astype(int).astype(str)
        return {column: nearest[:, place].tolist() for column, place in form.columns.items()}
    if form.kind == "label" and task.problem == "multiclass":
        winners = np.argmax(predicted, axis=1).tolist()
        return {column: [task.classes[winner] for winner in winners] for column in form.columns}
    if form.kind == "label":
        classes = task.classes if task.problem == "binary" else ["0", "1"]
        return {
            column: [classes[int(high)] for high in predicted[:, max(place, 0)] >= THRESHOLD]
            for column, place in form.columns.items()
        }
    if task.problem == "binary" and len(form.columns) > 1:
        predicted = np.hstack([1 - predicted, predicted])
    return {
        column: number_texts(predicted[:, max(place, 0)]) for column, place in form.columns.items()
    }


def nearest_labels(predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The nearest whole numbers within *limits*; halves go up, as the kappa metric has them.

    >>> nearest_labels(np.array([[2.5], [7.2], [-3.0]]), (0.0, 6.0)).ravel().tolist()
    [3.0, 6.0, 0.0]
    """
    return np.clip(np.floor(predicted + 0.5), math.ceil(limits[0]), math.floor(limits[1]))


def number_texts(values: np.ndarray) -> list[str]:
    """The shortest texts that read back as the same float32.

    >>> number_texts(np.array([0.1, 3.0, 1e-7]))
    ['0.1', '3.0', '1e-07']
    """
    return [str(value) for value in values.astype(np.float32)]


@dataclass(frozen=True)
class Clip:
    """Whether predictions are cut to the label range, and what that does."""

    applied: bool
    outside: int
    """Out-of-fold rows that lie outside the range."""
    effect: float
    """Gain of clipping on the honest out-of-fold predictions; above 0 is better."""


def measure_clip(
    metric: Metric, truth: np.ndarray, predicted: np.ndarray, limits: tuple[float, float]
) -> Clip:
    """Measure clipping on honest predictions (n, k); apply it where it does not hurt.

    An error in the label's unit can only shrink. Pearson and spearman see shape and order, where
    clipping may as well hurt on other rows, so for them it is measured and never applied.
    """
    clipped = np.clip(predicted, *limits)
    outside = int((clipped != predicted).any(axis=1).sum())
    effect = metric.gain(truth, clipped) - metric.gain(truth, predicted) if outside else 0.0
    return Clip(metric.name not in SCALE_FREE and effect >= 0, outside, effect)
