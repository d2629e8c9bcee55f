"""In which order a loader asks for rows: the plans of `batches` as batch samplers.

Lightning sees one long epoch: the optimiser steps that are still to be taken, of all epochs of the
recipe. A training that goes on at step s is a training over the steps from s, and every batch says
which step it is; nothing depends on where a counter of the Trainer's stands.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from pipeline.data.tokens.batches import Step, predict_plan, steps_of
from pipeline.data.tokens.grouping import fewest_groups, within


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

    def __init__(self, lengths: np.ndarray, settings: Batching) -> None:
        """*lengths* (n,): tokens of each row."""
        batches = predict_plan(lengths, settings.predict_batch_size)
        self._batches = within(batches, lengths, settings.micro_tokens)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Pick]]:
        for batch in self._batches:
            yield [Pick(int(row)) for row in batch]
