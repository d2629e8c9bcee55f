"""Rows made of pairs: the sides swapped, or one side twice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from pipeline.data import Table
from pipeline.models.row_transforms.transform import Place, RowTransform, class_names


@dataclass(frozen=True, kw_only=True)
class Swap(RowTransform):
    """(a, b) -> (b, a) with the same label: for what does not depend on the order, such as
    similarity."""

    pairs: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def changed(self, texts: list[str], random: np.random.Generator) -> list[str] | None:
        """The second text first."""
        return texts[::-1]


@dataclass(frozen=True, kw_only=True)
class BothEqual(RowTransform):
    """(a, b) -> (a, a) or (b, b), labelled as alike as can be."""

    pairs: ClassVar[bool] = True
    at_test: ClassVar[bool] = False
    share: float = 0.1
    """Of the rows that it may be done to, drawn; in (0, 1]."""
    label: Any = None
    """What equal texts are labelled; null for the top of task.label_range, of two classes the
    second."""

    def problems(self, place: Place) -> Iterator[str]:
        """The label has to be known."""
        yield from super().problems(place)
        if not isinstance(found := self._label(place), float):
            yield found

    def changed(self, texts: list[str], random: np.random.Generator) -> list[str] | None:
        """One of the sides, drawn, twice."""
        return [texts[random.integers(2)]] * 2

    def made(self, rows: Table, place: Place) -> Table:
        """The copies with their label."""
        found, value = super().made(rows, place), self._label(place)
        assert isinstance(value, float)
        return replace(found, targets=np.full((len(found), 1), value))

    def _label(self, place: Place) -> float | str:
        """The number of the label, or why it is not known."""
        task, kind = place.competition.task, place.competition.task.problem_type
        alone = kind.target_kind == "classes" or len(place.competition.outputs) == 1
        if not alone or kind.target_kind not in ("numbers", "flags", "classes"):
            return "it labels rows with one number or one class, and there are several targets here"
        if self.label is not None:
            value = kind.reader(task)(str(self.label).strip())
            return value if isinstance(value, float) else f"label is {self.label!r}: {value}"
        if kind.numeric and task.label_range:
            return float(task.label_range[1])
        if kind.target_kind == "flags":
            return 1.0
        there = f" (one of {', '.join(class_names(place.competition))})" if task.classes else ""
        wanted = "set task.label_range, or " if kind.numeric else ""
        return f"what equal texts are labelled is not known; {wanted}set its label{there}"
