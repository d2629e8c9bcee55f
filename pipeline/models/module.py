"""One fold's training as Lightning sees it: steps, optimiser, loss log, divergence check.

An optimiser step takes a batch in micro-groups of rows of like length. Each group's mean loss is
weighted by its share of the step's rows, so the summed gradient is that of the whole batch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from pipeline.errors import DivergedError
from pipeline.models.backbone import Network
from pipeline.models.losses import TargetCodec
from pipeline.models.optim import make_optimizer
from pipeline.models.settings import TransformerRecipe
from pipeline.seeding import derive_seed

Batch = Mapping[str, Any]
LOG_EVERY = 50
"""Optimiser steps between two points of the training log; reading a loss waits for the GPU."""


@dataclass
class Counts:
    """What training has run through the network."""

    rows: int = 0
    tokens: int = 0
    """Real ones."""
    padded_tokens: int = 0
    """Padding included."""

    def add(self, batch: Batch) -> None:
        """Count a batch, by its shapes alone."""
        self.rows += len(batch["rows"])
        self.tokens += batch["tokens"]
        self.padded_tokens += sum(each["attention_mask"].numel() for each in batch["inputs"])


class TextModule(pl.LightningModule):
    """A network, its targets' codec, and how a recipe trains them."""

    def __init__(
        self,
        network: Network,
        codec: TargetCodec,
        recipe: TransformerRecipe,
        seed: int = 0,
        steps: int = 1,
        micro_groups: int = 1,
    ) -> None:
        """Take *steps* optimiser steps of at most *micro_groups* batches each."""
        super().__init__()
        self.network = network
        self.codec = codec
        self.recipe = recipe
        self.seed = seed
        self.steps = steps
        self.micro_groups = micro_groups
        self.eval_loss = MeanMetric(nan_strategy=math.nan)  # a NaN stays one
        self.counts = Counts()
        self.last_train_loss = math.nan
        self._loss_sum: Tensor | float = 0.0
        self._loss_weight = 0.0

    def forward(self, batch: Batch) -> Tensor:
        """(B, o) outputs."""
        return self.network(batch["inputs"])

    def on_fit_start(self) -> None:
        """Turn dropout on: from_pretrained leaves it off, and Lightning leaves it as it is."""
        self.network.train()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make the dropout of a step a pure function of its place in the run."""
        torch.manual_seed(derive_seed(self.seed, "dropout", self.current_epoch, batch_idx))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The micro-group's part of the batch's mean loss.

        Lightning divides by accumulate_grad_batches, also in an epoch's last step, which may have
        fewer groups; multiplying by the same number leaves the plain weighted sum.
        """
        loss = self.codec.mean_loss(self(batch), batch["targets"])
        # kept on the device: one NaN stays in the sum, so it need not be looked for at every step
        self._loss_sum = self._loss_sum + loss.detach() * batch["weight"]
        self._loss_weight += batch["weight"]
        return loss * (batch["weight"] * self.micro_groups)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Count; now and then log the mean loss since the last time, waiting for the device."""
        self.counts.add(batch)
        last = batch_idx + 1 == self.trainer.num_training_batches
        stepped = last or (batch_idx + 1) % self.micro_groups == 0
        if last or (stepped and self.global_step % LOG_EVERY == 0):
            self._log_train_loss()

    def on_train_end(self) -> None:
        """Drop gradients and moments, three times the weights, before they are copied about."""
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad(set_to_none=True)
            optimizer.state.clear()

    def _log_train_loss(self) -> None:
        loss = float(self._loss_sum) / self._loss_weight
        self._loss_sum, self._loss_weight = 0.0, 0.0
        check_loss_is_finite(loss, self.global_step, self.recipe)
        self.last_train_loss = loss
        if self.trainer.logger is not None:
            rates = [group["lr"] for group in self.trainer.optimizers[0].param_groups]
            values = {"train_loss": loss, "learning_rate": max(rates)}
            self.trainer.logger.log_metrics(values, step=self.global_step)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss on held-out rows; only where a loader for them is given."""
        self._evaluate(batch, "valid_loss")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss on labelled rows of another file."""
        self._evaluate(batch, "test_loss")

    def _evaluate(self, batch: Batch, name: str) -> None:
        loss = self.codec.mean_loss(self(batch), batch["targets"])
        self.eval_loss.update(loss, len(batch["rows"]))
        self.log(name, self.eval_loss, on_step=False, on_epoch=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Row positions (B,) and their predictions (B, o), float32, on the CPU."""
        return batch["rows"].cpu(), self.codec.decode(self(batch)).cpu()

    def configure_optimizers(self) -> Any:
        """AdamW, its rate moved after every optimiser step."""
        optimizer, schedule = make_optimizer(
            self.network.backbone,
            self.network.head,
            self.recipe,
            self.steps,
            fused=self.trainer.precision != "16-mixed",
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Scale the gradients down to a norm of at most *gradient_clip_val*.

        Lightning's own way refuses fused optimisers in mixed precision. They are used here without
        a gradient scaler only, where gradients are what they seem.
        """
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)


def check_loss_is_finite(loss: float, step: int, recipe: TransformerRecipe) -> None:
    """Raise DivergedError, with what to try, where *loss* is NaN or infinite."""
    if not math.isfinite(loss):
        raise DivergedError(f"the training loss is {loss} at or before step {step}. {_try(recipe)}")


def check_weights_are_finite(module: nn.Module, recipe: TransformerRecipe) -> None:
    """Raise DivergedError, with what to try, where a weight is NaN or infinite."""
    if not torch.stack([weight.isfinite().all() for weight in module.parameters()]).all():
        raise DivergedError(f"training ended with weights that are not finite. {_try(recipe)}")


def _try(recipe: TransformerRecipe) -> str:
    more = "" if recipe.precision == "fp32" else ", or precision fp32"
    return (
        f"Try a learning_rate below {recipe.learning_rate:g}, a warmup_fraction above "
        f"{recipe.warmup_fraction:g}, a max_gradient_norm of 1 or less{more}."
    )
