"""A GPU that is pretended: tensors that say they are on "cuda" and are computed on the CPU.

Nothing of a GPU's speed or numbers is shown by it. It shows what a machine without one otherwise
cannot: that tensors of two devices are not mixed, and where the host would wait for the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_map_only

from pipeline.models.kernels import packing

GPU = torch.device("cuda", 0)
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
WAITS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default}
"""What gives the host a number, or a shape, that only the device knows."""


waited: list[str] = []
"""What the host waited for, in order."""


class MixedDevicesError(Exception):
    """A tensor of the CPU met one of the GPU."""


class Pretended(Tensor):
    """A tensor on the GPU; *held* is where it really is."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "Pretended":
        made: Pretended = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, device=held.device, requires_grad=held.requires_grad,
        )  # fmt: skip
        made.held = held.detach()
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Pretended({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in WAITS:
            waited.append(str(func))
        if func not in COPIES:
            _refuse_mixed(func, (args, kwargs))
        held = tree_map_only(Pretended, lambda each: each.held, (args, kwargs))
        out = func(*held[0], **held[1])
        out = tree_map_only(Tensor, Pretended, out)
        return return_and_correct_aliasing(func, args, kwargs, out)


def _refuse_mixed(func: Any, given: Any) -> None:
    def look(each: Tensor) -> None:
        if not isinstance(each, Pretended) and each.dim() > 0:
            raise MixedDevicesError(f"{func} with a tensor {tuple(each.shape)} of the CPU")

    tree_map_only(Tensor, look, given)


class PretendedGpu(TorchFunctionMode):
    """Within, "cuda" is a device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        subject = args[0] if args else None
        if isinstance(subject, Pretended):
            if func == Tensor.device.__get__:
                return GPU
            if func == Tensor.is_cuda.__get__:
                return True
            if func is Tensor.cpu:
                return _to(subject, "cpu")
            if func in (Tensor.tolist, Tensor.numpy):
                raise MixedDevicesError(f"{func} of a tensor on the GPU")
        kwargs.pop("pin_memory", None)
        if func is Tensor.pin_memory:
            return subject
        if func is Tensor.to:
            return _to(*args, **kwargs)
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            return Pretended(func(*args, **kwargs | {"device": "cpu"}))
        return func(*args, **kwargs)


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Tensor.to, where the device may be a pretended one."""
    kwargs.pop("non_blocking", None)
    wanted = kwargs.pop("device", None)
    if args and isinstance(args[0], str | torch.device):
        wanted, args = args[0], args[1:]
    if wanted is not None:
        on_gpu, here = torch.device(wanted).type == "cuda", isinstance(tensor, Pretended)
        if on_gpu and not here:
            tensor = Pretended(tensor)
        elif here and not on_gpu:
            waited.append("copy to the CPU")
            tensor = tensor.held.clone()
    return Tensor.to(tensor, *args, **kwargs) if args or kwargs else tensor


def held(tensor: Tensor) -> Tensor:
    """A copy on the CPU that nobody waits for."""
    return (tensor.held if isinstance(tensor, Pretended) else tensor).detach().clone()


def move(module: nn.Module) -> nn.Module:
    """*module* with all that it holds on the pretended GPU; in place."""
    for each in module.modules():
        for name, weight in list(each._parameters.items()):
            if weight is not None and not isinstance(weight, Pretended):
                each._parameters[name] = nn.Parameter(Pretended(weight.detach()))
        for name, buffer in list(each._buffers.items()):
            if buffer is not None and not isinstance(buffer, Pretended):
                each._buffers[name] = Pretended(buffer)
    return module


@contextmanager
def pretended_gpu() -> Iterator[list[str]]:
    """A machine with a GPU, as far as tensors go; gives what the host has waited for so far."""
    waited.clear()
    grouped = {"_group_tensors_by_device_and_dtype": _grouped}
    with (
        PretendedGpu(),
        mock.patch.object(nn.Module, "to", lambda module, device: move(module)),
        mock.patch.object(torch.cuda, "Event", mock.MagicMock),
        mock.patch.object(packing, "_jagged", attend),
        mock.patch.multiple(torch.nn.utils.clip_grad, **grouped),
    ):
        yield waited


def _grouped(lists: list[list[Tensor]]) -> dict[Any, Any]:
    """As torch's, which would look at where the tensors really are."""
    return {(GPU, lists[0][0].dtype): (lists, [])}


def attend(
    query: Tensor, key: Tensor, value: Tensor, packed: Any, dropout: float, scale: Any
) -> Tensor:
    """In the place of the GPU's own attention on a packed row: texts told apart by a mask."""
    places = torch.arange(len(query), device=query.device)
    texts = torch.bucketize(places, packed.offsets, right=True)
    scores = torch.einsum("qhd,khd->hqk", query, key) * (scale or query.shape[-1] ** -0.5)
    scores = scores.masked_fill(texts[:, None] != texts[None], float("-inf"))
    chances = torch.nn.functional.dropout(scores.softmax(-1), dropout)
    return torch.einsum("hqk,khd->qhd", chances, value)
