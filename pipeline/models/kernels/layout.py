"""Where the tokens of a batch's texts stand in one packed row.

Notation: B texts, padded to T tokens each, N real tokens among the B * T.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Packed(NamedTuple):
    """Where the real tokens of a padded batch stand, the longest texts first."""

    places: Tensor
    """(N,) int64: the place of each in the batch's B * T tokens."""
    positions: Tensor
    """(1, N) int64: the place of each in its own text, counted from 0."""
    offsets: Tensor
    """(B + 1,) int64: where each text begins, and the end."""
    lengths: list[int]
    """(B,) tokens of each text, in this order."""
    longest: int
    """Tokens of the longest text, or more."""


class Layout(NamedTuple):
    """A packed row as its texts' lengths decide on it, the longest texts first."""

    texts: np.ndarray
    """(N,) int64: which text each token belongs to."""
    positions: np.ndarray
    """(N,) int64: its place there, counted from 0."""
    offsets: np.ndarray
    """(B + 1,) int64: where each text begins, and the end."""


def lay_out(lengths: np.ndarray) -> Layout:
    """How texts of *lengths* (B,) tokens are packed."""
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    offsets = np.concatenate([[0], np.cumsum(ordered)])
    positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1], ordered)
    return Layout(np.repeat(order, ordered), positions, offsets)


def pack(lengths: np.ndarray, width: int, device: torch.device) -> Packed:
    """The real tokens of a batch whose rows have *lengths* (B,) tokens, padded to *width*."""
    texts, positions, offsets = lay_out(lengths)
    return Packed(
        to_device(texts * width + positions, device),
        to_device(positions[None], device),
        to_device(offsets, device),
        np.diff(offsets).tolist(),
        longest=int(lengths.max()),
    )


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """*array* on *device*, or on its way there: nothing waits for a GPU."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
