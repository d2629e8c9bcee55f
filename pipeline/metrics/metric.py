"""Scores: what a leaderboard would say about raw predictions.

A metric is computed once, from saved predictions in the shapes of docs/architecture.md, never
inside training. Classes are derived here: from 0.5 on positive, the likeliest class, the nearest
label. The reference is docs/metrics.md; what is known of each metric is its record (`registry`).
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.base import UsageError
from pipeline.base.config import Competition, TaskConfig
from pipeline.metrics import own
from pipeline.metrics.families import columns_problem, is_family, record_of
from pipeline.metrics.formulas import (
    MetricError,
    Score,
    columns_named,
    likeliest,
    nearest,
)
from pipeline.metrics.greedy import GreedySteps, Prepared
from pipeline.metrics.linearised_metrics import Finish, Sums
from pipeline.metrics.record import Formula, Needs, Record
from pipeline.metrics.registry import METRICS, fitting, score_problem
from pipeline.metrics.texts.own_lists import record_of as of_lists
from pipeline.problems.registry import TYPES, problem_of

__all__ = [
    "Metric",
    "MetricError",
    "fitting",
    "get_metric",
    "metric_of",
    "of_a_function",
    "score_problem",
]


@dataclass(frozen=True)
class Metric:
    """A metric for one problem: a function of targets and raw predictions."""

    name: str
    record: Record
    problem: str
    """The name of the problem type."""
    label_range: tuple[float, float] | None = None
    """Of a regression: the labels that predictions are rounded to; None: the targets'."""
    cuts: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """How predictions become labels, given the targets, in place of rounding (`judging`)."""
    classes: tuple[str, ...] = ()
    """task.classes."""
    own: "Metric | None" = None
    """Where a function of the user's own says what this metric says: the function as it is."""
    known_as: str = ""
    """The name of the metric of the table that it says the same as; empty: it has that name."""

    @cached_property
    def formula(self) -> Formula:
        """The function, and the fast ways there are to it."""
        found = self.record.formulas[problem_of(self.problem).scored_as]
        return found if found.of_classes is None else found.of_classes(self.classes)

    @property
    def greater_is_better(self) -> bool:
        """The direction."""
        return self.record.greater_is_better

    @property
    def needs(self) -> Needs:
        """What a leaderboard of this metric wants: a number or probability, or a class."""
        return self.record.needs

    @property
    def best(self) -> float:
        """The score of perfect predictions; taken as 1 or 0 where the bounds are open."""
        bound = self.record.bounds[1 if self.greater_is_better else 0]
        return bound if math.isfinite(bound) else float(self.greater_is_better)

    @property
    def row_sums(self) -> Sums | None:
        """The way by sums over rows of raw predictions, or None where only the formula is left."""
        if self.formula.answer_sums:
            return self._sums_of_answers
        if self.formula.row_sums or self.formula.label_sums is None:
            return self.formula.row_sums
        if problem_of(self.problem).numeric and self.cuts is None and self.label_range is None:
            return None  # the range to round to is that of the targets: it changes with the rows
        return self._sums_of_labels

    def _sums_of_answers(
        self, truth: np.ndarray, predicted: np.ndarray
    ) -> tuple[np.ndarray, Finish]:
        sums, kind = self.formula.answer_sums, problem_of(self.problem)
        assert sums is not None
        return sums(kind.scored(truth), kind.scored(self.labels(truth, predicted)))

    def _sums_of_labels(
        self, truth: np.ndarray, predicted: np.ndarray
    ) -> tuple[np.ndarray, Finish]:
        sums, labels = self.formula.label_sums, self.labels(truth, predicted)
        assert sums is not None
        return sums.terms(truth, labels, max(2, predicted.shape[1])), sums.finish

    def labels(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """The labels of raw predictions, in the shape of the targets (n, k); of units (n, 1)."""
        if self.cuts is not None:
            return self.cuts(truth, predicted)
        kind = problem_of(self.problem)
        if kind.units:
            return kind.decode(predicted, truth[:, -1] == 0, self.classes)[:, None].astype(float)
        if kind.numeric:
            return nearest(truth, predicted, self.label_range)
        return likeliest(predicted) if kind.exclusive else kind.as_labels(predicted, (0.0, 1.0))

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """The metric of raw predictions *y_pred* (n, k) for the targets *y_true*.

        *y_true* is (n, k), for multiclass (n, 1); of texts both are (n,). Raises MetricError, with
        the reason, where the metric has no value or a prediction is not finite.
        """
        if self.formula.texts is not None:
            return self.formula.score(y_true, y_pred)
        truth, guess = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
        assert truth.ndim == guess.ndim == 2, "targets and predictions are (n, k)"
        assert len(truth) == len(guess)
        if len(truth) == 0:
            raise MetricError(f"{self.name} has no value: there are no rows")
        bad = ~np.isfinite(guess)
        if bad.any():
            where = columns_named(np.flatnonzero(bad.any(axis=0)), guess.shape[1])
            raise MetricError(
                f"{self.name} has no value: {int(bad.any(axis=1).sum())} of {len(guess)} rows have "
                f"a prediction that is not finite{where}"
            )
        try:
            if self.needs == "label":
                kind = problem_of(self.problem)
                truth, guess = kind.scored(truth), kind.scored(self.labels(truth, guess))
            return self.formula.score(y_true if self.formula.needs_rows else truth, guess)
        except MetricError as error:
            raise MetricError(f"{self.name} has no value: {error}") from None

    def as_gain(self, score: float) -> float:
        """A score turned so that larger is better; the same turns a gain into a score."""
        return score if self.greater_is_better else -score

    def gain(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """The score turned so that larger is better."""
        return self.as_gain(self.score(y_true, y_pred))


def get_metric(name: str, task: TaskConfig, root: Path | None = None) -> Metric:
    """The metric called *name* for *task*; `module:function` is looked for in *root*.

    Raises UsageError naming the metrics that fit, or the nearest name.
    """
    classes = tuple(task.classes)
    known_as = task.problem_type.name
    if ":" in name:
        function = own.find(name, root or Path())
        if task.problem_type.learnt_as != "rows":
            return Metric(name, of_lists(name, function, task), known_as, classes=classes)
        larger = getattr(function, "greater_is_better", True)
        return of_a_function(name, own.own_score(name, function), known_as, bool(larger))
    fit = ", ".join(fitting(task.problem)) + task.problem_type.further_metrics
    if is_family(name):
        record = record_of(name, task)
        if task.problem not in record.formulas:
            raise UsageError(
                f"the metric {name!r} does not fit a {task.problem} problem. There are: {fit}."
            )
        return Metric(name, record, known_as, task.label_range, classes=classes)
    if name not in METRICS:
        close = get_close_matches(name.lower(), sorted(METRICS), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"there is no metric {name!r}; {hint}For a {task.problem} problem there are: {fit}, or "
            "a function of your own as module:function."
        )
    if task.problem_type.scored_as not in METRICS[name].formulas:
        raise UsageError(
            f"the metric {name!r} does not fit a {task.problem} problem. There are: {fit}."
        )
    return Metric(name, METRICS[name], known_as, task.label_range, classes=classes)


def metric_of(competition: Competition, root: Path | None = None) -> Metric:
    """The metric of *competition*; a function of the user's own that says what a metric of the
    table says is that one (`own.tables_like`).

    Raises UsageError as `get_metric`, and where a function turns the direction round.
    """
    task = competition.task
    metric = get_metric(task.metric, task, root)
    if problem := columns_problem(task.metric, competition.outputs):
        raise UsageError(problem)
    if ":" not in task.metric or task.problem_type.learnt_as != "rows":
        return metric
    tables = own.tables_like(task, len(competition.outputs))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name in own.names_it_may_be(task):
            try:
                known = get_metric(name, task)
            except UsageError:  # a class whose name cannot stand in parentheses
                continue
            if sign := own.sign_between(metric.score, known.score, tables):
                return _as_known(metric, known, sign)
    return metric


def _as_known(metric: Metric, known: Metric, sign: int) -> Metric:
    """The *metric* of a user's own with all that is there for the *known* one, whose value, or its
    negative, it gives."""
    record, larger = known.record, known.greater_is_better == (sign > 0)
    if metric.greater_is_better != larger:
        better, said = ("larger", "smaller") if larger else ("smaller", "larger")
        function = metric.name.rpartition(":")[2]
        raise UsageError(
            f"the metric {metric.name} gives {'' if sign > 0 else 'minus '}what {known.name} "
            f"gives, which is better when it is {better}, and says that {said} is better: write "
            f"{function}.greater_is_better = {larger} below it"
        )
    if sign < 0:
        kind = problem_of(known.problem).scored_as
        formula, (low, high) = record.formulas[kind], record.bounds
        turned = replace(formula, score=lambda truth, guess: -formula.score(truth, guess))
        record = replace(
            record, formulas={kind: turned}, greater_is_better=larger, bounds=(-high, -low)
        )
    return replace(known, name=metric.name, record=record, own=metric, known_as=known.name)


def of_a_function(name: str, score: Score, problem: str, greater_is_better: bool = True) -> Metric:
    """A metric of a user's own *score* of raw predictions; nothing more is known of it."""
    record = Record(
        formulas=dict.fromkeys(TYPES, Formula(score=score, needs_rows=True)),
        greater_is_better=greater_is_better,
        needs="value",
        bounds=(-math.inf, math.inf),
    )
    return Metric(name, record, problem)


def judging(metric: Metric) -> Metric:
    """The metric that blends are fitted, compared and chosen by where *metric* scores the file.

    It is another for quadratic weighted kappa of numbers that are still to be cut.

    Plain rounding judges numbers by their spread. A careful model stays near the mean, so that few
    of its predictions round to the outer labels; cut points, which come after the blend, mend that.
    Judged by rounding the wrong member, or method, would win. So members and methods are compared
    with cuts that give as many predictions of each label as there are rows that have it: the order
    of the predictions decides, as it will. These cuts know the shares of labels among the rows that
    are scored, nothing else of them; the score of the file itself is that of cut points fitted
    without them (`decisions`).
    """
    if not problem_of(metric.problem).numeric or metric.needs != "label":
        return metric
    return replace(metric, cuts=cut)


def cut(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(n, k) labels for predictions *guess* (n, k), of each as many as in *truth*; ties together.

    >>> cut(np.array([[0.0], [0.0], [1.0], [2.0]]), np.array([[0.4], [0.1], [0.5], [0.6]])).ravel()
    array([0., 0., 1., 2.])
    """
    if (truth != np.rint(truth)).any():
        raise MetricError("the targets are not whole numbers, so there are no labels to cut at")
    if (np.ptp(guess, axis=0) == 0).any():
        raise MetricError("all predictions are the same")
    return np.stack(list(map(_cut_column, truth.T, guess.T)), axis=1)


def _cut_column(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    labels, counts = np.unique(truth, return_counts=True)
    first = np.sort(guess)[np.cumsum(counts)[:-1]]  # of each label but the lowest
    return np.asarray(labels[np.searchsorted(first, guess, side="right")])


def climb(metric: Metric, truth: np.ndarray, members: Sequence[np.ndarray]) -> GreedySteps:
    """Steps among M *members* (n, k) for *metric*; *truth* as the metric takes it."""
    fast = metric.formula.greedy
    prepared = None if fast is None else fast(truth, members)
    return GreedySteps(prepared or called(metric, truth, members))


def called(metric: Metric, truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared:
    """Any metric, called on the mean of the picks."""

    def gain(summed: np.ndarray, size: float) -> float:
        try:
            return metric.gain(truth, summed / size)
        except MetricError:  # a candidate that cannot be scored is worse than any that can
            return -math.inf

    return Prepared(members, gain)
