"""Rows and sentences that occur more than once in training, and what they mean for folds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.base.config import FoldsConfig
from pipeline.data.table import Table
from pipeline.folds.groups import How, connect
from pipeline.setup.inspection.codes import EMPTY, Codes
from pipeline.setup.inspection.measures import sample_within

NEAR_ROWS = 20_000
NEAR_CHARACTERS = 2_000_000
"""Near copies are looked for among at most so many rows and characters: a few seconds."""
EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Exact copies within the training rows, after normalising."""

    repeated: int
    """Different rows that occur more than once; a pair with its sides swapped is the same row."""
    repeated_rows: int
    """Rows they make up."""
    swapped: int
    """Of these different rows, those that occur with their sides both ways round."""
    conflicting: int
    """Of them, those that occur with different labels."""
    conflict_examples: list[list[str]]
    """The ids of a few of these."""
    same_sides: int
    """Pairs whose two texts are equal."""
    sentences: int
    """Different sentences, not counting empty ones."""
    shared: int
    """Of them, those that more than one row uses."""
    shared_rows: int
    """Rows that use one of those."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Rows that belong together, as the folds will keep them."""

    how: How
    rows: int
    """Rows looked at: all, or a sample of very many."""
    sampled: bool
    count: int
    largest: int
    """Rows of the largest group."""
    in_company: int
    """Rows in groups of two or more."""


def copies(train: Table, codes: Codes) -> Copies:
    """Count the copies among n training rows with their codes."""
    frame = pd.DataFrame({"row": codes.row, "ordered": codes.ordered, "label": labels(train)})
    frame = frame[codes.filled]
    by_row = frame.groupby("row", sort=False)
    facts = by_row.agg(size=("label", "size"), labels=("label", "nunique"))
    facts["ways"] = by_row["ordered"].nunique()
    repeated = facts[facts["size"] > 1]
    conflicts = repeated.index[repeated["labels"] > 1]
    sentence, uses = _uses(codes.texts)
    shared = sentence[uses > 1]
    return Copies(
        repeated=len(repeated),
        repeated_rows=int(repeated["size"].sum()),
        swapped=int((repeated["ways"] > 1).sum()),
        conflicting=len(conflicts),
        conflict_examples=[
            [str(i) for i in train.ids[codes.row == key][:EXAMPLES]] for key in conflicts[:EXAMPLES]
        ],
        same_sides=_same_sides(codes.texts),
        sentences=len(sentence),
        shared=len(shared),
        shared_rows=int(np.isin(codes.texts, shared).any(axis=1).sum()),
    )


def _uses(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every sentence (v,) of coded texts (n, s) and the number of rows (v,) that use it."""
    sides = np.sort(texts, axis=1)
    fresh = sides != EMPTY
    fresh[:, 1:] &= sides[:, 1:] != sides[:, :-1]  # a pair of equal sides uses its sentence once
    return np.unique(sides[fresh], return_counts=True)


def _same_sides(texts: np.ndarray) -> int:
    if texts.shape[1] < 2:
        return 0
    return int(((texts[:, 0] == texts[:, 1]) & (texts[:, 0] != EMPTY)).sum())


def labels(table: Table) -> np.ndarray:
    """(n,) a number for each row's whole label: equal numbers are equal targets."""
    assert table.targets is not None
    if table.targets.shape[1] == 1:
        return pd.factorize(table.targets[:, 0])[0]
    return np.asarray(np.unique(table.targets, axis=0, return_inverse=True)[1]).ravel()


def group_facts(train: Table, codes: Codes, folds: FoldsConfig) -> list[Groups]:
    """What `connect` joins: exact copies in all rows, then as *folds* asks where that is more.

    Near copies of very many rows are looked for in a sample, so `rows` may be less than n.
    """
    columns = [train.features[name] for name in folds.group_columns if name in train.features]
    # names instead of texts: the same groups without normalising every text again
    found = [_groups("exact", connect(codes.names, "exact"), len(train))]
    if folds.groups == "near":
        chosen = sample_within(train.texts, NEAR_ROWS, NEAR_CHARACTERS, "inspect-near")
        cut = [column[chosen] for column in columns]
        group_of_row = connect(train.texts[chosen], "near", folds.near_threshold, cut)
        found.append(_groups("near", group_of_row, len(train)))
    elif columns or folds.groups == "none":
        group_of_row = connect(codes.names, folds.groups, columns=columns)
        found.append(_groups(folds.groups, group_of_row, len(train)))
    return found


def _groups(how: How, group_of_row: np.ndarray, n: int) -> Groups:
    sizes = np.bincount(group_of_row)
    return Groups(
        how=how,
        rows=len(group_of_row),
        sampled=len(group_of_row) < n,
        count=len(sizes),
        largest=int(sizes.max(initial=0)),
        in_company=int(sizes[sizes > 1].sum()),
    )
