"""The metrics' formulas, for arrays that were checked and brought into shape. numpy only.

Each is fast enough to be called thousands of times on ten thousand rows. `metrics` chooses among
them; docs/metrics.md says which function of scikit-learn or scipy each one equals.

Notation: n rows, k targets, c classes. `truth` and `guess` are (n, k) float64 unless said
otherwise. Where a formula has no value it raises MetricError with the reason.
"""

import math
from collections.abc import Callable

import numpy as np

from pipeline.base.errors import DataError

EPSILON = float(np.finfo(np.float64).eps)  # a probability of 0 costs as much as one of this

Score = Callable[[np.ndarray, np.ndarray], float]
"""(y_true (n, k), y_pred (n, k)) -> score, both float64 and finite."""


class MetricError(DataError):
    """A metric has no value for these predictions (constant input, one class, too few rows)."""


def columns_named(columns: np.ndarray, total: int) -> str:
    """Where in the table, in words: nothing where there is only one column."""
    if total == 1:
        return ""
    return f" in column {', '.join(str(column + 1) for column in columns.tolist())} of {total}"


def _refuse(undefined: np.ndarray, reason: str) -> None:
    """Raise MetricError with *reason* where any of *undefined* (k,) is set."""
    if undefined.any():
        raise MetricError(f"{reason}{columns_named(np.flatnonzero(undefined), len(undefined))}")


def _refuse_constant(values: np.ndarray, what: str) -> None:
    _refuse(values.max(axis=0) == values.min(axis=0), f"all {what} are the same")


def pearson(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of the linear correlation."""
    _refuse_constant(truth, "targets")
    _refuse_constant(guess, "predictions")
    one, other = truth - truth.mean(axis=0), guess - guess.mean(axis=0)
    one, other = one / np.abs(one).max(axis=0), other / np.abs(other).max(axis=0)
    norms = np.sqrt((one * one).sum(axis=0) * (other * other).sum(axis=0))
    return float(((one * other).sum(axis=0) / norms).mean())


def spearman(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of the correlation of ranks; ties share their mean rank."""
    _refuse_constant(truth, "targets")
    _refuse_constant(guess, "predictions")
    return pearson(ranks(truth), ranks(guess))


def ranks(values: np.ndarray) -> np.ndarray:
    """(n, k): the rank of each value in its column, from 1; ties share their mean rank.

    >>> ranks(np.array([[3.0], [1.0], [3.0]])).ravel().tolist()
    [2.5, 1.0, 2.5]
    """
    result = np.empty(values.shape)
    for column in range(values.shape[1]):
        order = np.argsort(values[:, column], kind="stable")
        ordered = values[order, column]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        counts = np.diff(starts, append=len(ordered))
        result[order, column] = np.repeat(starts + (counts + 1) / 2, counts)
    return result


def mse(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean squared error, over rows and columns."""
    return float(((truth - guess) ** 2).mean())


def rmse(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of the root mean squared error."""
    return float(np.sqrt(((truth - guess) ** 2).mean(axis=0)).mean())


def mae(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean absolute error."""
    return float(np.abs(truth - guess).mean())


def r2(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of the share of variance explained."""
    _refuse_constant(truth, "targets")
    left = ((truth - guess) ** 2).sum(axis=0)
    return float((1 - left / ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)).mean())


def quadratic_kappa(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of Cohen's kappa, disagreement weighted by the squared distance."""
    observed = ((truth - guess) ** 2).sum(axis=0)
    crossed = truth.sum(axis=0) * guess.sum(axis=0) / len(truth)
    expected = (truth**2).sum(axis=0) + (guess**2).sum(axis=0) - 2 * crossed
    _refuse(
        (truth == truth[0]).all(axis=0) & (guess == truth[0]).all(axis=0),
        "all targets and all predictions are one and the same label",
    )
    return float((1 - observed / expected).mean())


def accuracy(truth: np.ndarray, guess: np.ndarray) -> float:
    """Share of rows in which every column is right."""
    return float((truth == guess).all(axis=1).mean())


def f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of the F1 of the value 1; both are 0/1."""
    rows = np.ones(len(truth))  # a product adds up few columns of many rows far faster than a sum
    hits, total = rows @ (truth * guess), rows @ (truth + guess)
    _refuse(total == 0, "no target and no prediction is positive")
    return float((2 * hits / total).mean())


def macro_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean F1 over the classes that occur in either; both are (n, 1) class numbers."""
    expected, found = truth[:, 0].astype(np.int64), guess[:, 0].astype(np.int64)
    c = int(max(expected.max(), found.max())) + 1
    hits = np.bincount(expected[expected == found], minlength=c)
    total = np.bincount(expected, minlength=c) + np.bincount(found, minlength=c)
    return float((2 * hits[total > 0] / total[total > 0]).mean())


def auc(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of the area under the ROC curve; *truth* is 0/1 or class numbers."""
    truth = indicators(truth, guess.shape[1])
    positive = truth.sum(axis=0)
    negative = len(truth) - positive
    _refuse((positive == 0) | (negative == 0), "the targets hold only one class")
    above = (ranks(guess) * truth).sum(axis=0) - positive * (positive + 1) / 2
    return float((above / (positive * negative)).mean())


def log_loss(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over rows and columns of the negative log likelihood; *truth* is 0/1."""
    chance = np.clip(guess, EPSILON, 1 - EPSILON)
    return float(-np.where(truth == 1, np.log(chance), np.log1p(-chance)).mean())


def class_log_loss(truth: np.ndarray, guess: np.ndarray) -> float:
    """The same for c classes: *truth* (n, 1) class numbers, *guess* (n, c), rows rescaled to 1."""
    chance = np.clip(guess, EPSILON, 1 - EPSILON)
    right = np.take_along_axis(chance, truth.astype(np.int64), axis=1)[:, 0]
    return float(-np.log(right / chance.sum(axis=1)).mean())


def indicators(truth: np.ndarray, k: int) -> np.ndarray:
    """0/1 targets (n, k): as they are, or one column per class where they are class numbers."""
    return truth if truth.shape[1] == k else (truth == np.arange(k)).astype(np.float64)


# From raw predictions to the labels that a leaderboard would see.


def positive(predicted: np.ndarray) -> np.ndarray:
    """0/1 labels: positive from 0.5 on."""
    return (predicted >= 0.5).astype(np.float64)


def likeliest(predicted: np.ndarray) -> np.ndarray:
    """(n, 1) class numbers: the likeliest class, of equals the first."""
    return predicted.argmax(axis=1)[:, None].astype(np.float64)


def nearest(
    truth: np.ndarray, predicted: np.ndarray, label_range: tuple[float, float] | None
) -> np.ndarray:
    """The nearest whole number within *label_range*, or within the range of *truth*."""
    if (truth != np.rint(truth)).any():
        raise MetricError("the targets are not whole numbers, so there are no labels to round to")
    low, high = label_range or (truth.min(), truth.max())
    return np.clip(np.floor(predicted + 0.5), math.ceil(low), math.floor(high))
