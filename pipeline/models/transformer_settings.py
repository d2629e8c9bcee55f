"""The settings of a transformer, and of tricks that come in groups, with what may be wrong with
them (docs/craft.md)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pipeline.base import UsageError, raise_if
from pipeline.data.tokens.tokenizer import Pairing
from pipeline.models.registry import HEADS, LOSSES, POOLINGS, SCHEDULES
from pipeline.models.settings import (
    PrecisionName,
    RowStep,
    TextTransform,
    backbone_problems,
    digest_problems,
    row_problems,
    rule_problems,
)
from pipeline.models.teaching.settings import Taught

if TYPE_CHECKING:
    Pooling: TypeAlias = str
    HeadName: TypeAlias = str
    Schedule: TypeAlias = str
    Loss: TypeAlias = str
else:  # the parser refuses a name that is in no registry
    Pooling = Literal[*POOLINGS]
    HeadName = Literal[*HEADS]
    Schedule = Literal[*SCHEDULES]
    Loss = Literal["auto", *LOSSES]

LEAST = {
    "max_length": 4,
    "epochs": 1,
    "batch_size": 1,
    "micro_batch_size": 1,
    "micro_tokens": 1,
    "length_groups": 1,
    "predict_batch_size": 1,
    "reinit_layers": 0,
}
"""Smallest value of each count. Four tokens: a pair of one token each would need five, but a
single short text fits."""


PLAIN_POOLINGS = ("mean", "cls", "last", "max")
"""Those that learn nothing, read the last layer alone and wait for nothing."""


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
class Lora:
    """Low-rank adapters are trained in place of the backbone's own weights."""

    rank: int = 16
    """Numbers between the two matrices of an adapter."""
    alpha: float = 32.0
    """What an adapter adds is multiplied by alpha / rank."""
    dropout: float = 0.05
    """Of what an adapter reads, in [0, 1)."""
    targets: list[str] = field(default_factory=list)
    """Ends of the names of the layers that get one, such as q_proj; empty for all linear layers."""
    dora: bool = False
    """Learn the size of a layer's weights beside their direction."""
    four_bit: bool = False
    """Hold the backbone in 4 bits a weight: needs an NVIDIA GPU and bitsandbytes."""


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


