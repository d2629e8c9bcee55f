"""The gradient of one step: its micro-batches forward and backward, run or replayed.

Every micro-batch draws by a seed of its own, derived from the training's seed, the step's number
and its own, so it can be run again, in this process or another.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.base.fault_injection import reach
from pipeline.base.seeding import derive_seed
from pipeline.models.kernels.cuda_graph import Graphs
from pipeline.models.kernels.fixed import Fixed
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.memory_limits import Limits
from pipeline.models.transformer.micro import Batch, micro_batches
from pipeline.models.transformer.network import Network
from pipeline.models.transformer.precision import Arithmetic

Backward = Callable[[Tensor], None]


class Gradient:
    """Adds up the gradients of one training's steps."""

    def __init__(
        self,
        network: Network,
        codec: TargetCodec,
        arithmetic: Arithmetic,
        limits: Limits,
        seed: int,
        graphs: Graphs | None,
    ) -> None:
        """With *graphs*, the micro-batches of full steps are replayed."""
        self.network, self.codec, self.arithmetic, self.limits = network, codec, arithmetic, limits
        self.seed = seed
        self.graphs = None if graphs is None or graphs.closed else graphs

    def leave_graphs(self) -> bool:
        """Run everything from here on; whether anything was replayed until here."""
        if self.graphs is None:
            return False
        self.graphs.close()
        self.graphs = None
        return True

    def clear(self, groups: list[Batch], optimizer: Any) -> None:
        """Have no gradient yet; with graphs, zeros where these add to, and a graph for each shape.

        Raises CaptureFailed.
        """
        if self.graphs is None:
            optimizer.zero_grad(set_to_none=True)
            return
        self.graphs.attach(self.network)
        optimizer.zero_grad(set_to_none=False)
        batches = list(micro_batches(groups, self.limits.learnt.micro_rows))
        if self.graphs.prepare(batches, self._kind(groups), self._replayed):
            optimizer.zero_grad(set_to_none=False)

    def of(self, step: int, groups: list[Batch], backward: Backward) -> Tensor:
        """Add up the gradients of the step's micro-batches; the batch's mean loss (), detached."""
        total = torch.zeros((), device=groups[0]["rows"].device)
        for number, batch in enumerate(micro_batches(groups, self.limits.learnt.micro_rows)):
            torch.manual_seed(derive_seed(self.seed, "dropout", step, number))
            reach("micro-batch")
            loss = None if self.graphs is None else self.graphs.replay(batch)
            if loss is None:
                loss = self._loss(batch)
                backward(self.arithmetic.scaled(loss))
            total += loss.detach()
        return total

    def _loss(self, batch: Batch) -> Tensor:
        """() the micro-batch's share of the step's mean loss."""
        with self.arithmetic.context():
            outputs = self.network(batch["inputs"], batch["lengths"])
        loss = self.codec.mean_loss(outputs, batch["targets"]) * batch["weight"]
        return loss * math.nan if reach("loss") else loss

    def _replayed(self, fixed: Fixed) -> Tensor:
        """The same with its backward pass, for what *fixed* holds: what a graph is captured of.

        There is no loss scale: fp16 has no graphs.
        """
        with self.arithmetic.context():
            outputs = fixed.outputs(self.network)
        loss = self.codec.mean_loss(outputs, fixed.targets) * fixed.weight
        loss.backward()
        return loss.detach()

    def _kind(self, groups: list[Batch]) -> tuple[str, str, float] | None:
        """What `_replayed` depends on beside shapes; None for a step that is not to be replayed:
        one that is not full, or was cut for lack of memory, or whose loss is scaled."""
        full = sum(len(group["rows"]) for group in groups) == self.limits.recipe.batch_size
        cut = self.limits.learnt.micro_rows is not None
        if cut or not full or self.arithmetic.scaler is not None:
            return None
        return self.arithmetic.precision, self.codec.loss, self.codec.huber_delta
