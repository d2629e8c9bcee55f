"""Linear layers by oneDNN on AMD's processors, which MKL knows little of.

torch's CPU builds multiply float32 matrices by MKL. On an AMD EPYC (Zen 4, 4 threads) that reached
190 GFLOP/s at minilm's shapes, oneDNN 330; on one thread 80 and 97. oneDNN is in the same builds,
and torch.compile hands linear layers to the operator that is used here. It is no public interface,
so without it torch's own layers stay.

Which of the two it is depends on the machine alone, never on a measurement: a training that goes on
in another process must find the same bits.
"""

import ctypes
import math
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

CPU_INFO = Path("/proc/cpuinfo")
AMD = "AuthenticAMD"
ROWS = 32
"""Rows of a product that weights are laid out for: a short text or two."""


@cache
def has_operator() -> bool:
    """Whether this torch has oneDNN's linear layer."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def is_amd(info: Path = CPU_INFO) -> bool:
    """Whether this machine's processor is one of AMD's; False where it does not say."""
    try:
        return AMD in info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def filled(rows: int) -> int:
    """How many rows a product of *rows* is filled up to: one of a few sizes.

    Sixteen between one power of two and the next, 16 apart at least: about 2 % more to compute.
    oneDNN makes a program for every size that it meets, of 0.1 to 0.4 MB and some milliseconds for
    each of a layer's products, and keeps parts of it for good; lying between what is freed, they
    leave the C library no block of a fitting size. Whole blocks of rows also are what its programs
    are best at: steps of minilm took 5 % less time.

    >>> [filled(rows) for rows in (1, 200, 1500, 1537)]
    [16, 208, 1536, 1600]
    """
    step = max(16, 2 ** (rows.bit_length() - 5))
    return -(-rows // step) * step


def _fill(rows: Tensor) -> Tensor:
    """(N, n) -> (M, n), M as `filled` says, the rest 0."""
    spare = filled(len(rows)) - len(rows)
    return functional.pad(rows, (0, 0, 0, spare)) if spare else rows


def owning(values: Tensor, shape: Sequence[int]) -> Tensor:
    """The first numbers of the contiguous *values* in a *shape*, in the same memory.

    No view to autograd: it lets nobody change what a function of ours returned in place, as
    DeBERTa and Longformer do with their queries, where that is a view.
    """
    start, whole = values.storage_offset(), values.untyped_storage()
    return values.new_empty(0).set_(whole, start, shape)  # type: ignore[call-overload]


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(…, n) rows times (m, n) weights plus (m,) -> (…, m)."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return found


def _of_weight(gradient: Tensor, rows: Tensor) -> Tensor:
    """(N, m) gradients, (N, n) rows -> (m, n); oneDNN copies the factor that it is given first."""
    ours, theirs = gradient.shape[1], rows.shape[1]
    if ours == theirs:  # neither is small, and MKL copies none
        return gradient.t() @ rows
    if ours < theirs:
        return _product(gradient.t(), rows.t(), None)
    return _product(rows.t(), gradient.t(), None).t()


class Product(torch.autograd.Function):
    """(…, n) rows, (m, n) weights, None or a bias (m,) -> (…, m)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """All float32, on the CPU."""
        full = _fill(rows.reshape(-1, weight.shape[1]))
        ctx.save_for_backward(full, weight)
        ctx.shape = rows.shape
        return owning(_product(full, weight, bias), (*rows.shape[:-1], len(weight)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Those of rows, weights and bias."""
        full, weight = ctx.saved_tensors
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        flat = gradients[0].reshape(-1, len(weight))
        given = _fill(flat)
        return (
            _product(given, weight.t(), None)[: len(flat)].view(ctx.shape) if of_rows else None,
            _of_weight(given, full) if of_weight else None,
            flat.sum(0) if of_bias else None,
        )


class Linear(nn.Linear):
    """torch's layer, its products by oneDNN wherever it is about float32 on a CPU."""

    _packed: "tuple[int, Tensor] | None"

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """(…, n) -> (…, m)."""
        if not _is_plain(input, self.weight) or torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        if torch.is_inference_mode_enabled():  # nothing is derived: the same without its record
            full = _fill(input.reshape(-1, self.in_features))
            found = _product(full, self._laid_out(), self.bias)
            return owning(found, (*input.shape[:-1], self.out_features))
        product: Tensor = Product.apply(input, self.weight, self.bias)
        return product

    def _laid_out(self) -> Tensor:
        """The weights as oneDNN wants them, where `lay_out` has done that and they are the same
        since."""
        version, packed = getattr(self, "_packed", None) or (None, self.weight)
        return packed if version == self.weight._version else self.weight


def lay_out(module: nn.Module) -> None:
    """Keep the weights of the layers inside *module* as oneDNN wants them, too: predictions take
    the same bits from them, and it need not lay them out for every few rows."""
    for layer in module.modules():
        if type(layer) is Linear and _is_plain(layer.weight):
            packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
            layer._packed = (layer.weight._version, packed)


def _is_plain(*tensors: Tensor) -> bool:
    return all(
        each.dtype is torch.float32 and each.device.type == "cpu" and each.numel()
        for each in tensors
    )


def use_fast_products(module: nn.Module) -> int:
    """Have every plain linear layer inside *module* computed by oneDNN; how many there were.

    The layers stay the same objects and keep their weights, names and hooks: only their class
    changes, as torch.nn.utils.parametrize does it.
    """
    plain = [each for each in module.modules() if type(each) is nn.Linear]
    for layer in plain:
        layer.__class__ = Linear
    return len(plain)


# Dropout on a CPU, with a quarter of a random number per value instead of a whole one.
#
# torch draws a Bernoulli variable for every value; on a CPU that is a twelfth of a training step of
# minilm. Here 64 random bits of the same generator decide on four values, 16 bits each: a value is
# kept where its bits, read as a number, are not below the threshold. The chance of being dropped is
# the one asked for to within 1 in 131,072. Everything else is as in torch (what is kept is divided
# by the chance of being kept; the same seed, the same draws; nothing is dropped in evaluation).
#
# What a value is multiplied with is kept as a number, not as a truth: a product of two kinds of
# numbers takes forty times as long on a CPU.


LEVELS = 2**16


def factors(shapes: Sequence[Sequence[int]], chance: float) -> list[Tensor]:
    """float32 tensors of *shapes*, one draw for all: 0 with *chance*, else 1 / (1 - chance)."""
    sizes = [math.prod(shape) for shape in shapes]
    count = sum(sizes)
    draws = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = torch.empty(count)
    threshold = round(chance * LEVELS) - LEVELS // 2
    torch.ge(draws.view(torch.int16)[:count], threshold, out=kept)
    parts = kept.mul_(1.0 / (1.0 - chance)).split(sizes)
    return [part.view(*shape) for part, shape in zip(parts, shapes, strict=True)]


class Drop(torch.autograd.Function):
    """Values times factors, which are all that is saved."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: Tensor) -> Tensor:
        """(…) of the values' shape."""
        ctx.save_for_backward(factor)
        return values * factor

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient goes where the values went."""
        (factor,) = ctx.saved_tensors
        return gradients[0] * factor, None


def drop(values: Tensor, chance: float) -> Tensor:
    """*values*, each of them dropped with *chance*."""
    (factor,) = factors([values.shape], chance)
    dropped: Tensor = Drop.apply(values, factor.to(values.dtype))
    return dropped


class Dropout(nn.Dropout):
    """torch's module, drawn the cheap way."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """(…) of the input's shape."""
        if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        return drop(input, self.p)


def use_cheap_dropout(module: nn.Module) -> int:
    """Exchange every plain dropout inside *module*; how many there were. For training on a CPU."""
    found = 0
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
                found += 1
    return found


# Memory of the C library kept between steps, instead of being given back and asked for again.
#
# A step on a CPU allocates and frees the same large tensors every time. By default glibc maps each
# anew from the kernel, which fills it with zeros, page by page: a tenth to a fifth of a step of
# minilm on two threads. The tensors' values are the same either way. (Options of mallopt: man 3
# mallopt; GNU C Library manual, "Malloc Tunable Parameters".)


NEVER_MAP, NEVER_TRIM, GROW_BY = (-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)
"""mallopt's M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes, each with its value."""


def keep_memory() -> bool:
    """Let the process keep what it frees; whether this C library can. For the whole process."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = [mallopt(option, value) for option, value in (NEVER_MAP, NEVER_TRIM, GROW_BY)]
    return taken == [1, 1, 1]
