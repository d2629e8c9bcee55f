"""Targets as a network sees them, its loss, and its outputs as people read them.

Notation: B rows, k target columns, o outputs (o = k, or the number of classes).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.nn import functional

from pipeline.base.config import Problem, TaskConfig
from pipeline.base.errors import DataError, UsageError

Loss = Literal["mse", "bce", "huber", "cross-entropy"]
Asked = Literal["auto", "mse", "bce", "huber"]
HUBER_DELTA = 0.25
"""Errors beyond this share of the label range count linearly; without a range, errors beyond one
standard deviation, which for labels spread over a range is about as much."""


@dataclass(frozen=True, kw_only=True)
class TargetCodec:
    """How one fold's targets are scaled inside; fitted on its training part only."""

    problem: Problem
    loss: Loss
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
        if self.problem == "multiclass":
            return targets.astype(np.int64)
        if self.problem != "regression":
            return targets.astype(np.float32)
        return ((targets - np.array(self.shift)) / np.array(self.scale)).astype(np.float32)

    def mean_loss(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """The mean over rows and columns; (B, o) and (B, k) -> ()."""
        logits = logits.float()
        match self.loss:
            case "cross-entropy":
                return functional.cross_entropy(logits, encoded.squeeze(1))
            case "bce":
                return functional.binary_cross_entropy_with_logits(logits, encoded)
            case "huber":
                return functional.huber_loss(logits, encoded, delta=self.huber_delta)
            case "mse":
                return functional.mse_loss(logits, encoded)

    def decode(self, logits: Tensor) -> Tensor:
        """(B, o) outputs -> (B, o) predictions: the label's unit, or probabilities; float32."""
        logits = logits.float()
        if self.loss == "cross-entropy":
            return logits.softmax(dim=-1)
        values = logits.sigmoid() if self.loss == "bce" else logits
        if self.problem != "regression":
            return values
        return values * logits.new_tensor(self.scale) + logits.new_tensor(self.shift)


def check_loss(task: TaskConfig, asked: Asked) -> Loss:
    """The loss for *asked* on this kind of problem; UsageError where they do not fit."""
    if task.problem == "regression":
        if asked == "bce" and task.label_range is None:
            raise UsageError(
                "loss bce on numbers reads the label, scaled to its range, as a probability, but "
                "task.label_range is not set. Set it in the competition's config, or use loss: mse."
            )
        return "mse" if asked == "auto" else asked
    if asked in ("mse", "huber") or (asked == "bce" and task.problem == "multiclass"):
        raise UsageError(
            f"loss {asked} does not fit a {task.problem} problem. Set loss: auto, which is "
            "cross-entropy there."
        )
    return "cross-entropy" if task.problem == "multiclass" else "bce"


def fit_codec(task: TaskConfig, asked: Asked, targets: np.ndarray) -> TargetCodec:
    """The codec for a training part with these (n, k) targets.

    Numbers are scaled to [0, 1] by task.label_range, or without one to mean 0 and standard
    deviation 1 of *targets*, column by column.
    """
    loss = check_loss(task, asked)
    if task.problem != "regression":
        return TargetCodec(problem=task.problem, loss=loss)
    k = targets.shape[1]
    if task.label_range is not None:
        low, high = task.label_range
        if loss == "bce":
            _check_inside(targets, low, high)
        shift, scale, delta = (low,) * k, (high - low,) * k, HUBER_DELTA
    else:
        deviation = targets.std(axis=0)
        shift = tuple(targets.mean(axis=0).tolist())
        scale = tuple(np.where(deviation > 0, deviation, 1.0).tolist())
        delta = 1.0
    return TargetCodec(problem=task.problem, loss=loss, shift=shift, scale=scale, huber_delta=delta)


def _check_inside(targets: np.ndarray, low: float, high: float) -> None:
    outside = targets[(targets < low) | (targets > high)]
    if len(outside):
        raise DataError(
            f"{len(outside)} labels lie outside task.label_range [{low:g}, {high:g}], the first is "
            f"{outside[0]:g}, and loss bce reads them as probabilities. Widen the range in the "
            "competition's config, or use loss: mse."
        )
