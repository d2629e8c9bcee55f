"""Dropout on a CPU, with a quarter of a random number per value instead of a whole one.

torch draws a Bernoulli variable for every value; on a CPU that is a twelfth of a training step of
minilm. Here 64 random bits of the same generator decide on four values, 16 bits each: a value is
kept where its bits, read as a number, are not below the threshold. The chance of being dropped is
the one asked for to within 1 in 131,072. Everything else is as in torch (what is kept is divided by
the chance of being kept; the same seed, the same draws; nothing is dropped in evaluation).

What a value is multiplied with is kept as a number, not as a truth: a product of two kinds of
numbers takes forty times as long on a CPU.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

LEVELS = 2**16


def factors(shapes: Sequence[Sequence[int]], chance: float) -> list[Tensor]:
    """float32 tensors of *shapes*, one draw for all: 0 with *chance*, else 1 / (1 - chance)."""
    sizes = [math.prod(shape) for shape in shapes]
    count = sum(sizes)
    draws = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = torch.empty(count)
    threshold = round(chance * LEVELS) - LEVELS // 2
    torch.ge(draws.view(torch.int16)[:count], threshold, out=kept)
    parts = kept.mul_(1.0 / (1.0 - chance)).split(sizes)
    return [part.view(*shape) for part, shape in zip(parts, shapes, strict=True)]


class Drop(torch.autograd.Function):
    """Values times factors, which are all that is saved."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: Tensor) -> Tensor:
        """(…) of the values' shape."""
        ctx.save_for_backward(factor)
        return values * factor

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient goes where the values went."""
        (factor,) = ctx.saved_tensors
        return gradients[0] * factor, None


def drop(values: Tensor, chance: float) -> Tensor:
    """*values*, each of them dropped with *chance*."""
    (factor,) = factors([values.shape], chance)
    dropped: Tensor = Drop.apply(values, factor.to(values.dtype))
    return dropped


class Dropout(nn.Dropout):
    """torch's module, drawn the cheap way."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """(…) of the input's shape."""
        if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        return drop(input, self.p)


def use_cheap_dropout(module: nn.Module) -> int:
    """Exchange every plain dropout inside *module*; how many there were. For training on a CPU."""
    found = 0
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
                found += 1
    return found
