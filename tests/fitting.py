"""Trainings in a test: what they run on, who listens, and Lightning on batches that are given."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from pipeline.models.learner import Silent
from pipeline.models.transformer.device import Hardware

CPU = Hardware(accelerator="cpu", name="x", precision="32-true", threads=1, memory=1)


class Listener(Silent):
    """A Watch that remembers what it was told."""

    def __init__(self) -> None:
        self.phases: list[tuple[Any, ...]] = []
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.steps = self.rows = self.tokens = 0

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        self.phases.append((name, total, done, per_epoch))

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        self.steps += steps
        self.rows += rows
        self.tokens += tokens

    def event(self, what: str, message: str, **facts: Any) -> None:
        self.events.append((what, message, facts))

    def told(self, what: str) -> list[dict[str, Any]]:
        """The facts of every event of that kind."""
        return [facts for name, _, facts in self.events if name == what]


class Given(pl.LightningDataModule):
    """Batches as they are; stands in for a FoldDataModule."""

    def __init__(
        self, train: Sequence[Mapping[str, Any]] = (), test: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__()
        self.train, self.test = train, test
        self.steps = self
        self.total = self.per_epoch = len(train)
        self.first = self.predicted = 0

    def start_at(self, step: int) -> None:
        self.first = step

    def train_dataloader(self) -> DataLoader[Any]:
        return as_loader(self.train[self.first :])

    def predict_dataloader(self) -> DataLoader[Any]:
        return as_loader(self.test)


def as_loader(batches: Sequence[Mapping[str, Any]]) -> DataLoader[Any]:
    """*batches* one by one, as they are."""
    return DataLoader(list(batches), batch_size=None)  # type: ignore[arg-type]


def plain_trainer() -> pl.Trainer:
    """One epoch on the CPU; nothing is written."""
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextlib.contextmanager
def advice_ignored() -> Iterator[None]:
    """Hide what Lightning advises against in a plain Trainer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="You defined a `validation_step`")
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        warnings.filterwarnings("ignore", message="You are using a custom batch sampler")
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec")
        yield
