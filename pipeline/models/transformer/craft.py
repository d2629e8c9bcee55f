"""Tricks of training that a recipe may ask for beside its loss.

Re-initialised layers, frozen layers. Each is off unless a recipe sets it. What a trick does at a
step is a function of the step's number, or its state stands in the checkpoint: a training that is
killed and goes on ends in the same bytes.
"""

import torch
from torch import nn

from pipeline.base import UsageError
from pipeline.models.settings import Freeze, TransformerRecipe
from pipeline.models.transformer.heads import drawn_from
from pipeline.models.transformer.optimiser import layer_depths, layers_of


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
