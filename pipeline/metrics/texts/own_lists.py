"""Functions of the user's own (`own`) of tags, answers in a text, and texts.

Such a function gets two lists, of right answers and of what was predicted, an entry for each
document; with an attribute per_document = True it is called for one document after the other, and
the score is the mean.

| problem | a right answer | a prediction |
| --- | --- | --- |
| tags | the tags of all units, a list | the same |
| span | all answers that are right, a list, empty where there is none | a text, "" for none |
| text | all texts that are right, a list | a text |
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.base import UsageError
from pipeline.base.config import TaskConfig
from pipeline.metrics.formulas import MetricError
from pipeline.metrics.linearised_metrics import LabelSums
from pipeline.metrics.own import number, once, parameters, theirs
from pipeline.metrics.record import Formula, Record
from pipeline.metrics.spans import answers_of
from pipeline.metrics.texts.scores import TextScore, mean_of_rows

KEPT = 2**17
"""Documents whose scores are remembered."""
GETS_LISTS = (
    "Mend the function; it gets two lists, of right answers and of predictions (docs/metrics.md)"
)
Called = Callable[[Any, Any], Any]
"""A function that gets right answers and predictions, or those of one document."""
Lists = Callable[[np.ndarray, np.ndarray], tuple[list[Any], list[Any]]]
"""(targets, labels) of d whole documents -> right answers (d,) and predictions (d,)."""


def _of_lists(name: str, function: Callable[..., Any]) -> Called:
    def call(truth: list[Any], said: list[Any]) -> Any:
        with theirs(name, GETS_LISTS):
            return function(truth, said)

    return call


def _one(name: str, called: Called) -> Callable[[Any, Any], float]:
    """(right answer, prediction) of a document -> its score, each different call made once."""

    @lru_cache(maxsize=KEPT)
    def score(right: Any, said: Any) -> float:
        try:
            return number(name, called(_plain(right), _plain(said)))
        except MetricError as error:
            raise UsageError(
                f"the metric {name} has per_document = True and no value for a document ({error}): "
                f"right {_plain(right)!r:.200}, predicted {_plain(said)!r:.200}. Let it return a "
                "number for every document"
            ) from error

    return score


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _of_units(lists: Lists, name: str, called: Called, larger: bool, one_by_one: bool) -> Formula:
    """Of labels of units, which *lists* makes answers of."""

    def whole(truth: np.ndarray, labels: np.ndarray) -> Any:
        right, said = lists(truth, labels)
        return called([_plain(each) for each in right], [_plain(each) for each in said])

    if not one_by_one:
        return Formula(score=once(name, whole))
    one = _one(name, called)

    def scores(truth: np.ndarray, labels: np.ndarray) -> list[float]:
        return [one(*each) for each in zip(*lists(truth, labels), strict=True)]

    def terms(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
        made, first = np.zeros((len(truth), 2)), truth[:, -1] == 0
        made[first, 0], made[first, 1] = scores(truth, labels), 1.0
        return made if larger else made * (-1.0, 1.0)

    return Formula(
        score=lambda truth, labels: float(np.mean(scores(truth, labels))),
        label_sums=LabelSums(terms, mean_of_rows),
    )


def _tags(name: str, called: Called, task: TaskConfig, larger: bool, one_by_one: bool) -> Formula:
    names = np.array([*task.classes, None], dtype=object)[:-1]

    def lists(truth: np.ndarray, labels: np.ndarray) -> tuple[list[Any], list[Any]]:
        cuts = np.flatnonzero(truth[:, -1] == 0)[1:]
        right, said = (
            [tuple(each) for each in np.split(names[values[:, 0].astype(int)], cuts)]
            for values in (truth, labels)
        )
        return right, said

    return _of_units(lists, name, called, larger, one_by_one)


def _spans(name: str, called: Called, task: TaskConfig, larger: bool, one_by_one: bool) -> Formula:
    return _of_units(answers_of, name, called, larger, one_by_one)


def _texts(name: str, called: Called, task: TaskConfig, larger: bool, one_by_one: bool) -> Formula:
    """Candidates are compared by calls for two texts, so one of a whole corpus has to bear that."""
    sign = 1.0 if larger else -1.0

    def alone(right: list[str], said: str) -> Any:
        try:
            return called([right], [said])
        except MetricError:  # one row may have no value where many have
            return 0.0

    one = _one(name, called if one_by_one else alone)

    def terms(answer: str, references: Sequence[str]) -> np.ndarray:
        return np.array([sign * one(tuple(references), answer), 1.0])

    def pairs(texts: Sequence[str]) -> np.ndarray:
        return np.array([[sign * one((each,), answer) for each in texts] for answer in texts])

    def whole(truth: np.ndarray, said: np.ndarray) -> Any:
        if not len(said):
            raise MetricError("there are no rows")
        return called([list(each) for each in truth], said.tolist())

    by_rows = TextScore(str, terms, 2, mean_of_rows, pairs)
    if not one_by_one:
        return Formula(score=once(name, whole), texts=by_rows)
    return Formula(
        score=lambda truth, said: sign * by_rows.score(truth, said),
        row_sums=by_rows.sums,
        texts=by_rows,
    )


FORMULAS: dict[str, Callable[[str, Called, TaskConfig, bool, bool], Formula]] = {
    "units": _tags,
    "spans": _spans,
    "texts": _texts,
}
"""How a problem is learned (`Problem.learnt_as`) -> the formula by a function of lists."""


def record_of(name: str, function: Callable[..., Any], task: TaskConfig) -> Record:
    """The record of the user's *function*; UsageError where it asks for what it cannot get."""
    kind = task.problem_type
    larger = bool(getattr(function, "greater_is_better", True))
    if asked := {"table", "solution", "submission"} & set(parameters(function)):
        raise UsageError(
            f"the metric {name} asks for {', '.join(sorted(asked))}, but of {kind.written['label']}"
            " a function gets two lists: def score(y_true, y_pred) (docs/metrics.md)"
        )
    one_by_one = bool(getattr(function, "per_document", False))
    made = FORMULAS[kind.learnt_as](name, _of_lists(name, function), task, larger, one_by_one)
    return Record(
        formulas={kind.scored_as: made},
        greater_is_better=larger,
        needs="label",
        bounds=(-math.inf, math.inf),
    )
