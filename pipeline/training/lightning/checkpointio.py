"""How Lightning's checkpoints get to the disk and back: safetensors, committed, never a pickle."""

from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import CheckpointIO

from pipeline.base.errors import ResourceError
from pipeline.base.files import commit, free_bytes, size_text
from pipeline.models.transformer.tensor_file import read, size, write

NOT_KEPT = ("loops", "callbacks", "lr_schedulers")
"""Of what Lightning would save: its counters, which say nothing here (see data/sampler.py)."""


class CommittedCheckpoints(CheckpointIO):
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