@dataclass(frozen=True, kw_only=True)
class TransformerRecipe(Taught):
    """A pretrained backbone, fine-tuned with a head of our own."""

    name: str
    """The recipe's name; names the run."""
    learner: Literal["transformer"] = "transformer"
    """Which kind of learner reads this file."""
    backbone: str
    """A Hugging Face id, a local folder, or package:NAME for weights in an installed package."""
    revision: str | None = None
    """Branch, tag or commit of a Hugging Face id."""
    sha256: str | None = None
    """Expected SHA-256 of model.safetensors; checked before loading where given."""
    pairing: Pairing = "cross"
    """Pairs as one input (cross-encoder), or each text alone, joined as u, v, |u-v|, u*v."""
    pooling: Pooling = "mean"
    """Token states to one vector."""
    head: HeadName = "linear"
    """What makes outputs from the vectors of a row's texts."""
    subwords: Literal["first", "mean"] = "first"
    """Of tags: what a unit of several tokens is read off, its first token or the mean of all."""
    max_length: int = 128
    """Tokens per input, special tokens included; longer ones are truncated and counted."""
    epochs: int = 3
    """Passes over the training part; fixed in advance, the last one counts."""
    batch_size: int = 32
    """Rows per optimiser step, gradient accumulation included."""
    micro_batch_size: int | None = None
    """Most rows run through the model at once (gradient accumulation); null for no limit."""
    micro_tokens: int = 16_384
    """Most tokens run through the model at once, a group's padding included: bounds the memory."""
    packing: bool = True
    """Run the texts of a step as one row without padding where the backbone allows it; else, and
    where this is false, they are cut into groups of like length."""
    length_groups: int | None = None
    """Into how many such groups; null for the fewest that leave a twentieth of padding."""
    fgm: float = 0.0
    """A step learns from its rows a second time, with the table of words moved so far (its norm)
    along its gradient. 0 for once."""
    awp: Awp | None = None
    """Adversarial weight perturbation, such as {gamma: 0.005, start: 0.3}."""
    average: dict[str, float] = field(default_factory=dict)
    """What is predicted with is a mean of the weights of several steps; one of: {ema: 0.999}, a
    moving mean with that decay; {swa: 0.75}, of all steps after that share of them; {soup: 2}, of
    the ends of so many last epochs."""
    reinit_layers: int = 0
    """So many of the highest layers start from random weights instead of the pretrained ones."""
    lora: Lora | None = None
    """Adapters, such as {rank: 16, alpha: 32}: they, the head and the pooling are all that is
    trained and saved, and learning_rate is theirs. null for the whole backbone."""
    freeze: Freeze | None = None
    """Lower layers that are not trained at first, such as {layers: 6, epochs: 1}."""
    cuda_graphs: bool = False
    """On a GPU, record forward and backward once per batch shape and replay them for all steps and
    folds: thousands of launches become one. Needs packing; not measured yet."""
    learning_rate: float = 2e-5
    """Peak rate of the backbone's last layer."""
    head_learning_rate: float | None = None
    """Peak rate of the head; null for the backbone's."""
    layer_decay: float = 1.0
    """Factor on the rate from each layer to the one below, in (0, 1]."""
    weight_decay: float = 0.01
    """AdamW decay of matrices; biases and norms get none."""
    warmup_fraction: float = 0.1
    """Share of the optimiser steps spent warming up, in [0, 1)."""
    schedule: Schedule = "linear"
    """How the rate falls after the warm-up."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 for never."""
    head_dropout: float = 0.1
    """Dropout before the head, in [0, 1)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    precision: PrecisionName = "auto"
    """Arithmetic of the forward pass; auto is bf16 where it is real, else fp16 on a GPU."""
    loss: Loss | dict[str, float] = "auto"
    """auto: mse for numbers, cross-entropy for classes. bce on numbers treats the label, scaled to
    its range, as a probability. Several with their weights: {mse: 0.7, pearson: 0.3}."""
    loss_options: dict[str, float] = field(default_factory=dict)
    """What the loss lets be set: smoothing (cross-entropy, bce), gamma (focal), gamma_positive,
    gamma_negative and clip (asymmetric)."""
    class_weights: Literal["balanced"] | list[float] | None = None
    """What a row of each class, or a 1 of each label, counts in the loss: balanced by the training
    part, or a number for each output; null for all alike."""
    auxiliary: dict[str, float] = field(default_factory=dict)
    """Further columns of the training rows that are learned beside the target, each with what it
    counts, such as {binary-label: 0.2}; they are never predicted and never scored."""
    contrast: Contrast | None = None
    """A contrast on a further column, such as {column: binary-label, kind: cosine}."""
    r_drop: float = 0.0
    """Every row goes through the network twice; what the two outputs, which dropout makes differ,
    are apart counts so much. 0 for once."""
    predict_batch_size: int = 64
    """Rows per forward pass when predicting."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text first, in this order, such as [nfkc, lower];
    configs/models/README.md."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    rows: list[RowStep] = field(default_factory=list)
    """What is made of the training rows inside a fold, in this order, such as [swap, {both-equal:
    {share: 0.1}}]; docs/craft.md."""
    tta: list[RowStep] = field(default_factory=list)
    """Other wordings of a row that are predicted too, such as [swap]: the mean is the answer."""
    prefix: str = ""
    """Put in front of every text, such as "query: ", where a backbone was trained so."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = rule_problems(self._rules())
        problems += backbone_problems(self.backbone)
        problems += freeze_problems(self.freeze, self.epochs)
        problems += lora_problems(self)
        problems += loss_problems(self.loss)
        problems += weight_problems("auxiliary", self.auxiliary)
        problems += class_weight_problems(self.class_weights)
        problems += contrast_problems(self.contrast, self.pairing)
        problems += perturbation_problems(self.fgm, self.awp, self.freeze)
        problems += average_problems(self.average, self.epochs)
        problems += [*row_problems(self.rows), *row_problems(self.tta, "tta")]
        if self.head == "multi-sample" and not self.head_dropout:
            problems.append(
                "head multi-sample lives from dropout, and head_dropout is 0; set it, such as 0.2"
            )
        problems += [*digest_problems(self.sha256), *self.teaching_problems()]
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def _rules(self) -> Iterator[tuple[str, float, bool, str]]:
        """Each number with whether it holds and what it must be."""
        for name, least in LEAST.items():
            value = getattr(self, name)
            yield name, value, value is None or value >= least, f"at least {least}"
        for name in ("learning_rate", "head_learning_rate"):
            value = getattr(self, name)
            yield name, value, value is None or 0 < value < math.inf, "above 0"
        for name in ("weight_decay", "max_gradient_norm", "r_drop", "fgm"):
            value = getattr(self, name)
            yield name, value, 0 <= value < math.inf, "0 or above"
        for name in ("warmup_fraction", "head_dropout"):
            value = getattr(self, name)
            yield name, value, 0 <= value < 1, "a share: at least 0 and below 1"
        decay = self.layer_decay
        yield "layer_decay", decay, 0 < decay <= 1, "above 0, at most 1"

    @property
    def learns_paths(self) -> bool:
        """Whether the tags of a text are learned together, as a path."""
        return self.head == "crf"

    @property
    def more_than_plain(self) -> list[str]:
        """Settings that ask for more in a step than one loss of one output of each row."""
        asked: dict[str, Any] = {
            "pooling": self.pooling not in PLAIN_POOLINGS,
            "head": self.head == "multi-sample",
            "loss": not isinstance(self.loss, str),
            "auxiliary": self.auxiliary,
            "contrast": self.contrast,
            "r_drop": self.r_drop,
            "freeze": self.freeze,
            "lora": self.lora,
            "fgm": self.fgm,
            "awp": self.awp,
            **self.teaching,
            "rows": any("weight" in each for each in self.rows),
        }
        return [name for name, value in asked.items() if value]

    def in_words(self, precision: str) -> str:
        """Its backbone, precision, batch, epochs and rate."""
        most = self.micro_batch_size
        at_once = "" if most is None else f", at most {most} at once"
        return (
            f"{self.backbone} ({self.pairing}), precision {precision}, effective batch "
            f"{self.batch_size} rows{at_once}, epochs {self.epochs}, rate {self.learning_rate:g}"
        )


# What is wrong with settings that belong together.


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


def lora_problems(recipe: TransformerRecipe) -> Iterator[str]:
    """What is wrong with the adapters of *recipe*, beside its other settings too."""
    lora = recipe.lora
    if lora is None:
        return
    if lora.rank < 1:
        yield f"lora.rank is {lora.rank}; it must be at least 1"
    if not 0 < lora.alpha < math.inf:
        yield f"lora.alpha is {lora.alpha}; it must be above 0"
    if not 0 <= lora.dropout < 1:
        yield f"lora.dropout is {lora.dropout}; it must be a share: at least 0 and below 1"
    for name in ("freeze", "fgm", "reinit_layers"):
        if getattr(recipe, name):
            yield f"lora leaves the backbone's own weights as they are, and {name} is about them"


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
