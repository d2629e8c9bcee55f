"""AdamW with its parameter groups, and how the learning rate moves from step to step.

The learning rate has no state: it is a function of the step's number, set before the step.
"""

import math
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from pipeline.base.doors import load
from pipeline.models.kernels.backbone_facts import word_table
from pipeline.models.kernels.vocabulary import follow
from pipeline.models.registry import SCHEDULES
from pipeline.models.settings import TransformerRecipe


def parameter_groups(
    backbone: nn.Module,
    head: nn.Module,
    recipe: TransformerRecipe,
    pooling: nn.Module | None = None,
) -> list[dict[str, Any]]:
    """Groups for AdamW: one per learning rate and decay; each holds the `names` of its `params`.

    Matrices decay, embeddings included; biases and norm parameters, which have one dimension, do
    not. With recipe.layer_decay below 1 the rate falls by that factor from each layer to the one
    below, the embeddings lowest. What *pooling* learns has the head's rate.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter, rate in _with_rates(backbone, head, recipe, pooling):
        decay = recipe.weight_decay if parameter.ndim >= 2 else 0.0
        group = groups.setdefault(
            (rate, decay), {"params": [], "names": [], "lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def _with_rates(
    backbone: nn.Module, head: nn.Module, recipe: TransformerRecipe, pooling: nn.Module | None
) -> Iterator[tuple[str, nn.Parameter, float]]:
    named = [(name, value) for name, value in backbone.named_parameters() if value.requires_grad]
    depths = layer_depths(backbone)
    highest = max(depths[name] for name, _ in named) if named else 0
    for name, parameter in named:
        below_top = highest - depths[name]
        yield f"backbone.{name}", parameter, recipe.learning_rate * recipe.layer_decay**below_top
    for part, module in {"head": head, "pooling": pooling}.items():
        for name, parameter in () if module is None else module.named_parameters():
            yield f"{part}.{name}", parameter, recipe.head_learning_rate or recipe.learning_rate


def layer_depths(backbone: nn.Module) -> dict[str, int]:
    """How high each parameter of *backbone* stands: embeddings 0, layer i at i + 1.

    As the modules say, whatever their names: layers are the entries of the outermost list that
    holds most numbers (and of lists beside it as long, where an architecture keeps the parts of a
    layer in several); embeddings are the table of words, what stands beside it apart from the
    layers, and the product that brings its vectors to the layers' size. What belongs to neither
    (relative positions, a last norm, a pooler) stands as high as the last layer.
    """
    names = [name for name, _ in backbone.named_parameters()]
    layers = layers_of(backbone)
    found = dict.fromkeys(names, len(layers) or 1)
    for name in _embeddings(backbone, [next(iter(layer.values())) for layer in layers]):
        found |= {each: 0 for each in names if each == name or each.startswith(f"{name}.")}
    for depth, layer in enumerate(layers, 1):
        for prefix in layer:
            found |= {name: depth for name in names if name.startswith(f"{prefix}.")}
    return found


def layers_of(backbone: nn.Module) -> list[dict[str, nn.Module]]:
    """The layers of *backbone* from the lowest to the highest, each the modules it is kept in by
    name, the largest first; none where it has no list of modules."""
    lists = _outermost_lists(backbone)
    main = max(lists, key=lambda name: _size(lists[name]), default=None)
    if main is None:
        return []
    alike = [lists[main], *(each for name, each in lists.items() if name != main)]
    parts = [list(each.items()) for each in alike if len(each) == len(lists[main])]
    return [dict(layer) for layer in zip(*parts, strict=True)]


def _outermost_lists(backbone: nn.Module) -> dict[str, dict[str, nn.Module]]:
    """The entries by name of each list of modules that lies in no other; a list of lists (Funnel's
    blocks of layers) counts as one."""
    lists: dict[str, dict[str, nn.Module]] = {}
    for name, module in backbone.named_modules():
        inside = any(name.startswith(f"{other}.") for other in lists)
        if isinstance(module, nn.ModuleList) and len(module) and not inside:
            lists[name] = _flat(name, module)
    return lists


def _flat(name: str, modules: nn.ModuleList) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {}
    for place, entry in enumerate(modules):
        path = f"{name}.{place}"
        found |= _flat(path, entry) if isinstance(entry, nn.ModuleList) else {path: entry}
    return found


def _size(entries: dict[str, nn.Module]) -> int:
    return sum(weight.numel() for entry in entries.values() for weight in entry.parameters())


def _embeddings(backbone: nn.Module, layers: list[nn.Module]) -> Iterator[str]:
    """The names of modules that stand below all *layers*."""
    table, parts = word_table(backbone), dict(backbone.named_modules())
    path = next((name for name, module in parts.items() if module is table), None)
    if table is None or path is None:
        return
    yield path
    owner = path.rpartition(".")[0]
    inside = set(parts[owner].modules())
    if not any(layer in inside for layer in layers):
        yield owner
        yield from _widening(parts, int(table.weight.shape[1]), layers)
        return
    beside = f"{owner}." if owner else ""
    for name, module in parts[owner].named_children():
        if isinstance(module, nn.Embedding):  # of positions, of languages
            yield f"{beside}{name}"
    yield from _widening(parts, int(table.weight.shape[1]), layers)


def _widening(parts: dict[str, nn.Module], size: int, layers: list[nn.Module]) -> Iterator[str]:
    """Products outside of *layers* that take a word's *size* numbers to another size."""
    of_layers = {part for layer in layers for part in layer.modules()}
    for name, module in parts.items():
        plain = isinstance(module, nn.Linear) and module not in of_layers
        if plain and module.in_features == size != module.out_features:
            yield name


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


def make_optimizer(
    backbone: nn.Module,
    head: nn.Module,
    recipe: TransformerRecipe,
    pooling: nn.Module | None = None,
) -> AdamW:
    """The optimiser; each group's "peak" is the rate that `set_rates` takes its share of.

    The fused kernel updates all parameters at once, six times faster than the loop on a CPU too.
    """
    groups = parameter_groups(backbone, head, recipe, pooling)
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
