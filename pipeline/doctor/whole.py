"""Whether a file is the one that was written: by its SHA-256, or quickly by its own frame."""

import json
import zipfile
from pathlib import Path

from pipeline.base.files import sha256, size_text

LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format."""


def not_as_written(path: Path, expected: str, quick: bool) -> str:
    """How *path* differs from the file that was written; empty where it does not.

    *quick* does not hash: it only sees a file that is cut off or no file of its kind.
    """
    if quick:
        return "" if looks_whole(path) else f"is cut off or damaged ({_size(path)})"
    found = sha256(path)
    if found == expected:
        return ""
    return (
        f"has changed since it was written: its SHA-256 is {found[:12]}…, "
        f"expected {expected[:12]}… ({_size(path)})"
    )


def looks_whole(path: Path) -> bool:
    """Whether a .npz or .safetensors file has its beginning and its end; True for other kinds."""
    if path.suffix == ".npz":
        return zipfile.is_zipfile(path)
    if path.suffix == ".safetensors":
        return path.stat().st_size == _announced_size(path)
    return True


def _announced_size(path: Path) -> int:
    """The size that the header of a safetensors file announces; -1 where it has none."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= LONGEST_HEADER:
            return -1
        content = stream.read(length)
    try:
        header = json.loads(content)
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        return 8 + length + max((int(each["data_offsets"][1]) for each in tensors), default=0)
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):
        return -1


def _size(path: Path) -> str:
    return size_text(path.stat().st_size)
