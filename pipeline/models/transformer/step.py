"""One optimiser step of a fold's training, taken again where something gives way.

A step takes a batch in micro-groups of rows of like length. Each group's mean loss is weighted by
its share of the step's rows, so the summed gradient is that of the whole batch. Everything drawn in
a step is a function of the seed and the step's number, so it can be taken again: with smaller
micro-batches where memory ran out, in another precision where numbers overflowed, or in another
process where this one was killed.
"""

import math
from dataclasses import asdict
from typing import Any

from torch import Tensor

from pipeline.base.fault_injection import reach
from pipeline.models.kernels.cuda_graph import CaptureFailed, Graphs
from pipeline.models.transformer.finite import FiniteCheck, all_finite
from pipeline.models.transformer.gradient import Backward, Gradient
from pipeline.models.transformer.learnt import Learnt
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.memory_limits import Limits
from pipeline.models.transformer.micro import Batch, free_memory, is_out_of_memory, most_rows
from pipeline.models.transformer.network import Network
from pipeline.models.transformer.optimiser import set_rates
from pipeline.models.transformer.precision import Arithmetic, clip


class Stepper:
    """Takes the steps of one training."""

    def __init__(
        self,
        network: Network,
        codec: TargetCodec,
        arithmetic: Arithmetic,
        limits: Limits,
        *,
        seed: int,
        steps: int,
        rate_scale: float,
        graphs: Graphs | None = None,
    ) -> None:
        """*steps* in all; *rate_scale* times the recipe's rates are used. With *graphs*, full
        micro-batches are replayed instead of run."""
        self.network, self.arithmetic, self.limits = network, arithmetic, limits
        self.steps, self.rate_scale = steps, rate_scale
        self.gradient = Gradient(network, codec, arithmetic, limits, seed, graphs)
        self.finite = FiniteCheck(self._complain)
        self.done = 0

    def take(self, step: int, groups: list[Batch], optimizer: Any, backward: Backward) -> Tensor:
        """Take optimiser step number *step* on its micro-groups; its mean loss (), detached."""
        loss = None
        while loss is None:
            loss = self._try(step, groups, optimizer, backward)
        self.done = step + 1
        reach("step")
        return loss

    def _try(
        self, step: int, groups: list[Batch], optimizer: Any, backward: Backward
    ) -> Tensor | None:
        """The step's loss; None where something gave way and nothing was changed."""
        failure: str | None = None
        try:
            self.gradient.clear(groups, optimizer)
            loss = self._accumulate(step, groups, backward)
        except RuntimeError as error:
            if not (is_out_of_memory(error) or isinstance(error, CaptureFailed)):
                raise
            failure = str(error)
        if failure is not None:  # out of the except block: its traceback kept the tensors alive
            optimizer.zero_grad(set_to_none=True)
            self._give_way(step, groups, failure)
            return None
        self.arithmetic.unscale(optimizer)
        norm = clip(self.network, self.limits.recipe.max_gradient_norm)
        if reach("gradient"):
            norm = norm * math.nan
        if self.arithmetic.overflows(loss, norm):
            if not self.arithmetic.halve_scale(loss):
                self.leave_fp16(f"at step {step + 1}")
            return None
        self.finite.add(step, loss + norm)
        set_rates(optimizer, self.limits.recipe, step, self.steps, self.rate_scale)
        self._update(step, optimizer)
        self.arithmetic.taken()
        return loss

    def _accumulate(self, step: int, groups: list[Batch], backward: Backward) -> Tensor:
        """Sum the gradients of the step's micro-batches; the batch's mean loss, detached."""
        return self.gradient.of(step, groups, backward)

    def _give_way(self, step: int, groups: list[Batch], failure: str) -> None:
        """Be ready to take the step again with less: without graphs, else fewer rows at once."""
        left = self.gradient.leave_graphs()
        free_memory()
        if left:
            self.limits.leave_graphs(step, failure)
            return
        rows = most_rows(groups, self.limits.learnt.micro_rows)
        self.limits.train_fewer(step, rows, failure)

    def _update(self, step: int, optimizer: Any) -> None:
        """Move the weights. The first time this takes memory for the moments, twice the weights."""
        with self.limits.memory(f"updating the weights at step {step + 1}"):
            optimizer.step()

    def leave_fp16(self, when: str) -> None:
        """Numbers of the model itself overflowed: compute in a wider precision from here on."""
        before = self.arithmetic.precision
        self.arithmetic.widen()
        self.limits.changed_precision(when, before, self.arithmetic.precision)

    def check_finite(self) -> None:
        """Raise DivergedError where a loss or a weight is not finite; waits for the device."""
        self.finite.flush()
        if not all_finite(self.network):
            self.limits.diverged(f"weights are not finite after step {self.done} of {self.steps}")

    def _complain(self, step: int, value: float) -> None:
        self.limits.diverged(
            f"the training loss or its gradient is {value} at step {step + 1} of {self.steps}"
        )

    def state(self) -> dict[str, Any]:
        """For a checkpoint: all that decides on the steps to come beside weights and moments."""
        return {
            "done": self.done,
            "rate_scale": self.rate_scale,
            "learnt": asdict(self.limits.learnt),
            "arithmetic": self.arithmetic.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; the smaller of two rate scales holds."""
        self.done = state["done"]
        self.rate_scale = min(self.rate_scale, state["rate_scale"])
        self.limits.learnt = Learnt(**state["learnt"])
        self.arithmetic.restore(state["arithmetic"])
