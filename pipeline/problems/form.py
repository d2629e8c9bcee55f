"""The form of a submission: numbers or classes, and in which columns.

The sample submission is the leaderboard's own word, so the form it shows wins: class names, or
numbers that are no class (0.5). Where it shows 0 and 1, which may be either, the metric decides.
Whatever the config or the metric says otherwise is said in a note; nothing is decided silently.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Literal

import numpy as np

from pipeline.base.config import Competition, TaskConfig
from pipeline.base.errors import DataError, UsageError
from pipeline.data.tables import Sample

Kind = Literal["value", "label"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """What is written into which column of the sample submission."""

    kind: Kind
    columns: dict[str, int]
    """Column of the sample -> column of the predictions; -1: one column for all classes."""
    notes: list[str] = field(default_factory=list)
    """Whatever a person should know about how the form was found."""


def find_form(competition: Competition, needs: str, sample: Sample) -> Form:
    """The form of a submission; *needs* is what the metric takes, "value" or "label".

    Raises DataError where the sample's columns do not fit the problem, UsageError where
    task.submit asks for a form that they cannot hold.
    """
    task, targets, header = competition.task, competition.columns.targets, sample.columns
    if task.problem in ("regression", "multilabel"):
        columns = _columns_by_name(targets, header, f"{len(targets)} of them")
        classes = ["0", "1"]
    else:
        columns = _class_columns(task, targets, header)
        classes = task.classes
    notes = _untouched(columns, header)
    if task.problem == "regression":
        rounded = task.submit == "label" or (task.submit == "auto" and needs == "label")
        return Form(kind="label" if rounded else "value", columns=columns, notes=notes)
    places = [header.index(name) for name in columns]
    shown = sorted(set(sample.values[:, places].ravel().tolist()))
    if task.problem == "multiclass":
        return _multiclass_form(task, columns, shown, notes)
    if task.problem == "binary" and len(columns) > 1:
        _refuse(task.submit == "label", LABEL_IN_CLASS_COLUMNS)
        return Form(kind="value", columns=columns, notes=notes)
    kind, more = _kind(task.submit, needs, shown, classes)
    return Form(kind=kind, columns=columns, notes=notes + more)


LABEL_IN_CLASS_COLUMNS = (
    "task.submit is label, but the sample submission has a column per class: it takes "
    "probabilities. Set task.submit to auto or value"
)


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise UsageError(message)


def _kind(submit: str, needs: str, shown: list[str], classes: list[str]) -> tuple[Kind, list[str]]:
    """Value or label for one column per target, and what there is to say about it."""
    wanted: Kind = "label" if needs == "label" else "value"
    if submit in ("value", "label"):
        return ("label" if submit == "label" else "value"), []
    example = ", ".join(map(repr, shown[:3]))
    change = f"so {wanted}s are written (--task.submit changes that)"
    numbers = all(_is_number(text) for text in shown)
    names = set(shown) <= set(classes)
    if names and wanted == "label":
        return wanted, []
    if numbers and all(float(text) in (0.0, 1.0) for text in shown):
        return wanted, [
            f"the sample shows {example}, which may be classes or probabilities; "
            f"the metric takes {wanted}s, {change}"
        ]
    if not numbers and not names:
        return wanted, [
            f"the sample shows {example}, which is no class of train; "
            f"the metric takes {wanted}s, {change}"
        ]
    kind: Kind = "label" if names else "value"
    if kind == wanted:
        return kind, []
    return kind, [
        f"the sample shows {example}, so {kind}s are written, although the metric takes "
        f"{wanted}s (--task.submit changes that)"
    ]


def _multiclass_form(
    task: TaskConfig, columns: dict[str, int], shown: list[str], notes: list[str]
) -> Form:
    if len(columns) > 1:
        _refuse(task.submit == "label", LABEL_IN_CLASS_COLUMNS)
        return Form(kind="value", columns=columns, notes=notes)
    _refuse(
        task.submit == "value",
        "task.submit is value, but the sample submission has one column for "
        f"{len(task.classes)} classes: it takes the class. Set task.submit to auto or label",
    )
    if strange := [text for text in shown if text not in task.classes]:
        notes = [*notes, f"the sample shows {strange[0]!r}, which is no class of train"]
    return Form(kind="label", columns=columns, notes=notes)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _class_columns(
    task: TaskConfig, targets: Sequence[str], header: Sequence[str]
) -> dict[str, int]:
    """One column per class where the sample has them, else the one column of the class."""
    by_class = match(task.classes, header)
    if by_class is not None:
        return by_class
    one = _columns_by_name(targets, header, f"one column, or one per class {task.classes}")
    return dict.fromkeys(one, -1)


def _columns_by_name(
    targets: Sequence[str], header: Sequence[str], expected: str
) -> dict[str, int]:
    if len(targets) == 1 and len(header) == 1:  # the only place there is, whatever its name
        return {header[0]: 0}
    found = match(targets, header)
    if found is None:
        raise DataError(
            f"the sample submission has the columns {list(header)} after the id; "
            f"expected {expected}, named as in train: {list(targets)}"
        )
    return found


def match(names: Sequence[str], header: Sequence[str]) -> dict[str, int] | None:
    """Column of *header* -> position in *names*, or None where a name has no column.

    Names count as equal as they stand, or without case, outer spaces and a prefix that all
    columns share:

    >>> match(["sad", "happy"], ["emotion_Happy", "emotion_Sad"])
    {'emotion_Sad': 0, 'emotion_Happy': 1}
    """
    prefix = commonprefix(list(header)) if len(header) > 1 else ""  # noqa: RUF071 (names, not paths)
    for plain in (str, _plain, lambda name: _plain(name.removeprefix(prefix))):
        columns = {plain(column): column for column in header}
        wanted = [name if plain is str else _plain(name) for name in names]
        if len(set(wanted)) == len(names) and all(name in columns for name in wanted):
            return {columns[name]: place for place, name in enumerate(wanted)}
    return None


def _plain(name: str) -> str:
    return name.strip().casefold()


def _untouched(columns: dict[str, int], header: Sequence[str]) -> list[str]:
    rest = [name for name in header if name not in columns]
    if not rest:
        return []
    return [f"columns {rest} are no target of train: kept as the sample shows them"]


# From decided predictions to the texts of a submission: named, or numbers as they are.
#
# What is decided (thresholds, offsets, cut points, clip, rounding) comes before, in `decisions`:
# here the largest probability, 0.5 and the nearest whole number only read off what was decided.


THRESHOLD = 0.5  # as in metrics.metric


def render(
    form: Form, task: TaskConfig, predicted: np.ndarray, limits: tuple[float, float]
) -> dict[str, list[str]]:
    """What each column of the sample gets, (m,) texts, from predictions (m, k).

    Where a regression is submitted as labels, they are the nearest whole numbers within *limits*.
    """
    if form.kind == "label" and task.problem == "regression":
        nearest = nearest_labels(predicted, limits).astype(int).astype(str)
        return {column: nearest[:, place].tolist() for column, place in form.columns.items()}
    if form.kind == "label" and task.problem == "multiclass":
        winners = np.argmax(predicted, axis=1).tolist()
        return {column: [task.classes[winner] for winner in winners] for column in form.columns}
    if form.kind == "label":
        classes = task.classes if task.problem == "binary" else ["0", "1"]
        return {
            column: [classes[int(high)] for high in predicted[:, max(place, 0)] >= THRESHOLD]
            for column, place in form.columns.items()
        }
    if task.problem == "binary" and len(form.columns) > 1:
        predicted = np.hstack([1 - predicted, predicted])
    return {
        column: number_texts(predicted[:, max(place, 0)]) for column, place in form.columns.items()
    }


def nearest_labels(predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The nearest whole numbers within *limits*; halves go up, as the kappa metric has them.

    >>> nearest_labels(np.array([[2.5], [7.2], [-3.0]]), (0.0, 6.0)).ravel().tolist()
    [3.0, 6.0, 0.0]
    """
    return np.clip(np.floor(predicted + 0.5), math.ceil(limits[0]), math.floor(limits[1]))


def number_texts(values: np.ndarray) -> list[str]:
    """The shortest texts that read back as the same float32.

    >>> number_texts(np.array([0.1, 3.0, 1e-7]))
    ['0.1', '3.0', '1e-07']
    """
    return [str(value) for value in values.astype(np.float32)]
