"""The settings of frozen embeddings."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from pipeline.base import UsageError, raise_if
from pipeline.models.settings import PrecisionName, TextTransform, TransformerRecipe


@dataclass(frozen=True, kw_only=True)
class EmbeddingsRecipe:
    """A pretrained backbone that is not trained, and a small model on what it says of a text."""

    name: str
    """The recipe's name; names the run."""
    learner: Literal["embeddings"] = "embeddings"
    """Which kind of learner reads this file."""
    backbone: str
    """A Hugging Face id, a local folder, or package:NAME for weights in an installed package."""
    revision: str | None = None
    """Branch, tag or commit of a Hugging Face id."""
    sha256: str | None = None
    """Expected SHA-256 of model.safetensors; checked before loading where given."""
    pooling: Literal["mean", "cls", "last", "max", "last-4"] = "mean"
    """Token states to one vector; those that learn nothing."""
    max_length: int = 128
    """Tokens per text, special tokens included; longer ones are truncated and counted."""
    head: Literal["ridge", "svr", "knn"] = "ridge"
    """ridge: of numbers, logistic regression of yes or no and of classes. svr: support vector
    regression, of numbers only. knn: the mean of the nearest training rows by cosine."""
    strengths: list[float] | None = None
    """Tried inside the training part: penalties of ridge, C of svr, numbers of neighbours of knn;
    null for a standard grid."""
    precision: PrecisionName = "auto"
    """Arithmetic of the backbone; auto is bf16 where it is real, else fp16 on a GPU."""
    predict_batch_size: int = 64
    """Texts per forward pass."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text first, in this order: nfkc, collapse-spaces, lower."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = []
        if not self.backbone.strip():
            problems.append("backbone is empty; name a Hugging Face id, a folder or package:NAME")
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            problems.append(f"sha256 is {self.sha256!r}; expected 64 hex digits, or null")
        for name, least in (("max_length", 4), ("predict_batch_size", 1)):
            if (value := getattr(self, name)) < least:
                problems.append(f"{name} is {value}; it must be at least {least}")
        if self.strengths is not None and not (
            self.strengths and all(0 < strength < math.inf for strength in self.strengths)
        ):
            problems.append(f"strengths is {self.strengths}; expected numbers above 0, or null")
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def as_transformer(self) -> TransformerRecipe:
        """What loads and runs the backbone, each text alone."""
        return TransformerRecipe(
            name=self.name,
            backbone=self.backbone,
            revision=self.revision,
            sha256=self.sha256,
            pairing="siamese",
            pooling=self.pooling,
            max_length=self.max_length,
            precision=self.precision,
            predict_batch_size=self.predict_batch_size,
        )

    def in_words(self, precision: str) -> str:
        """Its backbone, precision and head."""
        return f"{self.backbone} (frozen), precision {precision}, {self.head} on its vectors"
