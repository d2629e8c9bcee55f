"""Lightning's Trainer as a fold uses it: quiet, without checkpoints, stoppable, TensorBoard on."""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from pipeline.errors import TERMINATED
from pipeline.models.hardware import Hardware
from pipeline.models.learner import Watch
from pipeline.models.settings import TransformerRecipe

CHATTER = "pytorch_lightning.utilities.rank_zero"
"""Lightning's logger for devices found, tips about its products, and "max_epochs reached"."""


def make_trainer(
    recipe: TransformerRecipe,
    hardware: Hardware,
    micro_groups: int,
    logs: Path | None,
    watch: Watch,
) -> pl.Trainer:
    """A trainer for one fit or one prediction.

    An optimiser step takes *micro_groups* batches. TensorBoard events go to *logs*; None (for
    predictions) writes nothing. On a CPU only deterministic algorithms are allowed.
    """
    logging.getLogger(CHATTER).setLevel(logging.WARNING)
    return FoldTrainer(
        accelerator=hardware.accelerator,
        devices=1,
        precision=hardware.precision,
        max_epochs=recipe.epochs,
        accumulate_grad_batches=micro_groups,
        gradient_clip_val=recipe.max_gradient_norm or None,
        deterministic=hardware.accelerator == "cpu",
        logger=False if logs is None else fold_logger(logs),
        callbacks=[Forward(watch)],
        # the learner saves its weights itself, through a commit that survives a full disk
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # what is logged, and how often, is the module's business
        log_every_n_steps=1,
    )


def fold_logger(logs: Path) -> TensorBoardLogger:
    """Events straight in *logs*; what a killed training of the same fold left is hidden by them."""
    return TensorBoardLogger(logs.parent, name=logs.name, version="", purge_step=0)


class FoldTrainer(pl.Trainer):
    """A Trainer that lets Ctrl-C and SIGTERM through to its caller."""

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """See pl.Trainer.fit."""
        with stoppable(), quiet():
            super().fit(*args, **kwargs)

    def validate(self, *args: Any, **kwargs: Any) -> Any:
        """See pl.Trainer.validate."""
        with stoppable(), quiet():
            return super().validate(*args, **kwargs)

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """See pl.Trainer.test."""
        with stoppable(), quiet():
            return super().test(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """See pl.Trainer.predict."""
        with stoppable(), quiet():
            return super().predict(*args, **kwargs)


@contextmanager
def stoppable() -> Iterator[None]:
    """Undo Lightning's own exits: status 1 after Ctrl-C, and after SIGTERM 0, which means done."""
    interrupt_handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
    except SystemExit as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        # Lightning ignores further Ctrl-C while it shuts down
        if signal.getsignal(signal.SIGINT) is not interrupt_handler:
            signal.signal(signal.SIGINT, interrupt_handler)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide Lightning's advice that does not apply here."""
    with warnings.catch_warnings():
        # batches are cut from tokens in memory: a worker process would only copy them around
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        # the epoch is fixed in advance, so nothing is validated while training
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`")
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        # every row is predicted: rows are put in place by position, and gaps would stay NaN
        warnings.filterwarnings("ignore", message="You are using a custom batch sampler")
        # Lightning 2.6 asks torch.utils._pytree in a way that torch 2.13 has renamed
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.`", FutureWarning)
        yield


class Forward(pl.Callback):
    """Tells a Watch what the Trainer does; counts from shapes alone, so it never waits."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce the optimiser steps of all epochs."""
        steps_per_epoch = -(-trainer.num_training_batches // trainer.accumulate_grad_batches)
        self.watch.phase("train", int(steps_per_epoch) * (trainer.max_epochs or 1))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the rows; the step with its last micro-group."""
        last = batch_idx + 1 == trainer.num_training_batches
        stepped = last or (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        self.watch.advance(int(stepped), rows=len(batch["rows"]), tokens=batch["tokens"])

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
        """Count the rows."""
        self.watch.advance(rows=len(batch["rows"]), tokens=batch["tokens"])
