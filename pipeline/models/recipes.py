"""Model recipes: a name on the command line -> the frozen settings of one model.

`--model` takes a recipe's name (configs/models/NAME.yaml), a Hugging Face id (a revision may follow
an @) or a local folder with a saved backbone.
"""

from dataclasses import dataclass
from typing import Literal


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
    source: str = ""
    """Where the settings come from."""


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
    pairing: Literal["cross", "siamese"] = "cross"
    """Pairs as one input (cross-encoder), or each text alone, joined as u, v, |u-v|, u*v."""
    pooling: Literal["mean", "cls"] = "mean"
    """Token states to one vector."""
    max_length: int = 128
    """Tokens per input, special tokens included; longer ones are truncated and counted."""
    epochs: int = 3
    """Passes over the training part; fixed in advance, the last one counts."""
    batch_size: int = 32
    """Rows per optimiser step, gradient accumulation included."""
    micro_batch_size: int | None = None
    """Most rows run through the model at once (gradient accumulation); null for no limit."""
    length_groups: int = 4
    """Into how many groups of like length the rows of a step are cut to save padding."""
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
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls after the warm-up."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 for never."""
    head_dropout: float = 0.1
    """Dropout before the head, in [0, 1)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the forward pass; auto is bf16 where it is real, else fp16 on a GPU."""
    loss: Literal["auto", "mse", "bce", "huber"] = "auto"
    """auto: mse for numbers, cross-entropy for classes. bce on numbers treats the label, scaled to
    its range, as a probability."""
    predict_batch_size: int = 64
    """Rows per forward pass when predicting."""
    source: str = ""
    """Where the settings come from."""


Recipe = LinearRecipe | TransformerRecipe
