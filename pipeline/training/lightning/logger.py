"""TensorBoard events of a training, which must never cost the training itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger

from pipeline.models.learner import Watch


class FoldLogger(TensorBoardLogger):
    """Events straight in one folder; gives up, and says so once, where they cannot be written."""

    def __init__(self, logs: Path, step: int, watch: Watch) -> None:
        """What a killed training logged in *logs* after *step* is hidden."""
        first_hidden = step + 1 if step else 0  # without a step all, the fold's score too
        super().__init__(logs.parent, name=logs.name, version="", purge_step=first_hidden)
        self.watch, self.failed = watch, False

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        """See TensorBoardLogger.log_metrics."""
        self._try(super().log_metrics, *args, **kwargs)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """See TensorBoardLogger.log_hyperparams."""
        self._try(super().log_hyperparams, *args, **kwargs)

    def log_graph(self, *args: Any, **kwargs: Any) -> None:
        """See TensorBoardLogger.log_graph."""
        self._try(super().log_graph, *args, **kwargs)

    def save(self) -> None:
        """See TensorBoardLogger.save."""
        self._try(super().save)

    def finalize(self, status: str) -> None:
        """See TensorBoardLogger.finalize."""
        self._try(super().finalize, status)

    def _try(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if self.failed:
            return
        try:
            work(*args, **kwargs)
        except OSError as error:
            self.failed = True
            self.watch.event("no log", f"no TensorBoard log from here on: {error}")
