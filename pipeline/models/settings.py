"""The settings of one model: what a recipe holds.

Each field is a key of configs/models/NAME.yaml and can be changed on the command line
(`--set KEY=VALUE`). A recipe is frozen and checked whole when it is made.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import Field, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from pipeline.base import UsageError, raise_if
from pipeline.data.tokens.tokenizer import Pairing
from pipeline.models.craft_settings import (
    Awp,
    Contrast,
    Freeze,
    average_problems,
    class_weight_problems,
    contrast_problems,
    freeze_problems,
    loss_problems,
    perturbation_problems,
    weight_problems,
)
from pipeline.models.registry import HEADS, LOSSES, POOLINGS, SCHEDULES, TEXT_TRANSFORMS

PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]

if TYPE_CHECKING:
    Pooling: TypeAlias = str
    HeadName: TypeAlias = str
    Schedule: TypeAlias = str
    Loss: TypeAlias = str
    TextTransform: TypeAlias = str
else:  # the parser refuses a name that is in no registry
    Pooling = Literal[*POOLINGS]
    HeadName = Literal[*HEADS]
    Schedule = Literal[*SCHEDULES]
    Loss = Literal["auto", *LOSSES]
    TextTransform = Literal[*TEXT_TRANSFORMS]

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


class Recipe(Protocol):
    """What every recipe holds; each kind of learner has a frozen dataclass of its own."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str:
        """Names the run."""

    @property
    def learner(self) -> str:
        """Which kind of learner reads it: a name of `pipeline.models.registry.LEARNERS`."""

    @property
    def clean(self) -> list[TextTransform]:
        """What is done to every text before the learner sees it, in this order."""

    @property
    def template(self) -> list[str]:
        """What the learner reads of a row; empty: what the competition's config says."""

    @property
    def source(self) -> str:
        """Where the settings come from."""

    def in_words(self, precision: str) -> str:
        """The learner and its batch, for people; *precision* is that of its arithmetic."""


@dataclass(frozen=True, kw_only=True)
class LinearRecipe:
    """Character and word n-grams with ridge (numbers) or logistic regression (classes)."""

    name: str = "linear"
    """The recipe's name; names the run."""
    learner: Literal["linear"] = "linear"
    """Which kind of learner reads this file."""
    char_ngrams: tuple[int, int] = (1, 4)
    """Shortest and longest character n-gram."""
    word_ngrams: tuple[int, int] = (1, 2)
    """Shortest and longest word n-gram."""
    buckets: int = 2**18
    """Hash buckets per n-gram family."""
    strengths: list[float] | None = None
    """Regularisation strengths tried inside the training part; null for a standard grid."""
    class_fit: Literal["auto", "squares", "logistic"] = "auto"
    """How one of several classes is fitted: least squares or logistic regression of each class
    against the rest; auto takes the way under which held-out rows of the training part are
    likelier. With squares, yes or no has the strengths of the first release too."""
    pair_order: Literal["auto", "symmetric", "ordered"] = "auto"
    """Whether (a, b) and (b, a) get the same answer: symmetric always; auto unless an ordered fit
    plainly predicts held-out rows of the training part better (a loss lower by a twentieth)."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text first, in this order: nfkc, collapse-spaces, lower."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = []
        for name, (shortest, longest) in {
            "char_ngrams": self.char_ngrams,
            "word_ngrams": self.word_ngrams,
        }.items():
            if not 1 <= shortest <= longest:
                problems.append(
                    f"{name} is [{shortest}, {longest}]; expected the shortest length (at "
                    "least 1), then the longest"
                )
        if self.buckets < 1:
            problems.append(f"buckets is {self.buckets}; it must be at least 1")
        if self.strengths is not None and not (
            self.strengths and all(0 < strength < math.inf for strength in self.strengths)
        ):
            problems.append(f"strengths is {self.strengths}; expected numbers above 0, or null")
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def in_words(self, precision: str) -> str:
        """Its n-grams and precision."""
        (a, b), (c, d) = self.char_ngrams, self.word_ngrams
        return (
            f"n-grams of {a} to {b} characters and {c} to {d} words, precision {precision}, "
            "all rows at once"
        )


@dataclass(frozen=True, kw_only=True)
class TransformerRecipe:
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
    """What is done to every text first, in this order: nfkc, collapse-spaces, lower."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; it must be {rule}"
            for name, value, holds, rule in self._rules()
            if not holds
        ]
        if not self.backbone.strip():
            problems.append("backbone is empty; name a Hugging Face id, a folder or package:NAME")
        problems += freeze_problems(self.freeze, self.epochs)
        problems += loss_problems(self.loss)
        problems += weight_problems("auxiliary", self.auxiliary)
        problems += class_weight_problems(self.class_weights)
        problems += contrast_problems(self.contrast, self.pairing)
        problems += perturbation_problems(self.fgm, self.awp, self.freeze)
        problems += average_problems(self.average, self.epochs)
        if self.head == "multi-sample" and not self.head_dropout:
            problems.append(
                "head multi-sample lives from dropout, and head_dropout is 0; set it, such as 0.2"
            )
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            problems.append(f"sha256 is {self.sha256!r}; expected 64 hex digits, or null")
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
            "fgm": self.fgm,
            "awp": self.awp,
        }
        return [name for name, value in asked.items() if value]

    def in_words(self, precision: str) -> str:
        """Its backbone, precision, batch, epochs and rate."""
        most = self.micro_batch_size
        at_once = "" if most is None else f", at most {most} at once"
        return (
            f"{self.backbone} ({self.pairing}), precision {precision}, effective batch "
            f"{self.batch_size} rows{at_once}, {self.epochs} epochs, rate {self.learning_rate:g}"
        )
