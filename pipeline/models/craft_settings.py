"""Settings of tricks that come in groups, and what is wrong with them (docs/craft.md)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.models.registry import LOSSES


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """Which part of a backbone is not trained, and for how long."""

    layers: int = 0
    """So many of the lowest layers, and the embeddings below them; 0 for the embeddings alone, all
    layers for the whole backbone."""
    epochs: int | None = None
    """For so many epochs from the first on; null for the whole training."""


@dataclass(frozen=True, kw_only=True)
class Awp:
    """Steps are taken for weights that are a little worse than those there are."""

    gamma: float = 0.005
    """Every matrix is moved by so much of its norm, along its gradient."""
    start: float = 0.0
    """The share of the steps that are taken as usual before."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Texts of training rows that belong together are brought together."""

    column: str
    """The column of the training rows that says so."""
    kind: Literal["supervised", "cosine"] = "supervised"
    """supervised: rows with the same text in the column are alike. cosine: the two texts of a pair
    are alike where it has the second of its two texts in order, such as 1 of 0 and 1."""
    weight: float = 0.1
    """What it counts beside the loss."""
    temperature: float = 0.1
    """Of supervised: cosines are divided by it."""
    margin: float = 0.0
    """Of cosine: texts that are not alike cost what their cosine exceeds it by."""


def freeze_problems(freeze: Freeze | None, epochs: int) -> Iterator[str]:
    """What is wrong with *freeze* for a training of so many *epochs*."""
    if freeze is None:
        return
    if freeze.layers < 0:
        yield f"freeze.layers is {freeze.layers}; it must be at least 0"
    if freeze.epochs is not None and not 1 <= freeze.epochs < epochs:
        yield (
            f"freeze.epochs is {freeze.epochs} of {epochs}; it must be at least 1 and below "
            "epochs, or null for the whole training"
        )


def loss_problems(loss: str | Mapping[str, float]) -> Iterator[str]:
    """What is wrong with the names and weights of a *loss*."""
    if isinstance(loss, str):
        return
    if not loss:
        yield "loss is empty; expected a name, or names with their weights"
    if strange := sorted(loss.keys() - LOSSES.keys()):
        yield f"loss names {', '.join(strange)}; there are: {', '.join(LOSSES)}"
    yield from weight_problems("loss", loss)


def weight_problems(name: str, weights: Mapping[str, float]) -> Iterator[str]:
    """Which of the *weights* of the setting *name* are none."""
    for key, weight in weights.items():
        if not 0 < weight < math.inf:
            yield f"{name}.{key} is {weight}; a weight must be above 0"


def class_weight_problems(weights: str | Sequence[float] | None) -> Iterator[str]:
    """What is wrong with class_weights."""
    given = [] if weights is None or isinstance(weights, str) else weights
    if not all(0 < weight < math.inf for weight in given):
        yield f"class_weights is {given}; each must be above 0"


def contrast_problems(contrast: Contrast | None, pairing: str) -> Iterator[str]:
    """What is wrong with *contrast* for texts that are read as *pairing* says."""
    if contrast is None:
        return
    if not (0 < contrast.weight < math.inf and 0 < contrast.temperature < math.inf):
        yield "contrast.weight and contrast.temperature must be above 0"
    if not -1 <= contrast.margin < 1:
        yield f"contrast.margin is {contrast.margin}; a cosine's is at least -1 and below 1"
    if contrast.kind == "cosine" and pairing != "siamese":
        yield "contrast cosine compares the two texts of a pair; set pairing: siamese"
    if contrast.kind == "supervised" and pairing == "siamese":
        yield "contrast supervised compares rows, and siamese has two vectors of each; set cosine"


def perturbation_problems(fgm: float, awp: Awp | None, freeze: Freeze | None) -> Iterator[str]:
    """What is wrong with *fgm* and *awp* beside each other and beside *freeze*."""
    if fgm and freeze is not None and freeze.epochs is None:
        yield "fgm moves the table of words along its gradient, and freeze leaves it without one"
    if awp is None:
        return
    if fgm:
        yield "fgm and awp are both set; a step takes one of them"
    if not 0 < awp.gamma < 1:
        yield f"awp.gamma is {awp.gamma}; it must be above 0 and below 1"
    if not 0 <= awp.start < 1:
        yield f"awp.start is {awp.start}; it must be a share: at least 0 and below 1"


def average_problems(average: Mapping[str, float], epochs: int) -> Iterator[str]:
    """What is wrong with *average* for a training of so many *epochs*."""
    if not average:
        return
    rules: dict[str, tuple[Callable[[float], bool], str]] = {
        "ema": (lambda value: 0 < value < 1, "above 0 and below 1"),
        "swa": (lambda value: 0 <= value < 1, "a share: at least 0 and below 1"),
        "soup": (
            lambda value: value in range(2, epochs + 1),
            f"a whole number from 2 to the {epochs} epochs",
        ),
    }
    if len(average) > 1 or average.keys() - rules.keys():
        yield f"average is {dict(average)}; expected one of {', '.join(rules)} with its number"
        return
    ((name, value),) = average.items()
    holds, rule = rules[name]
    if not holds(value):
        yield f"average.{name} is {value:g}; it must be {rule}"
