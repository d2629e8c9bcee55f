"""Rows and sentences that occur more than once in training, and what they mean for folds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.base.config import FoldsConfig
from pipeline.data import Table
from pipeline.data.table import concatenate
from pipeline.folds.groups import How, connect, normalise_all
from pipeline.setup.inspection.row_properties import sample_within

# Every text as a number, so that "the same text" becomes integer arithmetic.
#
# Two texts have the same number when they are equal after `pipeline.folds.groups.normalise`; empty
# texts have the number -1, in every file alike.


EMPTY = -1


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The texts of one file as numbers that are shared by all files."""

    texts: np.ndarray
    """(n, s) number of each text, EMPTY where it is empty."""
    ordered: np.ndarray
    """(n,) equal for rows with the same texts on the same sides."""
    row: np.ndarray
    """(n,) equal for rows with the same texts on either side."""

    @property
    def filled(self) -> np.ndarray:
        """(n,) whether any of a row's texts is not empty."""
        return np.asarray((self.texts != EMPTY).any(axis=1))

    @property
    def names(self) -> np.ndarray:
        """(n, s) short str objects that are equal where the texts are: "" for an empty one."""
        names = ["" if code == EMPTY else str(code) for code in self.texts.ravel().tolist()]
        return np.array(names, dtype=object).reshape(self.texts.shape)

    def rows(self, which: np.ndarray) -> "Codes":
        """The rows selected by a mask (n,) or by positions."""
        return Codes(texts=self.texts[which], ordered=self.ordered[which], row=self.row[which])


def code(files: Sequence[np.ndarray]) -> list[Codes]:
    """Number the texts of several files, each (n, s), together."""
    distinct, number = normalise_all(np.concatenate([texts.ravel() for texts in files]))
    number = np.where(distinct[number] == "", EMPTY, number) if len(number) else number
    parts = np.split(number, np.cumsum([texts.size for texts in files])[:-1])
    return [
        _codes(part.reshape(texts.shape), len(distinct) + 1)
        for part, texts in zip(parts, files, strict=True)
    ]


def _codes(texts: np.ndarray, base: int) -> Codes:
    return Codes(texts=texts, ordered=_key(texts, base), row=_key(np.sort(texts, axis=1), base))


def _key(texts: np.ndarray, base: int) -> np.ndarray:
    key = np.zeros(len(texts), dtype=np.int64)
    for place, column in enumerate(texts.T):
        if place > 1:  # a third factor may be more than 63 bits hold
            key = pd.factorize(key)[0].astype(np.int64)
        key = key * base + (column + 1)
    return key


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


def undecided(train: Table, inputs: np.ndarray) -> int:
    """Rows of *train* whose *inputs* (n, 1 or 2) are those of another row with another label."""
    joined = pd.Series(["\x1f".join(row) for row in inputs.tolist()])
    frame = pd.DataFrame({"input": pd.factorize(joined)[0], "label": labels(train)})
    return int((frame.groupby("input")["label"].transform("nunique") > 1).sum())


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


# Rows and sentences of another file that are also in training.


MUCH = 0.05
"""Share of a file's rows that stand in train from which a score on it is another thing."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What one file has in common with training, after normalising."""

    rows: int
    """Rows of the file."""
    same: int
    """Rows whose texts are a training row, sides either way round."""
    swapped: int
    """Of these, rows found only with their sides swapped."""
    ambiguous: int
    """Of `same`, rows whose texts have several labels in training."""
    contradicted: int | None
    """Of `same`, rows whose own label is none of those in training; None without labels."""
    sharing: int
    """Rows that share at least one sentence with training, those of `same` included."""
    examples: list[str]
    """A few ids of `same`."""


def overlap(train: Table, train_codes: Codes, other: Table, other_codes: Codes) -> Overlap:
    """What *other*, m rows, has in common with *train*, n rows."""
    same = np.isin(other_codes.row, train_codes.row) & other_codes.filled
    straight = np.isin(other_codes.ordered, train_codes.ordered)
    known = train_codes.texts[train_codes.texts != EMPTY]
    return Overlap(
        rows=len(other),
        same=int(same.sum()),
        swapped=int((same & ~straight).sum()),
        ambiguous=int((same & np.isin(other_codes.row, _ambiguous(train, train_codes))).sum()),
        contradicted=_contradicted(train, train_codes, other.rows(same), other_codes.row[same]),
        sharing=int(np.isin(other_codes.texts, known).any(axis=1).sum()),
        examples=[str(row_id) for row_id in other.ids[same][:3]],
    )


def _ambiguous(train: Table, codes: Codes) -> np.ndarray:
    """The training rows, as codes, that occur with more than one label."""
    distinct = np.unique(np.column_stack([codes.row, labels(train)]), axis=0)
    row, count = np.unique(distinct[:, 0], return_counts=True)
    return row[count > 1]


def _contradicted(train: Table, codes: Codes, same: Table, rows: np.ndarray) -> int | None:
    if same.targets is None:
        return None
    number = labels(concatenate(train, same))
    known = set(zip(codes.row.tolist(), number[: len(train)].tolist(), strict=True))
    found = zip(rows.tolist(), number[len(train) :].tolist(), strict=True)
    return sum(pair not in known for pair in found)
