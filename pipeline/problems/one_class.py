"""One class per row, named in the config: what two classes and several have in common."""

from collections.abc import Sequence

import numpy as np

from pipeline.problems.label_texts import Reader, class_reader
from pipeline.problems.problem import Division, Problem, Task


class OneClass(Problem):
    """Targets are class numbers in one column: places in task.classes."""

    named_classes = True
    column_word = "classes"
    spread = "classes"

    def reader(self, task: Task) -> Reader:
        """The names in task.classes, numbers in any way to write them."""
        return class_reader(task.classes)

    def label_text(self, values: np.ndarray, classes: Sequence[str]) -> str:
        """The class."""
        return classes[int(values[0])]

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """The class."""
        return np.asarray(targets[:, 0])

    def divisions(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> list[Division]:
        """The classes."""
        told = [f"class {name!r}" for name in classes]
        return [Division(names=told, class_of_row=targets[:, 0].astype(np.int64))]

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """The share of each class."""
        rows = np.bincount(targets[:, 0].astype(int), minlength=len(classes))
        return dict(zip(classes, (rows / len(targets)).tolist(), strict=True))
