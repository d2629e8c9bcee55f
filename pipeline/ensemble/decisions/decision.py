"""What a decision is, and what it is fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.metrics import Metric, MetricError
from pipeline.metrics.bootstrap import slope_of
from pipeline.metrics.moments import CELLS
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
    joined: bool = False
    """Whether the labels of a row are written into one cell."""

    @property
    def never_none(self) -> bool:
        """Whether each row has one of several labels at least."""
        several = self.task.problem_type.in_a_cell == "several"
        return several and bool(self.truth.any(axis=1).all())


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


# Gains of decided labels while a cut moves: row after row changes from one label to another.
#
# Where the metric is a function of sums over rows (`LabelSums`), running sums give the gain after
# every single change at once. Any other metric is called, at up to TRIED places.


TRIED = 200
"""Places at which a metric is called that is no function of sums."""


def gains_on_the_way(
    metric: Metric,
    truth: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    places: np.ndarray,
    classes: int,
) -> np.ndarray:
    """(p,) the gain when the first *places* (p,) rows have the labels *after*, the rest *before*.

    *truth* and both labels are (n, k). -inf where the gain is undefined or was not tried.
    """
    gains = np.full(len(places), -np.inf)
    sums = metric.formula.label_sums
    if sums is None:
        tried = np.unique(np.linspace(0, len(places) - 1, TRIED).round().astype(int))
        for at in tried.tolist():
            labels = np.concatenate([after[: places[at]], before[places[at] :]])
            gains[at] = gain_of_labels(metric, truth, labels)
        return gains
    if sums.each_class is not None:
        return _class_by_class(sums.each_class, truth, before, after, classes)[places]
    size = max(CELLS // (2 * classes), 1)  # rows per block: terms may be as wide as two per class
    start = sums.terms(truth, before, classes).sum(axis=0)
    for first in range(0, len(truth) + 1, size):
        rows = slice(first, first + size)
        here = (places >= first) & (places < first + size)
        moved = sums.terms(truth[rows], after[rows], classes)
        moved = moved - sums.terms(truth[rows], before[rows], classes)
        running = start + np.cumsum(np.vstack([np.zeros_like(start), moved]), axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            gains[here] = sums.finish(running[places[here] - first])
        start = running[-1]
    return np.where(np.isfinite(gains), gains, -np.inf)


def _class_by_class(
    value: Callable[[np.ndarray, np.ndarray], np.ndarray],
    truth: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    classes: int,
) -> np.ndarray:
    """(n + 1,) the mean of the classes' values after each change of a row, all (n, 1).

    A change takes its row from one class and gives it to another. Sorted by class, these events
    make one list, in which running sums give each class's counts after each of its own events.
    """
    wanted, old, new = (each[:, 0].astype(np.int64) for each in (truth, before, after))
    hits = np.bincount(wanted[wanted == old], minlength=classes).astype(float)
    either = (np.bincount(wanted, minlength=classes) + np.bincount(old, minlength=classes)).astype(
        float
    )
    number = np.stack([old, new], axis=1).ravel()
    order = np.argsort(number.astype(np.min_scalar_type(classes)), kind="stable")  # in order of row
    number, row = number[order], order // 2
    step = np.where(order % 2 == 0, -1.0, 1.0)
    first = np.concatenate([[True], number[1:] != number[:-1]])[: len(number)]
    own = np.flatnonzero(first)[np.cumsum(first) - 1]  # the first event of the same class

    def running(steps: np.ndarray, start: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(steps)])
        return np.asarray(start[number] + total[1:] - total[own])

    hits_then = running(step * (wanted[row] == number), hits)
    either_then = running(step, either)
    totals = []
    for at_first, then in (
        (
            np.where(either > 0, value(hits, either), 0.0),
            np.where(either_then > 0, value(hits_then, either_then), 0.0),
        ),
        ((either > 0).astype(float), (either_then > 0).astype(float)),
    ):
        earlier = at_first[number]
        np.copyto(earlier[1:], then[:-1], where=~first[1:])
        changes = np.bincount(row + 1, weights=then - earlier, minlength=len(wanted) + 1)
        totals.append(at_first.sum() + np.cumsum(changes))
    return np.asarray(totals[0] / totals[1])


def gain_of_labels(metric: Metric, truth: np.ndarray, labels: np.ndarray) -> float:
    """The gain of labels (n, k) for *truth* (n, k), by the formula; -inf where it is undefined."""
    try:
        return metric.as_gain(metric.formula.score(truth, labels))
    except MetricError:
        return -np.inf


# The gate: is a better score on the rows it was fitted on beyond noise?
#
# A fitted cut is never worse than the default on its own rows. So it must be better by a margin:
# GATE standard errors of the difference, over groups of rows. They come from the influence of each
# row on the score, its derivative by the row's weight (the infinitesimal jackknife: Efron, "The
# Jackknife, the Bootstrap and Other Resampling Plans", SIAM 1982, chapter 6). One pass, no draws.
# Of a metric that is no function of sums, bundles of groups are left out in turn (the
# delete-a-group jackknife, chapter 3 there).


GATE = 1.0
"""Standard errors. In simulations of rare classes (1 to 5 % of 400 to 10,000 rows, 15 to 40 worlds
each, scored on new rows) 1 kept what fitting gains; 2 gave away a quarter to three quarters of it
below 2,000 rows."""

FEWEST = 5
"""Groups of rows whose classes have to change."""

BUNDLES = 50
"""Bundles of groups that are left out in turn."""


def beyond_noise(
    metric: Metric,
    truth: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    group_of_row: np.ndarray,
    classes: int,
) -> bool:
    """Whether labels *after* (n, k) beat those *before* by more than GATE standard errors.

    Never where less than FEWEST groups change: so few have no error that can be estimated.
    """
    changed = (before != after).any(axis=1)
    if len(np.unique(group_of_row[changed])) < FEWEST:
        return False
    _, block = np.unique(group_of_row, return_inverse=True)
    if metric.formula.label_sums is None:
        return _beyond_by_leaving_out(metric, truth, before, after, block)
    old_gain, old = influence(metric, truth, before, classes)
    new_gain, new = influence(metric, truth, after, classes)
    error = float(np.sqrt((np.bincount(block, weights=new - old) ** 2).sum()))
    return bool(new_gain - old_gain > GATE * error)


def influence(
    metric: Metric, truth: np.ndarray, labels: np.ndarray, classes: int
) -> tuple[float, np.ndarray]:
    """The gain of *labels* (n, k) for *truth* (n, k), and what each row adds to it (n,).

    What the rows add has the sum 0: the gain does not change if all rows count double.
    """
    sums = metric.formula.label_sums
    assert sums is not None, f"{metric.name} is no function of sums"
    terms = sums.terms(truth, labels, classes) if sums.each_class is None else None
    total = _counts(truth, labels, classes) if terms is None else terms.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = float(sums.finish(total))
        if not np.isfinite(gain):
            return -np.inf, np.zeros(len(truth))
        slope = slope_of(sums.finish, total)
    if terms is not None:
        adds = terms @ slope
    else:  # a row counts for the class that it has and for the one it is given
        own, given = truth[:, 0].astype(int), labels[:, 0].astype(int)
        hit, either = np.split(slope, 2)
        adds = np.where(own == given, hit[own], 0.0) + either[own] + either[given]
    return gain, adds - adds.mean()


def _counts(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(2 c,) how often each class is in both, then how often in either."""
    own, given = truth[:, 0].astype(int), labels[:, 0].astype(int)
    hits, wanted, found = (
        np.bincount(each, minlength=classes) for each in (own[own == given], own, given)
    )
    return np.concatenate([hits, wanted + found]).astype(float)


def _beyond_by_leaving_out(
    metric: Metric, truth: np.ndarray, before: np.ndarray, after: np.ndarray, block: np.ndarray
) -> bool:
    def difference(rows: np.ndarray) -> float:
        new = gain_of_labels(metric, truth[rows], after[rows])
        return new - gain_of_labels(metric, truth[rows], before[rows])

    bundle = block % min(BUNDLES, block.max() + 1)
    with np.errstate(invalid="ignore"):
        without = np.array([difference(bundle != left) for left in range(bundle.max() + 1)])
        whole = difference(np.ones(len(truth), dtype=bool))
    without = without[np.isfinite(without)]
    if len(without) < FEWEST:
        return False
    spread = (len(without) - 1) * without.var()
    return bool(whole > GATE * np.sqrt(spread))
