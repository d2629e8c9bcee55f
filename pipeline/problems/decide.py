"""From decided predictions to the texts of a submission: named, or numbers as they are.

What is decided (thresholds, offsets, cut points, clip, rounding) comes before, in `decisions`: here
the largest probability, 0.5 and the nearest whole number only read off what was decided.
"""

import math

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.problems.form import Form

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
