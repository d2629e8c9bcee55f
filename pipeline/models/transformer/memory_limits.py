"""What gives way when memory runs out or numbers overflow, and how it is told.

Only the number of rows that are run at once, and the precision, ever give way; batches, steps and
rates stay as the recipe says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

from pipeline.base.errors import DivergedError, ResourceError
from pipeline.models.learner import Watch
from pipeline.models.settings import TransformerRecipe
from pipeline.models.transformer.device import Precision
from pipeline.models.transformer.learnt import Learnt
from pipeline.models.transformer.micro import is_out_of_memory
from pipeline.models.transformer.precision import NAMES


class Limits:
    """What one training has learnt about its machine; it tells a Watch whenever it learns more."""

    def __init__(self, recipe: TransformerRecipe, learnt: Learnt, watch: Watch) -> None:
        self.recipe, self.learnt, self.watch = recipe, learnt, watch

    def train_fewer(self, step: int, rows: int, failure: str) -> None:
        """*rows* at once were too many at *step*; ResourceError where it was one."""
        if rows == 1:
            self.no_memory(f"with a single row at step {step + 1}", failure)
        self.learnt = replace(self.learnt, micro_rows=rows // 2)
        self.watch.event(
            "batch halved",
            f"out of memory at step {step + 1} with {rows} rows at once; from here on at most "
            f"{rows // 2}. Batches of {self.recipe.batch_size} rows and the number of steps stay",
            step=step,
            rows_before=rows,
            rows=rows // 2,
        )

    def predict_fewer(self, rows: int, failure: str) -> None:
        """*rows* at once were too many to predict; ResourceError where it was one."""
        if rows == 1:
            self.no_memory("predicting a single row", failure)
        self.learnt = replace(self.learnt, predict_rows=rows // 2)
        self.watch.event(
            "predict batch halved",
            f"out of memory predicting {rows} rows at once; from here on at most {rows // 2}",
            rows_before=rows,
            rows=rows // 2,
        )

    def leave_graphs(self, step: int, failure: str) -> None:
        """A step with CUDA graphs ran out of memory, or could not be captured."""
        said = failure.partition("\n")[0][:200]
        self.watch.event(
            "graphs left",
            f"CUDA graphs failed at step {step + 1} ({said}); from here on without",
            step=step,
        )

    def changed_precision(self, when: str, before: Precision, now: Precision) -> None:
        """Numbers overflowed in *before*."""
        self.learnt = replace(self.learnt, precision=now)
        self.watch.event(
            "precision changed",
            f"numbers overflowed in {NAMES[before]} {when}; from there on it is {NAMES[now]}",
            before=NAMES[before],
            precision=NAMES[now],
        )

    def diverged(self, what: str) -> NoReturn:
        """Raise DivergedError saying *what* was found, and what to try."""
        recipe = self.recipe
        more = "" if recipe.precision == "fp32" else ", or precision fp32"
        raise DivergedError(
            f"{what}. Try a learning_rate below {recipe.learning_rate:g}, a warmup_fraction above "
            f"{recipe.warmup_fraction:g}, a max_gradient_norm of 1 or less{more}."
        )

    @contextmanager
    def memory(self, when: str) -> Iterator[None]:
        """Inside, memory that runs out where nothing can give way is a ResourceError."""
        try:
            yield
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self.no_memory(when, str(error))

    def no_memory(self, when: str, failure: str) -> NoReturn:
        """Raise ResourceError saying *when* memory ran out, and what to try."""
        said = failure.partition("\n")[0][:120] or "no reason given"
        raise ResourceError(
            f"the device ran out of memory {when} ({said}). Three ways out: a max_length below "
            f"{self.recipe.max_length}; gradient_checkpointing: true or a smaller backbone; a "
            "device with more memory, or one that nobody else is using."
        )
