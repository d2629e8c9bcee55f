"""What gives way when memory runs out or numbers overflow, and how it is told.

Only the number of rows that are run at once, and the precision, ever give way; batches, steps and
rates stay as the recipe says.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NoReturn

import torch

from pipeline.base.errors import DivergedError, ResourceError
from pipeline.models.learner import Watch
from pipeline.models.transformer.device import NAMES, Precision
from pipeline.models.transformer_settings import TransformerRecipe

# What a training finds out about its machine on the way, and the next one need not find out.


@dataclass(frozen=True, kw_only=True)
class LearnedLimits:
    """Empty as long as everything fits and nothing overflows."""

    micro_rows: int | None = None
    """Most rows that fit into memory when training; None where all did."""
    predict_rows: int | None = None
    """Most rows that fit into memory when predicting."""
    precision: Precision | None = None
    """What was computed in after fp16 overflowed."""

    def joined(self, other: "LearnedLimits") -> "LearnedLimits":
        """What a third training starts with: the smaller sizes.

        It finds its precision by itself, at the cost of a step: so no fold's numbers depend on
        whether another, that overflowed, was trained before it.
        """
        return LearnedLimits(
            micro_rows=_least(self.micro_rows, other.micro_rows),
            predict_rows=_least(self.predict_rows, other.predict_rows),
        )

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "LearnedLimits":
        """What the facts of a fitted learner tell."""
        return cls(**facts.get("learnt", {}))


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


# What fits into memory: a step's micro-groups cut smaller where they do not.
#
# The rows of a step, their weights and the number of steps stay as they are; only how many rows are
# run at once changes. So the gradient is the same, dropout aside, whose draws are per micro-batch.


Batch = Mapping[str, Any]
SIGNS = ("out of memory", "STATUS_ALLOC_FAILED", "DefaultCPUAllocator")
"""How a lack of memory reads where it is not an OutOfMemoryError: of a GPU, of one of its libraries
(CUBLAS_…, CUDNN_…), of a CPU."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device had too little memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def micro_batches(groups: list[Batch], most: int | None) -> Iterator[Batch]:
    """The *groups* of a step, each cut into equal parts of at most *most* rows."""
    for group in groups:
        rows = len(group["rows"])
        parts = 1 if most is None else -(-rows // most)
        if parts == 1:
            yield group
            continue
        ends = [rows * part // parts for part in range(parts + 1)]
        for start, end in pairwise(ends):
            yield part_of(group, start, end)


def part_of(batch: Batch, start: int, end: int) -> dict[str, Any]:
    """The rows start … end - 1 of a batch, padded to their own longest text."""
    lengths = batch["lengths"][:, start:end]
    part: dict[str, Any] = {
        "inputs": [
            {name: values[start:end, :longest] for name, values in one.items()}
            for one, longest in zip(batch["inputs"], lengths.max(axis=1).tolist(), strict=True)
        ],
        "lengths": lengths,
        "rows": batch["rows"][start:end],
    }
    if "targets" in batch:
        part["targets"] = batch["targets"][start:end]
    if "weight" in batch:
        part["weight"] = batch["weight"] * (end - start) / len(batch["rows"])
    return part


def most_rows(groups: list[Batch], most: int | None) -> int:
    """Rows of the largest micro-batch of these groups."""
    return max(len(batch["rows"]) for batch in micro_batches(groups, most))


def free_memory() -> None:
    """Hand cached blocks back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Limits:
    """What one training has learnt about its machine; it tells a Watch whenever it learns more."""

    def __init__(
        self,
        recipe: TransformerRecipe,
        learnt: LearnedLimits,
        watch: Watch,
        can_recompute: bool = True,
    ) -> None:
        """*can_recompute*: whether the backbone knows gradient checkpointing."""
        self.recipe, self.learnt, self.watch = recipe, learnt, watch
        self.can_recompute = can_recompute and not recipe.gradient_checkpointing

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
        recompute = "gradient_checkpointing: true or " if self.can_recompute else ""
        raise ResourceError(
            f"the device ran out of memory {when} ({said}). Three ways out: a max_length below "
            f"{self.recipe.max_length}; {recompute}a smaller backbone; a "
            "device with more memory, or one that nobody else is using."
        )
