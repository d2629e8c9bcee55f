"""Scores: what a leaderboard would say about raw predictions.

A metric is computed once, from saved predictions in the shapes of docs/architecture.md, never
inside training. Classes are derived here: from 0.5 on positive, the likeliest class, the nearest
label. The reference is docs/metrics.md.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.metrics import formulas
from pipeline.metrics.formulas import MetricError, Score, columns_named
from pipeline.metrics.own_metric import own_metric

__all__ = ["Metric", "MetricError", "fitting", "get_metric"]

Needs = Literal["value", "label"]


@dataclass(frozen=True)
class Metric:
    """A named function of targets and raw predictions."""

    name: str
    greater_is_better: bool
    needs: Needs
    """What a leaderboard of this metric wants: a number or probability, or a class."""
    formula: Score
    label_range: tuple[float, float] | None = None
    """Of qwk of a regression: the labels that predictions are rounded to; None: the targets'."""
    cuts: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """How predictions become labels, given the targets, before anything else (`by_shares`)."""

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """The metric of raw predictions *y_pred* (n, k) for the targets *y_true*.

        *y_true* is (n, k), for multiclass (n, 1). Raises MetricError, with the reason, where the
        metric has no value or a prediction is not finite.
        """
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
            return self.formula(truth, guess)
        except MetricError as error:
            raise MetricError(f"{self.name} has no value: {error}") from None

    def gain(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """The score turned so that larger is better."""
        score = self.score(y_true, y_pred)
        return score if self.greater_is_better else -score


def fitting(problem: str) -> list[str]:
    """Names of the metrics that fit *problem*, the usual one first.

    >>> fitting("multiclass")
    ['macro-f1', 'accuracy', 'log-loss', 'auc', 'qwk']
    """
    return list(FORMULAS[problem])


def get_metric(name: str, task: TaskConfig, root: Path | None = None) -> Metric:
    """The metric called *name* for *task*; `module:function` is looked for in *root*.

    Raises UsageError naming the metrics that fit, or the nearest name.
    """
    if ":" in name:
        return Metric(name, True, "value", own_metric(name, root or Path()))
    known = {known for formulas_ in FORMULAS.values() for known in formulas_}
    fit = ", ".join(fitting(task.problem))
    if name not in known:
        close = get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"there is no metric {name!r}; {hint}For a {task.problem} problem there are: {fit}, or "
            "a function of your own as module:function."
        )
    if name not in FORMULAS[task.problem]:
        raise UsageError(
            f"the metric {name!r} does not fit a {task.problem} problem. There are: {fit}."
        )
    formula = FORMULAS[task.problem][name]
    label_range = task.label_range if name == "qwk" and task.problem == "regression" else None
    if label_range is not None:
        formula = partial(_rounded_kappa, label_range)
    needs: Needs = "label" if name in {"accuracy", "f1", "macro-f1", "qwk"} else "value"
    greater_is_better = name not in {"rmse", "mse", "mae", "mcrmse", "log-loss"}
    return Metric(name, greater_is_better, needs, formula, label_range)


def _rounded_kappa(
    label_range: tuple[float, float] | None, truth: np.ndarray, guess: np.ndarray
) -> float:
    if (truth != np.rint(truth)).any():
        raise MetricError("the targets are not whole numbers, so there are no labels to round to")
    low, high = label_range or (truth.min(), truth.max())
    nearest = np.clip(np.floor(guess + 0.5), math.ceil(low), math.floor(high))
    return formulas.quadratic_kappa(truth, nearest)


def _positive(score: Score) -> Score:
    """*score* of 0/1 labels: positive from 0.5 on."""
    return lambda truth, guess: score(truth, (guess >= 0.5).astype(np.float64))


def _likeliest(score: Score) -> Score:
    """*score* of class numbers (n, 1): the likeliest class, of equals the first."""
    return lambda truth, guess: score(truth, guess.argmax(axis=1)[:, None].astype(np.float64))


def _one_against_rest(truth: np.ndarray, guess: np.ndarray) -> float:
    return formulas.auc((truth == np.arange(guess.shape[1])).astype(np.float64), guess)


FORMULAS: Mapping[str, Mapping[str, Score]] = {
    "regression": {
        "pearson": formulas.pearson,
        "spearman": formulas.spearman,
        "rmse": formulas.rmse,
        "mse": formulas.mse,
        "mae": formulas.mae,
        "r2": formulas.r2,
        "mcrmse": formulas.rmse,
        "qwk": partial(_rounded_kappa, None),
    },
    "binary": {
        "auc": formulas.auc,
        "accuracy": _positive(formulas.accuracy),
        "f1": _positive(formulas.f1),
        "macro-f1": _positive(formulas.macro_f1),
        "log-loss": formulas.log_loss,
        "qwk": _positive(formulas.quadratic_kappa),
    },
    "multiclass": {
        "macro-f1": _likeliest(formulas.macro_f1),
        "accuracy": _likeliest(formulas.accuracy),
        "log-loss": formulas.class_log_loss,
        "auc": _one_against_rest,
        "qwk": _likeliest(formulas.quadratic_kappa),
    },
    "multilabel": {
        "auc": formulas.auc,
        "macro-f1": _positive(formulas.f1),
        "f1": _positive(formulas.f1),
        "accuracy": _positive(formulas.accuracy),
        "log-loss": formulas.log_loss,
    },
}


# Which scores a metric can have, so that a slip of the pen is noticed.
#
# The formulas, and with them the ranges, are those of docs/metrics.md.


UP_TO_ONE = (0.0, 1.0)
AROUND_ZERO = (-1.0, 1.0)
ERROR = (0.0, math.inf)
BOUNDS = {
    **dict.fromkeys(("accuracy", "f1", "macro-f1", "auc"), UP_TO_ONE),
    **dict.fromkeys(("pearson", "spearman", "qwk"), AROUND_ZERO),
    **dict.fromkeys(("rmse", "mse", "mae", "mcrmse", "log-loss"), ERROR),
    "r2": (-math.inf, 1.0),
}


def score_problem(metric: str, what: str, score: float) -> str | None:
    """Why *score*, said to be the *what* score, cannot be one of *metric*; None where it can.

    >>> score_problem("pearson", "public", 0.93)
    >>> score_problem("pearson", "public", 93.52)
    'the public score is 93.52, but pearson lies between -1 and 1; did you mean 0.9352?'
    """
    if not math.isfinite(score):
        return f"the {what} score is {score}; it must be a number"
    low, high = BOUNDS.get(metric, (-math.inf, math.inf))
    if low <= score <= high:
        return None
    hundredth = round(score / 100, 10)
    percent = high == 1 and score >= 2 and low <= hundredth <= high
    hint = f"; did you mean {hundredth:g}?" if percent else ""
    return f"the {what} score is {score:g}, but {metric} {_range(low, high)}{hint}"


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"is at least {low:g}"
    return f"is at most {high:g}" if math.isinf(low) else f"lies between {low:g} and {high:g}"
