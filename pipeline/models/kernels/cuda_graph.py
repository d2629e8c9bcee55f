"""Forward and backward of a micro-batch as a CUDA graph per shape, for all steps of all folds.

A graph works on the weights and gradients that it was captured with. So the backbone and one head
stay where they are and get new values for every fold, and the gradients lie in buffers that belong
to the graphs. Where weights have moved all the same, graphs are captured anew.

Not measured and never run on a GPU: written on a machine without one, so `cuda_graphs` is off by
default. What is said of a GPU follows from PyTorch's notes and sources; a test stands in for CUDA
by running the recorded work anew on the same buffers.

Why: on a fast GPU a step of short texts is over before Python has launched it. A roberta-large
takes some thousand launches forward and backward, and each packed attention builds three nested
tensors in Python. A graph is one launch.

What is captured: forward and backward of one micro-batch, per shape. Zeroing, clipping and the
fused AdamW, some launches each, stay outside. All texts of a micro-batch make one packed row,
filled up to a multiple of 128 tokens, so batches of 32 rows have a handful of shapes; 32 at most
are kept, others are run. Draws stay a function of seed, step and micro-batch, but the dummy text
draws too, so a training does not go on with the other setting. Gradients add up in buffers that
belong to the graphs: once more the weights' bytes, for the whole run. Loss, gradient norm and
clipping are read some steps late, without waiting.

Where they are not used, with an event that says why: no CUDA, no packing, gradient checkpointing,
a GPU asked to be deterministic (its attention reads lengths from the device), fp16 (each gradient
is looked at before the step). A step of fewer rows, of a shape too many, or cut for lack of
memory is run. Where capturing fails or memory runs out, graphs are given up for the whole run,
which is told, and the step is taken again without them.

To prove them on a machine with a GPU: `pytest -m gpu`, then the GPU benchmark with --write. If
the tests pass and graphs are the faster line of its table, make `cuda_graphs: true` the default
in models/transformer_settings.py; else delete this file and what calls it.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn, zeros_like

from pipeline.models.kernels.packing import Packed, Packing, lay_out, to_device
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.heads import Network
from pipeline.models.transformer.memory_limits import Batch
from pipeline.models.transformer_settings import TransformerRecipe

# How work on the device is recorded once and started again with a single call.
#
# A CUDA graph holds the kernels that a function launched, with the addresses they read and write;
# to replay it costs one launch instead of thousands. What it needs, from PyTorch's notes "CUDA
# Graphs" (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs): inputs, weights and
# gradients that stay where they are, fixed shapes, no waiting for the device, and some runs on a
# side stream beforehand. Random numbers come from the default generator, whose seed and offset are
# read anew at every replay: seeded before it, a replay draws what the function itself would draw.


Work = Callable[[], Tensor]
"""Reads and writes what stays in its place; returns a loss ()."""
WARM_UP = 3
"""Runs before recording, as in PyTorch's examples: libraries set themselves up in the first."""


class Capture(Protocol):
    """One piece of work, recorded."""

    def warm_up(self, work: Work) -> None:
        """Run *work* so often that nothing is left to be set up."""

    def record(self, work: Work) -> None:
        """Keep *work*, which may or may not be run by that; RuntimeError where it cannot be."""

    def replay(self) -> Tensor:
        """Run it; the loss is overwritten by the next replay of any capture."""


