"""Forward and backward of a micro-batch as a CUDA graph per shape, for all steps of all folds.

A graph works on the weights and gradients that it was captured with. So the backbone and one head
stay where they are and get new values for every fold, and the gradients lie in buffers that belong
to the graphs. Where weights have moved all the same, graphs are captured anew.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from torch import Tensor, nn, zeros_like

from pipeline.models.kernels.captures import Capture
from pipeline.models.kernels.fixed import Fixed, Shape
from pipeline.models.kernels.packing import Packing
from pipeline.models.settings import TransformerRecipe
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.heads import Head
from pipeline.models.transformer.micro import Batch
from pipeline.models.transformer.network import Network

MOST = 32
"""Graphs kept; micro-batches of further shapes are run without."""


class CaptureFailed(RuntimeError):
    """A micro-batch cannot be captured on this device; it can still be run."""


def refusal(recipe: TransformerRecipe, hardware: Hardware, packing: Packing | None) -> str | None:
    """Why *recipe*, which asks for CUDA graphs, is trained without; None where it need not be."""
    if hardware.accelerator != "cuda":
        return f"they need CUDA, and this is {hardware.accelerator}"
    if packing is None:
        return "only texts without padding have few shapes, and here they are not packed"
    if recipe.gradient_checkpointing:
        return "gradient_checkpointing keeps the generator's state, which waits for the device"
    if hardware.deterministic:
        return "attention that gives the same bits every time reads the lengths from the device"
    if hardware.precision == "16-mixed":
        return "fp16 looks at every step's gradient before it takes the step"
    return None


class Graphs:
    """The graphs of one run, lent to one training after the other."""

    def __init__(self, make: Callable[[Any], Capture], width: int) -> None:
        """*make* a capture beside an earlier one, or None; texts have at most *width* tokens."""
        self.make, self.width = make, width
        self.captured: dict[Hashable, tuple[Fixed, Capture]] = {}
        self.gradients: dict[nn.Parameter, Tensor] = {}
        self.closed = False
        """Whether capturing has failed: trainings to come need not try."""
        self.counts = {"captured": 0, "replayed": 0, "without": 0}
        """Micro-batches of the training that is under way."""
        self._head: Head | None = None
        self._network: Network | None = None
        self._where: list[int] = []
        self._kind: Hashable = None

    def head(self, fresh: Head) -> Head:
        """The one head of all trainings, with the weights of *fresh*."""
        if self._head is None or self._head.linear.weight.shape != fresh.linear.weight.shape:
            self._head = fresh
        elif self._head is not fresh:
            self._head.load_state_dict(fresh.state_dict())
        return self._head

    def attach(self, network: Network) -> None:
        """Let the gradients of *network* be in their buffers; they hold what they held."""
        if network is not self._network:
            self._begin(network)
        for parameter, gradient in self.gradients.items():
            parameter.grad = gradient

    def _begin(self, network: Network) -> None:
        """A training of *network* begins: what was captured holds if no weight has moved."""
        where = [parameter.data_ptr() for parameter in network.parameters()]
        if where != self._where:
            self._forget()
        self._network, self._where = network, where
        self.counts = dict.fromkeys(self.counts, 0)

    def prepare(
        self, batches: Sequence[Batch], kind: Hashable, work: Callable[[Fixed], Tensor]
    ) -> bool:
        """Be ready for the micro-batches of a step; whether that has spoilt the gradients.

        *work* is to be done on each: a loss () and its backward pass, the same wherever *kind* is;
        a *kind* of None asks for no graphs in this step. Raises CaptureFailed.
        """
        self._kind = kind
        before = len(self.captured)
        for batch in batches if kind is not None else ():
            key = kind, Shape.of(batch)
            if key not in self.captured and len(self.captured) < MOST:
                self.captured[key] = self._capture(batch, work)
        self.counts["captured"] += len(self.captured) - before
        return len(self.captured) > before

    def _capture(self, batch: Batch, work: Callable[[Fixed], Tensor]) -> tuple[Fixed, Capture]:
        beside = next((capture for _, capture in self.captured.values()), None)
        try:
            fixed, capture = Fixed(batch, self.width), self.make(beside)
            fixed.load(batch)
            capture.warm_up(lambda: work(fixed))
            self._hold_gradients()
            capture.record(lambda: work(fixed))
        except RuntimeError as error:
            raise CaptureFailed(str(error)) from error
        return fixed, capture

    def _hold_gradients(self) -> None:
        """Give each weight that has a gradient by now a buffer for it, on the stream that trains.

        A weight that no loss reaches gets none: with zeros for a gradient it would decay.
        """
        assert self._network is not None
        for parameter in self._network.parameters():
            if parameter.grad is not None and parameter not in self.gradients:
                self.gradients[parameter] = parameter.grad = zeros_like(parameter)

    def replay(self, batch: Batch) -> Tensor | None:
        """Add the gradient of *batch*; its loss (), to be read before the next replay.

        None, and nothing is done, where it has no graph.
        """
        found = self.captured.get((self._kind, Shape.of(batch)))
        self.counts["without" if found is None else "replayed"] += 1
        if found is None:
            return None
        fixed, capture = found
        fixed.load(batch)
        return capture.replay()

    def close(self) -> None:
        """Give all memory back; there will be no graphs any more."""
        self.closed = True
        self._forget()

    def _forget(self) -> None:
        self.captured.clear()
        self.gradients.clear()
