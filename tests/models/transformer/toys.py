"""A network of a few numbers whose memory and arithmetic can give way, and steps for it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.data.tokens.batches import Pick
from pipeline.data.tokens.data_module import Item, collate_step
from pipeline.models.transformer.device import PrecisionState
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.memory_limits import LearnedLimits, Limits
from pipeline.models.transformer.optimiser import make_optimizer
from pipeline.models.transformer.step import Stepper
from pipeline.models.transformer_settings import TransformerRecipe
from tests.fitting import Listener

CODEC = TargetCodec(problem="regression", loss="mse", shift=(0.0,), scale=(1.0,))
WORDS = 12
LARGE = 11
"""A text with this token makes numbers beyond 65,504 on the way."""


class Toy(nn.Module):
    """The mean of the tokens' vectors, a hidden layer, one output."""

    def __init__(self, dropout: float = 0.0, fits: int | None = None) -> None:
        """No more than *fits* rows at once fit into its memory."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.backbone = nn.Embedding(WORDS, 8)
            self.backbone.supports_gradient_checkpointing = True
            self.head = nn.Sequential(
                nn.Linear(8, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1)
            )
        self.packing = self.pooling = self.adapters = None
        self.whole = True
        self.fits = fits
        self.sizes: list[int] = []
        """Rows of every forward pass that was tried."""
        self.spoil: Callable[[Tensor], Tensor] | None = None
        """Done to the gradient on its way back."""

    def owns(self, name: str) -> bool:
        return True

    def forward(self, inputs: Sequence[dict[str, Tensor]], lengths: Any = None) -> Tensor:
        ids, mask = inputs[0]["input_ids"], inputs[0]["attention_mask"]
        self.sizes.append(len(ids))
        vectors = self.backbone(ids) * mask[..., None]
        outputs: Tensor = self.head(vectors.sum(1) / mask.sum(1, keepdim=True))
        if self.fits is not None and len(ids) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")
        if (ids == LARGE).any():
            outputs = functional.linear(outputs, torch.tensor([[1e8]])) / 1e8
        if self.spoil is not None and outputs.requires_grad:
            outputs.register_hook(self.spoil)
        return outputs


def step_of(number: int, *groups: Sequence[int], target: float = 0.1, word: int = 0) -> Any:
    """A step of rows: row r has 1 + r % 5 tokens, *word* first where given, and target r times."""
    items = []
    for at, rows in enumerate(groups):
        for row in rows:
            tokens = np.array([(row + place) % 10 + 1 for place in range(1 + row % 5)])
            tokens[0] = word or tokens[0]
            kinds = np.zeros_like(tokens)
            items.append(Item([(tokens, kinds)], np.array([target * row]), Pick(row, at, number)))
    return collate_step(items, pad_id=0, type_ids=False)


def steps_of(count: int, rows: int = 16, groups: int = 1, **changes: Any) -> list[Any]:
    """*count* steps of other rows each, cut into equal groups."""
    cuts = [np.array_split(np.arange(rows) + 3 * number, groups) for number in range(count)]
    return [step_of(number, *map(list, cut), **changes) for number, cut in enumerate(cuts)]


class Training:
    """A Stepper with its optimiser, and what happened in it."""

    def __init__(
        self,
        network: nn.Module | None = None,
        steps: int = 4,
        precision: Any = "32-true",
        bf16: bool = False,
        seed: int = 0,
        rate_scale: float = 1.0,
        learnt: LearnedLimits | None = None,
        **changes: Any,
    ) -> None:
        settings = {"learning_rate": 0.01, "batch_size": 16, **changes}
        self.recipe = TransformerRecipe(name="t", backbone="t", **settings)
        self.network: Any = network or Toy()
        self.watch = Listener()
        self.stepper = Stepper(
            self.network,
            CODEC,
            PrecisionState("cpu", precision, bf16),
            Limits(self.recipe, learnt or LearnedLimits(), self.watch),
            seed=seed,
            steps=steps,
            rate_scale=rate_scale,
        )
        self.optimizer = make_optimizer(self.network.backbone, self.network.head, self.recipe)
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.gradients: list[list[Tensor]] = []
        self.optimizer.register_step_pre_hook(self._note)

    def _note(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """An optimiser step is about to be taken."""
        self.rates.append(optimizer.param_groups[0]["lr"])
        self.gradients.append(
            [weight.grad.clone() for weight in self.network.parameters() if weight.grad is not None]
        )

    def take(self, steps: Sequence[Any], before: Callable[[int], Any] = lambda step: None) -> Any:
        """Take *steps*, each after *before* was called with its number; itself."""
        for each in steps:
            before(each["step"])
            loss = self.stepper.take(
                each["step"], each["groups"], self.optimizer, lambda loss: loss.backward()
            )
            self.losses.append(loss.item())
        return self

    def weights(self) -> Tensor:
        """All of them, one after another."""
        return torch.cat([weight.detach().flatten() for weight in self.network.parameters()])


def assert_near(first: Tensor, second: Tensor) -> None:
    """Equal to 1e-6."""
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
