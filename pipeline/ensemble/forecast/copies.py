"""Test rows whose texts stand in train, too: no fold shows how well such rows are predicted.

Folds keep copies together, so a training row is never predicted by a learner that has seen its
texts. Where many test rows are copies of training rows, the leaderboard is better than any honest
score of train.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.setup.inspection.codes import Codes
from pipeline.setup.inspection.overlap import MUCH


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


def copied(train: Codes, group_of_row: np.ndarray, test: Codes) -> Copied:
    """Compare texts, case, spaces and outer punctuation aside; groups (n,) are never cut."""
    known = np.isin(test.row, train.row) & test.filled
    pairs = np.unique(np.column_stack([train.row, group_of_row]), axis=0)
    row, groups = np.unique(pairs[:, 0], return_counts=True)
    apart = np.isin(train.row, row[groups > 1]) & train.filled
    return Copied(test=int(known.sum()), rows=len(test.row), train=float(apart.mean()))
