"""One optimiser step of a fold's training, taken again where something gives way.

A step takes a batch in micro-groups of rows of like length. Each group's mean loss is weighted by
its share of the step's rows, so the summed gradient is that of the whole batch. Everything drawn in
a step is a function of the seed and the step's number, so it can be taken again: with smaller
micro-batches where memory ran out, in another precision where numbers overflowed, or in another
process where this one was killed.

A Lightning batch is an optimiser step, and an epoch of Lightning's is all that is left to do. The
loader yields the micro-groups of one step together and says which step it is; the module takes
the step by hand. So a step can be taken again from its start, with smaller micro-batches after an
out-of-memory or in another precision after an overflow, and a killed training goes on as a
training over the remaining steps. Lightning's own resuming in mid-epoch feeds the wrong rows (its
issues 18060, 19367, 19815); here none of its counters matters. A group's loss carries the weight
n_group / n_step, so the gradient is that of one padded batch (a test, 1e-6) and memory is that of
one group.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.base.fault_injection import reach
from pipeline.base.seeding import derive_seed
from pipeline.models.kernels.cuda_graph import CaptureFailed, Graphs, StaticBuffers
from pipeline.models.transformer.craft import Averaging, Freezing, Perturbation
from pipeline.models.transformer.device import PrecisionState, clip
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
from pipeline.models.transformer.optimiser import set_rates

# NaN and infinity are noticed within a few steps, and nothing waits for the device to notice.


LAG = 4
"""Steps that a number may be behind on a GPU before it is looked at; on a CPU none."""


class FiniteCheck:
    """Looks at one number per step, some steps late where looking would wait for the GPU."""

    def __init__(self, complain: Callable[[int, float], None]) -> None:
        """*complain* is called with the step and the number that is not finite."""
        self.complain = complain
        self.waiting: deque[tuple[int, Tensor, torch.cuda.Event]] = deque()

    def add(self, step: int, value: Tensor) -> None:
        """Look at *value* (), a loss plus a gradient norm, or leave it on its way."""
        if not value.is_cuda:
            self._judge(step, float(value))
            return
        copy = torch.empty((), dtype=value.dtype, pin_memory=True)
        copy.copy_(value, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self.waiting.append((step, copy, arrived))
        if len(self.waiting) > LAG:
            self._look()

    def flush(self) -> None:
        """Look at everything that is still on its way."""
        while self.waiting:
            self._look()

    def _look(self) -> None:
        step, copy, arrived = self.waiting.popleft()
        arrived.synchronize()
        self._judge(step, float(copy))

    def _judge(self, step: int, value: float) -> None:
        if not math.isfinite(value):
            self.waiting.clear()
            self.complain(step, value)


def all_finite(module: nn.Module) -> bool:
    """Whether every weight of *module* is; waits for the device."""
    return bool(torch.stack([weight.isfinite().all() for weight in module.parameters()]).all())


# The gradient of one step: its micro-batches forward and backward, run or replayed.
#
# Every micro-batch draws by a seed of its own, derived from the training's seed, the step's number
# and its own, so it can be run again, in this process or another.


Backward = Callable[[Tensor], None]


class Gradient:
    """Adds up the gradients of one training's steps."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        arithmetic: PrecisionState,
        limits: Limits,
        seed: int,
        graphs: Graphs | None,
    ) -> None:
        """With *graphs*, the micro-batches of full steps are replayed."""
        self.network, self.objective = network, objective
        self.arithmetic, self.limits = arithmetic, limits
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
        batches = list(micro_batches(groups, self.limits.learnt.micro_rows))
        if self.objective.batchwise and len(batches) > 1:
            return self._gathered(step, batches, backward)
        total = torch.zeros((), device=groups[0]["rows"].device)
        for number, batch in enumerate(batches):
            self._draw(step, number)
            reach("micro-batch")
            loss = None if self.graphs is None else self.graphs.replay(batch)
            if loss is None:
                loss = self._loss(batch)
                backward(self.arithmetic.scaled(loss))
            total += loss.detach()
        return total

    def _draw(self, step: int, number: int) -> None:
        """Have micro-batch *number* of *step* draw by its own seed."""
        torch.manual_seed(derive_seed(self.seed, "dropout", step, number))

    def _gathered(self, step: int, batches: list[Batch], backward: Backward) -> Tensor:
        """The same for a loss that compares the rows of all micro-batches.

        What they make of each row is gathered first, and the loss's gradient with respect to that;
        then each micro-batch is run again, with the same draws, and goes back from its own part of
        it: the gradient of the whole step in the memory of a micro-batch, for one more forward pass
        (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
        2021).
        """
        parts: list[list[Tensor]] = []
        for number, batch in enumerate(batches):
            self._draw(step, number)
            outputs, vectors = self._views(batch)
            parts.append([each.detach().float() for each in (*outputs, *vectors)])
        joined = [torch.cat(views).requires_grad_() for views in zip(*parts, strict=True)]
        encoded = torch.cat([batch["targets"] for batch in batches])
        loss = self.objective.loss(joined[: len(outputs)], joined[len(outputs) :], encoded)
        loss = loss * math.nan if reach("loss") else loss
        found = torch.autograd.grad(loss, joined)
        sizes = [len(batch["rows"]) for batch in batches]
        gradients = list(zip(*(each.split(sizes) for each in found), strict=True))
        for number, (batch, given) in enumerate(zip(batches, gradients, strict=True)):
            self._draw(step, number)
            reach("micro-batch")
            outputs, vectors = self._views(batch)
            views = zip((*outputs, *vectors), given, strict=True)
            backward(self.arithmetic.scaled(sum_of(view.float() * each for view, each in views)))
        return loss.detach()

    def _views(self, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """What the objective is of."""
        with self.arithmetic.context():
            return self.objective.views(self.network, batch)

    def _loss(self, batch: Batch) -> Tensor:
        """() the micro-batch's share of the step's mean loss."""
        loss = self.objective.loss(*self._views(batch), batch["targets"]) * batch["weight"]
        return loss * math.nan if reach("loss") else loss

    def _replayed(self, fixed: StaticBuffers) -> Tensor:
        """The same with its backward pass, for what *fixed* holds: what a graph is captured of.

        There is no loss scale: fp16 has no graphs.
        """
        with self.arithmetic.context():
            outputs = fixed.outputs(self.network)
        loss = self.objective.codec.mean_loss(outputs, fixed.targets) * fixed.weight
        loss.backward()
        return loss.detach()

    def _kind(self, groups: list[Batch]) -> tuple[str, str, float] | None:
        """What `_replayed` depends on beside shapes; None for a step that is not to be replayed:
        one that is not full, or was cut for lack of memory, or whose loss is scaled."""
        full = sum(len(group["rows"]) for group in groups) == self.limits.recipe.batch_size
        cut = self.limits.learnt.micro_rows is not None
        if cut or not full or self.arithmetic.scaler is not None:
            return None
        codec = self.objective.codec
        return self.arithmetic.precision, str(codec.as_json()), codec.huber_delta


def sum_of(tensors: Iterable[Tensor]) -> Tensor:
    """() of all numbers of all *tensors*."""
    return torch.stack([each.sum() for each in tensors]).sum()


class Stepper:
    """Takes the steps of one training."""

    def __init__(
        self,
        network: Network,
        codec: TargetCodec,
        arithmetic: PrecisionState,
        limits: Limits,
        *,
        seed: int,
        steps: int,
        rate_scale: float,
        graphs: Graphs | None = None,
        objective: Objective | None = None,
    ) -> None:
        """*steps* in all; *rate_scale* times the recipe's rates are used. With *graphs*, full
        micro-batches are replayed instead of run. *objective*: the codec's loss by default."""
        self.network, self.arithmetic, self.limits = network, arithmetic, limits
        self.steps, self.rate_scale = steps, rate_scale
        self.objective = objective or Objective(codec, limits.recipe)
        self.gradient = Gradient(network, self.objective, arithmetic, limits, seed, graphs)
        self.freezing = Freezing(
            network.backbone, limits.recipe.freeze, steps, limits.recipe.epochs
        )
        self.perturbation = Perturbation(network, limits.recipe, steps)
        self.averaging = Averaging(network, limits.recipe.average, steps, limits.recipe.epochs)
        self.finite = FiniteCheck(self._complain)
        self.done = 0

    def take(self, step: int, groups: list[Batch], optimizer: Any, backward: Backward) -> Tensor:
        """Take optimiser step number *step* on its micro-groups; its mean loss (), detached."""
        loss = None
        self.freezing.before(step)
        while loss is None:
            loss = self._try(step, groups, optimizer, backward)
        self.averaging.after(step)
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
        loss = self.gradient.of(step, groups, backward)
        if self.perturbation.due(step):
            with self.perturbation.moved() as moved:
                if moved:
                    self.gradient.of(step, groups, backward)
        return loss

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
            **self.averaging.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; the smaller of two rate scales holds."""
        self.done = state["done"]
        self.rate_scale = min(self.rate_scale, state["rate_scale"])
        self.limits.learnt = LearnedLimits(**state["learnt"])
        self.arithmetic.restore(state["arithmetic"])
        self.averaging.restore(state)
