"""AdamW with its parameter groups, how the learning rate moves, and which words are trained.

The learning rate has no state: it is a function of the step's number, set before the step.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer

from pipeline.base.doors import load
from pipeline.models.kernels.backbone_facts import word_table
from pipeline.models.registry import SCHEDULES
from pipeline.models.transformer_settings import TransformerRecipe


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


# Only the words that a training's texts hold are trained; the others cannot learn anything.
#
# A backbone knows 30,000 to 250,000 words and a competition uses a few thousand of them. The rest
# of the table has no gradient, yet AdamW would visit all its rows, and two moments for each, in
# every step: half of the weights of MiniLM, two thirds of XLM-R's. What AdamW does to a row without
# a gradient is known beforehand: weight decay alone, one factor for all of them, which is kept as a
# single number. So the result is that of training the whole table, but for the last digits.
#
# The word table is exchanged while it is trained, not cut when the backbone is loaded: each fold
# has words of its own, and what is saved is always the whole table.
#
# Notation: V words of H numbers, U of them used.


class UsedWords(nn.Module):
    """Stands in for an embedding while it is trained."""

    table: Tensor
    """(V, H) the whole, as it was before."""
    used: Tensor
    places: Tensor
    """(V,) int64: where each word stands among the used ones; -1 for the others."""

    def __init__(self, whole: nn.Embedding, used: Tensor) -> None:
        """*used* (U,) int64: the words that training texts hold; other words can be read too."""
        super().__init__()
        table = whole.weight.detach()
        used = used.to(table.device)
        places = torch.full((len(table),), -1, device=table.device)
        places[used] = torch.arange(len(used), device=table.device)
        for name, values in {"table": table, "used": used, "places": places}.items():
            self.register_buffer(name, values, persistent=False)
        self.weight = nn.Parameter(table[used])
        self.whole = (whole,)  # in a tuple, as it is no part of what is trained and saved
        padding = -1 if whole.padding_idx is None else int(places[whole.padding_idx])
        self.padding_idx = None if padding < 0 else padding
        self.decayed = 1.0
        """What weight decay has left of the other words by now."""

    def forward(self, ids: Tensor) -> Tensor:
        """(…) words -> (…, H)."""
        places = self.places[ids]
        if self.training:
            return functional.embedding(places, self.weight, self.padding_idx)
        known = functional.embedding(places.clamp(min=0), self.weight)
        others = functional.embedding(ids, self.table) * self.decayed
        return torch.where((places >= 0)[..., None], known, others)

    def decay(self, optimizer: Optimizer, *_: Any) -> None:
        """To be called after each of the *optimizer*'s steps."""
        if self.weight.grad is None:  # AdamW leaves what has no gradient: frozen embeddings
            return
        for group in optimizer.param_groups:
            if any(parameter is self.weight for parameter in group["params"]):
                self.decayed *= 1.0 - group["lr"] * group["weight_decay"]

    def put_back(self) -> nn.Embedding:
        """The whole embedding, as its training left it."""
        (whole,) = self.whole
        self.table.mul_(self.decayed)
        self.table[self.used] = self.weight.detach()
        whole.weight.data = self.table
        return whole

    def get_extra_state(self) -> Tensor:
        """() for a checkpoint, beside the weight."""
        return torch.tensor(self.decayed, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from there."""
        self.decayed = float(state)


@contextmanager
def only_used(backbone: nn.Module, used: Tensor) -> Iterator[int]:
    """Have *backbone* train the words *used* (U,) alone; gives how many words are trained.

    A backbone whose words are no plain table of its own is trained as it is; that gives 0.
    """
    owner: Any = backbone
    whole = _words_of(owner)
    if whole is None:
        yield 0
        return
    words = UsedWords(whole, used).train(whole.training)
    owner.set_input_embeddings(words)
    try:
        yield len(used)
    finally:
        owner.set_input_embeddings(words.put_back())


def _words_of(backbone: Any) -> nn.Embedding | None:
    """The backbone's table, if it is torch's own without extras and nothing else uses it."""
    try:
        table = backbone.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    if type(table) is not nn.Embedding or table.max_norm or table.scale_grad_by_freq:
        return None
    if not table.weight.requires_grad:  # adapters are trained, not words
        return None
    named = backbone.named_parameters(remove_duplicate=False)
    uses = sum(weight is table.weight for _, weight in named)
    return table if uses == 1 and not table.sparse else None


def follow(backbone: nn.Module, optimizer: Optimizer) -> None:
    """Have the words that are not trained follow the *optimizer*'s weight decay."""
    for module in backbone.modules():
        if isinstance(module, UsedWords):
            optimizer.register_step_post_hook(module.decay)
