"""Nested values with tensors in them as one safetensors file: no pickle, no second copy in memory.

The tensors lie in the file under their path, the keys that lead to them (a dict of weights keeps
its names); the tree they belong to (dicts, lists, numbers, texts) is JSON in the header.
The library's writer opens files by itself and has its own words for a full disk; this one writes to
the stream of `files.commit`, tensor by tensor. The library's reader is used as it is.
Format: https://huggingface.co/docs/safetensors (an 8-byte length, a JSON header, the tensors).

Checkpoints are written by ourselves because Lightning's own writer builds the whole file in
memory first; here they go through the same commit protocol, with the same errors, as every other
file. 1.3 GB take 4.0 s with fsync and checksum, Lightning's without them 5.6 s
(benchmarks/results/checkpoints.md).
"""

import json
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipeline.base import ArtifactError
from pipeline.base.files import sha256

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
ALIGNMENT = 8


def write(stream: IO[bytes], tree: Any) -> None:
    """Write *tree*: dicts with text or int keys, lists, tensors, numbers, texts, None."""
    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {"__metadata__": {"tree": json.dumps(_encode(tree, tensors))}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + size_of(tensor)
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    content = json.dumps(header).encode()
    content += b" " * (-len(content) % ALIGNMENT)
    stream.write(len(content).to_bytes(8, "little"))
    stream.write(content)
    for tensor in tensors.values():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        stream.write(flat.view(torch.uint8).numpy().data)


def read_checked(path: Path, expected: str) -> Any:
    """What `write` wrote to *path*; ArtifactError where its SHA-256 is not the *expected* one."""
    if not path.exists():
        raise ArtifactError(f"{path} is missing. Train the fold again.")
    if (found := sha256(path)) != expected:
        raise ArtifactError(
            f"{path} has changed since it was written: its SHA-256 is {found[:12]}…, expected "
            f"{expected[:12]}…. Train the fold again."
        )
    return read(path)


def read(path: Path) -> Any:
    """The tree that `write` wrote, its tensors on the CPU; ArtifactError where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tree = json.loads((file.metadata() or {})["tree"])
            return _decode(tree, file)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error


def size(tree: Any) -> int:
    """About the bytes that `write` takes: those of the tensors."""
    tensors: dict[str, Tensor] = {}
    _encode(tree, tensors)
    return sum(map(size_of, tensors.values()))


def size_of(tensor: Tensor) -> int:
    """Bytes of one tensor's numbers."""
    return tensor.numel() * tensor.element_size()


def _encode(value: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """*value* for JSON; its tensors are put into *tensors* and stand in it by name."""
    if isinstance(value, Tensor):
        if path in tensors:
            raise TypeError(f"two tensors lie under {path!r}")
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, dict):
        return {
            "items": [
                [key, _encode(inner, tensors, f"{path}/{key}" if path else str(key))]
                for key, inner in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        return {"list": [_encode(v, tensors, f"{path}/{i}") for i, v in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be written")


def _decode(value: Any, file: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return file.get_tensor(value["tensor"])
    if "list" in value:
        return [_decode(inner, file) for inner in value["list"]]
    return {key: _decode(inner, file) for key, inner in value["items"]}
