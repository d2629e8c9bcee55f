"""The mean of ranks: for metrics that see only the order of predictions.

Members that agree on the order but not on the scale (a probability, a logit squeezed by another
temperature) are made comparable by replacing each prediction by its rank. A rank is the share of
predictions *of the rows the blend was fitted on* that lie below it, so a held-out or a test row is
ranked by a yardstick that it is no part of, and a single row can be predicted.

Where the metric is not about order it is the wrong tool: ranks throw away how far apart two rows
are, which is what Pearson, squared error and log-loss are about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.predictor import Rows, mean_of, within_range
from pipeline.metrics.linearised_metrics import share_below

WRONG_TOOL = (
    "rank-mean throws away how far apart two predictions are, which {metric} is about: mean or "
    "simplex fit it better"
)


@dataclass(frozen=True, eq=False)
class RankMean:
    """The mean over members of ranks in [0, 1]; for numbers brought to the target's scale."""

    yardsticks: Sequence[np.ndarray]
    """M arrays (n_S, k): the predictions that others are ranked among, each column sorted."""
    slope: np.ndarray
    """(k,) from mean rank to prediction; 1 for probabilities."""
    offset: np.ndarray
    """(k,)."""

    @property
    def weights(self) -> np.ndarray:
        """(M,) equal."""
        return np.full(len(self.yardsticks), 1 / len(self.yardsticks))

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k)."""
        values = mean_ranks(self.yardsticks, rows.members) * self.slope + self.offset
        return within_range(values, problem)

    def details(self) -> dict[str, Any]:
        """Scale and weights; not the yardsticks, which are the runs' own predictions."""
        return {
            "weights": self.weights.tolist(),
            "ranks": True,
            "slope": self.slope.tolist(),
            "offset": self.offset.tolist(),
        }


def mean_ranks(yardsticks: Sequence[np.ndarray], members: Sequence[np.ndarray]) -> np.ndarray:
    """(n, k) mean over members of the share of the yardstick below each prediction."""
    total = np.zeros(members[0].shape)
    for yardstick, member in zip(yardsticks, members, strict=True):
        for column in range(yardstick.shape[1]):
            total[:, column] += share_below(member[:, column], yardstick[:, column])
    return total / len(members)


def rank_mean(evidence: Evidence, folds: FoldSet) -> RankMean:
    """Nothing but the yardsticks is fitted; for numbers also the line from rank to target.

    For a metric that sees no line it leads to the members' mean, which no label moves: lines that
    follow the labels of all folds but one would spoil the predictions of all folds, pooled.
    """
    rows = evidence.rows(folds)
    given = evidence.given.take(rows)
    yardsticks = list(given.members)
    slope, offset = np.ones(given.columns), np.zeros(given.columns)
    if evidence.kind.numeric:
        ranks, toward = mean_ranks(yardsticks, given.members), evidence.truth[rows]
        if not evidence.sees_level:
            toward = mean_of(given.members)
        away = ranks - ranks.mean(axis=0)
        spread = np.maximum((away**2).sum(axis=0), np.finfo(float).tiny)
        slope = (away * toward).sum(axis=0) / spread
        offset = toward.mean(axis=0) - slope * ranks.mean(axis=0)
    return RankMean(yardsticks, slope, offset)
