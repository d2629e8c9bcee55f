"""The precision of the forward pass, and the loss scale that fp16 needs; both can step down.

A number beyond 65,504 is infinite in fp16. Gradients that overflow are a matter of the loss scale:
it is halved and the step is taken again, so no step is lost. A loss that overflows is a matter of
the model (DeBERTa's attention is known for it): then all that follows is computed in bf16 where the
device has it, else in fp32. (Micikevicius et al., "Mixed Precision Training", 2018.)

Autocast and the loss scale are ours (on torch.amp), because Lightning's plugin cannot change the
precision during a fit, skips a step that overflows instead of taking it again, and refuses fused
AdamW with clipping.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.models.transformer.device import Accelerator, Precision

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
