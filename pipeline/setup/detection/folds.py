"""Which further columns the folds should look at."""

from collections.abc import Sequence

import pandas as pd

from pipeline.setup.detection.choices import Doubts
from pipeline.setup.detection.names import GROUPS, words
from pipeline.setup.detection.profile import Profile

FINE = 100
"""Rows of train per value that a column needs on average to be stratified on."""
SEEN = 0.5
"""Share of test rows with a value known from train, from which the test file is "the same"."""
STRANGE = 0.02
"""… up to which test has other values, so that folds have to keep train's whole."""
MANY = 50
"""Values of train that a column needs for that, or folds could not be equal."""


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


def find_groups(
    train: dict[str, Profile], test: pd.DataFrame, columns: Sequence[str], doubts: Doubts
) -> list[str]:
    """The *columns* whose rows have to stay together: those that test has all but none of.

    An author of whom test has other texts never stands in train: only folds that keep authors whole
    ask the question that test asks. Other columns that may name such groups are told.
    """
    chosen = []
    for name in columns:
        profile = train[name]
        grouping = 1.5 <= profile.repeats <= profile.rows / 5
        if not grouping or (profile.numeric and not _named(name)):
            continue
        seen = _seen(profile, test[name]) if name in test.columns else None
        values = f"{name!r} ({profile.distinct:,} values)"
        if seen is not None and seen <= STRANGE and profile.distinct >= MANY:
            chosen.append(name)
            share = f"{100 * (1 - seen):.0f} % of test's rows have a value that train has not"
            doubts.because("folds.group_columns", f"{values}: {share}, so folds keep it whole.")
        elif seen is not None and seen < 1 - SEEN:
            told = f"{values} is worth it: most values in test are new."
            doubts.because("folds.group_columns", told)
        elif _named(name):
            doubts.because("folds.group_columns", f"{values} may name such rows.")
    return chosen


def _named(name: str) -> bool:
    parts = set(words(name))
    return bool(parts & GROUPS) or "id" in parts


def _seen(profile: Profile, column: pd.Series) -> float:
    """The share of rows with a value of train, of those that have one."""
    filled = column[column.astype(str).str.strip() != ""]
    return float(filled.isin(set(profile.values)).mean()) if len(filled) else 1.0
