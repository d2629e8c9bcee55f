"""Which columns, and which of their values, only one of the files has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SHOWN = 6
"""Values that are named; `more` counts the others."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """The values of one further column that only train or only test has."""

    name: str
    train_values: int
    test_values: int
    only_train: dict[str, int]
    """Value -> its rows, the most frequent first, at most SHOWN."""
    only_test: dict[str, int]
    only_train_rows: int
    """Training rows with a value that test does not have."""
    only_test_rows: int
    more_train: int
    """Further values only in train, beyond those named."""
    more_test: int


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns and values that not both files have."""

    only_train: list[str]
    """Further columns of the training file that the test file lacks."""
    only_test: list[str]
    values: list[Values]


def columns(
    headers: Mapping[str, Sequence[str]],
    used: Sequence[str],
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
) -> Columns:
    """Compare the *headers* of train and test, and the further columns both have by value.

    Columns that are *used* as targets or ids are not further columns.
    """
    first, second = headers["train"], headers["test"]
    return Columns(
        only_train=[name for name in first if name not in second and name not in used],
        only_test=[name for name in second if name not in first and name not in used],
        values=[values(name, train[name], test[name]) for name in train if name in test],
    )


def values(name: str, train: np.ndarray, test: np.ndarray) -> Values:
    """Compare the values of one column in train (n,) and test (m,)."""
    first, second = _counted(train), _counted(test)
    lost = {value: count for value, count in first.items() if value not in second}
    new = {value: count for value, count in second.items() if value not in first}
    return Values(
        name=name,
        train_values=len(first),
        test_values=len(second),
        only_train=_first(lost),
        only_test=_first(new),
        only_train_rows=sum(lost.values()),
        only_test_rows=sum(new.values()),
        more_train=max(0, len(lost) - SHOWN),
        more_test=max(0, len(new) - SHOWN),
    )


def _counted(column: np.ndarray) -> dict[str, int]:
    distinct, counts = np.unique(column.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(distinct[place]): int(counts[place]) for place in order}


def _first(counts: dict[str, int]) -> dict[str, int]:
    return dict(list(counts.items())[:SHOWN])
