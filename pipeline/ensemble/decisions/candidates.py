"""Which decisions compete, by problem, metric and form of the submission.

| problem | metric | file | candidates |
| --- | --- | --- | --- |
| regression | of ordered labels | any | cut points |
| regression | any other | value | clip, rounding |
| binary, multilabel | of labels, or with `label_sums` | label | threshold |
| multilabel, no row without | the same | columns | one at least: threshold, then the nearest |
| multiclass | of labels, or with `label_sums` | label | offsets |
| heads | of labels | label | offsets of each target |
| multiclass | of ordered labels | label | offsets, cut points |
| tags | of labels | label | share of O, limits of entities |
| span | of labels | label | limits of answers |

What a metric is stands in its record (`pipeline.metrics.record`).

A file of probabilities is cut by the leaderboard, not by us: no thresholds. A file of classes under
a metric of numbers is first turned into classes (`rounding.Labels`), which is no choice.
"""

from collections.abc import Callable

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.ensemble.decisions.cut_points import cuts_within, fit_class_cuts
from pipeline.ensemble.decisions.decision import (
    Candidate,
    Case,
    Decision,
    Hurdle,
    Offer,
    Rule,
)
from pipeline.ensemble.decisions.probabilities import (
    MOST_JOINED,
    at_least_one,
    joined_classes,
    offsets_for,
    offsets_of_each,
    thresholds_for,
)
from pipeline.ensemble.decisions.rounding import Labels, clip_to, fit_grid, has_grid
from pipeline.ensemble.decisions.units import answer_limits_for, entity_limits_for, outside_for
from pipeline.metrics import Metric
from pipeline.problems.form import Kind


def forced(
    task: TaskConfig,
    metric: Metric,
    kind: Kind,
    seen_range: tuple[float, float],
    truth: np.ndarray | None = None,
    joined: bool = False,
) -> Decision | None:
    """What the form of the file does before any choice; None where the metric reads classes.

    A cell for all labels of a row is left empty by none of train where *truth* (n, k) has one in
    each row: no file of ours does either.
    """
    if joined and truth is not None:
        case = Case(task=task, metric=metric, kind=kind, truth=truth, joined=joined)
        if case.never_none:
            return at_least_one(truth.shape[1])
    if kind == "value" or metric.needs == "label":
        return None
    return Labels(task.problem_type.name, task.label_range or seen_range)


def candidates(
    task: TaskConfig, metric: Metric, kind: Kind, truth: np.ndarray, joined: bool = False
) -> list[Candidate]:
    """The decisions that compete, from simple to flexible."""
    case = Case(task=task, metric=metric, kind=kind, truth=truth, joined=joined)
    offered = [offer(case) for offer in DECISIONS]
    return [candidate for candidate in offered if candidate is not None]


def _moves_numbers(case: Case) -> bool:
    """Whether numbers are written as numbers; for a metric of ordered labels they are cut."""
    numbers = case.task.problem_type.numeric and case.kind == "value"
    return numbers and not case.metric.record.ordered_labels


def _hurdle(case: Case) -> Hurdle:
    # of shape and order a value that is moved by hand may as well cost something
    return "a standard error" if case.metric.record.sees == "level" else "real"


def clip(case: Case) -> Candidate | None:
    """Numbers end at the label range."""
    if case.task.label_range is None or not _moves_numbers(case):
        return None
    hurdle: Hurdle = "no harm" if case.metric.record.unit_error else _hurdle(case)
    return Candidate(name="clip", rule=clip_to(case.task.label_range), hurdle=hurdle)


def rounding(case: Case) -> Candidate | None:
    """Numbers go to the nearest value that labels have."""
    if not _moves_numbers(case) or not has_grid(case.truth):
        return None
    return Candidate(name="rounding", rule=fit_grid, hurdle=_hurdle(case))


def _writes_classes(case: Case) -> bool:
    """Whether classes are written, and the metric can tell one way to decide from another."""
    scored = case.metric.needs == "label" or case.metric.formula.label_sums is not None
    return case.kind == "label" and scored and not case.task.problem_type.units


def threshold(case: Case) -> Candidate | None:
    """Two classes, or each label of several, by a cut of the probability."""
    if not _writes_classes(case) or case.task.problem_type.target_kind != "flags":
        return None
    least = case.joined and case.never_none
    return Candidate(name="threshold", rule=thresholds_for(case.metric, least))


def one_at_least(case: Case) -> Candidate | None:
    """Several labels in columns of their own: thresholds, and one of them in each row."""
    if case.joined or not (_writes_classes(case) and case.never_none):
        return None
    return Candidate(name="one at least", rule=thresholds_for(case.metric, least=True))


def offsets(case: Case) -> Candidate | None:
    """One class of several, or of each of several targets: probabilities weighed before the largest
    wins."""
    kind = case.task.problem_type
    if not _writes_classes(case):
        return None
    if kind.target_kind == "blocks" and case.metric.formula.label_sums is not None:
        blocks = kind.blocks(case.truth.shape[1])
        if (
            case.metric.formula.columns == "mean"
            or joined_classes(case.truth, blocks) <= MOST_JOINED
        ):
            return Candidate(name="offsets", rule=offsets_of_each(case.metric, blocks))
    return Candidate(name="offsets", rule=offsets_for(case.metric)) if kind.exclusive else None


def cut_points(case: Case) -> Candidate | None:
    """Ordered classes by cuts of a number."""
    if not case.metric.record.ordered_labels:
        return None
    if case.task.problem_type.numeric:
        return Candidate(name="cut points", rule=cuts_within(case.task.label_range))
    if case.task.problem_type.exclusive and case.kind == "label":
        return Candidate(name="cut points", rule=fit_class_cuts)
    return None


def share_of_outside(case: Case) -> Candidate | None:
    """Tags by how likely O has to be, for a unit to be no part of an entity."""
    return _own(case, "share of O", outside_for)


def limits_of_entities(case: Case) -> Candidate | None:
    """Tags by the least length of an entity, and which neighbours are one."""
    return _own(case, "limits of entities", entity_limits_for)


def limits_of_answers(case: Case) -> Candidate | None:
    """Answers in a text by their greatest length, and how likely none has to be."""
    return _own(case, "limits of answers", answer_limits_for)


def _own(case: Case, name: str, rule: Callable[[Metric], Rule]) -> Candidate | None:
    """The decision *name* where the problem type has it as its own."""
    if name not in case.task.problem_type.own_decisions or case.metric.needs != "label":
        return None
    return Candidate(name=name, rule=rule(case.metric))


DECISIONS: tuple[Offer, ...] = (
    *(clip, rounding, threshold, one_at_least, offsets, cut_points),
    *(share_of_outside, limits_of_entities, limits_of_answers),
)
"""From simple to flexible: one takes over from those before where it clears its hurdle."""
