"""Trainings by hand with graphs, or without: a tiny packed network, its steps, what came out."""

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from pipeline.data.tokens.batches import Pick
from pipeline.data.tokens.data_module import Item, collate_step
from pipeline.models.kernels.cuda_graph import Graphs, Rerun
from pipeline.models.kernels.packing import Packing, packable
from pipeline.models.transformer.device import PrecisionState
from pipeline.models.transformer.heads import Head, Network, pooling_named
from pipeline.models.transformer.memory_limits import LearnedLimits, Limits
from pipeline.models.transformer.optimiser import make_optimizer
from pipeline.models.transformer.step import Stepper
from pipeline.models.transformer_settings import TransformerRecipe
from tests.fitting import Listener
from tests.models.transformer.toys import CODEC

WIDTH, WORDS = 24, 12
KNOWN: WeakKeyDictionary[Any, Packing | None] = WeakKeyDictionary()


def on(batch: Any, device: str) -> Any:
    """*batch* with its tensors on *device*."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {key: on(value, device) for key, value in batch.items()}
    return [on(each, device) for each in batch] if isinstance(batch, list) else batch


def step_of(
    number: int, *groups: int, shortest: int = 2, longest: int = WIDTH, inputs: int = 1
) -> Any:
    """A step of so many rows in each group, of *shortest* to *longest* random tokens."""
    draw = np.random.default_rng(number)
    items = []
    for group, rows in enumerate(groups):
        for row in range(rows):
            tokens = [
                draw.integers(5, WORDS, draw.integers(shortest, longest + 1)) for _ in range(inputs)
            ]
            texts = [(each, np.zeros_like(each)) for each in tokens]
            items.append(Item(texts, draw.normal(size=1), Pick(row, group, number)))
    return collate_step(items, pad_id=0, type_ids=False)


def packing_of(backbone: Any) -> Packing | None:
    """How it is packed; it can be tried only once."""
    if backbone not in KNOWN:
        KNOWN[backbone] = packable(backbone)
    return KNOWN[backbone]


def graphs_for(make: Any = Rerun) -> Graphs:
    """Of texts that `step_of` makes."""
    return Graphs(make, WIDTH)


class Graphed:
    """A training of *backbone*; see `take`."""

    def __init__(
        self,
        backbone: Any,
        graphs: Graphs | None = None,
        device: str = "cpu",
        seed: int = 0,
        precision: Any = "32-true",
        inputs: int = 1,
        head_dropout: float = 0.1,
        learnt: LearnedLimits | None = None,
        **changes: Any,
    ) -> None:
        settings = {"learning_rate": 1e-3, "batch_size": 8, "max_length": WIDTH, **changes}
        self.recipe = TransformerRecipe(name="t", backbone="t", **settings)
        head = Head(backbone.config.hidden_size, inputs, 1, head_dropout, seed)
        if graphs is not None:
            head = graphs.head(head)
        pooling = pooling_named("mean", backbone.config.hidden_size, 1, seed)
        self.network = Network(backbone, head, pooling, packing_of(backbone)).to(device).train()
        self.watch, self.device = Listener(), device
        self.stepper = Stepper(
            self.network,
            CODEC,
            PrecisionState(device, precision, bf16=True),  # type: ignore[arg-type]
            Limits(self.recipe, learnt or LearnedLimits(), self.watch),
            seed=seed,
            steps=8,
            rate_scale=1.0,
            graphs=graphs,
        )
        self.optimizer = make_optimizer(self.network.backbone, self.network.head, self.recipe)
        self.losses: list[Tensor] = []
        self.gradients: list[Tensor] = []
        self.optimizer.register_step_pre_hook(self._note)

    def _note(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        found = [each.grad for each in self.network.parameters() if each.grad is not None]
        self.gradients.append(torch.cat([each.detach().flatten() for each in found]))

    def take(self, *steps: Any) -> "Graphed":
        """Take *steps*; itself."""
        for each in steps:
            groups = on(each["groups"], self.device)
            backward = lambda loss: loss.backward()  # noqa: E731
            loss = self.stepper.take(each["step"], groups, self.optimizer, backward)
            self.losses.append(loss)
        return self

    def weights(self) -> Tensor:
        """All of them, one after another."""
        return torch.cat([each.detach().flatten() for each in self.network.parameters()])
