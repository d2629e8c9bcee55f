"""A micro-batch in buffers that never move nor change their size, as a CUDA graph needs them.

All texts of all inputs make one packed row. Its real tokens are filled up to a multiple of `BUCKET`
by those of one dummy text, which attends to itself alone and whose states are thrown away; so the
outputs and the gradient are those of the texts as they are, but for the order of sums.

Notation: B rows, u inputs per row, N tokens of the filled row, W most tokens of a text.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.models.kernels.layout import Packed, lay_out, to_device
from pipeline.models.transformer.heads import pool
from pipeline.models.transformer.micro import Batch
from pipeline.models.transformer.network import Network

BUCKET = 128
"""Filled rows are a multiple of so many tokens: half of them, on average, are computed in vain."""


class Shape(NamedTuple):
    """What two micro-batches must have in common to use the same buffers."""

    rows: int
    inputs: int
    tokens: int
    """N."""

    @classmethod
    def of(cls, batch: Batch) -> "Shape":
        """That of *batch*; at least one token is left to the dummy text."""
        inputs, rows = batch["lengths"].shape
        return cls(rows, inputs, (int(batch["lengths"].sum()) // BUCKET + 1) * BUCKET)


class Fixed:
    """The buffers of one shape: `load` a micro-batch into them, then run `outputs`."""

    def __init__(self, like: Batch, width: int) -> None:
        """For batches of the shape of *like*, their texts of at most *width* tokens (W)."""
        self.shape, self.width = Shape.of(like), width
        device, tokens = like["rows"].device, self.shape.tokens
        self.texts = self.shape.rows * self.shape.inputs
        sizes = [tokens, tokens, tokens, self.texts + 2, self.texts]
        self.numbers = torch.zeros(sum(sizes), dtype=torch.int64, device=device)
        self.source, places, positions, offsets, self.lengths = self.numbers.split(sizes)
        longest = max(width, BUCKET)  # the dummy text may be longer than the real ones
        self.packed = Packed(places, positions[None], offsets, [], longest)
        names = [name for name in like["inputs"][0] if name != "attention_mask"]
        self.flat = {name: self.numbers.new_zeros(tokens) for name in names}
        self.targets = torch.zeros_like(like["targets"])
        self.weight = torch.zeros((), device=device)

    def load(self, batch: Batch) -> None:
        """Copy *batch* into the buffers; waits for nothing."""
        self.numbers.copy_(to_device(self._numbers(batch), self.numbers.device), non_blocking=True)
        for name, buffer in self.flat.items():
            values = [each[name].reshape(-1) for each in batch["inputs"]]
            torch.index_select(torch.cat(values), 0, self.source, out=buffer)
        self.targets.copy_(batch["targets"])
        self.weight.fill_(batch["weight"])

    def _numbers(self, batch: Batch) -> np.ndarray:
        """All that depends on lengths, one after the other: one copy to the device."""
        lengths = batch["lengths"].reshape(-1)
        texts, positions, offsets = lay_out(lengths)
        filler = self.shape.tokens - len(texts)
        self.packed.lengths[:] = [*np.diff(offsets).tolist(), filler]
        dummy = np.zeros(filler, dtype=np.int64)  # of the first token's kind, at the first position
        return np.concatenate(
            [
                _begins(batch)[texts] + positions,
                dummy,
                texts * self.width + positions,
                self.texts * self.width + np.arange(filler),
                positions,
                dummy,
                offsets,
                [self.shape.tokens],
                lengths,
            ]
        )

    def outputs(self, network: Network) -> Tensor:
        """(B, o): what *network* makes of the texts that are loaded."""
        assert network.packing is not None
        size = self.texts * self.width
        states = network.packing.run(network.backbone, self.flat, self.packed, size + BUCKET)
        mask = torch.arange(self.width, device=self.lengths.device) < self.lengths[:, None]
        vectors = pool(states[:size].view(self.texts, self.width, -1), mask, network.pooling)
        outputs: Tensor = network.head(vectors.chunk(self.shape.inputs))
        return outputs


def _begins(batch: Batch) -> np.ndarray:
    """(u * B,): where each text begins among the padded tokens of all inputs in a row."""
    begins, start = [], 0
    for each in batch["inputs"]:
        rows, width = each["input_ids"].shape
        begins.append(start + np.arange(rows) * width)
        start += rows * width
    return np.concatenate(begins)
