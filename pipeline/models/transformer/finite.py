"""NaN and infinity are noticed within a few steps, and nothing waits for the device to notice."""

import math
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor, nn

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
