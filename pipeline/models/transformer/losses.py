"""Targets as a network sees them, its loss, and its outputs as people read them.

Notation: B rows, k target columns, o outputs (o = k, or the number of classes).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.nn import functional

from pipeline.base import DataError, UsageError
from pipeline.base.config import TaskConfig
from pipeline.base.doors import load
from pipeline.models.registry import LOSSES
from pipeline.problems.problem import TargetKind
from pipeline.problems.registry import problem_of

HUBER_DELTA = 0.25
"""Errors beyond this share of the label range count linearly; without a range, errors beyond one
standard deviation, which for labels spread over a range is about as much."""


@dataclass(frozen=True, kw_only=True)
class TargetCodec:
    """How one fold's targets are scaled inside; fitted on its training part only."""

    problem: str
    loss: str
    """A name of `pipeline.models.registry.LOSSES`."""
    shift: tuple[float, ...] = ()
    """(k,) subtracted from numeric targets; empty for classes."""
    scale: tuple[float, ...] = ()
    """(k,) numeric targets are divided by it."""
    huber_delta: float = HUBER_DELTA

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TargetCodec":
        """The codec whose `config.as_dict` went into a JSON file."""
        columns = {name: tuple(values[name]) for name in ("shift", "scale")}
        return cls(**{**values, **columns})

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) targets in the label's unit -> (n, k) float32, or int64 class numbers."""
        if not problem_of(self.problem).numeric:
            exclusive = problem_of(self.problem).exclusive
            return targets.astype(np.int64 if exclusive else np.float32)
        return ((targets - np.array(self.shift)) / np.array(self.scale)).astype(np.float32)

    def mean_loss(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """The mean over rows and columns; (B, o) and (B, k) -> ()."""
        return loss_named(self.loss).mean(logits.float(), encoded, self)

    def decode(self, logits: Tensor) -> Tensor:
        """(B, o) outputs -> (B, o) predictions: the label's unit, or probabilities; float32."""
        logits = logits.float()
        link = loss_named(self.loss).link
        if link == "softmax":
            return logits.softmax(dim=-1)
        values = logits.sigmoid() if link == "sigmoid" else logits
        if not problem_of(self.problem).numeric:
            return values
        return values * logits.new_tensor(self.scale) + logits.new_tensor(self.shift)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One loss: an entry of `pipeline.models.registry.LOSSES` leads to it."""

    mean: Callable[[Tensor, Tensor, TargetCodec], Tensor]
    """(B, o) outputs in float32, (B, k) encoded targets, their codec -> (), the mean over rows and
    columns. Outputs are compared before `link`."""
    suits: tuple[TargetKind, ...]
    """The kinds of targets that it can be used for."""
    link: Literal["identity", "sigmoid", "softmax"] = "identity"
    """From outputs to predictions. A sigmoid on numbers reads the label, scaled to its range, as a
    probability."""


MSE = Loss(
    mean=lambda outputs, encoded, codec: functional.mse_loss(outputs, encoded),
    suits=("numbers",),
)
HUBER = Loss(
    mean=lambda outputs, encoded, codec: functional.huber_loss(
        outputs, encoded, delta=codec.huber_delta
    ),
    suits=("numbers",),
)
BCE = Loss(
    mean=lambda outputs, encoded, codec: functional.binary_cross_entropy_with_logits(
        outputs, encoded
    ),
    suits=("numbers", "flags"),
    link="sigmoid",
)
CROSS_ENTROPY = Loss(
    mean=lambda outputs, encoded, codec: functional.cross_entropy(outputs, encoded.squeeze(1)),
    suits=("classes",),
    link="softmax",
)


def loss_named(name: str) -> Loss:
    """The loss that a recipe calls *name*."""
    loss: Loss = load(LOSSES[name])
    return loss


def check_loss(task: TaskConfig, asked: str) -> str:
    """The loss for *asked* on this kind of problem; UsageError where they do not fit."""
    problem = task.problem_type
    name = problem.usual_loss if asked == "auto" else asked
    loss = loss_named(name)
    if problem.target_kind not in loss.suits:
        raise UsageError(
            f"loss {name} does not fit a {task.problem} problem. Set loss: auto, which is "
            f"{'mse' if problem.numeric else 'cross-entropy'} there."
        )
    if problem.numeric and loss.link == "sigmoid" and task.label_range is None:
        raise UsageError(
            f"loss {name} on numbers reads the label, scaled to its range, as a probability, but "
            "task.label_range is not set. Set it in the competition's config, or use loss: mse."
        )
    return name


def fit_codec(task: TaskConfig, asked: str, targets: np.ndarray) -> TargetCodec:
    """The codec for a training part with these (n, k) targets.

    Numbers are scaled to [0, 1] by task.label_range, or without one to mean 0 and standard
    deviation 1 of *targets*, column by column.
    """
    loss = check_loss(task, asked)
    if not task.problem_type.numeric:
        return TargetCodec(problem=task.problem, loss=loss)
    k = targets.shape[1]
    if task.label_range is not None:
        low, high = task.label_range
        if loss_named(loss).link == "sigmoid":
            _check_inside(targets, low, high, loss)
        shift, scale, delta = (low,) * k, (high - low,) * k, HUBER_DELTA
    else:
        deviation = targets.std(axis=0)
        shift = tuple(targets.mean(axis=0).tolist())
        scale = tuple(np.where(deviation > 0, deviation, 1.0).tolist())
        delta = 1.0
    return TargetCodec(problem=task.problem, loss=loss, shift=shift, scale=scale, huber_delta=delta)


def _check_inside(targets: np.ndarray, low: float, high: float, loss: str) -> None:
    outside = targets[(targets < low) | (targets > high)]
    if len(outside):
        raise DataError(
            f"{len(outside)} labels lie outside task.label_range [{low:g}, {high:g}], the first is "
            f"{outside[0]:g}, and loss {loss} reads them as probabilities. Widen the range in the "
            "competition's config, or use loss: mse."
        )
