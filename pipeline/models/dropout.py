"""Dropout on a CPU, with a quarter of a random number per value instead of a whole one.

torch draws a Bernoulli variable for every value; on a CPU that is a twelfth of a training step of
minilm. Here 64 random bits of the same generator decide on four values, 16 bits each: a value is
kept where its bits, read as a number, are not below the threshold. The chance of being dropped is
the one asked for to within 1 in 131,072. Everything else is as in torch (what is kept is divided by
the chance of being kept; the same seed, the same draws; nothing is dropped in evaluation).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

LEVELS = 2**16


def kept(count: int, chance: float) -> Tensor:
    """(count,) bool: which values are kept where each is dropped with *chance*."""
    draws = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    threshold = round(chance * LEVELS) - LEVELS // 2
    return draws.view(torch.int16)[:count] >= threshold


class Drop(torch.autograd.Function):
    """Values, mask and scale -> what is kept, scaled; the mask is all that is saved."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor, scale: float) -> Tensor:
        """(…) of the values' shape."""
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return (values * mask).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient goes where the values went."""
        (mask,) = ctx.saved_tensors
        return (gradients[0] * mask).mul_(ctx.scale), None, None


def drop(values: Tensor, chance: float, mask: Tensor | None = None) -> Tensor:
    """*values* with each dropped with *chance*, or where *mask*, of their shape, is false."""
    if mask is None:
        mask = kept(math.prod(values.shape), chance).view(values.shape)
    return Drop.apply(values, mask, 1.0 / (1.0 - chance))


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
