"""Lightning's Trainer as a fold uses it: quiet, saving its state, stoppable, TensorBoard on."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment

from pipeline.base.paths import Workspace
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.models.learner import Watch
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.module import TextModule
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.lightning.checkpoint import Saving
from pipeline.training.lightning.checkpointio import CommittedCheckpoints
from pipeline.training.lightning.logger import FoldLogger
from pipeline.training.lightning.staying import StayingDevice
from pipeline.training.lightning.telling import Telling
from pipeline.training.rules import Rules

CHATTER = "pytorch_lightning.utilities.rank_zero"
"""Lightning's logger for devices found, tips about its products, and "max_epochs reached"."""


class FoldFitter:
    """Fits and predicts with Lightning under the *rules* of a run."""

    def __init__(self, hardware: Hardware, rules: Rules) -> None:
        self.hardware, self.rules = hardware, rules

    def fit(
        self, module: TextModule, data: FoldDataModule, workspace: Workspace, watch: Watch
    ) -> None:
        """Take all steps, from the furthest state that the workspace holds, if any.

        Raises Stopped, with the state saved, where the command is asked to end.
        """
        assert data.steps is not None
        per_epoch = data.steps.per_epoch
        checkpoints = Checkpoints(workspace, self.rules.on_nan == "rollback")
        files = CommittedCheckpoints(self.rules.min_free_bytes)
        saving = Saving(workspace, checkpoints, files, self.rules, watch, per_epoch)
        found = checkpoints.newest(watch)
        start = 0 if found is None else found.step
        if start:
            message = f"goes on after step {start} of {data.steps.total}"
            watch.event("resumed", message, step=start)
        data.start_at(start)
        logger = FoldLogger(workspace.logs, start, watch)
        trainer = self._trainer([Telling(watch, per_epoch), saving], files, logger)
        with self.rules.stop.at_boundaries():
            trainer.fit(module, datamodule=data, ckpt_path=None if found is None else found.path)

    def predict(self, module: TextModule, data: FoldDataModule, watch: Watch) -> Any:
        """What `module.predict_step` returns, batch by batch; writes nothing."""
        checks = Telling(watch, 0, self.rules.stop)
        return self._trainer([checks]).predict(module, datamodule=data)

    def _trainer(
        self,
        callbacks: list[pl.Callback],
        files: CommittedCheckpoints | None = None,
        logger: FoldLogger | None = None,
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
            strategy=StayingDevice(torch.device("cuda", 0)) if on_gpu else "auto",
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
