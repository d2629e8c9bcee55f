"""The settings of a learner that writes texts, with what may be wrong with them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.base import UsageError, raise_if
from pipeline.models.hub.weights import locate
from pipeline.models.settings import PrecisionName, TextTransform, digest_problems, rule_problems
from pipeline.models.transformer_settings import Lora, Schedule, TransformerRecipe

HERE = "{}"
"""Stands for a row's text in a prompt."""
LEAST = {
    "vocabulary": 300,
    "width": 4,
    "layers": 1,
    "attention_heads": 1,
    "feed_forward": 4,
    "networks": 1,
    "max_source": 4,
    "max_answer": 2,
    "candidates": 1,
    "beams": 1,
    "no_repeat": 0,
    "samples": 0,
}
"""Smallest value of each count. A vocabulary holds the 256 bytes, so that every text can be read
and written."""


@dataclass(frozen=True, kw_only=True)
class GeneratorRecipe:
    """An encoder with a decoder, or a decoder alone, that writes the answer to a row's text."""

    name: str
    """The recipe's name; names the run."""
    learner: Literal["generator"] = "generator"
    """Which kind of learner reads this file."""
    backbone: str | None = None
    """A Hugging Face id, a local folder, or package:NAME: an encoder with a decoder (T5, BART) or a
    decoder alone (GPT, Qwen). null: from nothing, see the next settings."""
    revision: str | None = None
    """Branch, tag or commit of a Hugging Face id."""
    sha256: str | None = None
    """Expected SHA-256 of model.safetensors; checked before loading where given."""
    vocabulary: int = 1000
    """From nothing: most pieces of words that are learned from the training part."""
    width: int = 128
    """From nothing: numbers of a token's state; a multiple of attention_heads."""
    layers: int = 2
    """From nothing: layers of the encoder, and as many of the decoder."""
    attention_heads: int = 4
    """From nothing: attention heads."""
    feed_forward: int = 256
    """From nothing: numbers between the two products of a layer."""
    dropout: float = 0.1
    """From nothing: in [0, 1). A pretrained backbone has its own."""
    networks: int = field(default=1, metadata={"later": True})
    """From nothing: so many, drawn by seeds of their own, are trained side by side on the same
    steps, and write together: the mean of their log-probabilities says the next token."""
    prompt: str = HERE
    """What the model reads of a row; {} is the row's text: "summarize: {}", or "{}\\nAnswer: "."""
    max_source: int = 256
    """Tokens of what is read; longer ones are truncated and counted."""
    max_answer: int = 128
    """Tokens of an answer, learned or written."""
    epochs: int = 10
    """Passes over the training part, in which every reference of a row is a row of its own."""
    batch_size: int = 32
    """References per optimiser step, gradient accumulation included."""
    micro_batch_size: int | None = None
    """Most rows run through the model at once (gradient accumulation); null for no limit."""
    micro_tokens: int = 16_384
    """Most tokens run through the model at once, padding included: bounds the memory."""
    length_groups: int | None = None
    """Into how many groups of like length a step is cut; null for the fewest that leave a twentieth
    of padding."""
    learning_rate: float = 1e-3
    """Peak rate."""
    weight_decay: float = 0.01
    """AdamW decay of matrices; biases and norms get none."""
    warmup_fraction: float = 0.1
    """Share of the optimiser steps spent warming up, in [0, 1)."""
    schedule: Schedule = "linear"
    """How the rate falls after the warm-up."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 for never."""
    label_smoothing: float = 0.1
    """Share of a token's probability that is spread over all others while learning, in [0, 1)."""
    average: dict[str, float] = field(default_factory=dict)
    """What writes is a mean of the weights of several steps: {ema: 0.999}, {swa: 0.75} or
    {soup: 2}, as for a transformer."""
    lora: Lora | None = None
    """Adapters, such as {rank: 16, alpha: 32}: they are all that is trained and saved."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    precision: PrecisionName = "auto"
    """Arithmetic of the forward pass; auto is bf16 where it is real, else fp16 on a GPU."""
    decode: Literal["greedy", "beam", "sample"] = "beam"
    """greedy: the likeliest token each time. beam: the likeliest of several beginnings kept side by
    side. sample: tokens are drawn by their probability."""
    candidates: int = 4
    """Answers kept of a row, the likeliest first; greedy has one."""
    samples: int = field(default=0, metadata={"later": True})
    """Of greedy and beam: so many answers more are drawn, as sample does, and stand behind the
    others: what the model says besides, for minimum Bayes risk."""
    beams: int = 4
    """Of beam: beginnings kept, at least as many as candidates."""
    length_penalty: float = 1.0
    """Of beam: log-probabilities are divided by the length to this power; above 1 for longer."""
    temperature: float = 1.0
    """Of sample: logits are divided by it."""
    top_p: float = 1.0
    """Of sample: only the likeliest tokens with this probability together are drawn from."""
    no_repeat: int = 0
    """No run of so many tokens stands twice in an answer; 0 for no such rule."""
    predict_batch_size: int = 32
    """Rows that are answered at once."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text that is read, in this order: nfkc, collapse-spaces, lower."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}". Empty: what the competition's config
    says (columns.template)."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = rule_problems(self._rules())
        problems += self._choices()
        problems += digest_problems(self.sha256)
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")
        self.training()  # raises for settings that every training has

    def _rules(self) -> Iterator[tuple[str, Any, bool, str]]:
        for name, least in LEAST.items():
            value = getattr(self, name)
            yield name, value, value >= least, f"at least {least}"
        for name in ("dropout", "label_smoothing"):
            value = getattr(self, name)
            yield name, value, 0 <= value < 1, "a share: at least 0 and below 1"
        yield "temperature", self.temperature, 0 < self.temperature < math.inf, "above 0"
        yield "top_p", self.top_p, 0 < self.top_p <= 1, "above 0, at most 1"
        yield "length_penalty", self.length_penalty, math.isfinite(self.length_penalty), "a number"
        there = self.prompt.count(HERE)
        yield "prompt", repr(self.prompt), there == 1, "a text that has {} once, for the row's text"

    def _choices(self) -> Iterator[str]:
        if self.decode == "beam" and self.candidates > self.beams:
            yield (
                f"candidates is {self.candidates} and beams {self.beams}; a beam search keeps at "
                "least as many beams as it gives candidates"
            )
        if self.samples and self.decode == "sample":
            yield "samples are drawn beside greedy or beam; with decode sample set candidates"
        if self.networks > 1 and self.backbone is not None:
            yield (
                f"networks is {self.networks}: networks side by side are drawn from nothing, and a "
                "pretrained backbone begins with the same weights every time. Train it with "
                "several seeds (cv --seed 42 43): their candidates are blended"
            )
        if self.backbone is None:
            if self.width % (count := self.attention_heads):
                yield f"width is {self.width}; it must be a multiple of attention_heads ({count})"
            if self.lora is not None:
                yield "lora adapts a pretrained backbone, and backbone is null: from nothing"
            if self.gradient_checkpointing:
                yield "gradient_checkpointing saves memory of large backbones; backbone is null"

    @property
    def kept(self) -> int:
        """Candidates of a row."""
        return 1 if self.decode == "greedy" else self.candidates

    def training(self) -> TransformerRecipe:
        """What the training of any transformer is told: weights, steps and rates."""
        return TransformerRecipe(
            name=self.name,
            backbone="from nothing" if self.backbone is None else self.backbone,
            revision=self.revision,
            sha256=self.sha256,
            pairing="siamese",  # the text and its answer are two inputs
            max_length=self.max_source,
            epochs=self.epochs,
            batch_size=self.batch_size,
            micro_batch_size=self.micro_batch_size,
            micro_tokens=self.micro_tokens,
            packing=False,
            length_groups=self.length_groups,
            average=self.average,
            lora=self.lora,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_fraction=self.warmup_fraction,
            schedule=self.schedule,
            max_gradient_norm=self.max_gradient_norm,
            gradient_checkpointing=self.gradient_checkpointing,
            precision=self.precision,
            loss="cross-entropy",
            predict_batch_size=self.predict_batch_size,
        )

    def in_words(self, precision: str) -> str:
        """Its backbone, precision, batch, epochs, rate and way of writing."""
        small = f"{self.layers} + {self.layers} layers of {self.width} from nothing"
        small = (
            small
            if self.networks == 1
            else f"{self.networks} networks of {small}, which write together"
        )
        way = {"beam": f"{self.beams} beams", "greedy": "greedily", "sample": "sampling"}
        return (
            f"{self.backbone or small}, precision {precision}, effective batch {self.batch_size} "
            f"references, epochs {self.epochs}, rate {self.learning_rate:g}; writes with "
            f"{way[self.decode]}, {self.kept} candidates a row"
            + (f" and {self.samples} drawn ones" if self.samples else "")
        )


def check_weights(recipe: GeneratorRecipe) -> None:
    """Raise, before anything is trained, where the backbone of *recipe* cannot be had."""
    if recipe.backbone is not None:
        locate(recipe.training(), writes=True)
