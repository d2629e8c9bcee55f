"""What a decision is, and what it is fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.metrics.metric import Metric
from pipeline.problems.form import Kind


@dataclass(frozen=True)
class Labelled:
    """Rows that a decision may be fitted on."""

    truth: np.ndarray
    """Targets as the metric takes them: (n, 1) class numbers for multiclass, else (n, k)."""
    predicted: np.ndarray
    """(n, k) predictions by blends that had not seen the row."""
    group_of_row: np.ndarray
    """(n,) rows that belong together."""

    def rows(self, which: np.ndarray) -> "Labelled":
        """The rows selected by a mask (n,), everything cut alike."""
        return Labelled(self.truth[which], self.predicted[which], self.group_of_row[which])


class Decision(Protocol):
    """A fitted decision."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) decided values from predictions (m, k)."""

    def says(self, names: list[str]) -> str:
        """What was fitted, in words; *names* (k,) are the prediction columns."""

    def as_dict(self) -> dict[str, Any]:
        """What was fitted, as plain values for JSON."""


Rule = Callable[[Labelled], Decision]
"""Fits a decision."""
Hurdle = Literal["no harm", "a standard error", "real"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A decision that may be applied."""

    name: str
    rule: Rule
    hurdle: Hurdle = "a standard error"
    """What its effect must clear: be 0 or more, a standard error, or a whole 95 % interval."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """What a decision would be for."""

    task: TaskConfig
    metric: Metric
    kind: Kind
    """What stands in the file: numbers and probabilities (value), or classes (label)."""
    truth: np.ndarray
    """(n, k) the labels, (n, 1) class numbers for multiclass."""


Offer = Callable[[Case], Candidate | None]
"""The candidate that a kind of decision has for a case; None where it has none."""


def listed(names: list[str], values: np.ndarray, form: str) -> str:
    """Values by name, all of them.

    >>> listed(["toxic", "rude"], np.array([0.5, 0.31]), ".2f")
    'toxic 0.50, rude 0.31'
    >>> listed(["label"], np.array([0.5]), ".2f")
    '0.50'
    """
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return ", ".join(
        f"{name} {value:{form}}" for name, value in zip(names, values.tolist(), strict=True)
    )


# The gate: is a better score on the rows it was fitted on beyond noise?
#
# A fitted cut is never worse than the default on its own rows. So it must be better by a margin:
# GATE standard errors of the difference, over groups of rows. They come from the influence of each
# row on the score, its derivative by the row's weight (the infinitesimal jackknife: Efron, "The
# Jackknife, the Bootstrap and Other Resampling Plans", SIAM 1982, chapter 6). One pass, no draws.


GATE = 1.0
"""Standard errors. In simulations of rare classes (1 to 5 % of 400 to 10,000 rows, 15 to 40 worlds
each, scored on new rows) 1 kept what fitting gains; 2 gave away a quarter to three quarters of it
below 2,000 rows."""

FEWEST = 5
"""Groups of rows whose classes have to change."""


def beyond_noise(
    metric: str,
    truth: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    group_of_row: np.ndarray,
) -> bool:
    """Whether classes *after* (n,) beat those *before* by more than GATE standard errors.

    Never where less than FEWEST groups change: so few have no error that can be estimated.
    """
    if len(np.unique(group_of_row[before != after])) < FEWEST:
        return False
    old_gain, old = influence(metric, truth, before)
    new_gain, new = influence(metric, truth, after)
    _, block = np.unique(group_of_row, return_inverse=True)
    error = float(np.sqrt((np.bincount(block, weights=new - old) ** 2).sum()))
    return bool(new_gain - old_gain > GATE * error)


def influence(metric: str, truth: np.ndarray, found: np.ndarray) -> tuple[float, np.ndarray]:
    """The gain of classes *found* (n,) for *truth* (n,), and what each row adds to it (n,).

    What the rows add has the sum 0: the gain does not change if all rows count double.
    """
    expected, guess = truth.astype(np.int64), found.astype(np.int64)
    if metric == "qwk":
        return _kappa(expected.astype(float), guess.astype(float))
    hit = expected == guess
    if metric == "accuracy":
        return float(hit.mean()), (hit - hit.mean()) / len(hit)
    c = int(max(expected.max(), guess.max(), 1)) + 1
    wanted, chosen = (np.bincount(values, minlength=c) for values in (expected, guess))
    hits = np.bincount(expected[hit], minlength=c)
    if metric == "auc":
        share = 1 / (2 * np.maximum(wanted, 1))
        recall = hits / np.maximum(wanted, 1)
        return float(recall.mean()), (hit - recall[expected]) * share[expected]
    return _mean_f1(metric, expected, guess, hits, wanted + chosen)


def _mean_f1(
    metric: str, expected: np.ndarray, guess: np.ndarray, hits: np.ndarray, total: np.ndarray
) -> tuple[float, np.ndarray]:
    """Macro-F1 over the classes that occur, or ("f1") the F1 of class 1 alone."""
    share = (total > 0) / max(1, (total > 0).sum())
    if metric == "f1":
        share = np.arange(len(total)) == 1
    each = 2 * hits / np.maximum(total, 1)
    pull = share / np.maximum(total, 1)  # derivative of the mean by a class's count, over F1
    lost = pull * each
    adds = np.where(expected == guess, 2 * pull[expected], 0.0) - lost[expected] - lost[guess]
    return float((share * each).sum()), adds


def _kappa(expected: np.ndarray, guess: np.ndarray) -> tuple[float, np.ndarray]:
    n = len(expected)
    apart = (expected - guess) ** 2
    spread = expected**2 + guess**2
    chance = spread.sum() - 2 * expected.sum() * guess.sum() / n
    if chance <= 0:
        return -np.inf, np.zeros(n)
    moved = spread - 2 * (expected * guess.sum() + guess * expected.sum()) / n
    moved = moved + 2 * expected.sum() * guess.sum() / n**2
    ratio = apart.sum() / chance
    return float(1 - ratio), (ratio * moved - apart) / chance
