"""What a model computes on: device, precision, threads. Found once, printed first, handed on.

Precision is that of the forward pass; the weights that are trained are always float32.

It is found here and not in the training room, because a learner needs it and must not know
training.
"""

import math
import os
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.base import UsageError
from pipeline.base.cores import cpu_quota
from pipeline.base.files import size_text
from pipeline.models.settings import PrecisionName as Asked

Accelerator = Literal["cpu", "cuda", "mps"]
Word = Literal["fp32", "bf16", "fp16"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""A `Word` as Lightning says it; 16-mixed trains with a scaled loss."""
CPU_INFO = Path("/proc/cpuinfo")
REAL_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One device and how it is used."""

    accelerator: Accelerator
    name: str
    """The device's name for people."""
    precision: Precision
    """Of the forward pass."""
    threads: int
    """CPU threads that torch computes with."""
    memory: int
    """Bytes of the device's memory."""
    bf16: bool = False
    """Whether it really computes in bf16, rather than emulating it."""
    deterministic: bool = True
    """Whether only algorithms are used that give the same bits every time."""

    def __str__(self) -> str:
        """The line a command opens with."""
        threads = f", {self.threads} threads" if self.accelerator == "cpu" else ""
        return f"{self.accelerator} ({self.name}, {size_text(self.memory)}{threads})"


def detect(precision: Asked = "auto", deterministic: bool = False) -> Hardware:
    """The best device of this machine, with the *precision* that was asked for.

    A CPU is always used in a deterministic way, a GPU where that is asked for: it costs time there.
    UsageError where the device cannot compute in the precision.
    """
    accelerator: Accelerator = "cpu"
    if torch.cuda.is_available():
        accelerator = "cuda"
    elif torch.backends.mps.is_available():
        accelerator = "mps"
    name = _device_name(accelerator)
    bf16 = _real_bf16(accelerator)
    chosen = choose_precision(precision, accelerator, name, bf16)
    words: Mapping[Word, Precision] = {
        "fp32": "32-true",
        "bf16": "bf16-mixed",
        "fp16": "16-mixed",
    }
    return Hardware(
        accelerator=accelerator,
        name=name,
        precision=words[chosen],
        threads=usable_threads(torch.get_num_threads(), os.environ, cpu_quota()),
        memory=_memory(accelerator),
        bf16=bf16,
        deterministic=deterministic or accelerator == "cpu",
    )


def choose_precision(asked: Asked, accelerator: Accelerator, name: str, real_bf16: bool) -> Word:
    """The arithmetic for *asked* on a device; UsageError where it is impossible there.

    auto is bf16 on a GPU that really computes in it (emulated, it is slower than fp32), fp16 on
    any other CUDA GPU, and fp32 elsewhere.

    >>> choose_precision("auto", "cuda", "Tesla T4", real_bf16=False)
    'fp16'
    """
    if asked == "auto":
        if accelerator != "cuda":
            return "fp32"
        return "bf16" if real_bf16 else "fp16"
    possible = {"fp32"} | ({"bf16"} if real_bf16 else set())
    possible |= {"fp16"} if accelerator == "cuda" else set()
    if asked not in possible:
        raise UsageError(
            f"the recipe asks for precision {asked}, but {accelerator} ({name}) computes in "
            f"{', '.join(sorted(possible))} only. Set precision: auto, or use another machine."
        )
    return asked


def usable_threads(default: int, environment: Mapping[str, str], quota: float | None) -> int:
    """Threads to compute with: OMP_NUM_THREADS where set, else no more than a container's share.

    *quota* is that share in cores; None for all of them.

    >>> usable_threads(64, {}, 1.5), usable_threads(64, {}, None)
    (2, 64)
    >>> usable_threads(3, {"OMP_NUM_THREADS": "3"}, 2.0)
    3
    """
    if environment.get("OMP_NUM_THREADS") or quota is None:
        return default
    return max(1, min(default, math.ceil(quota)))


def _real_bf16(accelerator: Accelerator) -> bool:
    if accelerator == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = set(_cpu_info("flags").split())
    return accelerator == "cpu" and bool(flags & REAL_BF16_FLAGS)


def _device_name(accelerator: Accelerator) -> str:
    if accelerator == "cuda":
        return torch.cuda.get_device_name()
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _memory(accelerator: Accelerator) -> int:
    if accelerator == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cpu_info(key: str) -> str:
    """The first value of *key* in /proc/cpuinfo; empty where there is none."""
    for line in _text(CPU_INFO).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


# The precision of the forward pass, and the loss scale that fp16 needs; both can step down.
#
# A number beyond 65,504 is infinite in fp16. Gradients that overflow are a matter of the loss
# scale: it is halved and the step is taken again, so no step is lost. A loss that overflows is a
# matter of the model (DeBERTa's attention is known for it): then all that follows is computed in
# bf16 where the device has it, else in fp32. (Micikevicius et al., "Mixed Precision Training",
# 2018.)
#
# Autocast and the loss scale are ours (on torch.amp), because Lightning's plugin cannot change the
# precision during a fit, skips a step that overflows instead of taking it again, and refuses fused
# AdamW with clipping.


DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
NAMES: dict[Precision, str] = {"32-true": "fp32", "bf16-mixed": "bf16", "16-mixed": "fp16"}
LEAST_SCALE = 1.0
"""A gradient that overflows even unscaled will not be helped by a smaller scale."""


class PrecisionState:
    """How one training computes."""

    def __init__(self, accelerator: Accelerator, precision: Precision, bf16: bool) -> None:
        """*bf16*: whether the device really computes in it."""
        self.accelerator, self.precision, self.bf16 = accelerator, precision, bf16
        self.scaler = self._make_scaler()

    def context(self) -> AbstractContextManager[Any]:
        """Where forward passes are run."""
        if self.precision == "32-true":
            return nullcontext()
        return torch.autocast(self.accelerator, DTYPES[self.precision], cache_enabled=False)

    def scaled(self, loss: Tensor) -> Tensor:
        """The *loss* to go backward from."""
        return loss if self.scaler is None else self.scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Bring the gradients back to the loss's own scale."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def taken(self) -> None:
        """A step was taken; the scale may grow again after many of them."""
        if self.scaler is not None:
            self.scaler.update()

    def overflows(self, loss: Tensor, norm: Tensor) -> bool:
        """Whether a step in fp16 came out infinite; waits for the device, as fp16 must."""
        return self.scaler is not None and not bool(torch.isfinite(loss + norm))

    def halve_scale(self, loss: Tensor) -> bool:
        """After an overflow: halve the loss scale. Whether that can help, so that fp16 can stay."""
        assert self.scaler is not None
        self.scaler.update(0.5 * self.scaler.get_scale())
        return bool(torch.isfinite(loss)) and self.scaler.get_scale() >= LEAST_SCALE

    def widen(self) -> None:
        """Leave fp16 for the next wider precision that the device has."""
        self.use("bf16-mixed" if self.bf16 else "32-true")

    def use(self, precision: Precision) -> None:
        """Compute in *precision* from here on."""
        if precision != self.precision:
            self.precision = precision
            self.scaler = self._make_scaler()

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        scaler = None if self.scaler is None else self.scaler.state_dict()
        return {"precision": self.precision, "scaler": scaler}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.use(state["precision"])
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])

    def _make_scaler(self) -> torch.amp.GradScaler | None:
        return torch.amp.GradScaler(self.accelerator) if self.precision == "16-mixed" else None


def clip(module: nn.Module, most: float) -> Tensor:
    """Scale the gradients of *module* down to the norm *most* (0: leave them); the norm before."""
    gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if most:
        torch.nn.utils.clip_grads_with_norm_(module.parameters(), most, norm)
    return norm
