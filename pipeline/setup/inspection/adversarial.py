"""Are train and test alike? A quick classifier tries to tell their rows apart.

It is asked about rows none of whose sentences it has seen, so it cannot win by remembering.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from pipeline.base import generator
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.data.table import concatenate
from pipeline.folds.groups import connect
from pipeline.setup.inspection.duplicates import Codes
from pipeline.setup.inspection.row_properties import (
    SEED,
    Property,
    auc,
    column_properties,
    mean_auc,
    sample,
    text_properties,
)

ROWS = 10_000
"""Rows of each file, at most."""
FEWEST = 50
"""With fewer rows in a file nothing can be said."""
CHARACTERS = 3_000_000
"""Characters read of all rows together: long texts are cut."""
PARTS = 5
BUCKETS = 2**17
ALIKE, UNLIKE = 0.55, 0.70
"""Below the first AUC train and test count as alike, above the second as not alike."""


@dataclass(frozen=True, kw_only=True)
class Alike:
    """How well train and test rows can be told apart: 0.5 not at all, 1 always."""

    auc: float
    low: float
    """Lower end of the 95 % interval of `auc`."""
    high: float
    rows: int
    """Rows of train and test it was tried on."""
    parts: dict[str, float]
    """The AUC from the texts, from simple properties and from further columns only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Rows of train and of test in one table, as a classifier sees them."""

    ours: np.ndarray
    """Positions in train of the rows that stand first."""
    is_test: np.ndarray
    """(n,) bool."""
    part: np.ndarray
    """(n, s) the part of each text of a row."""
    views: dict[str, sparse.csr_array]
    """Texts, simple properties, further columns: those that there are."""

    @property
    def together(self) -> sparse.csr_array:
        """All views side by side."""
        return sparse.hstack(list(self.views.values()), format="csr")


def alike(
    train: Table,
    train_codes: Codes,
    test: Table,
    test_codes: Codes,
    grouped_by: Sequence[str] = (),
) -> Alike | None:
    """Tell train from test by texts, lengths and further columns; None for too few rows.

    Columns that folds are *grouped_by* do not count: a fold has other values than the rest of train
    just as test has, so that is no difference between the two.
    """
    found = compare(train, train_codes, test, test_codes, grouped_by)
    if found is None:
        return None
    value, low, high = told_apart(found.together, found.is_test, found.part)
    return Alike(
        auc=value,
        low=low,
        high=high,
        rows=len(found.is_test),
        parts={
            name: told_apart(view, found.is_test, found.part)[0]
            for name, view in found.views.items()
        },
    )


def compare(
    train: Table,
    train_codes: Codes,
    test: Table,
    test_codes: Codes,
    grouped_by: Sequence[str] = (),
) -> Compared | None:
    """Rows of train and test, at most ROWS of each, side by side; None for too few rows."""
    if min(len(train), len(test)) < FEWEST:
        return None
    ours = sample(len(train), ROWS, "inspect-alike-train")
    theirs = sample(len(test), ROWS, "inspect-alike-test")
    table = concatenate(_unlabelled(train.rows(ours)), _unlabelled(test.rows(theirs)))
    names = np.concatenate([train_codes.rows(ours).names, test_codes.rows(theirs).names])
    further = {name: each for name, each in table.features.items() if name not in grouped_by}
    views = {
        "texts": hashed_texts(table.texts),
        "lengths": indicators(text_properties(table.texts)),
        "columns": indicators(column_properties(further)),
    }
    return Compared(
        ours=ours,
        is_test=np.arange(len(table)) >= len(ours),
        part=parts_of_texts(names),
        views={name: view for name, view in views.items() if view.shape[1]},
    )


def _unlabelled(table: Table) -> Table:
    return replace(table, targets=None)


def parts_of_texts(names: np.ndarray) -> np.ndarray:
    """(n, s) a random part, 0 … PARTS - 1, for each text; equal texts (n, s) have the same.

    All texts of a group of rows that share texts get one part, unless a group is too large for
    that: then each text gets its own, and a row may lie between parts.
    """
    group_of_row = connect(names, "exact")
    owner = np.repeat(group_of_row[:, None], names.shape[1], axis=1)
    if np.bincount(group_of_row).max() * PARTS > len(names):
        owner = pd.factorize(names.ravel())[0].reshape(names.shape)
    order = generator(SEED, "inspect-alike-parts").permutation(int(owner.max()) + 1)
    return np.asarray(order % PARTS)[owner]


def hashed_texts(texts: np.ndarray) -> sparse.csr_array:
    """(n, BUCKETS) character trigrams of each row of texts (n, s), of unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer  # here: it takes its time

    limit = max(100, CHARACTERS // texts.size)
    joined = ["\n".join(text[:limit] for text in row) for row in texts]
    hasher = HashingVectorizer(
        analyzer="char", ngram_range=(3, 3), n_features=BUCKETS, alternate_sign=False
    )
    return sparse.csr_array(hasher.transform(joined).astype(np.float32))


def indicators(found: Sequence[Property]) -> sparse.csr_array:
    """(n, values) one column for each value of each property; (n, 0) for none."""
    if not found:
        return sparse.csr_array((0, 0), dtype=np.float32)
    n, each = len(found[0].values), np.float32(1 / np.sqrt(len(found)))
    widths = [int(one.values.max()) + 1 for one in found]
    # scikit-learn takes 32-bit positions only
    starts = np.cumsum([0, *widths[:-1]], dtype=np.int32)
    places = np.column_stack([one.values for one in found]).astype(np.int32) + starts
    ends = np.arange(n + 1, dtype=np.int32) * np.int32(len(found))
    cells = np.full(places.size, each)
    return sparse.csr_array((cells, places.ravel(), ends), shape=(n, sum(widths)))


def told_apart(
    view: sparse.csr_array, is_test: np.ndarray, part: np.ndarray
) -> tuple[float, float, float]:
    """AUC of telling test from train, with the ends of its 95 % interval.

    *part* (n, s) is the part of each text of a row. Rows that lie in one part wholly are asked
    about after learning from rows that have nothing in it.
    """
    return auc_of_parts(margins(view, is_test, part), is_test, part)


def auc_of_parts(
    margin: np.ndarray, is_test: np.ndarray, part: np.ndarray
) -> tuple[float, float, float]:
    """The AUC of `margins`, its mean over parts, with the ends of its 95 % interval."""
    results = []
    for held_out in range(PARTS):
        asked = (part == held_out).all(axis=1) & np.isfinite(margin)
        if asked.any():
            results.append(auc(is_test[asked], margin[asked]))
    return mean_auc(results) if results else (0.5, 0.0, 1.0)


def margins(view: sparse.csr_array, is_test: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n,) how much like test each row looks to a classifier that saw none of its texts.

    NaN for a row that lies between parts, or whose part has rows of one file only.
    """
    from sklearn.linear_model import SGDClassifier  # here: it takes its time

    margin = np.full(len(is_test), np.nan)
    for held_out in range(PARTS):
        learn, ask = (part != held_out).all(axis=1), (part == held_out).all(axis=1)
        if len(np.unique(is_test[learn])) < 2 or len(np.unique(is_test[ask])) < 2:
            continue
        judge = SGDClassifier(
            loss="log_loss",
            alpha=1e-3,
            max_iter=10,
            tol=None,
            class_weight="balanced",
            average=True,
            random_state=derive_seed(SEED, "inspect-alike", held_out) % 2**32,
        )
        judge.fit(view[learn], is_test[learn])
        margin[ask] = judge.decision_function(view[ask])
    return margin
