"""Which rows are run together: plainly shuffled batches, each cut into micro-groups of like length.

An optimiser step takes a random batch of B rows. To spend no work on padding, its rows are sorted
by length and run as G groups, each padded to its own longest row; the groups' losses are weighted
by rows, so the step's gradient is that of the one padded batch. Nothing about which rows share a
step depends on length: batches sampled by length would tie a step's rows to source and label.

A plan is a pure function of seed and epoch: steps, each a list of groups, each an array of row
positions 0 … n - 1. Rows of unlike length never swap steps, and every row comes once per epoch.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from pipeline.base.seeding import generator

Step = list[np.ndarray]
Plan = list[Step]
BLOCK = 4096
"""Steps that are cut together: enough to be fast, and a long epoch is never planned at once."""


def plan(
    seed: int,
    epoch: int,
    rows: int,
    batch_size: int,
    lengths: np.ndarray,
    groups: int,
    micro_batch_size: int | None = None,
) -> Plan:
    """One epoch's steps.

    Args:
        seed: of the run's fold.
        epoch: counted from 0; two epochs are shuffled differently.
        rows: n, how many rows there are.
        batch_size: B, rows per step; the last step takes what is left.
        lengths: (n,) tokens of each row.
        groups: into how many groups of like length a step's rows are cut.
        micro_batch_size: most rows of one group; None for no limit.

    Returns:
        Steps of exactly `micro_groups(…)` groups each, the longest rows first. A short last step
        has proportionally fewer, so its groups are as large as the others.
    """
    return list(steps_of(seed, epoch, rows, batch_size, lengths, groups, micro_batch_size))


def steps_of(
    seed: int,
    epoch: int,
    rows: int,
    batch_size: int,
    lengths: np.ndarray,
    groups: int,
    micro_batch_size: int | None = None,
    first: int = 0,
) -> Iterator[Step]:
    """The steps of `plan` from number *first* on, one after the other, cut BLOCK at a time.

    Beside the shuffled row numbers, memory does not grow with the rows.
    """
    if not rows:
        return
    shuffled = generator(seed, "shuffle", epoch).permutation(rows)
    size = min(batch_size, rows)
    count = micro_groups(rows, batch_size, groups, micro_batch_size)
    whole = rows // size
    full = shuffled[: whole * size].reshape(whole, size)
    for at in range(first, whole, BLOCK):
        yield from _cut(full[at : at + BLOCK], lengths, count, micro_batch_size)
    if (rest := rows - whole * size) and first <= whole:
        last = shuffled[-rest:].reshape(1, rest)
        yield from _cut(last, lengths, math.ceil(rest * count / size), micro_batch_size)


def micro_groups(
    rows: int, batch_size: int, groups: int, micro_batch_size: int | None = None
) -> int:
    """G, the groups of every full step: as asked for, more where the micro-batch demands it.

    >>> micro_groups(1000, 32, 4), micro_groups(1000, 32, 4, 2), micro_groups(3, 32, 4)
    (4, 16, 3)
    """
    size = max(1, min(batch_size, rows))
    needed = 1 if micro_batch_size is None else math.ceil(size / micro_batch_size)
    return min(size, max(groups, needed))


def predict_plan(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """All rows in batches of like length, the longest first: what does not fit fails at once."""
    order = np.argsort(-lengths, kind="stable")
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def useful_share(steps: Sequence[Sequence[np.ndarray]], lengths: np.ndarray) -> float:
    """Real tokens as a share of the tokens that are run, padding included; in (0, 1].

    >>> useful_share([[np.array([0, 1])]], np.array([4, 2]))
    0.75
    """
    groups = [group for step in steps for group in step]
    run = sum(len(group) * int(lengths[group].max()) for group in groups)
    return sum(int(lengths[group].sum()) for group in groups) / run if run else 1.0


def _cut(
    batches: np.ndarray, lengths: np.ndarray, count: int, micro_batch_size: int | None
) -> Iterator[Step]:
    """Cut each of S batches (S, B) into *count* groups of like length with the least padding."""
    order = np.argsort(-lengths[batches], axis=1, kind="stable")
    batches = np.take_along_axis(batches, order, axis=1)
    ends = _ends(lengths[batches], count, micro_batch_size or batches.shape[1])
    for batch, cuts in zip(batches, ends.tolist(), strict=True):
        yield [batch[start:end] for start, end in pairwise([0, *cuts])]


def _ends(lengths: np.ndarray, count: int, most: int) -> np.ndarray:
    """Where the groups of each batch end: (S, count), the last always B.

    *lengths* (S, B) fall along each batch, so a group of the rows i … j - 1 costs (j - i) times the
    length of row i. best[g, s, j] is the least cost of the first j rows in g + 1 groups; all
    batches are solved at once, each group no larger than *most* rows.
    """
    batches, size = lengths.shape
    best = np.full((count, batches, size + 1), np.inf)
    start = np.zeros((count, batches, size + 1), dtype=np.int64)
    reach = np.arange(1, min(most, size) + 1)
    best[0][:, reach] = lengths[:, :1] * reach
    for group in range(1, count):
        for end in range(group + 1, size + 1):
            first = max(group, end - most)
            starts = np.arange(first, end)
            costs = best[group - 1][:, starts] + lengths[:, starts] * (end - starts)
            cheapest = costs.argmin(axis=1)
            best[group, :, end] = np.take_along_axis(costs, cheapest[:, None], axis=1)[:, 0]
            start[group, :, end] = starts[cheapest]
    ends = np.empty((batches, count), dtype=np.int64)
    at = np.full(batches, size)
    for group in range(count - 1, -1, -1):
        ends[:, group] = at
        at = start[group, np.arange(batches), at]
    return ends
