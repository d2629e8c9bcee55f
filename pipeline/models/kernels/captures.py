"""How work on the device is recorded once and started again with a single call.

A CUDA graph holds the kernels that a function launched, with the addresses they read and write; to
replay it costs one launch instead of thousands. What it needs, from PyTorch's notes "CUDA Graphs"
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs): inputs, weights and gradients
that stay where they are, fixed shapes, no waiting for the device, and some runs on a side stream
beforehand. Random numbers come from the default generator, whose seed and offset are read anew at
every replay: seeded before it, a replay draws what the function itself would draw.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

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
