"""What the Trainer does, told to a Watch; counts from shapes alone, so it never waits."""

from typing import Any

import pytorch_lightning as pl

from pipeline.base.stopping import Stop
from pipeline.models.learner import Watch
from pipeline.models.transformer.module import TextModule


class Telling(pl.Callback):
    """Phases and steps for the progress display."""

    def __init__(self, watch: Watch, steps_per_epoch: int, stop: Stop | None = None) -> None:
        """*stop* ends a prediction between two batches: there is nothing to save."""
        self.watch, self.steps_per_epoch, self.stop = watch, steps_per_epoch, stop

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce the optimiser steps of all epochs, and those that were taken before."""
        assert isinstance(pl_module, TextModule)
        stepper = pl_module.stepper
        self.watch.phase("train", stepper.steps, stepper.done, self.steps_per_epoch)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the step, its rows and tokens."""
        groups = batch["groups"]
        self.watch.advance(
            rows=sum(len(group["rows"]) for group in groups),
            tokens=sum(int(group["lengths"].sum()) for group in groups),
        )

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce the batches."""
        self.watch.phase("predict", int(sum(trainer.num_predict_batches)))

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the rows; end here where it is time to."""
        self.watch.advance(rows=len(batch["rows"]), tokens=int(batch["lengths"].sum()))
        if self.stop is not None:
            self.stop.check()
