"""Paired bootstrap over groups: how much a score would move on other rows of the same kind.

Groups are drawn with replacement, whole, because rows that share a sentence err together. The same
draws serve every set of predictions, so differences between them are paired.

Most metrics are functions of sums over rows (`Metric.row_sums`). Their sums are added up per group
once; all draws are then one matrix product, whatever the number of rows. A metric without such sums
is called draw by draw, and less often.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.base import generator
from pipeline.metrics.metric import Metric, MetricError

RESAMPLES = 1000
OWN_RESAMPLES = 200  # where the metric must be called draw by draw
BLOCKS = 4096  # more groups than this are drawn in this many random bundles: the error of the
# standard error, 1 / sqrt(2 x BLOCKS), stays near 1 %


@dataclass(frozen=True)
class Draws:
    """B bootstrap draws of G blocks of rows; a block is a group, or a bundle of groups."""

    block_of_row: np.ndarray
    """(n,) 0 … G - 1."""
    counts: np.ndarray
    """(B, G) how often each block is drawn."""

    @classmethod
    def over(cls, group_of_row: np.ndarray, seed: int, resamples: int = RESAMPLES) -> "Draws":
        """Draws over the groups (n,); the same for the same groups and seed."""
        random = generator(seed, "bootstrap", resamples)
        groups, block_of_row = np.unique(group_of_row, return_inverse=True)
        blocks = len(groups)
        if blocks > BLOCKS:
            bundle_of_group = random.permutation(blocks) % BLOCKS
            block_of_row, blocks = bundle_of_group[block_of_row], BLOCKS
        drawn = random.integers(blocks, size=(resamples, blocks))
        flat = (drawn + blocks * np.arange(resamples)[:, None]).ravel()
        counts = np.bincount(flat, minlength=resamples * blocks).reshape(resamples, blocks)
        return cls(block_of_row, counts.astype(float))

    @property
    def groups(self) -> float:
        """How many groups of one size would tell as much: (Σ rows)² / Σ rows²."""
        sizes = np.bincount(self.block_of_row).astype(float)
        return float(sizes.sum() ** 2 / (sizes**2).sum())

    def first(self, count: int) -> "Draws":
        """The first *count* of them."""
        return Draws(self.block_of_row, self.counts[:count])


def resampled_gains(
    metric: Metric, truth: np.ndarray, predicted: np.ndarray, draws: Draws
) -> np.ndarray:
    """(B,) the gain of *predicted* (n, k) in each draw; NaN where the metric is undefined."""
    if sums := metric.row_sums:
        try:
            per_row, finish = sums(truth, predicted)
        except MetricError:  # in no draw either
            return np.full(len(draws.counts), np.nan)
        gains = finish(draws.counts @ _per_block(per_row, draws))
    else:
        gains = _draw_by_draw(metric, truth, predicted, draws)
    return np.where(np.isfinite(gains), gains, np.nan)


def _per_block(per_row: np.ndarray, draws: Draws) -> np.ndarray:
    """(G, q) sums over the rows of each block; every block has rows."""
    order = np.argsort(draws.block_of_row, kind="stable")
    starts = np.flatnonzero(np.diff(draws.block_of_row[order], prepend=-1))
    return np.add.reduceat(per_row[order], starts, axis=0)


def _draw_by_draw(
    metric: Metric, truth: np.ndarray, predicted: np.ndarray, draws: Draws
) -> np.ndarray:
    gains = []
    for counts in draws.counts[:OWN_RESAMPLES]:
        rows = np.repeat(np.arange(len(truth)), counts[draws.block_of_row].astype(int))
        try:
            gains.append(metric.gain(truth[rows], predicted[rows]))
        except MetricError:  # this draw holds one class, or a constant: it says nothing
            gains.append(np.nan)
    return np.array(gains)
