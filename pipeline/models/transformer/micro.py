"""What fits into memory: a step's micro-groups cut smaller where they do not.

The rows of a step, their weights and the number of steps stay as they are; only how many rows are
run at once changes. So the gradient is the same, dropout aside, whose draws are per micro-batch.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch

Batch = Mapping[str, Any]
SIGNS = ("out of memory", "STATUS_ALLOC_FAILED", "DefaultCPUAllocator")
"""How a lack of memory reads where it is not an OutOfMemoryError: of a GPU, of one of its libraries
(CUBLAS_…, CUDNN_…), of a CPU."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device had too little memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def micro_batches(groups: list[Batch], most: int | None) -> Iterator[Batch]:
    """The *groups* of a step, each cut into equal parts of at most *most* rows."""
    for group in groups:
        rows = len(group["rows"])
        parts = 1 if most is None else -(-rows // most)
        if parts == 1:
            yield group
            continue
        ends = [rows * part // parts for part in range(parts + 1)]
        for start, end in pairwise(ends):
            yield part_of(group, start, end)


def part_of(batch: Batch, start: int, end: int) -> dict[str, Any]:
    """The rows start … end - 1 of a batch, padded to their own longest text."""
    lengths = batch["lengths"][:, start:end]
    part: dict[str, Any] = {
        "inputs": [
            {name: values[start:end, :longest] for name, values in one.items()}
            for one, longest in zip(batch["inputs"], lengths.max(axis=1).tolist(), strict=True)
        ],
        "lengths": lengths,
        "rows": batch["rows"][start:end],
    }
    if "targets" in batch:
        part["targets"] = batch["targets"][start:end]
    if "weight" in batch:
        part["weight"] = batch["weight"] * (end - start) / len(batch["rows"])
    return part


def most_rows(groups: list[Batch], most: int | None) -> int:
    """Rows of the largest micro-batch of these groups."""
    return max(len(batch["rows"]) for batch in micro_batches(groups, most))


def free_memory() -> None:
    """Hand cached blocks back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
