"""Lightning's Trainer as a fold uses it: quiet, saving its state, stoppable, tracked.

On a GPU a module stays there between folds: Lightning would carry it to the CPU after every fit
and every predict.
"""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import SingleDeviceStrategy

from pipeline.base.command import Stop
from pipeline.base.paths import Workspace
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.models import Watch
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.module import Stepped, TextModule
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.lightning.checkpoint import CheckpointCallback, CheckpointPlugin
from pipeline.training.options import FailurePolicy
from pipeline.training.tracking import Tracking, track

if TYPE_CHECKING:
    from pipeline.training.lightning.language_model import TextSteps

# What the module logs goes to the trackers of the run.


class TrackingLogger(Logger):
    """Lightning's way to them."""

    name = version = ""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See Logger.log_metrics."""
        assert step is not None, "the module says after which step"
        self.tracking.log(metrics, step)

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Settings stand in the fold's manifest."""


# Where a module is after Lightning is done with it: on a GPU it stays there.
#
# Lightning's own strategy carries the module to the CPU after every fit and every predict, and back
# before the next: for 1.3 GB of weights some tenths of a second each way, several times per fold.
# And CUDA graphs work on the very weights they were captured with. Lightning would also give the
# workspaces of cuBLAS back, which a captured graph may still write to.


class DeviceStrategy(SingleDeviceStrategy):
    """One device, which the module is not taken from; an optimiser's moments are dropped."""

    def teardown(self) -> None:
        """See Strategy.teardown: all that it does, but for moving the module and its accelerator's
        own clearing up."""
        for optimizer in self.optimizers:
            optimizer.state.clear()
        self.precision_plugin.teardown()
        self.checkpoint_io.teardown()


# What the Trainer does, told to a Watch; counts from shapes alone, so it never waits.


class Telling(pl.Callback):
    """Phases and steps for the progress display."""

    def __init__(
        self, watch: Watch, steps_per_epoch: int, stop: Stop | None = None, predicted: int = 0
    ) -> None:
        """*stop* ends a prediction between two batches: there is nothing to save. *predicted*
        batches were predicted before."""
        self.watch, self.steps_per_epoch, self.stop = watch, steps_per_epoch, stop
        self.predicted = predicted

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce the optimiser steps of all epochs, and those that were taken before."""
        assert isinstance(pl_module, Stepped)
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
        left = int(sum(trainer.num_predict_batches))
        self.watch.phase("predict", self.predicted + left, self.predicted)

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


CHATTER = "pytorch_lightning.utilities.rank_zero"
"""Lightning's logger for devices found, tips about its products, and "max_epochs reached"."""


class FoldFitter:
    """Fits and predicts with Lightning under the *policy* of a run."""

    def __init__(self, hardware: Hardware, policy: FailurePolicy) -> None:
        self.hardware, self.policy = hardware, policy

    def fit(
        self,
        module: Stepped,
        data: "FoldDataModule | TextSteps",
        workspace: Workspace,
        watch: Watch,
    ) -> None:
        """Take all steps, from the furthest state that the workspace holds, if any.

        Raises Stopped, with the state saved, where the command is asked to end.
        """
        assert data.steps is not None
        per_epoch = data.steps.per_epoch
        checkpoints = Checkpoints(workspace, self.policy.on_nan == "rollback")
        files = CheckpointPlugin(self.policy.min_free_bytes)
        saving = CheckpointCallback(workspace, checkpoints, files, self.policy, watch, per_epoch)
        found = checkpoints.newest(watch)
        start = 0 if found is None else found.step
        if start:
            message = f"goes on after step {start} of {data.steps.total}"
            watch.event("resumed", message, step=start)
        data.start_at(start)
        # what a killed training logged after *start*; without a state all, the fold's score too
        hidden = start + 1 if start else 0
        with track(workspace.logs, watch, hidden) as tracking, self.policy.stop.at_boundaries():
            telling = Telling(watch, per_epoch)
            trainer = self._trainer([telling, saving], files, TrackingLogger(tracking))
            trainer.fit(module, datamodule=data, ckpt_path=None if found is None else found.path)

    def predict(self, module: TextModule, data: FoldDataModule, watch: Watch) -> Any:
        """What `module.predict_step` returns, batch by batch; writes nothing."""
        checks = Telling(watch, 0, self.policy.stop, data.predicted)
        return self._trainer([checks]).predict(module, datamodule=data)

    def _trainer(
        self,
        callbacks: list[pl.Callback],
        files: CheckpointPlugin | None = None,
        logger: TrackingLogger | None = None,
    ) -> "FoldTrainer":
        logging.getLogger(CHATTER).setLevel(logging.WARNING)
        hardware = self.hardware
        on_gpu = hardware.accelerator == "cuda"
        # nothing here reads memory that it has not written, so it need not be filled with NaN first
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if hardware.deterministic and on_gpu:
            # the backward pass of the fast attention kernels adds up in no fixed order
            torch.backends.cuda.enable_flash_sdp(False)
            torch.backends.cuda.enable_mem_efficient_sdp(False)
        return FoldTrainer(
            accelerator=hardware.accelerator,
            devices=1,
            strategy=DeviceStrategy(torch.device("cuda", 0)) if on_gpu else "auto",
            # the module's own arithmetic decides on the precision, as it may have to change it
            precision="32-true",
            # one long epoch: the steps of all epochs that are still to be taken
            max_epochs=1,
            deterministic=hardware.deterministic,
            # one process, also inside a job of SLURM, whose own signals and requeueing Lightning
            # would take into its hands
            plugins=[LightningEnvironment(), *([] if files is None else [files])],
            logger=logger or False,
            callbacks=callbacks,
            # when to save is decided in Saving, how in CommittedCheckpoints
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            # what is logged, and how often, is the module's business
            log_every_n_steps=1,
        )


class FoldTrainer(pl.Trainer):
    """A Trainer that leaves signals and exits to its caller."""

    def __init__(self, **settings: Any) -> None:
        own = OwnSignals(signal.getsignal(signal.SIGTERM))
        super().__init__(**{**settings, "callbacks": [own, *settings["callbacks"]]})

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """See pl.Trainer.fit."""
        with stoppable(), quiet():
            super().fit(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """See pl.Trainer.predict."""
        with stoppable(), quiet():
            return super().predict(*args, **kwargs)


class OwnSignals(pl.Callback):
    """Puts the handler of SIGTERM back that was there before the Trainer's own.

    Lightning's would end the training without a saved state if the signal came between two steps.
    """

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The Trainer has set its own by now."""
        self._put_back()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The Trainer has set its own by now."""
        self._put_back()

    def _put_back(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


@contextmanager
def stoppable() -> Iterator[None]:
    """Undo Lightning's exit with status 1 after Ctrl-C, and its ignoring of further ones."""
    interrupt_handler = signal.getsignal(signal.SIGINT)
    try:
        yield
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
        warnings.filterwarnings("ignore", message="Total length of .* across ranks is zero")
        # every row is predicted: rows are put in place by position, and gaps would stay NaN
        warnings.filterwarnings("ignore", message="You are using a custom batch sampler")
        # one process needs no launcher, on a login node of SLURM neither
        warnings.filterwarnings("ignore", "The `srun` command is available")
        # packed texts are nested tensors to a GPU; what is used of them is tested
        warnings.filterwarnings("ignore", "The PyTorch API of nested tensors", UserWarning)
        # Lightning 2.6 asks torch.utils._pytree in a way that torch 2.13 has renamed
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.`", FutureWarning)
        yield
