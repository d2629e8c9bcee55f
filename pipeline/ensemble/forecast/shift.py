"""Are test rows like the training rows, and if not quite, how much should each row count?

The same classifier as in `init` tells train from test (`setup.inspection.adversarial`). Where it
finds little, all rows count alike. Where it finds something, its odds that a training row is from
test are the row's importance weight (Sugiyama, Krauledat & Müller, "Covariate shift adaptation by
importance weighted cross validation", JMLR 8, 2007). Where it finds much, few rows would carry all
the weight, and labels may go another way too: nothing can be promised then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.data.table import Table
from pipeline.setup.inspection.adversarial import ALIKE, UNLIKE, auc_of_parts, compare, margins
from pipeline.setup.inspection.duplicates import MUCH, Codes, code

Verdict = Literal["unknown", "alike", "somewhat", "unlike"]
MOST = 10.0  # no row counts as more than this many, or a few would decide the score


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How well train and test can be told apart."""

    auc: float
    low: float
    """Lower end of the 95 % interval."""
    weights: np.ndarray = field(repr=False)
    """(n,) how much each training row should count, mean 1; NaN where it was not asked about."""
    ours: np.ndarray = field(repr=False)
    """(n,) how much like test each training row looks; NaN where it was not asked about."""
    theirs: np.ndarray = field(repr=False)
    """(m',) the same of the test rows that were asked about."""

    @property
    def verdict(self) -> Verdict:
        """In a word, as `init` has it; an AUC that may be chance counts as alike."""
        if self.auc < ALIKE or self.low <= 0.5:
            return "alike"
        return "somewhat" if self.auc <= UNLIKE else "unlike"

    @property
    def known(self) -> int:
        """How many training rows were asked about."""
        return int(np.isfinite(self.weights).sum())

    @property
    def counts_as(self) -> int:
        """How many rows of equal weight tell as much."""
        known = self.weights[np.isfinite(self.weights)]
        return round(float(known.sum() ** 2 / (known**2).sum())) if len(known) else 0


def find_shift(train: Table, test: Table, grouped_by: Sequence[str] = ()) -> Shift | None:
    """Tell *train* from *test*, not by the columns that folds are grouped by; None for too few
    rows."""
    ours, theirs = code([train.texts, test.texts])
    return shift_between(train, test, ours, theirs, grouped_by)


def shift_between(
    train: Table, test: Table, ours: Codes, theirs: Codes, grouped_by: Sequence[str] = ()
) -> Shift | None:
    """The same for texts that were numbered before: *ours* are those of *train*."""
    found = compare(train, ours, test, theirs, grouped_by)
    if found is None:
        return None
    margin = margins(found.together, found.is_test, found.part)
    value, low, _ = auc_of_parts(margin, found.is_test, found.part)
    weights, ours_margin = np.full(len(train), np.nan), np.full(len(train), np.nan)
    weights[found.ours] = _weights(margin, found.is_test)[: len(found.ours)]
    ours_margin[found.ours] = margin[: len(found.ours)]
    asked = margin[len(found.ours) :]
    return Shift(
        auc=value,
        low=low,
        weights=weights,
        ours=ours_margin,
        theirs=asked[np.isfinite(asked)],
    )


def left_of_shift(shift: Shift, weights: np.ndarray) -> float:
    """The AUC of telling test from train once a training row counts as its weight (n,).

    Near 0.5 where the weights explain all that was seen in the texts.
    """
    known = np.isfinite(shift.ours)
    if not known.any() or not len(shift.theirs):
        return 0.5
    order = np.argsort(shift.ours[known], kind="stable")
    ranked, share = shift.ours[known][order], weights[known][order]
    below = np.concatenate([[0.0], np.cumsum(share)]) / share.sum()
    ends = [np.searchsorted(ranked, shift.theirs, side=side) for side in ("left", "right")]
    return float(np.mean([below[end].mean() for end in ends]))


def shift_of_folds(
    train: Table, fold_of_row: np.ndarray, grouped_by: Sequence[str] = ()
) -> float | None:
    """The AUC of telling rows of one fold from the others, the mean of the first two folds.

    Where folds keep whole topics or authors together this is far from 0.5, and so may test be.
    """
    found = []
    for fold in np.unique(fold_of_row)[:2]:
        held = fold_of_row == fold
        shift = find_shift(train.rows(~held), train.rows(held), grouped_by)
        if shift is not None:
            found.append(shift.auc)
    return float(np.mean(found)) if found else None


def _weights(margin: np.ndarray, is_test: np.ndarray) -> np.ndarray:
    """(n,) odds of being from test, by a logistic fit to held-out margins: mean 1 over train."""
    weights, asked = np.full(len(margin), np.nan), np.isfinite(margin)
    if len(np.unique(is_test[asked])) < 2:
        return weights
    from sklearn.linear_model import LogisticRegression  # here: it takes its time

    fitted = LogisticRegression(C=1e6, class_weight="balanced")
    fitted.fit(margin[asked, None], is_test[asked])
    odds = np.minimum(np.exp(np.minimum(fitted.decision_function(margin[asked, None]), 50)), MOST)
    weights[asked] = odds / odds[~is_test[asked]].mean()
    return weights


# Test rows whose texts stand in train, too: no fold shows how well such rows are predicted.
#
# Folds keep copies together, so a training row is never predicted by a learner that has seen its
# texts. Where many test rows are copies of training rows, the leaderboard is better than any honest
# score of train.


@dataclass(frozen=True, kw_only=True)
class Copied:
    """How many rows have the texts of a row that their learners were trained on."""

    test: int
    rows: int
    """Of the test file."""
    train: float
    """Share of the training rows, when their own fold is held out."""

    @property
    def many(self) -> bool:
        """Whether so many more of test than of train that scores of train say too little."""
        return self.test / self.rows - self.train > MUCH

    @property
    def told(self) -> str:
        """What that means for the score."""
        share = f"{100 * self.test / self.rows:.0f} %"
        return (
            f"{self.test:,} of {self.rows:,} test rows ({share}) have the texts of a training row, "
            "and folds keep such rows apart: the honest score tells of the other rows only. Expect "
            "a better one, unless copies have contradicting labels (init counts them)"
        )


def copied(train: Codes, group_of_row: np.ndarray, test: Codes) -> Copied:
    """Compare texts, case, spaces and outer punctuation aside; groups (n,) are never cut."""
    known = np.isin(test.row, train.row) & test.filled
    pairs = np.unique(np.column_stack([train.row, group_of_row]), axis=0)
    row, groups = np.unique(pairs[:, 0], return_counts=True)
    apart = np.isin(train.row, row[groups > 1]) & train.filled
    return Copied(test=int(known.sum()), rows=len(test.row), train=float(apart.mean()))
