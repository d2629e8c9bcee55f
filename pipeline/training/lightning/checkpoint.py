"""When a training saves its state, and where it ends when it is asked to: after a whole step."""

import time
from typing import Any

import pytorch_lightning as pl

from pipeline.base.fault_injection import reach
from pipeline.base.paths import Workspace
from pipeline.models.learner import Watch
from pipeline.models.transformer.module import TextModule
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.lightning.checkpointio import CommittedCheckpoints
from pipeline.training.rules import Rules

DISK_BYTES_PER_SECOND = 100e6
"""A slow disk: for how long a save may take until the first one was timed."""


class Saving(pl.Callback):
    """Saves now and then, and when it is time to end."""

    def __init__(
        self,
        workspace: Workspace,
        checkpoints: Checkpoints,
        files: CommittedCheckpoints,
        rules: Rules,
        watch: Watch,
        steps_per_epoch: int,
    ) -> None:
        self.workspace, self.checkpoints, self.files = workspace, checkpoints, files
        self.rules, self.watch, self.steps_per_epoch = rules, watch, steps_per_epoch
        self.saved_at = self.stepped_at = time.monotonic()
        self.save_seconds = 0.0
        self.step_seconds = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Guess how long a save takes, from the size of weights and moments."""
        numbers = sum(weight.numel() for weight in pl_module.parameters())
        self.save_seconds = 3 * 4 * numbers / DISK_BYTES_PER_SECOND
        self.saved_at = self.stepped_at = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look whether the fold is still ours, whether to save, and whether to end."""
        assert isinstance(pl_module, TextModule)
        self.workspace.check()
        now = time.monotonic()
        self.step_seconds = max(self.step_seconds, now - self.stepped_at)
        step = pl_module.stepper.done
        ended = step == pl_module.stepper.steps
        stopped = self.rules.stop.due(reserve=2 * (self.save_seconds + self.step_seconds))
        late = now - self.saved_at >= self.rules.checkpoint_seconds
        starts_epoch = step % self.steps_per_epoch == 0
        wanted = starts_epoch and self.rules.on_nan == "rollback"
        if stopped or ((late or wanted) and not ended):
            self.save(trainer, pl_module, starts_epoch)
        self.stepped_at = time.monotonic()
        if stopped:
            self.watch.event(
                "stopped", f"{stopped}: saved after step {step} of {pl_module.stepper.steps}"
            )
            raise stopped

    def save(self, trainer: pl.Trainer, module: TextModule, starts_epoch: bool) -> None:
        """Commit the state, if every number in it is finite."""
        began = time.monotonic()
        module.stepper.check_finite()
        reach("checkpoint")
        step = module.stepper.done
        trainer.save_checkpoint(self.checkpoints.path(step), weights_only=False)
        self.checkpoints.commit(step, self.files.written, starts_epoch)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - began
