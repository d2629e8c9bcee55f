"""Which rows are run together: plainly shuffled batches, each cut into micro-groups of like length.

An optimiser step takes a random batch of B rows. To spend no work on padding, its rows are sorted
by length and run as G groups, each padded to its own longest row; the groups' losses are weighted
by rows, so the step's gradient is that of the one padded batch. Nothing about which rows share a
step depends on length: batches sampled by length would tie a step's rows to source and label.

A plan is a pure function of seed and epoch: steps, each a list of groups, each an array of row
positions 0 … n - 1. Rows of unlike length never swap steps, and every row comes once per epoch.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from pipeline.base import generator

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


# How finely a step's rows are cut: for little padding, and for what memory holds.
#
# Cutting costs time as well, since small groups keep a device less busy; so a step is cut into as
# few groups as its padding allows.


ENOUGH = 0.95
"""Share of real tokens that is good enough: to cut further costs more than it saves."""
MOST_GROUPS = 8
SAMPLE_ROWS = 8_192
"""Rows whose lengths are looked at: more would say the same."""


def fewest_groups(lengths: np.ndarray, batch_size: int) -> int:
    """Into how few groups steps of *batch_size* rows of *lengths* (n,) tokens need be cut.

    As measured on steps of random rows: the fewest groups that leave a twentieth of padding at
    most, or `MOST_GROUPS`.

    >>> fewest_groups(np.full(1000, 20), 32), fewest_groups(np.arange(1000) % 2 * 90 + 10, 32)
    (1, 2)
    """
    sample = lengths[:: max(1, len(lengths) // SAMPLE_ROWS)]
    for groups in range(1, min(MOST_GROUPS, batch_size)):
        steps = plan(0, 0, len(sample), batch_size, sample, groups)
        if useful_share(steps, sample) >= ENOUGH:
            return groups
    return min(MOST_GROUPS, batch_size)


def within(groups: list[np.ndarray], lengths: np.ndarray, most_tokens: int) -> list[np.ndarray]:
    """The *groups* of rows, those of more than *most_tokens* cut into equal parts.

    Each group's rows come by falling length, and a part counts as rows times its longest row. A
    single row longer than that is run alone.

    >>> within([np.array([0, 1, 2, 3])], np.array([9, 8, 8, 7]), 20)
    [array([0, 1]), array([2, 3])]
    """
    parts: list[np.ndarray] = []
    for group in groups:
        rows = max(1, most_tokens // int(lengths[group[0]]))
        parts += np.array_split(group, -(-len(group) // rows))
    return parts


# In which order a loader asks for rows: the plans of `batches` as batch samplers.
#
# Lightning sees one long epoch: the optimiser steps that are still to be taken, of all epochs of
# the recipe. A training that goes on at step s is a training over the steps from s, and every batch
# says which step it is; nothing depends on where a counter of the Trainer's stands.


class Batching(Protocol):
    """The settings of a recipe that decide on batches."""

    @property
    def epochs(self) -> int:
        """Passes over the rows."""

    @property
    def batch_size(self) -> int:
        """Rows per optimiser step."""

    @property
    def micro_batch_size(self) -> int | None:
        """Most rows of a micro-group; None for no limit."""

    @property
    def micro_tokens(self) -> int:
        """Most tokens of a micro-group, padding included."""

    @property
    def length_groups(self) -> int | None:
        """Micro-groups per step; None for as many as the lengths ask for."""

    @property
    def predict_batch_size(self) -> int:
        """Rows per forward pass when predicting."""


class Pick(NamedTuple):
    """What a sampler asks a dataset for."""

    position: int
    """The row's position in its table."""
    group: int = 0
    """The row's micro-group in its optimiser step."""
    step: int = 0
    """The optimiser step, counted from 0 over all epochs."""


class Steps:
    """The optimiser steps of all epochs, each the picks of its micro-groups one after another."""

    def __init__(self, lengths: np.ndarray, settings: Batching, seed: int, first: int = 0) -> None:
        """*lengths* (n,): tokens of each row. Serve the steps from number *first* on."""
        self.lengths, self.settings, self.seed, self.first = lengths, settings, seed, first
        self.per_epoch = math.ceil(len(lengths) / settings.batch_size)
        self.total = settings.epochs * self.per_epoch
        self.groups = settings.length_groups or fewest_groups(lengths, settings.batch_size)

    def __len__(self) -> int:
        return self.total - self.first

    def __iter__(self) -> Iterator[list[Pick]]:
        number = self.first
        for epoch in range(number // max(1, self.per_epoch), self.settings.epochs):
            for whole in self._plan(epoch, number - epoch * self.per_epoch):
                groups = within(whole, self.lengths, self.settings.micro_tokens)
                yield [
                    Pick(int(row), group, number)
                    for group, rows in enumerate(groups)
                    for row in rows
                ]
                number += 1

    def _plan(self, epoch: int, first: int) -> Iterable[Step]:
        own = self.settings
        return steps_of(
            self.seed,
            epoch,
            len(self.lengths),
            own.batch_size,
            self.lengths,
            self.groups,
            own.micro_batch_size,
            first,
        )


class ByLength:
    """Every row once, in batches of like length: how rows are predicted and scored."""

    def __init__(self, lengths: np.ndarray, settings: Batching, first: int = 0) -> None:
        """*lengths* (n,): tokens of each row. Serve the batches from number *first* on."""
        batches = predict_plan(lengths, settings.predict_batch_size)
        self._batches, self.first = within(batches, lengths, settings.micro_tokens), first

    def __len__(self) -> int:
        return len(self._batches) - self.first

    def __iter__(self) -> Iterator[list[Pick]]:
        for batch in self._batches[self.first :]:
            yield [Pick(int(row)) for row in batch]
