"""When a training saves its state, and where it ends when it is asked to: after a whole step."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.plugins.io import CheckpointIO

from pipeline.base.errors import ResourceError
from pipeline.base.fault_injection import reach
from pipeline.base.files import commit, free_bytes, size_text
from pipeline.base.paths import Workspace
from pipeline.models import Watch
from pipeline.models.transformer.module import Stepped
from pipeline.models.transformer.tensor_file import read, size, write
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.options import FailurePolicy

# How Lightning's checkpoints get to the disk and back: safetensors, committed, never a pickle.


NOT_KEPT = ("loops", "callbacks", "lr_schedulers")
"""Of what Lightning would save: its counters, which say nothing here (see data/sampler.py)."""


class CheckpointPlugin(CheckpointIO):
    """Lightning's checkpoints as safetensors, committed, with the free space looked at before."""

    def __init__(self, min_free_bytes: int = 0) -> None:
        self.min_free_bytes = min_free_bytes
        self.written = ""
        """SHA-256 of the last file."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Commit *checkpoint*; ResourceError where there is not enough space for it."""
        content = {key: value for key, value in checkpoint.items() if key not in NOT_KEPT}
        target, need = Path(path), size(content)
        free = free_bytes(target)
        if free < need + self.min_free_bytes:
            raise ResourceError(
                f"no space left to write {target}: it needs {size_text(need)}, "
                f"{size_text(free)} are free"
                + (f" of which {size_text(self.min_free_bytes)} stay" * bool(self.min_free_bytes))
                + ". Free some space and start the same command again; it goes on from the "
                "checkpoint before."
            )
        self.written = commit(target, lambda stream: write(stream, content))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The tensors come to the CPU; nothing is ever unpickled."""
        return {**read(Path(path)), "lr_schedulers": []}

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file."""
        Path(path).unlink(missing_ok=True)


DISK_BYTES_PER_SECOND = 100e6
"""A slow disk: for how long a save may take until the first one was timed."""


class CheckpointCallback(pl.Callback):
    """Saves now and then, and when it is time to end."""

    def __init__(
        self,
        workspace: Workspace,
        checkpoints: Checkpoints,
        files: CheckpointPlugin,
        policy: FailurePolicy,
        watch: Watch,
        steps_per_epoch: int,
    ) -> None:
        self.workspace, self.checkpoints, self.files = workspace, checkpoints, files
        self.policy, self.watch, self.steps_per_epoch = policy, watch, steps_per_epoch
        self.saved_at = self.stepped_at = time.monotonic()
        self.save_seconds = 0.0
        self.step_seconds = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Guess how long a save takes, from the size of weights and moments."""
        numbers = sum(weight.numel() for weight in pl_module.parameters() if weight.requires_grad)
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
        assert isinstance(pl_module, Stepped)
        self.workspace.check()
        now = time.monotonic()
        self.step_seconds = max(self.step_seconds, now - self.stepped_at)
        step = pl_module.stepper.done
        ended = step == pl_module.stepper.steps
        stopped = self.policy.stop.due(reserve=2 * (self.save_seconds + self.step_seconds))
        late = now - self.saved_at >= self.policy.checkpoint_seconds
        starts_epoch = step % self.steps_per_epoch == 0
        wanted = starts_epoch and self.policy.on_nan == "rollback"
        if stopped or ((late or wanted) and not ended):
            self.save(trainer, pl_module, starts_epoch)
        self.stepped_at = time.monotonic()
        if stopped:
            self.watch.event(
                "stopped", f"{stopped}: saved after step {step} of {pl_module.stepper.steps}"
            )
            raise stopped

    def save(self, trainer: pl.Trainer, module: Stepped, starts_epoch: bool) -> None:
        """Commit the state, if every number in it is finite."""
        began = time.monotonic()
        module.stepper.check_finite()
        reach("checkpoint")
        step = module.stepper.done
        trainer.save_checkpoint(self.checkpoints.path(step), weights_only=False)
        self.checkpoints.commit(step, self.files.written, starts_epoch)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - began
