"""Targets as a network sees them, its loss, and its outputs as people read them.

A loss compares outputs before the link (`Loss.link`) with encoded targets, in the mean over rows
and columns, so that a step cut into micro-batches has the gradient of one batch. Those that compare
rows with each other (`batchwise`) are given all rows of a step at once, however it is cut
(`step.Gradient`).

Notation: B rows, k target columns, o outputs (o = k, or the number of classes).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.base.doors import load
from pipeline.models.registry import LOSSES
from pipeline.problems.problem import TargetKind
from pipeline.problems.registry import problem_of

Link = Literal["identity", "sigmoid", "softmax"]
USUAL_LINK: Mapping[TargetKind, Link] = {
    "numbers": "identity",
    "flags": "sigmoid",
    "classes": "softmax",
    "shares": "softmax",
    "blocks": "softmax",
}
HUBER_DELTA = 0.25
"""Errors beyond this share of the label range count linearly; without a range, errors beyond one
standard deviation, which for labels spread over a range is about as much."""
TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class TargetCodec:
    """How one fold's targets are scaled inside; fitted on its training part only."""

    problem: str
    loss: str | Mapping[str, float]
    """A name of `pipeline.models.registry.LOSSES`, or several with their weights."""
    shift: tuple[float, ...] = ()
    """(k,) subtracted from numeric targets; empty for classes."""
    scale: tuple[float, ...] = ()
    """(k,) numeric targets are divided by it."""
    huber_delta: float = HUBER_DELTA
    class_weights: tuple[float, ...] = ()
    """(o,) what a row of each class counts, or a 1 of each flag; empty where all count alike."""
    options: Mapping[str, float] = field(default_factory=dict)
    """What differs from the losses' own `options`."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TargetCodec":
        """The codec whose `as_json` went into a JSON file."""
        columns = {
            name: tuple(values[name])
            for name in ("shift", "scale", "class_weights")
            if name in values
        }
        return cls(**{**values, **columns})

    def as_json(self) -> dict[str, Any]:
        """For `from_json`; what came with a later release only where it is set."""
        values = asdict(self)
        younger = [each.name for each in fields(self)][-2:]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value or name not in younger
        }

    @property
    def parts(self) -> list[tuple[float, "Loss"]]:
        """The losses with their weights."""
        if isinstance(self.loss, str):
            return [(1.0, loss_named(self.loss))]
        return [(weight, loss_named(name)) for name, weight in self.loss.items()]

    @property
    def link(self) -> Link:
        """From outputs to predictions."""
        return link_of([loss for _, loss in self.parts], problem_of(self.problem).target_kind)

    @property
    def batchwise(self) -> bool:
        """Whether rows are compared with each other."""
        return any(loss.batchwise for _, loss in self.parts)

    def blocks(self, k: int) -> list[slice]:
        """The outputs, of *k*, that a softmax is taken of together."""
        return problem_of(self.problem).blocks(k) or [slice(0, k)]

    def option(self, name: str) -> float:
        """The value of an option that one of the losses has."""
        usual = {key: value for _, loss in self.parts for key, value in loss.options.items()}
        return self.options.get(name, usual.get(name, 0.0))

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) targets in the label's unit -> (n, k) float32, or int64 class numbers."""
        if not problem_of(self.problem).numeric:
            return targets.astype(np.int64 if self.numbered(targets.shape[1]) else np.float32)
        return ((targets - np.array(self.shift)) / np.array(self.scale)).astype(np.float32)

    def numbered(self, columns: int) -> bool:
        """Whether so many *columns* of targets are class numbers: soft labels have one for each."""
        return problem_of(self.problem).target_kind == "classes" and columns == 1

    def as_encoded(self, values: Tensor) -> Tensor:
        """(B, k) encoded targets as `encode` gave them, from a tensor of floats."""
        return values.long() if self.numbered(values.shape[1]) else values

    def mean_loss(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """The mean over rows and columns; (B, o) and (B, k) -> ()."""
        if isinstance(self.loss, str):
            return loss_named(self.loss).mean(logits.float(), encoded, self)
        outputs, link = logits.float(), self.link
        total = outputs.new_zeros(())
        for weight, loss in self.parts:
            own = loss.link or link
            seen = outputs.sigmoid() if (own, link) == ("identity", "sigmoid") else outputs
            total = total + weight * loss.mean(seen, encoded, self)
        return total

    def decode(self, logits: Tensor) -> Tensor:
        """(B, o) outputs -> (B, o) predictions: the label's unit, or probabilities; float32."""
        logits, link = logits.float(), self.link
        if link == "softmax":
            return torch.cat(
                [logits[..., own].softmax(dim=-1) for own in self.blocks(logits.shape[-1])], dim=-1
            )
        values = logits.sigmoid() if link == "sigmoid" else logits
        if not problem_of(self.problem).numeric:
            return values
        return values * logits.new_tensor(self.scale) + logits.new_tensor(self.shift)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One loss: an entry of `pipeline.models.registry.LOSSES` leads to it."""

    mean: Callable[[Tensor, Tensor, TargetCodec], Tensor]
    """(B, o) outputs in float32, (B, k) encoded targets, their codec -> (), the mean over rows and
    columns. Outputs are compared before `link`; in a sum with a loss on probabilities, one of
    numbers is given the probabilities."""
    suits: tuple[TargetKind, ...]
    """The kinds of targets that it can be used for."""
    link: Link | None = "identity"
    """From outputs to predictions. A sigmoid on numbers reads the label, scaled to its range, as a
    probability. None: what is usual for the targets, or what another loss in a sum asks for."""
    batchwise: bool = False
    """Whether it compares rows with each other: it then sees all rows of a step at once."""
    free: bool = False
    """Whether it leaves height or scale of the outputs open."""
    options: Mapping[str, float] = field(default_factory=dict)
    """What `loss_options` of a recipe may set, with what holds otherwise."""
    weighs: bool = False
    """Whether it heeds `class_weights`."""


def _cross_entropy(outputs: Tensor, encoded: Tensor, codec: TargetCodec) -> Tensor:
    smoothing = codec.option("smoothing")
    numbered = encoded.dtype == torch.int64
    if numbered and not smoothing and not codec.class_weights:
        return functional.cross_entropy(outputs, encoded.squeeze(1))
    total = outputs.new_zeros(())
    for chances, true, weights in _by_head(outputs, encoded, codec):
        losses = (smoothing - 1) * true - smoothing * chances.mean(dim=1)
        total = total + (losses * weights).mean()
    return total


def _by_head(
    outputs: Tensor, encoded: Tensor, codec: TargetCodec
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of each block of classes: (B, c) log chances, (B,) that of the true class, (B,) what each row
    counts by its class; the mean over rows is not divided by their sum, so that it is the same
    however a step is cut."""
    k = outputs.shape[1]
    told = codec.class_weights
    weights = outputs.new_tensor(told) if told else outputs.new_ones(k)
    if encoded.dtype == torch.int64:
        chances = outputs.log_softmax(dim=1)
        yield chances, chances.gather(1, encoded)[:, 0], weights[encoded[:, 0]]
        return
    for own in codec.blocks(k):
        chances, flags = outputs[:, own].log_softmax(dim=1), encoded[:, own]
        yield chances, (chances * flags).sum(dim=1), (flags * weights[own]).sum(dim=1)


def _bce(outputs: Tensor, encoded: Tensor, codec: TargetCodec) -> Tensor:
    smoothing = codec.option("smoothing")
    if smoothing:
        encoded = encoded * (1 - smoothing) + smoothing / 2
    weights = outputs.new_tensor(codec.class_weights) if codec.class_weights else None
    return functional.binary_cross_entropy_with_logits(outputs, encoded, pos_weight=weights)


def _focal(outputs: Tensor, encoded: Tensor, codec: TargetCodec) -> Tensor:
    gamma = codec.option("gamma")
    if codec.link == "softmax":
        total = outputs.new_zeros(())
        for _, true, weights in _by_head(outputs, encoded, codec):
            losses = -((1 - true.exp()).clamp(min=0) ** gamma) * true
            total = total + (losses * weights).mean()
        return total
    losses = functional.binary_cross_entropy_with_logits(outputs, encoded, reduction="none")
    missed = (outputs.sigmoid() - encoded).abs()
    weights = outputs.new_tensor(codec.class_weights or [1.0])
    return ((1 + encoded * (weights - 1)) * missed**gamma * losses).mean()


def _asymmetric(outputs: Tensor, encoded: Tensor, codec: TargetCodec) -> Tensor:
    yes, no = functional.logsigmoid(outputs), outputs.sigmoid()
    no = (no - codec.option("clip")).clamp(min=0)
    of_yes = (1 - yes.exp()) ** codec.option("gamma_positive") * yes
    of_no = no ** codec.option("gamma_negative") * (1 - no).clamp(min=TINY).log()
    return -(encoded * of_yes + (1 - encoded) * of_no).mean()


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=0)


