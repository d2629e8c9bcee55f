"""Scores of samples of any size: an m-out-of-n bootstrap of whole groups.

A score on m test rows differs from the honest score for two reasons: it is a draw of m rows, and
the honest score is itself a draw of n. Both are imitated by drawing groups of the training rows,
once for as many rows as the test file has and once for n, and the two deviations are added up.
(Bickel, Götze & van Zwet, "Resampling fewer than n observations", Statistica Sinica 7, 1997.)
"""

from dataclasses import dataclass

import numpy as np

from pipeline.base.seeding import generator
from pipeline.metrics.bootstrap import BLOCKS, RESAMPLES, Draws, resampled_gains
from pipeline.metrics.metric import Metric

ROOM = 200  # groups drawn from for each one that is wanted, at most: more change nothing


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with their honest predictions."""

    metric: Metric
    problem: str
    truth: np.ndarray
    """(n, k) targets, (n, 1) for multiclass."""
    predicted: np.ndarray
    """(n, k)."""
    group_of_row: np.ndarray
    """(n,) rows that belong together."""

    def rows(self, which: np.ndarray) -> "Scored":
        """The rows at these positions."""
        cut = (self.truth[which], self.predicted[which], self.group_of_row[which])
        return Scored(self.metric, self.problem, *cut)


def deviations(
    scored: Scored, rows: int, seed: int, purpose: str, weights: np.ndarray | None = None
) -> np.ndarray:
    """(B,) by how much the gain on samples of about *rows* rows differs from that on all rows.

    With *weights* (n,) a row counts as that many; the deviation is still from all rows alike.
    Draws in which the metric is undefined are left out.
    """
    random = generator(seed, f"expected-{purpose}", rows)
    pool = _pool(scored.group_of_row, rows, random)
    part = scored if pool is None else scored.rows(pool)
    share = None if weights is None else (weights if pool is None else weights[pool])
    draws = _draws(part.group_of_row, rows, random)
    every = Draws(draws.block_of_row, np.ones((1, draws.counts.shape[1])))
    gains, middle = _gains(part, draws, share), _gains(part, every, None)
    found = gains - middle
    return found[np.isfinite(found)]


def _pool(group_of_row: np.ndarray, rows: int, random: np.random.Generator) -> np.ndarray | None:
    """Positions of the rows to draw from; None for all.

    Blocks of very many rows would be too coarse to draw a small sample from.
    """
    groups, number = np.unique(group_of_row, return_inverse=True)
    most = max(BLOCKS, ROOM * _wanted(rows, len(number), len(groups)))
    if len(groups) <= most:
        return None
    kept = np.zeros(len(groups), dtype=bool)
    kept[random.choice(len(groups), size=most, replace=False)] = True
    return np.flatnonzero(kept[number])


def _wanted(rows: int, n: int, groups: int) -> int:
    """Groups, or blocks, that have about *rows* rows together."""
    return max(1, round(rows * groups / n))


def _draws(group_of_row: np.ndarray, rows: int, random: np.random.Generator) -> Draws:
    """Draws of whole groups, in bundles where there are very many, with about *rows* rows."""
    groups, block_of_row = np.unique(group_of_row, return_inverse=True)
    blocks = len(groups)
    if blocks > BLOCKS:
        block_of_row, blocks = (random.permutation(blocks) % BLOCKS)[block_of_row], BLOCKS
    drawn = random.integers(blocks, size=(RESAMPLES, _wanted(rows, len(block_of_row), blocks)))
    flat = (drawn + blocks * np.arange(RESAMPLES)[:, None]).ravel()
    counts = np.bincount(flat, minlength=RESAMPLES * blocks).reshape(RESAMPLES, blocks)
    return Draws(block_of_row, counts.astype(float))


def can_weigh(metric: Metric) -> bool:
    """Whether rows can count more or less than once in the score."""
    return metric.row_sums is not None


def _gains(part: Scored, draws: Draws, weights: np.ndarray | None) -> np.ndarray:
    """(B,) gains of the draws, a row counting as its weight."""
    if weights is None:
        return resampled_gains(part.metric, part.truth, part.predicted, draws)
    sums = part.metric.row_sums
    assert sums is not None, "asked by can_weigh"
    per_row, finish = sums(part.truth, part.predicted)
    weighed = np.zeros((draws.counts.shape[1], per_row.shape[1]))
    np.add.at(weighed, draws.block_of_row, per_row * weights[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return finish(draws.counts @ weighed)


def weighed_gain(scored: Scored, weights: np.ndarray) -> float:
    """The gain of all rows, each counting as its weight (n,)."""
    every = Draws(np.zeros(len(weights), dtype=np.int64), np.ones((1, 1)))
    return float(_gains(scored, every, weights)[0])
