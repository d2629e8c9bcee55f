"""Which way fits the targets of a task: one for each kind of target, several for classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.base import UsageError
from pipeline.base.config import TaskConfig
from pipeline.data import Table
from pipeline.models.linear.naive_bayes import (
    NAME,
    NaiveBayesClasses,
    NaiveBayesFlags,
    NaiveBayesHeads,
    SoftNaiveBayesHeads,
)
from pipeline.models.linear.targets import (
    Answers,
    ClassAnswers,
    FlagAnswers,
    HeadAnswers,
    LogisticClassAnswers,
    LogisticHeadAnswers,
    ShareAnswers,
    SoftClassAnswers,
    SoftHeadAnswers,
    SoftLogisticClassAnswers,
    SoftLogisticHeadAnswers,
    check_varied,
)
from pipeline.problems.problem import TargetKind

SOFT: dict[type[Answers], type[Answers]] = {
    ClassAnswers: SoftClassAnswers,
    LogisticClassAnswers: SoftLogisticClassAnswers,
    HeadAnswers: SoftHeadAnswers,
    LogisticHeadAnswers: SoftLogisticHeadAnswers,
    NaiveBayesHeads: SoftNaiveBayesHeads,
}
"""Each way to fit classes -> the same for soft labels; what it learns, the first one restores."""


def is_soft(targets: np.ndarray, kind: TargetKind) -> bool:
    """Whether *targets* have probabilities where a *kind* has classes."""
    if kind == "classes":
        return targets.shape[1] > 1
    return kind == "blocks" and not bool(np.isin(targets, (0, 1)).all())


CLASS_FITS = {kind.way: kind for kind in (ClassAnswers, LogisticClassAnswers)}
"""What a recipe's `class_fit` can name, beside "auto"."""
HEAD_FITS = {kind.way: kind for kind in (HeadAnswers, LogisticHeadAnswers)}
"""The same, of several targets."""

NAIVE_BAYES: dict[TargetKind, type[Answers]] = {
    "flags": NaiveBayesFlags,
    "classes": NaiveBayesClasses,
    "shares": NaiveBayesClasses,
    "blocks": NaiveBayesHeads,
}
"""The way of that name, which "auto" does not try."""

ANSWERS: dict[TargetKind, type[Answers]] = {
    "numbers": Answers,
    "flags": FlagAnswers,
    "classes": ClassAnswers,
    "shares": ShareAnswers,
    "blocks": HeadAnswers,
}
"""How each kind of target is fitted."""


def answers_of(task: TaskConfig, class_fit: str = "squares") -> list[type[Answers]]:
    """The ways to fit the targets of *task*: one, or for *class_fit* "auto" both regressions.

    UsageError where *class_fit* tells classes apart and there are none.
    """
    kind = task.problem_type.target_kind
    if class_fit == NAME:
        if kind not in NAIVE_BAYES:
            raise UsageError(
                f"class_fit {NAME} tells classes apart, and this is a {task.problem} problem. Set "
                "class_fit: auto, or train another recipe, such as linear."
            )
        return [NAIVE_BAYES[kind]]
    usual = ANSWERS[kind]
    fits: dict[type[Answers], dict[str, Any]] = {ClassAnswers: CLASS_FITS, HeadAnswers: HEAD_FITS}
    if usual not in fits:
        return [usual]
    return list(fits[usual].values()) if class_fit == "auto" else [fits[usual][class_fit]]


def restored(task: TaskConfig, class_fit: str, arrays: Mapping[str, np.ndarray]) -> Answers:
    """The answers of the one way *class_fit* whose `center` and `scale` stand in *arrays*."""
    (kind,) = answers_of(task, class_fit)
    shape: dict[str, Any] = {"sizes": _sizes(task)} if issubclass(kind, HeadAnswers) else {}
    return kind(center=arrays["center"], scale=arrays["scale"], **shape)


def _sizes(task: TaskConfig) -> tuple[int, ...]:
    blocks = task.problem_type.blocks(len(task.classes))
    return tuple(own.stop - own.start for own in blocks)


def learn_answers(
    train: Table, task: TaskConfig, outputs: int, class_fit: str = "squares"
) -> list[Answers]:
    """Each way to fit the targets of *train*; DataError where there is nothing to tell apart.

    *outputs* is the number of prediction columns, k; *class_fit* as a recipe has it.
    """
    targets = check_varied(train, task)
    kinds = answers_of(task, class_fit)
    if is_soft(targets, task.problem_type.target_kind):
        kinds = [SOFT.get(kind, kind) for kind in kinds]
    return [
        kind.of_heads(targets, _sizes(task))
        if issubclass(kind, HeadAnswers)
        else kind.learn(targets, outputs)
        for kind in kinds
    ]
