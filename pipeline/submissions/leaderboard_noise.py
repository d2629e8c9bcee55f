"""What luck does to leaderboard scores: the bootstrap at the size of the leaderboard's part.

Rows are drawn from the honest out-of-fold predictions, whole groups at a time and the same ones for
every file, so differences between files are paired.

Two questions, two kinds of draws. *Noise*: with the truth as it is on our rows, how far does the
difference of two files stray on so many rows? Each draw takes that many rows from ours. *Chance*:
which file will be the better one? Our own rows are a sample as well, so each draw first resamples
them (a world that could have given our rows) and then takes the leaderboard's rows from that world.

How much of a leaderboard difference is noise is measured on honest out-of-fold rows, never on the
leaderboard.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.base import generator
from pipeline.metrics import Draws, Metric, resampled_gains
from pipeline.metrics.bootstrap import RESAMPLES

BLOCKS = 4096
LEAST_DRAWN = 50
"""Blocks a draw takes at least, where there are so many: else its size would be too coarse."""


@dataclass(frozen=True, eq=False)
class Board:
    """Draws of as many rows as a part of the leaderboard has."""

    kept: np.ndarray
    """(n',) positions of our rows that can be drawn: all, or those of a random part of groups."""
    draws: Draws
    metric: Metric
    problem: str
    truth: np.ndarray
    """(n, k) of all our rows."""

    @classmethod
    def of(
        cls,
        rows: int,
        group_of_row: np.ndarray,
        truth: np.ndarray,
        metric: Metric,
        problem: str,
        seed: int,
        worlds: bool = False,
    ) -> "Board":
        """Draws of *rows* rows on average; with *worlds* each from a resampled world of its own."""
        random = generator(seed, "leaderboard", rows, int(worlds))
        groups, group = np.unique(group_of_row, return_inverse=True)
        drawn = len(groups) * rows / len(group_of_row)  # groups that a draw takes
        chosen = random.permutation(len(groups))[: BLOCKS * max(1, int(drawn / LEAST_DRAWN))]
        block_of_group = np.full(len(groups), -1)
        block_of_group[chosen] = np.arange(len(chosen)) % BLOCKS
        block = block_of_group[group]
        kept = np.flatnonzero(block >= 0)
        blocks = min(BLOCKS, len(chosen))
        size = max(1, round(rows / (len(kept) / blocks)))
        even = np.full(blocks, 1 / blocks)
        counts = np.empty((RESAMPLES, blocks))
        for place in range(RESAMPLES):
            world = random.multinomial(blocks, even) / blocks if worlds else even
            counts[place] = random.multinomial(size, world)
        return cls(kept, Draws(block[kept], counts), metric, problem, truth)

    def gains(self, predicted: np.ndarray) -> np.ndarray:
        """(B,) gain of *predicted* (n, k) on each draw; NaN where the metric is undefined."""
        truth = self.truth[self.kept]
        return resampled_gains(self.metric, truth, predicted[self.kept], self.draws)


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Two files on the same draws."""

    first_wins: float
    """Share of the draws in which the first is the better one; ties count half."""
    spread: float
    """Standard deviation of their difference, in the metric's unit."""
    worth: float
    """By how much the better of the two beats the first alone, on average; 0 or more."""


def duel(first: np.ndarray, second: np.ndarray) -> Duel | None:
    """Compare the gains (B,) of two files; None where no draw has both."""
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return None
    ahead = (first - second)[known]
    return Duel(
        first_wins=float((ahead > 0).mean() + (ahead == 0).mean() / 2),
        spread=float(ahead.std()),
        worth=float(np.maximum(-ahead, 0).mean()),
    )