def _pearson(outputs: Tensor, encoded: Tensor, codec: TargetCodec) -> Tensor:
    x, y = _centred(outputs), _centred(encoded)
    both = (x.square().sum(dim=0) * y.square().sum(dim=0) + TINY).sqrt()
    return (1 - (x * y).sum(dim=0) / both).mean()


def _concordance(outputs: Tensor, encoded: Tensor, codec: TargetCodec) -> Tensor:
    x, y = _centred(outputs), _centred(encoded)
    apart = (outputs.mean(dim=0) - encoded.mean(dim=0)).square()
    spread = x.square().mean(dim=0) + y.square().mean(dim=0) + apart
    return (1 - 2 * (x * y).mean(dim=0) / (spread + TINY)).mean()


def _ranking(outputs: Tensor, encoded: Tensor, codec: TargetCodec) -> Tensor:
    higher = (encoded[:, None] > encoded[None]).float()
    wrong = functional.softplus(outputs[None] - outputs[:, None])
    return ((higher * wrong).sum(dim=(0, 1)) / higher.sum(dim=(0, 1)).clamp(min=1)).mean()


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
PEARSON = Loss(mean=_pearson, suits=("numbers",), batchwise=True, free=True)
"""1 minus Pearson's correlation of a step's rows, column by column."""
CONCORDANCE = Loss(mean=_concordance, suits=("numbers",), batchwise=True)
"""1 minus the concordance correlation, which wants height and spread as well (Lin, "A Concordance
Correlation Coefficient to Evaluate Reproducibility", 1989)."""
RANKING = Loss(mean=_ranking, suits=("numbers", "flags"), link=None, batchwise=True, free=True)
"""The logistic loss of every pair of a step's rows with unlike targets (RankNet: Burges et al.,
"Learning to Rank using Gradient Descent", 2005)."""
BCE = Loss(
    mean=_bce,
    suits=("numbers", "flags"),
    link="sigmoid",
    options={"smoothing": 0.0},
    weighs=True,
)
CROSS_ENTROPY = Loss(
    mean=_cross_entropy,
    suits=("classes", "blocks"),
    link="softmax",
    options={"smoothing": 0.0},
    weighs=True,
)
"""With smoothing (Szegedy et al., "Rethinking the Inception Architecture", 2016) so much of a row's
weight is shared by all classes; of flags, a 1 counts as 1 minus half of it. Of heads, the sum over
them."""
SOFT_CROSS_ENTROPY = Loss(
    mean=lambda outputs, encoded, codec: functional.cross_entropy(outputs, encoded),
    suits=("shares",),
    link="softmax",
)
"""Cross-entropy against a probability for each class."""
FOCAL = Loss(
    mean=_focal,
    suits=("flags", "classes", "blocks"),
    link=None,
    options={"gamma": 2.0},
    weighs=True,
)
"""Cross-entropy times the chance given to what is wrong to the power of gamma: easy rows count
little (Lin et al., "Focal Loss for Dense Object Detection", 2017)."""
ASYMMETRIC = Loss(
    mean=_asymmetric,
    suits=("flags",),
    link="sigmoid",
    options={"gamma_positive": 1.0, "gamma_negative": 4.0, "clip": 0.05},
)
"""Focal with a power for 1 and another for 0, whose chances below clip count as none (Ridnik et
al., "Asymmetric Loss for Multi-Label Classification", 2021)."""


