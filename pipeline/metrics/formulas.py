"""The metrics' formulas, for arrays that were checked and brought into shape. numpy only.

Each is fast enough to be called thousands of times on ten thousand rows. `metrics` chooses among
them; docs/metrics.md says which function of scikit-learn or scipy each one equals.

Notation: n rows, k targets, c classes. `truth` and `guess` are (n, k) float64 unless said
otherwise. Where a formula has no value it raises MetricError with the reason.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from pipeline.base import DataError

EPSILON = float(np.finfo(np.float64).eps)  # a probability of 0 costs as much as one of this

Score = Callable[[np.ndarray, np.ndarray], float]
"""(y_true (n, k), y_pred (n, k)) -> score, both float64 and finite."""
Average = Literal["micro", "macro", "weighted"]
"""How several classes are put together, as scikit-learn's `average`."""


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


def soft_losses(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(n,) cross-entropy against a probability per class, (n, c) both; rows of *guess* rescaled to
    sum to 1."""
    chance = np.clip(guess, EPSILON, 1 - EPSILON)
    chance /= chance.sum(axis=1, keepdims=True)
    return np.asarray(-(truth * np.log(chance)).sum(axis=1))


def divergences(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(n,) Kullback-Leibler divergence of *guess* from *truth*, (n, c) both: cross-entropy less
    what the labels themselves leave open."""
    logs = np.log(truth, out=np.zeros_like(truth, dtype=float), where=truth > 0)
    return soft_losses(truth, guess) + (truth * logs).sum(axis=1)


def confusion(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(c, c) counts of rows: true class by decided class; both are (n, 1) class numbers."""
    expected, found = truth[:, 0].astype(np.int64), guess[:, 0].astype(np.int64)
    c = int(max(expected.max(), found.max())) + 1
    return np.bincount(expected * c + found, minlength=c * c).reshape(c, c).astype(np.float64)


def mcc(truth: np.ndarray, guess: np.ndarray) -> float:
    """Matthews' correlation of two or more classes (Gorodkin's R_K); 0 where all rows are decided
    for one class."""
    _refuse_constant(truth, "targets")
    counts = confusion(truth, guess)
    true, found, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    spread = (n * n - found @ found) * (n * n - true @ true)
    return 0.0 if spread == 0 else float((np.trace(counts) * n - true @ found) / math.sqrt(spread))


def balanced_accuracy(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over the classes that occur of the share of their rows that are right."""
    counts = confusion(truth, guess)
    true = counts.sum(axis=1)
    return float((np.diag(counts)[true > 0] / true[true > 0]).mean())


def weighted_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean F1 of the classes, each counting as many times as it has rows."""
    counts = confusion(truth, guess)
    true, total = counts.sum(axis=1), counts.sum(axis=0) + counts.sum(axis=1)
    each = np.divide(2 * np.diag(counts), total, out=np.zeros(len(total)), where=total > 0)
    return float(each @ true / true.sum())


def micro_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """F1 of all labels of all rows together; both are 0/1."""
    hits, total = float((truth * guess).sum()), float((truth + guess).sum())
    _refuse(np.array([total == 0]), "no target and no prediction is positive")
    return 2 * hits / total


def average_precision(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over columns of the precision at each step of recall; *truth* 0/1 or class numbers."""
    steps = [_precision_recall(*pair) for pair in _columns_of(truth, guess)]
    each = [np.diff(recall, prepend=0.0) @ precision for precision, recall in steps]
    return float(np.mean(each))


def precision_recall_area(truth: np.ndarray, guess: np.ndarray) -> float:
    """The same by trapezoids, as the KLUE benchmark and sklearn.metrics.auc of the curve do."""
    steps = [_precision_recall(*pair) for pair in _columns_of(truth, guess)]
    each = [
        float(np.diff(recall, prepend=0.0) @ (precision + np.append(1.0, precision[:-1])) / 2)
        for precision, recall in steps
    ]
    return float(np.mean(each))


def _columns_of(truth: np.ndarray, guess: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    truth = indicators(truth, guess.shape[1])
    _refuse(truth.sum(axis=0) == 0, "the targets hold no positive row")
    return list(zip(truth.T, guess.T, strict=True))


def _precision_recall(truth: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of all rows down to each distinct score, the highest first."""
    order = np.argsort(-guess, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(guess[order])), len(guess) - 1)
    hits = np.cumsum(truth[order])[ends]
    return hits / (ends + 1), hits / hits[-1]


def brier(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean squared error of probabilities; of classes the sum over classes, from 0 to 2 (Brier,
    "Verification of forecasts expressed in terms of probability", 1950)."""
    several = truth.shape[1] != guess.shape[1]
    squares = (indicators(truth, guess.shape[1]) - guess) ** 2
    return float(squares.sum(axis=1).mean() if several else squares.mean())


BINS = 15


def calibration_error(truth: np.ndarray, guess: np.ndarray) -> float:
    """Expected calibration error: |share right - mean confidence| over 15 even bins, weighted by
    rows (Guo et al., "On calibration of modern neural networks", 2017); of one column the
    confidence is that of the likelier side."""
    bins, gaps = calibration(truth, guess)
    return float(np.abs(np.bincount(bins, weights=gaps, minlength=BINS)).sum() / len(gaps))


def calibration(truth: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the bin of each row's confidence, and whether it is right (0 or 1) less that."""
    several = truth.shape[1] != guess.shape[1]
    sure = guess.max(axis=1) if several else np.maximum(guess, 1 - guess).ravel()
    right = (likeliest(guess) == truth).ravel() if several else (positive(guess) == truth).ravel()
    bins = np.clip(np.ceil(np.round(sure * BINS, 9)).astype(np.int64) - 1, 0, BINS - 1)
    return bins, right - sure


def f_beta(beta: float) -> Score:
    """F of the value 1, recall counting *beta* times as much as precision; mean over columns."""

    def score(truth: np.ndarray, guess: np.ndarray) -> float:
        hits, found = (truth * guess).sum(axis=0), guess.sum(axis=0)
        total = beta**2 * truth.sum(axis=0) + found
        _refuse(total == 0, "no target and no prediction is positive")
        return float(((1 + beta**2) * hits / total).mean())

    return score


def f1_without(left_out: frozenset[int], average: Average) -> Score:
    """F1 of rows together, or the mean over classes (each alike, or as often as it has rows), the
    classes with the numbers *left_out* not counting as answers: relations, stances."""

    def score(truth: np.ndarray, guess: np.ndarray) -> float:
        counts = confusion(truth, guess)
        kept = [place for place in range(len(counts)) if place not in left_out]
        hits, true = np.diag(counts)[kept], counts.sum(axis=1)[kept]
        either = true + counts.sum(axis=0)[kept]
        by_rows = average == "weighted"
        whose = "target is" if by_rows else "target and no prediction is"
        _refuse(
            np.array([(true if by_rows else either).sum() == 0]),
            f"no {whose} of a class that counts",
        )
        if average == "micro":
            return float(2 * hits.sum() / either.sum())
        occurs = either > 0
        each = 2 * hits[occurs] / either[occurs]
        return float(np.average(each, weights=true[occurs] if by_rows else None))

    return score


Rows = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(y_true (n, k), y_pred (n, k)) -> (n,) what each row scores."""


def among(k: int) -> Rows:
    """Whether the class is among the *k* likeliest; of equals the first are taken."""

    def rows(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
        best = np.argsort(-guess, axis=1, kind="stable")[:, :k]
        return (best == truth).any(axis=1).astype(float)

    return rows


def one_over_place(k: int) -> Rows:
    """1 / the place of the true class among the *k* likeliest, 0 beyond; its mean is MAP@k of one
    true class per row."""

    def rows(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
        best = np.argsort(-guess, axis=1, kind="stable")[:, :k]
        return np.asarray(((best == truth) / np.arange(1, best.shape[1] + 1)).sum(axis=1))

    return rows


def mean_over(rows: Rows) -> Score:
    """The mean of what the rows score."""
    return lambda truth, guess: float(rows(truth, guess).mean())


def mean_of(scores: Sequence[Score], weights: Sequence[float]) -> Score:
    """The weighted mean of several scores of the same predictions."""
    return lambda truth, guess: float(
        np.average([score(truth, guess) for score in scores], weights=weights)
    )


def columns_of(values: np.ndarray, k: int) -> list[np.ndarray]:
    """k columns (n, 1) of *values* (n, k), or of class numbers (n, 1)."""
    spread = indicators(values, k)
    if spread.shape[1] != k:
        raise MetricError(f"there are {spread.shape[1]} columns and {k} weights")
    return np.split(spread, k, axis=1)


def of_columns(score: Score, weights: Sequence[float]) -> Score:
    """The weighted mean of the *score* of each column alone; those without weight are not asked."""
    kept = [column for column, weight in enumerate(weights) if weight]

    def mean(truth: np.ndarray, guess: np.ndarray) -> float:
        wanted, found = (columns_of(each, len(weights)) for each in (truth, guess))
        scores = [score(wanted[column], found[column]) for column in kept]
        return float(np.average(scores, weights=[weights[column] for column in kept]))

    return mean


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
