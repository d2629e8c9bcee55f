"""What is noted of every contender alike: where steps end, what went through the encoder."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from pipeline.data.table import Table
from pipeline.models.learner import Silent


class Boundaries(Silent):
    """Notes when every optimiser step ended; seconds spent in *aside* are taken out."""

    def __init__(self, aside: Callable[[int], None] = lambda step: None) -> None:
        """*aside* is called after every step with how many were taken; it may look, not touch."""
        self.aside = aside
        self.ends: list[float] = []
        self.rows: list[int] = []
        self.tokens: list[int] = []
        self.began = 0.0
        self.outside = 0.0

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """The first step begins here."""
        if name == "train":
            self.began = time.perf_counter()

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """A step has ended."""
        now = time.perf_counter()
        self.ends.append(now - self.outside)
        self.rows.append(rows)
        self.tokens.append(tokens)
        self.aside(len(self.ends))
        self.outside += time.perf_counter() - now

    def seconds(self, step: int | None = None) -> float:
        """From the start of the training to the end of its step number *step*, or of the last."""
        return self.ends[-1 if step is None else step - 1] - self.began


@dataclass
class Seen:
    """What went through an encoder while it was training, forward pass by forward pass."""

    rows: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    run: list[int] = field(default_factory=list)
    """Tokens with padding."""
    dropouts: int = 0
    """Dropout layers that were active at the first."""

    def watch(self, model: nn.Module) -> None:
        """Look at every batch that enters the encoder inside *model*."""
        encoder = next(each for each in model.modules() if type(each).__name__ == "BertModel")
        encoder.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, module: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        if not module.training:
            return
        self.dropouts = self.dropouts or active_dropouts(module)
        ids = args[0] if args else inputs["input_ids"]
        mask = args[1] if len(args) > 1 else inputs["attention_mask"]
        self.rows.append(len(ids))
        self.tokens.append(int(mask.sum()))
        self.run.append(mask.numel())


def active_dropouts(module: nn.Module) -> int:
    """Dropout layers that drop something now."""
    layers = [each for each in module.modules() if isinstance(each, nn.Dropout)]
    return sum(each.training and each.p > 0 for each in layers)


@dataclass
class Training:
    """One contender, ready to train: everything is loaded, and tokenised where it can be."""

    clock: Boundaries
    train: Callable[[], Any]
    predict: Callable[[Table], np.ndarray]
    """Predictions (n,) after the training."""
    seen: Seen = field(default_factory=Seen)
