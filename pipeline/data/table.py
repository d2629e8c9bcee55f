"""A competition's rows in memory: what every later room receives.

Rows are known by id. Position means nothing outside one table, so parallel arrays are kept in one
object and cut together by `rows`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Table:
    """n rows of one file."""

    ids: np.ndarray
    """(n,) str objects, unique."""
    texts: np.ndarray
    """(n, s) str objects; s = 1 for single sentences, 2 for pairs."""
    targets: np.ndarray | None = None
    """(n, k) float64, or None for unlabelled rows. Regression: the label's own unit. binary: 0/1 in
    one column. multiclass: the class number in one column. multilabel: 0/1 per label."""
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Further columns, each (n,) str objects."""
    source: str = ""
    """The file the rows came from, for messages."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        assert self.texts.ndim == 2, "texts must be (n, s)"
        assert len(self.texts) == n
        assert self.targets is None or (self.targets.ndim == 2 and len(self.targets) == n)
        assert all(len(column) == n for column in self.features.values())

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, which: np.ndarray) -> "Table":
        """The rows selected by a boolean mask (n,) or by positions, everything cut alike."""
        return Table(
            ids=self.ids[which],
            texts=self.texts[which],
            targets=None if self.targets is None else self.targets[which],
            features={name: column[which] for name, column in self.features.items()},
            source=self.source,
        )


def concatenate(first: Table, second: Table) -> Table:
    """*first*'s rows followed by *second*'s; features that only one of them has are dropped."""
    assert (first.targets is None) == (second.targets is None)
    shared = [name for name in first.features if name in second.features]
    return Table(
        ids=np.concatenate([first.ids, second.ids]),
        texts=np.concatenate([first.texts, second.texts]),
        targets=None
        if first.targets is None or second.targets is None
        else np.concatenate([first.targets, second.targets]),
        features={
            name: np.concatenate([first.features[name], second.features[name]]) for name in shared
        },
        source=first.source,
    )
