"""Which further columns the folds should look at."""

from collections.abc import Sequence

import pandas as pd

from pipeline.data.detection.doubts import Doubts
from pipeline.data.detection.names import GROUPS, words
from pipeline.data.detection.profile import Profile

FINE = 100
"""Rows of train per value that a column needs on average to be stratified on."""
SEEN = 0.5
"""Share of test rows with a value known from train, from which the test file is "the same"."""


def find_strata(
    train: dict[str, Profile], test: pd.DataFrame, further: Sequence[str], doubts: Doubts
) -> list[str]:
    """At most one of the *further* columns: few values, most of test's rows have one of them."""
    few = [
        name
        for name in further
        if train[name].few
        and train[name].repeats >= FINE
        and _seen(train[name], test[name]) >= SEEN
    ]
    if not few:
        return []
    finest = max(few, key=lambda name: train[name].distinct)
    seen = f"{train[finest].distinct} values in train, most of test's rows have one of them."
    doubts.because("folds.stratify_by", seen)
    if others := [name for name in few if name != finest]:
        doubts.because("folds.stratify_by", f"Could be added: {', '.join(others)}.")
    return [finest]


def hint_groups(
    train: dict[str, Profile], test: pd.DataFrame, columns: Sequence[str], doubts: Doubts
) -> None:
    """Say which columns may name groups that have to stay together; none is chosen."""
    for name in columns:
        profile = train[name]
        grouping = 1.5 <= profile.repeats <= profile.rows / 5
        if not grouping or (profile.numeric and not _named(name)):
            continue
        new = name in test.columns and _seen(profile, test[name]) < 1 - SEEN
        if new:
            doubts.because(
                "folds.group_columns",
                f"{name!r} ({profile.distinct:,} values) is worth it: most values in test are new.",
            )
        elif _named(name):
            doubts.because(
                "folds.group_columns", f"{name!r} ({profile.distinct:,} values) may name such rows."
            )


def _named(name: str) -> bool:
    parts = set(words(name))
    return bool(parts & GROUPS) or "id" in parts


def _seen(profile: Profile, column: pd.Series) -> float:
    return float(column.isin(set(profile.values)).mean())
