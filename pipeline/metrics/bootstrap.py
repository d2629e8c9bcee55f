"""Paired bootstrap over groups: how much a score would move on other rows of the same kind.

Groups are drawn with replacement, whole, because rows that share a sentence err together. The same
draws serve every set of predictions, so differences between them are paired.

Most metrics are functions of sums over rows (`Metric.row_sums`). Their sums are added up per group
once; all draws are then one matrix product, whatever the number of rows. A metric without such sums
would have to be called for each draw. It is called once without each of a few bundles of groups
instead, and in a draw the score moves by what each bundle was seen to add to it, as often as its
groups are drawn (the delete-a-group jackknife: Efron, "The Jackknife, the Bootstrap and Other
Resampling Plans", SIAM 1982, chapters 3 and 5). So at most 41 calls give all draws, of any number
of rows; intervals allow for a standard error from so few (`freedom`). There are as many bundles as
the root of the number of groups, since quantiles need that much left out at once (Shao & Wu, "A
general theory for jackknife variance estimation", Annals of Statistics 17, 1989).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.base import generator
from pipeline.metrics.linearised_metrics import Finish
from pipeline.metrics.metric import Metric, MetricError

RESAMPLES = 1000
BUNDLES, FEWEST_BUNDLES = 40, 10  # left out in turn where the metric must be called
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
    metric: Metric,
    truth: np.ndarray,
    predicted: np.ndarray,
    draws: Draws,
    bundles: int = BUNDLES,
) -> np.ndarray:
    """(B,) the gain of *predicted* (n, k) in each draw; NaN where the metric is undefined.

    A metric that is no function of sums is called without each of *bundles* bundles, at most.
    """
    if sums := metric.row_sums:
        try:
            per_row, finish = sums(truth, predicted)
        except MetricError:  # in no draw either
            return np.full(len(draws.counts), np.nan)
        gains = finish(draws.counts @ sums_by_block(per_row, draws))
    else:
        gains = _by_leaving_out(metric, truth, predicted, draws, bundles)
    return np.where(np.isfinite(gains), gains, np.nan)


def freedom(metric: Metric, draws: Draws) -> float:
    """Degrees of freedom of a standard error from these draws, at least 1: for Student's t."""
    bundles = _bundles(draws.counts.shape[1], BUNDLES)
    known = draws.groups if metric.row_sums else min(draws.groups, bundles)
    return max(known - 1, 1.0)


def _bundles(blocks: int, most: int) -> int:
    return min(blocks, most, max(round(blocks**0.5), FEWEST_BUNDLES))


def sums_by_block(per_row: np.ndarray, draws: Draws) -> np.ndarray:
    """(G, q) sums over the rows of each block; every block has rows."""
    order = np.argsort(draws.block_of_row, kind="stable")
    starts = np.flatnonzero(np.diff(draws.block_of_row[order], prepend=-1))
    return np.add.reduceat(per_row[order], starts, axis=0)


def _by_leaving_out(
    metric: Metric, truth: np.ndarray, predicted: np.ndarray, draws: Draws, bundles: int
) -> np.ndarray:
    whole = _gain(metric, truth, predicted)
    blocks = draws.counts.shape[1]
    often = draws.counts / draws.counts.mean() - 1  # how much more than on average
    if not np.isfinite(whole) or not often.any():
        return np.full(len(draws.counts), whole)
    bundles = _bundles(blocks, bundles)
    bundle_of_block = generator(0, "bundles", blocks).permutation(blocks) % bundles
    bundle = bundle_of_block[draws.block_of_row]
    without = np.array(
        [_gain(metric, truth[bundle != each], predicted[bundle != each]) for each in range(bundles)]
    )
    known = np.isfinite(without)
    if known.sum() < 2:
        return np.full(len(draws.counts), np.nan)
    # what a bundle adds: from the score without it, as a share of all rows; 0 on average
    share = 1 - np.bincount(bundle, minlength=bundles) / len(truth)
    adds = np.zeros(bundles)
    adds[known] = np.average(without[known], weights=share[known]) - without[known]
    member = np.zeros((blocks, bundles))
    member[np.arange(blocks), bundle_of_block] = 1
    # as often as one block is drawn: sums over the blocks of a bundle are that much steadier
    weight = often @ (member / np.sqrt(member.sum(axis=0)))
    unbiased = np.sqrt(bundles / (known.sum() - 1))
    return np.asarray(whole + weight @ (share * adds) * unbiased)


def _gain(metric: Metric, truth: np.ndarray, predicted: np.ndarray) -> float:
    try:
        return metric.gain(truth, predicted)
    except MetricError:  # these rows hold one class, or a constant: they say nothing
        return float("nan")


# The derivative of a score by the weight of its rows, for standard errors without draws.


STEP = 1e-5
"""Share of a sum by which it is moved to see what the score does."""


def slope_of(finish: Finish, total: np.ndarray) -> np.ndarray:
    """(q,) by how much the score moves with each of the sums *total* (q,); 0 for a sum of 0, which
    no row adds to."""
    width = STEP * np.where(total > 0, total, 1.0)
    ahead, behind = finish(total + np.diag(width)), finish(total - np.diag(width))
    return np.where(total > 0, (ahead - behind) / (2 * width), 0.0)
