"""In which order a loader asks for rows: the plans of `batches` as Lightning's batch samplers."""

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from pipeline.data.batches import micro_groups, plan, predict_plan


class Batching(Protocol):
    """The settings of a recipe that decide on batches."""

    @property
    def batch_size(self) -> int:
        """Rows per optimiser step."""

    @property
    def micro_batch_size(self) -> int | None:
        """Most rows of a micro-group; None for no limit."""

    @property
    def length_groups(self) -> int:
        """Micro-groups per step."""

    @property
    def predict_batch_size(self) -> int:
        """Rows per forward pass when predicting."""


class Pick(NamedTuple):
    """What a sampler asks a dataset for."""

    position: int
    """The row's position in its table."""
    share: float
    """The row's share of its optimiser step: one over the step's rows."""


class MicroGroups:
    """The micro-groups of one epoch after the other, each a batch of picks.

    `groups_per_step` is Lightning's accumulate_grad_batches: every step has so many groups, a short
    last one may have fewer.
    """

    def __init__(
        self, lengths: np.ndarray, settings: Batching, seed: int, epoch: int = 0, skip: int = 0
    ) -> None:
        """*lengths* (n,): tokens of each row. Serve *epoch* from its group number *skip* on."""
        self.lengths, self.settings, self.seed = lengths, settings, seed
        self.groups_per_step = micro_groups(
            len(lengths), settings.batch_size, settings.length_groups, settings.micro_batch_size
        )
        self.steps_per_epoch = math.ceil(len(lengths) / settings.batch_size)
        self._serve(epoch, skip)

    @property
    def sampler(self) -> "MicroGroups":
        """Itself: Lightning looks here for `set_epoch`, which it calls before every epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Serve *epoch*, from its beginning unless it is the one that is being served."""
        if epoch != self.epoch:
            self._serve(epoch, 0)

    def __len__(self) -> int:
        return sum(len(step) for step in self._steps) - self.skip

    def __iter__(self) -> Iterator[list[Pick]]:
        number = 0
        for step in self._steps:
            share = 1 / sum(len(group) for group in step)
            for group in step:
                if number >= self.skip:
                    yield [Pick(int(row), share) for row in group]
                number += 1

    def _serve(self, epoch: int, skip: int) -> None:
        self.epoch, self.skip = epoch, skip
        own = self.settings
        self._steps = plan(
            self.seed,
            epoch,
            len(self.lengths),
            own.batch_size,
            self.lengths,
            own.length_groups,
            own.micro_batch_size,
        )


class ByLength:
    """Every row once, in batches of like length: how rows are predicted and scored."""

    def __init__(self, lengths: np.ndarray, settings: Batching) -> None:
        """*lengths* (n,): tokens of each row."""
        self._batches = predict_plan(lengths, settings.predict_batch_size)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Pick]]:
        for batch in self._batches:
            yield [Pick(int(row), 1 / len(batch)) for row in batch]
