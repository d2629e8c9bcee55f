"""Rows and sentences of another file that are also in training."""

from dataclasses import dataclass

import numpy as np

from pipeline.data.table import Table, concatenate
from pipeline.setup.inspection.codes import EMPTY, Codes
from pipeline.setup.inspection.duplicates import labels

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
