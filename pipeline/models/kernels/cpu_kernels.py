"""Linear layers by oneDNN on AMD's processors, which MKL knows little of.

torch's CPU builds multiply float32 matrices by MKL. On an AMD EPYC (Zen 4, 4 threads) that reached
190 GFLOP/s at minilm's shapes, oneDNN 330; on one thread 80 and 97. oneDNN is in the same builds,
and torch.compile hands linear layers to the operator that is used here. It is no public interface,
so without it torch's own layers stay.

Which of the two it is depends on the machine alone, never on a measurement: a training that goes on
in another process must find the same bits.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CPU_INFO = Path("/proc/cpuinfo")
AMD = "AuthenticAMD"


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
        ctx.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Those of rows, weights and bias."""
        rows, weight = ctx.saved_tensors
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        flat = gradients[0].reshape(-1, len(weight))
        return (
            _product(flat, weight.t(), None).view(rows.shape) if of_rows else None,
            _of_weight(flat, rows.reshape(-1, weight.shape[1])) if of_weight else None,
            flat.sum(0) if of_bias else None,
        )


class Linear(nn.Linear):
    """torch's layer, its products by oneDNN wherever it is about float32 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """(…, n) -> (…, m)."""
        if not _is_plain(input, self.weight) or torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        product: Tensor = Product.apply(input, self.weight, self.bias)
        return product


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
