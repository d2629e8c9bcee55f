"""Tricks of training that a recipe may ask for beside its loss.

Re-initialised layers, adapters, frozen layers, steps on moved weights, means of weights. Each is
off unless a recipe sets it. What a trick does at a step is a function of the step's number, or its
state stands in the checkpoint: a training that is killed and goes on ends in the same bytes.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn

from pipeline.base import UsageError
from pipeline.models.kernels.backbone_facts import Pristine, word_table
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.heads import Network, drawn_from
from pipeline.models.transformer.optimiser import UsedWords, layer_depths, layers_of
from pipeline.models.transformer_settings import Freeze, Lora, TransformerRecipe


def check_layers(recipe: TransformerRecipe, backbone: nn.Module, kind: str) -> None:
    """Raise UsageError where *recipe* speaks of more layers than *backbone*, a *kind*, has."""
    there = len(layers_of(backbone))
    asked = {"reinit_layers": recipe.reinit_layers}
    if recipe.freeze is not None:
        asked["freeze.layers"] = recipe.freeze.layers
    problems = [
        f"{name} is {count}, and {kind} has {there} layers that are trained apart"
        for name, count in asked.items()
        if count > there
    ]
    if recipe.reinit_layers and recipe.freeze and recipe.freeze.epochs is None:
        both = recipe.freeze.layers + recipe.reinit_layers
        if both > there:
            problems.append(
                f"freeze.layers and reinit_layers are {both} together, and {kind} has {there} "
                "layers: some would keep the random weights they start from"
            )
    if problems:
        raise UsageError(f"{'; '.join(problems)}. Set fewer in {recipe.name}.")


def reinitialise(backbone: nn.Module, count: int, seed: int) -> None:
    """Draw the *count* highest layers of *backbone* anew, as its architecture draws them (Zhang et
    al., "Revisiting Few-sample BERT Fine-tuning", 2021); *seed* alone decides on them."""
    if not count:
        return
    with drawn_from(seed, "layers"), torch.no_grad():
        for layer in layers_of(backbone)[-count:]:
            for module in (part for each in layer.values() for part in each.modules()):
                for parameter in module.parameters(recurse=False):
                    parameter._is_hf_initialized = False  # type: ignore[attr-defined]
                backbone._init_weights(module)  # type: ignore[operator]


# Adapters in place of the backbone's own weights (Hu et al., "LoRA", 2022; Liu et al., "DoRA",
# 2024), by peft. They are put into the backbone itself, which stays what transformers made: all
# that is asked of it, packing and checkpoints among it, is asked as before.


ADAPTER = "foldstack"


def check_four_bits(recipe: TransformerRecipe, hardware: Hardware) -> None:
    """Raise UsageError where *recipe* wants a backbone in 4 bits that *hardware* cannot compute."""
    if recipe.lora is not None and recipe.lora.four_bit and hardware.accelerator != "cuda":
        raise UsageError(
            f"{recipe.name} sets lora.four_bit, which needs an NVIDIA GPU, and this machine "
            f"computes on {hardware}. Set lora.four_bit: false, or use another machine."
        )


def add_adapters(backbone: nn.Module, lora: Lora | None, kind: str) -> list[str] | None:
    """Put adapters into *backbone*, a *kind*, and let nothing else of it be trained.

    They start from nothing, adding zero; `draw_adapters` draws the rest for each training. Returns
    the names of their parameters, None without *lora*. Raises UsageError where the backbone has no
    layer of the names that are asked for.
    """
    if lora is None:
        return None
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # a factor, which peft calls an int
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        use_dora=lora.dora,
    )
    linear = [name for name, part in backbone.named_modules() if isinstance(part, nn.Linear)]
    try:
        with drawn_from(0, "adapters"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
            inject_adapter_in_model(config, backbone, adapter_name=ADAPTER)
    except ValueError as error:
        ends = ", ".join(sorted({name.rpartition(".")[2] for name in linear})) or "none"
        wanted = ", ".join(lora.targets) or "all"
        raise UsageError(
            f"lora cannot be put into {kind}: targets are {wanted}, its linear layers are called "
            f"{ends} ({str(error).splitlines()[0][:200]})"
        ) from error
    return [name for name, weight in backbone.named_parameters() if weight.requires_grad]


def draw_adapters(pristine: Pristine, seed: int) -> None:
    """Draw the adapters of a training anew, if there are any; *seed* alone decides on them."""
    if pristine.adapters is None:
        return
    from peft.tuners.lora import LoraLayer

    with drawn_from(seed, "adapters"):
        for layer in pristine.backbone.modules():
            if isinstance(layer, LoraLayer):
                layer.reset_lora_parameters(ADAPTER, init_lora_weights=True)


class Freezing:
    """Keeps low layers as they are for some steps: they have no gradient, so nothing is computed
    for them on the way back, and AdamW leaves them (ULMFiT's gradual unfreezing in one step: Howard
    and Ruder, 2018)."""

    def __init__(self, backbone: nn.Module, freeze: Freeze | None, steps: int, epochs: int) -> None:
        """For *steps* in *epochs*."""
        self.backbone, self.freeze = backbone, freeze
        per_epoch = steps // epochs
        self.until = 0
        """The first step that trains everything."""
        if freeze is not None:
            self.until = steps if freeze.epochs is None else freeze.epochs * per_epoch
        self.frozen = False

    def before(self, step: int) -> None:
        """Step number *step* is about to be taken."""
        if (step < self.until) != self.frozen:
            self._set(step < self.until)

    def _set(self, frozen: bool) -> None:
        assert self.freeze is not None
        depths = layer_depths(self.backbone)
        for name, parameter in self.backbone.named_parameters():
            if depths[name] <= self.freeze.layers:
                parameter.requires_grad_(not frozen)
        self.frozen = frozen


class Perturbation:
    """A step that learns from its rows with weights moved to where the loss is higher.

    fgm: the table of words is moved by a number along its gradient, as a whole, and the gradient
    there is added (Miyato et al., "Adversarial Training Methods for Semi-Supervised Text
    Classification", 2017, who move each text's vectors). awp: every matrix is moved by a share of
    its norm, and the gradient there takes the place of the first (Wu et al., "Adversarial Weight
    Perturbation Helps Robust Generalization", 2020). The gradient is the whole step's, however it
    is cut; dropout draws the same both times; the weights come back bit for bit.
    """

    def __init__(self, network: Network, recipe: TransformerRecipe, steps: int) -> None:
        """For a training of *steps*."""
        self.network, self.fgm, self.awp = network, recipe.fgm, recipe.awp
        self.start = 0 if recipe.awp is None else round(recipe.awp.start * steps)

    def due(self, step: int) -> bool:
        """Whether step number *step* is taken so."""
        return bool(self.fgm) or (self.awp is not None and step >= self.start)

    @contextmanager
    def moved(self) -> Iterator[bool]:
        """Within, the weights are moved along the gradient that they have; whether any is."""
        places = [weight for weight in self._weights() if weight.grad is not None]
        before = [weight.detach().clone() for weight in places]
        try:
            with torch.no_grad():
                for weight in places:
                    assert weight.grad is not None
                    size = self.fgm if self.awp is None else self.awp.gamma * weight.norm()
                    weight.add_(size * weight.grad / weight.grad.norm().clamp(min=1e-12))
            if self.awp is not None:
                for each in self.network.parameters():
                    each.grad = None
            yield bool(places)
        finally:
            with torch.no_grad():
                for weight, value in zip(places, before, strict=True):
                    weight.copy_(value)

    def _weights(self) -> Iterator[nn.Parameter]:
        if self.awp is not None:
            yield from (weight for weight in self.network.parameters() if weight.ndim >= 2)
        elif (table := word_table(self.network.backbone)) is not None:
            yield table.weight


class Averaging:
    """The mean of the weights of several steps, which takes their place after the last.

    ema: a moving mean, whose decay grows with the steps up to the one asked for, (1 + n) / (10 + n)
    after n of them (Polyak and Juditsky, 1992). swa: the plain mean of all steps from a share of
    them on (Izmailov et al., "Averaging Weights Leads to Wider Optima", 2018). soup: of the ends of
    the last epochs (as Wortsman et al., "Model soups", 2022, do of whole trainings). The mean is
    kept by torch.optim.swa_utils.AveragedModel.
    """

    def __init__(
        self, network: Network, average: Mapping[str, float], steps: int, epochs: int
    ) -> None:
        """For *steps* in *epochs*; an empty *average* keeps nothing."""
        self.network, self.steps = network, steps
        self.kind, self.number = next(iter(average.items()), ("", 0.0))
        self.per_epoch, self.epochs = max(1, steps // epochs), epochs
        self.mean: AveragedModel | None = None

    def after(self, step: int) -> None:
        """Step number *step* was taken."""
        if not self._counts(step):
            return
        now = Values(self.network)
        if self.mean is None:
            self.mean = self._of(now)
        self.mean.update_parameters(now)

    def _counts(self, step: int) -> bool:
        if self.kind == "swa":
            return step >= int(self.number * self.steps)
        if self.kind == "soup":
            ended, rest = divmod(step + 1, self.per_epoch)
            return not rest and ended > self.epochs - self.number
        return self.kind == "ema"

    def _of(self, values: "Values") -> AveragedModel:
        way = self._ema if self.kind == "ema" else get_swa_multi_avg_fn()
        return AveragedModel(values, multi_avg_fn=way)

    @torch.no_grad()
    def _ema(self, means: Any, values: Any, taken: Any) -> None:
        n = int(taken)
        decay = min(self.number, (1 + n) / (10 + n))
        for mean, value in zip(means, values, strict=True):
            mean.lerp_(value, 1 - decay)

    def finish(self) -> None:
        """Put the mean in the place of the weights."""
        if self.mean is not None:
            Values(self.network).take(list(self.mean.module.parameters()))

    def state(self) -> dict[str, Any]:
        """For a checkpoint; empty where nothing is kept."""
        if self.mean is None:
            return {}
        values = [value.detach() for value in self.mean.module.parameters()]
        return {"average": {"count": int(self.mean.n_averaged), "values": values}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.mean = None
        if found := state.get("average"):
            self.mean = self._of(Values(self.network))
            for mean, value in zip(self.mean.module.parameters(), found["values"], strict=True):
                mean.data.copy_(value)
            self.mean.n_averaged.fill_(found["count"])


class Values(nn.Module):
    """The numbers of a network that a step changes, in the network's own memory: its weights, and
    what weight decay has left of words that are not trained."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        words = [part for part in network.modules() if isinstance(part, UsedWords)]
        self.words = (words,)  # in a tuple, as they are no part of this module
        named = network.named_parameters()
        self.weights = ([weight for name, weight in named if network.owns(name)],)
        self.values = nn.ParameterList(
            nn.Parameter(value, requires_grad=False)
            for value in (*(weight.detach() for weight in self.weights[0]), *self._decayed())
        )

    def _decayed(self) -> Iterator[Tensor]:
        for each in self.words[0]:
            yield torch.tensor(each.decayed, dtype=torch.float64)

    @torch.no_grad()
    def take(self, values: list[nn.Parameter]) -> None:
        """Give the network these *values*."""
        weights, words = self.weights[0], self.words[0]
        for weight, value in zip(weights, values[: len(weights)], strict=True):
            weight.copy_(value)
        for each, value in zip(words, values[len(weights) :], strict=True):
            each.decayed = float(value)
