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

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.ensemble.decisions.cut_points import cuts_within, fit_class_cuts
from pipeline.ensemble.decisions.decision import Candidate, Case, Hurdle, Offer
from pipeline.ensemble.decisions.offsets import CHANGES, offsets_for
from pipeline.ensemble.decisions.rounding import Labels, clip_to, fit_grid, has_grid
from pipeline.ensemble.decisions.threshold import COUNTS, thresholds_for
from pipeline.metrics.metric import Metric
from pipeline.problems.form import Kind

UNIT_ERRORS = ("rmse", "mse", "mae", "mcrmse", "r2")
"""Metrics of errors in the label's unit, which a clip to the label range can only shrink."""
SHAPES = ("pearson", "spearman")
"""Metrics of shape and order: values moved by hand need a whole interval above 0."""


def forced(
    task: TaskConfig, metric: Metric, kind: Kind, seen_range: tuple[float, float]
) -> Labels | None:
    """What the form of the file does before any choice; None where the metric reads classes."""
    if kind == "value" or metric.needs == "label":
        return None
    return Labels(task.problem, task.label_range or seen_range)


def candidates(task: TaskConfig, metric: Metric, kind: Kind, truth: np.ndarray) -> list[Candidate]:
    """The decisions that compete, from simple to flexible."""
    case = Case(task=task, metric=metric, kind=kind, truth=truth)
    offered = [offer(case) for offer in DECISIONS]
    return [candidate for candidate in offered if candidate is not None]


def _moves_numbers(case: Case) -> bool:
    """Whether numbers are written as numbers; under kappa they are cut instead."""
    numbers = case.task.problem_type.numeric and case.kind == "value"
    return numbers and case.metric.name != "qwk"


def _hurdle(case: Case) -> Hurdle:
    return "real" if case.metric.name in SHAPES else "a standard error"


def clip(case: Case) -> Candidate | None:
    """Numbers end at the label range."""
    if case.task.label_range is None or not _moves_numbers(case):
        return None
    harmless = case.metric.name in UNIT_ERRORS
    hurdle: Hurdle = "no harm" if harmless else _hurdle(case)
    return Candidate(name="clip", rule=clip_to(case.task.label_range), hurdle=hurdle)


def rounding(case: Case) -> Candidate | None:
    """Numbers go to the nearest value that labels have."""
    if not _moves_numbers(case) or not has_grid(case.truth):
        return None
    return Candidate(name="rounding", rule=fit_grid, hurdle=_hurdle(case))


def threshold(case: Case) -> Candidate | None:
    """Two classes, or each label of several, by a cut of the probability."""
    two = case.kind == "label" and case.task.problem_type.target_kind == "flags"
    if not two or case.metric.name not in COUNTS:
        return None
    return Candidate(name="threshold", rule=thresholds_for(case.metric.name, case.task.problem))


def offsets(case: Case) -> Candidate | None:
    """One class of several: probabilities weighed before the largest wins."""
    several = case.kind == "label" and case.task.problem_type.exclusive
    if not several or case.metric.name not in CHANGES:
        return None
    return Candidate(name="offsets", rule=offsets_for(case.metric.name))


def cut_points(case: Case) -> Candidate | None:
    """Ordered classes by cuts of a number."""
    if case.metric.name != "qwk":
        return None
    if case.task.problem_type.numeric:
        return Candidate(name="cut points", rule=cuts_within(case.task.label_range))
    if case.task.problem_type.exclusive and case.kind == "label":
        return Candidate(name="cut points", rule=fit_class_cuts)
    return None


DECISIONS: tuple[Offer, ...] = (clip, rounding, threshold, offsets, cut_points)
"""From simple to flexible: one takes over from those before where it clears its hurdle."""