class CudaCapture:
    """A `Capture` as a CUDA graph."""

    def __init__(self, beside: "CudaCapture | None" = None) -> None:
        """Takes its memory from that of *beside*: two of them never run at the same time."""
        self.graph: torch.cuda.CUDAGraph = torch.cuda.CUDAGraph()
        self.pool = None if beside is None else beside.graph.pool()
        self.loss: Tensor | None = None

    def warm_up(self, work: Work) -> None:
        """See `Capture.warm_up`."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                work()
        torch.cuda.current_stream().wait_stream(stream)

    def record(self, work: Work) -> None:
        """See `Capture.record`; waits for the device."""
        with torch.cuda.graph(self.graph, pool=self.pool):
            self.loss = work()

    def replay(self) -> Tensor:
        """See `Capture.replay`."""
        assert self.loss is not None, "nothing was recorded"
        self.graph.replay()
        return self.loss


class Rerun:
    """A `Capture` that runs the work anew: the same buffers and draws, where there is no GPU."""

    def __init__(self, beside: "Rerun | None" = None) -> None:
        self.work: Work | None = None

    def warm_up(self, work: Work) -> None:
        """See `Capture.warm_up`."""
        work()

    def record(self, work: Work) -> None:
        """See `Capture.record`."""
        self.work = work

    def replay(self) -> Tensor:
        """See `Capture.replay`."""
        assert self.work is not None, "nothing was recorded"
        return self.work()


# A micro-batch in buffers that never move nor change their size, as a CUDA graph needs them.
#
# All texts of all inputs make one packed row. Its real tokens are filled up to a multiple of
# `BUCKET` by those of one dummy text, which attends to itself alone and whose states are thrown
# away; so the outputs and the gradient are those of the texts as they are, but for the order of
# sums.
#
# Notation: B rows, u inputs per row, N tokens of the filled row, W most tokens of a text.


BUCKET = 128
"""Filled rows are a multiple of so many tokens: half of them, on average, are computed in vain."""


class Shape(NamedTuple):
    """What two micro-batches must have in common to use the same buffers."""

    rows: int
    inputs: int
    tokens: int
    """N."""

    @classmethod
    def of(cls, batch: Batch) -> "Shape":
        """That of *batch*; at least one token is left to the dummy text."""
        inputs, rows = batch["lengths"].shape
        return cls(rows, inputs, (int(batch["lengths"].sum()) // BUCKET + 1) * BUCKET)


class StaticBuffers:
    """The buffers of one shape: `load` a micro-batch into them, then run `outputs`."""

    def __init__(self, like: Batch, width: int) -> None:
        """For batches of the shape of *like*, their texts of at most *width* tokens (W)."""
        self.shape, self.width = Shape.of(like), width
        device, tokens = like["rows"].device, self.shape.tokens
        self.texts = self.shape.rows * self.shape.inputs
        sizes = [tokens, tokens, tokens, self.texts + 2, self.texts]
        self.numbers = torch.zeros(sum(sizes), dtype=torch.int64, device=device)
        self.source, places, positions, offsets, self.lengths = self.numbers.split(sizes)
        longest = max(width, BUCKET)  # the dummy text may be longer than the real ones
        self.packed = Packed(places, positions[None], offsets, [], longest)
        names = [name for name in like["inputs"][0] if name != "attention_mask"]
        self.flat = {name: self.numbers.new_zeros(tokens) for name in names}
        self.targets = torch.zeros_like(like["targets"])
        self.weight = torch.zeros((), device=device)

    def load(self, batch: Batch) -> None:
        """Copy *batch* into the buffers; waits for nothing."""
        self.numbers.copy_(to_device(self._numbers(batch), self.numbers.device), non_blocking=True)
        for name, buffer in self.flat.items():
            values = [each[name].reshape(-1) for each in batch["inputs"]]
            torch.index_select(torch.cat(values), 0, self.source, out=buffer)
        self.targets.copy_(batch["targets"])
        self.weight.fill_(batch["weight"])

    def _numbers(self, batch: Batch) -> np.ndarray:
        """All that depends on lengths, one after the other: one copy to the device."""
        lengths = batch["lengths"].reshape(-1)
        texts, positions, offsets = lay_out(lengths)
        filler = self.shape.tokens - len(texts)
        self.packed.lengths[:] = [*np.diff(offsets).tolist(), filler]
        dummy = np.zeros(filler, dtype=np.int64)  # of the first token's kind, at the first position
        return np.concatenate(
            [
                _begins(batch)[texts] + positions,
                dummy,
                texts * self.width + positions,
                self.texts * self.width + np.arange(filler),
                positions,
                dummy,
                offsets,
                [self.shape.tokens],
                lengths,
            ]
        )

    def outputs(self, network: Network) -> Tensor:
        """(B, o): what *network* makes of the texts that are loaded."""
        assert network.packing is not None
        size = self.texts * self.width
        (states,) = network.packing.run(network.backbone, self.flat, self.packed, size + BUCKET)
        mask = torch.arange(self.width, device=self.lengths.device) < self.lengths[:, None]
        vectors = network.pooling([states[:size].view(self.texts, self.width, -1)], mask)
        outputs: Tensor = network.head(vectors.chunk(self.shape.inputs))
        return outputs


def _shapes(head: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in head.state_dict().items()}


def _begins(batch: Batch) -> np.ndarray:
    """(u * B,): where each text begins among the padded tokens of all inputs in a row."""
    begins, start = [], 0
    for each in batch["inputs"]:
        rows, width = each["input_ids"].shape
        begins.append(start + np.arange(rows) * width)
        start += rows * width
    return np.concatenate(begins)


MOST = 32
"""Graphs kept; micro-batches of further shapes are run without."""


class CaptureFailed(RuntimeError):
    """A micro-batch cannot be captured on this device; it can still be run."""


def refusal(recipe: TransformerRecipe, hardware: Hardware, packing: Packing | None) -> str | None:
    """Why *recipe*, which asks for CUDA graphs, is trained without; None where it need not be."""
    if hardware.accelerator != "cuda":
        return f"they need CUDA, and this is {hardware.accelerator}"
    if packing is None or not packing.as_one_row:
        return "only texts without padding have few shapes, and here they are not packed"
    if asked := recipe.more_than_plain:
        return f"they replay plain steps, and {', '.join(asked)} of the recipe asks for more"
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
        self.captured: dict[Hashable, tuple[StaticBuffers, Capture]] = {}
        self.gradients: dict[nn.Parameter, Tensor] = {}
        self.closed = False
        """Whether capturing has failed: trainings to come need not try."""
        self.counts = {"captured": 0, "replayed": 0, "without": 0}
        """Micro-batches of the training that is under way."""
        self._head: nn.Module | None = None
        self._network: Network | None = None
        self._where: list[int] = []
        self._kind: Hashable = None

    def head(self, fresh: nn.Module) -> nn.Module:
        """The one head of all trainings, with the weights of *fresh*."""
        if self._head is None or _shapes(self._head) != _shapes(fresh):
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
        self, batches: Sequence[Batch], kind: Hashable, work: Callable[[StaticBuffers], Tensor]
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

    def _capture(
        self, batch: Batch, work: Callable[[StaticBuffers], Tensor]
    ) -> tuple[StaticBuffers, Capture]:
        beside = next((capture for _, capture in self.captured.values()), None)
        try:
            fixed, capture = StaticBuffers(batch, self.width), self.make(beside)
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
