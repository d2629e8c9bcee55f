"""Which decisions compete, by problem, metric and form of the submission.

| problem | metric | file | candidates |
| --- | --- | --- | --- |
| regression | qwk | any | cut points |
| regression | any other | value | clip, rounding |
| binary, multilabel | f1, macro-f1, accuracy, qwk, auc | label | threshold |
| multiclass | macro-f1, accuracy | label | offsets |
| multiclass | qwk | label | offsets, cut points |

A file of probabilities is cut by the leaderboard, not by us: no thresholds. A file of classes under
a metric of numbers is first turned into classes (`rounding.Labels`), which is no choice.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.ensemble.decisions.cut_points import cuts_within, fit_class_cuts
from pipeline.ensemble.decisions.decision import Rule
from pipeline.ensemble.decisions.offsets import CHANGES, offsets_for
from pipeline.ensemble.decisions.rounding import Labels, clip_to, fit_grid, has_grid
from pipeline.ensemble.decisions.threshold import COUNTS, thresholds_for
from pipeline.metrics.metric import Metric
from pipeline.problems.form import Kind

Hurdle = Literal["no harm", "a standard error", "real"]

UNIT_ERRORS = ("rmse", "mse", "mae", "mcrmse", "r2")
"""Metrics of errors in the label's unit, which a clip to the label range can only shrink."""
SHAPES = ("pearson", "spearman")
"""Metrics of shape and order: values moved by hand need a whole interval above 0."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A decision that may be applied."""

    name: str
    rule: Rule
    hurdle: Hurdle = "a standard error"
    """What its effect must clear: be 0 or more, a standard error, or a whole 95 % interval."""


def forced(
    task: TaskConfig, metric: Metric, kind: Kind, seen_range: tuple[float, float]
) -> Labels | None:
    """What the form of the file does before any choice; None where the metric reads classes."""
    if kind == "value" or metric.needs == "label":
        return None
    return Labels(task.problem, task.label_range or seen_range)


def candidates(task: TaskConfig, metric: Metric, kind: Kind, truth: np.ndarray) -> list[Candidate]:
    """The decisions that compete, from simple to flexible."""
    if task.problem == "regression":
        return _numbers(task, metric, kind, truth)
    if kind == "value":
        return []
    if task.problem != "multiclass":
        if metric.name not in COUNTS:
            return []
        return [Candidate(name="threshold", rule=thresholds_for(metric.name, task.problem))]
    found = []
    if metric.name in CHANGES:
        found.append(Candidate(name="offsets", rule=offsets_for(metric.name)))
    if metric.name == "qwk":
        found.append(Candidate(name="cut points", rule=fit_class_cuts))
    return found


def _numbers(task: TaskConfig, metric: Metric, kind: Kind, truth: np.ndarray) -> list[Candidate]:
    if metric.name == "qwk":
        return [Candidate(name="cut points", rule=cuts_within(task.label_range))]
    if kind == "label":
        return []
    usual: Hurdle = "real" if metric.name in SHAPES else "a standard error"
    found = []
    if task.label_range is not None:
        hurdle: Hurdle = "no harm" if metric.name in UNIT_ERRORS else usual
        found.append(Candidate(name="clip", rule=clip_to(task.label_range), hurdle=hurdle))
    if has_grid(truth):
        found.append(Candidate(name="rounding", rule=fit_grid, hurdle=usual))
    return found
