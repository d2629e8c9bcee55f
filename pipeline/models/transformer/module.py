"""One fold's training as Lightning sees it: steps, optimiser, loss log, what a checkpoint holds."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
import transformers
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from pipeline.base.fault_injection import reach
from pipeline.models.kernels.backbone_facts import can_recompute
from pipeline.models.kernels.cuda_graph import Graphs
from pipeline.models.learner import Silent, Watch
from pipeline.models.transformer.device import Hardware, PrecisionState
from pipeline.models.transformer.heads import Network
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.memory_limits import (
    Batch,
    LearnedLimits,
    Limits,
    free_memory,
    is_out_of_memory,
    micro_batches,
    most_rows,
)
from pipeline.models.transformer.objective import Objective
from pipeline.models.transformer.optimiser import make_optimizer
from pipeline.models.transformer.step import Stepper
from pipeline.models.transformer_settings import TransformerRecipe

Found = TypeVar("Found")
LOG_EVERY, LOGGED = 50, 20
"""Optimiser steps between two points of the training log, and points that a short training has at
least; reading a loss waits for the GPU."""


@dataclass
class Counts:
    """What training has run through the network."""

    rows: int = 0
    tokens: int = 0
    """Real ones."""
    padded_tokens: int = 0
    """Those computed, padding included."""

    def add(self, groups: list[Batch], packed: bool) -> None:
        """Count a step, by its shapes alone."""
        for group in groups:
            real = int(group["lengths"].sum())
            padded = sum(each["attention_mask"].numel() for each in group["inputs"])
            self.rows += len(group["rows"])
            self.tokens += real
            self.padded_tokens += real if packed else padded


class Stepped(pl.LightningModule):
    """A module that is trained step by step, and says how far it is."""

    stepper: Any
    """It has the number of `steps`, of those `done`, and `check_finite`."""


class TextModule(Stepped):
    """A network, its targets' codec, and how a recipe trains them."""

    def __init__(
        self,
        network: Network,
        codec: TargetCodec,
        recipe: TransformerRecipe,
        hardware: Hardware,
        *,
        seed: int = 0,
        steps: int = 1,
        learnt: LearnedLimits | None = None,
        rate_scale: float = 1.0,
        watch: Watch | None = None,
        graphs: Graphs | None = None,
        objective: Objective | None = None,
    ) -> None:
        """Take *steps* optimiser steps of the *objective*, by default the codec's loss alone.
        *learnt* is known of the machine, *rate_scale* times the recipe's rates are used, *watch* is
        told when something has to give way, and *graphs* are those of the run, where there are
        any."""
        super().__init__()
        self.automatic_optimization = False  # a step is taken again where something gives way
        self.network = network
        self.strict_loading = network.whole
        self.codec = codec
        self.recipe = recipe
        self.hardware = hardware
        self.limits = Limits(
            recipe, learnt or LearnedLimits(), watch or Silent(), can_recompute(network.backbone)
        )
        precision = self.limits.learnt.precision or hardware.precision
        self.stepper: Stepper = Stepper(
            network,
            codec,
            PrecisionState(hardware.accelerator, precision, hardware.bf16),
            self.limits,
            seed=seed,
            steps=steps,
            rate_scale=rate_scale,
            graphs=graphs,
            objective=objective,
        )
        self.eval_loss = MeanMetric(nan_strategy=math.nan)  # a NaN stays one
        self.counts = Counts()
        self.last_train_loss = math.nan
        self._loss_sum: Tensor | float = 0.0
        self._loss_steps = 0

    def forward(self, batch: Batch) -> Tensor:
        """(B, o) outputs of the targets."""
        with self.stepper.arithmetic.context():
            outputs: Tensor = self.network(batch["inputs"], batch["lengths"])
        return self.stepper.objective.own(outputs)

    def configure_optimizers(self) -> Optimizer:
        """AdamW; its rates are set before every step."""
        network = self.network
        return make_optimizer(network.backbone, network.head, self.recipe, network.pooling)

    def on_fit_start(self) -> None:
        """Turn dropout on: from_pretrained leaves it off, and Lightning leaves it as it is."""
        self.network.train()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take the optimiser step that the batch is for; count it, and log now and then."""
        groups = batch["groups"]
        loss = self.stepper.take(batch["step"], groups, self.optimizers(), self.manual_backward)
        # kept on the device: looking at it would wait
        self._loss_sum, self._loss_steps = self._loss_sum + loss, self._loss_steps + 1
        self.counts.add(groups, packed=self.network.packing is not None)
        # here rather than in a hook of the batch's end, which comes after a checkpoint is saved
        every = max(1, min(LOG_EVERY, self.stepper.steps // LOGGED))
        if self.stepper.done == self.stepper.steps or self.stepper.done % every == 0:
            self._log_train_loss()

    @property
    def facts(self) -> dict[str, Any]:
        """What was taken and counted, JSON-ready."""
        counts, packing = self.counts, self.network.packing
        return {
            "steps": self.stepper.steps,
            "rows": counts.rows,
            "tokens": counts.tokens,
            "packed": packing is not None and packing.as_one_row,
            "useful_token_share": round(counts.tokens / counts.padded_tokens, 4),
            "train_loss": self.last_train_loss,
            "loss": self.codec.loss,
        }

    def on_train_end(self) -> None:
        """Drop gradients and moments, three times the weights, before they are copied about."""
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad(set_to_none=True)
            optimizer.state.clear()

    def _log_train_loss(self) -> None:
        """Log the mean loss since the last time; this waits for the device."""
        self.last_train_loss = float(self._loss_sum) / self._loss_steps
        self._loss_sum, self._loss_steps = 0.0, 0
        if self.trainer.logger is not None:
            rates = [group["lr"] for group in self.trainer.optimizers[0].param_groups]
            values = {"train_loss": self.last_train_loss, "learning_rate": max(rates)}
            self.trainer.logger.log_metrics(values, step=self.stepper.done)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """All that a training can change, as a checkpoint holds it."""
        found = super().state_dict(*args, **kwargs)
        for name in [name for name in found if not self.network.owns(name[len("network.") :])]:
            del found[name]
        return found

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is neither in the weights nor in the optimiser."""
        checkpoint["training"] = self.stepper.state() | {
            "counts": asdict(self.counts),
            "last_train_loss": self.last_train_loss,
            "loss_sum": torch.as_tensor(self._loss_sum),
            "loss_steps": self._loss_steps,
            "machine": self._machine(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what `on_save_checkpoint` added."""
        state = checkpoint["training"]
        self.stepper.restore(state)
        self.counts = Counts(**state["counts"])
        self.last_train_loss = state["last_train_loss"]
        self._loss_sum, self._loss_steps = state["loss_sum"].to(self.device), state["loss_steps"]
        if (before := state["machine"]) != (now := self._machine()):
            self.limits.watch.event(
                "machine changed",
                f"the steps before were taken on {before}, those to come on {now}: the result may "
                "differ in its last digits from that of one machine",
                before=before,
                now=now,
            )

    def _machine(self) -> str:
        """What the last digits of a result depend on."""
        way = "deterministic" if self.hardware.deterministic else "not deterministic"
        versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        return f"{self.hardware}, {self.hardware.precision}, {way}, {versions}"

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

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Any]:
        """Row positions (B,) and their predictions (B, o), float32, on the CPU."""
        values = self._predict(batch)
        if self.stepper.arithmetic.scaler is not None and not values.isfinite().all():
            self.stepper.leave_fp16("predicting")
            values = self._predict(batch)
        return batch["rows"].cpu(), values

    def _predict(self, batch: Batch) -> Tensor:
        """Decoded outputs."""
        return torch.cat(self.in_parts(batch, lambda part: self.codec.decode(self(part)).cpu()))

    def in_parts(self, batch: Batch, way: Callable[[Batch], Found]) -> list[Found]:
        """What *way* makes of the batch: of all rows, or of parts of it where memory runs out."""
        failure = ""
        try:
            reach("predict")
            parts = micro_batches([batch], self.limits.learnt.predict_rows)
            return [way(part) for part in parts]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            failure = str(error)
        free_memory()
        rows = most_rows([batch], self.limits.learnt.predict_rows)
        self.limits.predict_fewer(rows, failure)
        return self.in_parts(batch, way)