def loss_named(name: str) -> Loss:
    """The loss that a recipe calls *name*."""
    loss: Loss = load(LOSSES[name])
    return loss


def link_of(losses: list[Loss], kind: TargetKind) -> Link:
    """The link of a sum of *losses* for targets of a *kind*: of probabilities, if one asks."""
    asked = {loss.link for loss in losses}
    return (
        next((link for link in ("sigmoid", "softmax", "identity") if link in asked), None)
        or (USUAL_LINK[kind])
    )


def counted(values: Tensor, counts: Tensor) -> Tensor:
    """(B, o) *values* whose gradient, row by row, is multiplied by *counts* (B, 1): then a row
    counts so much in any loss, whose own value stays as it is."""
    return values.detach() + counts * (values - values.detach())


def divergence(
    one: Tensor, other: Tensor, link: str, blocks: Sequence[slice] = (slice(None),)
) -> Tensor:
    """How far two outputs (B, o) of the same rows are apart, (): half the sum of both
    Kullback-Leibler divergences of their probabilities, of numbers the squared difference (Liang et
    al., "R-Drop: Regularized Dropout for Neural Networks", 2021)."""
    one, other = one.float(), other.float()
    if link == "identity":
        return functional.mse_loss(one, other)
    if link == "sigmoid":
        return 0.5 * ((one.sigmoid() - other.sigmoid()) * (one - other)).mean()
    total = one.new_zeros(())
    for own in blocks:
        p, q = one[:, own].log_softmax(dim=1), other[:, own].log_softmax(dim=1)
        total = total + 0.5 * ((p.exp() - q.exp()) * (p - q)).sum(dim=1).mean()
    return total
