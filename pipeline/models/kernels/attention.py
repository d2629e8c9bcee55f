"""Attention on a packed row: each text attends to itself alone, a few padded squares at a time.

Texts differ in length, so their scores are squares of unlike sizes. Computed one by one they are
thousands of small operations in a step; padded to the longest of the batch most of the numbers
would be padding. So texts of like length share a block of squares, and only inside of attention.
The gradient is written out: autograd would keep and visit every small operation, and with dropout
torch has no kernel of its own on a CPU. With the sum of dO times O per query instead of a pass over
the scores, it is that of Dao et al., "FlashAttention", 2022, appendix B.

Notation: N tokens of B texts, h heads of d numbers; a block has c texts padded to T tokens, and
all blocks together have R rows of d numbers, a row for each text, head and token, padding included.
A packed row may be filled up to M tokens: what follows its texts attends to nothing and gives 0.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.models.kernels.cpu_kernels import factors, owning

WORTH = 40_000
"""So many padded scores cost about as much as one more block (measured on 2 and 4 cores)."""


class Block(NamedTuple):
    """Texts of like length, padded to the longest."""

    texts: int
    tokens: int
    bias: Tensor | None
    """(c, 1, T) 0, and minus infinity at padding; None where there is none."""


class Squares(NamedTuple):
    """How the texts of a packed row are put into blocks."""

    rows: Tensor
    """(N * h,) int64: the row of each token's head."""
    sources: Tensor
    """(R,) int64: where each row comes from; padding from any token's head."""
    real: Tensor
    """(R, 1) float32: 1, and 0 for padding."""
    blocks: list[Block]

    def spread(self, values: Tensor) -> Tensor:
        """(M, h, d) -> (R, d)."""
        return values.reshape(-1, values.shape[-1]).index_select(0, self.sources)

    def gather(self, rows: Tensor, like: Tensor) -> Tensor:
        """(R, d) -> (M, h, d), the shape of *like*; 0 for what follows the N tokens."""
        found = rows.new_empty(like.numel() // rows.shape[1], rows.shape[1])
        tokens, rest = found.split([len(self.rows), len(found) - len(self.rows)])
        torch.index_select(rows, 0, self.rows, out=tokens)
        rest.zero_()
        return owning(found, like.shape)

    def parts(self, rows: Tensor) -> list[Tensor]:
        """(R, d) -> of each block (c * h, T, d), in the same memory."""
        heads = len(rows) // sum(block.texts * block.tokens for block in self.blocks)
        sizes = [block.texts * heads * block.tokens for block in self.blocks]
        return [
            part.view(-1, block.tokens, rows.shape[1])
            for part, block in zip(rows.split(sizes), self.blocks, strict=True)
        ]


@lru_cache(maxsize=64)
def squares(lengths: tuple[int, ...], heads: int) -> Squares:
    """The blocks for texts of *lengths*: all layers of a step ask for the same."""
    tokens = np.array(lengths)
    order = np.argsort(-tokens, kind="stable")
    parts = np.split(order, _cuts(tokens[order], heads))
    width = np.empty_like(tokens)
    for part in parts:
        width[part] = tokens[part[0]]
    begins = np.empty_like(tokens)
    begins[order] = heads * np.cumsum([0, *width[order][:-1]])
    positions = np.concatenate([np.arange(length) for length in lengths])
    of_heads = np.arange(heads) * np.repeat(width, tokens)[:, None]
    rows = ((np.repeat(begins, tokens) + positions)[:, None] + of_heads).reshape(-1)
    sources = np.zeros(heads * width.sum(), dtype=np.int64)
    sources[rows] = np.arange(len(rows))
    real = np.zeros((len(sources), 1), dtype=np.float32)
    real[rows] = 1.0
    return Squares(
        torch.from_numpy(rows),
        torch.from_numpy(sources),
        torch.from_numpy(real),
        [Block(len(part), int(width[part[0]]), _bias(tokens[part])) for part in parts],
    )


def _cuts(tokens: np.ndarray, heads: int) -> list[int]:
    """Where texts of *tokens*, which fall, are cut: as soon as their padding is worth a block."""
    cuts, longest, wasted = [], tokens[0], 0
    for place, length in enumerate(tokens):
        wasted += heads * (longest**2 - length**2)
        if wasted > WORTH:
            cuts.append(place)
            longest, wasted = length, 0
    return cuts


def _bias(lengths: np.ndarray) -> Tensor | None:
    if lengths[0] == lengths[-1]:
        return None
    real = np.arange(lengths[0]) < lengths[:, None]
    return torch.from_numpy(np.where(real, 0.0, -np.inf).astype(np.float32))[:, None]


class Attention(torch.autograd.Function):
    """(M, h, d) queries, keys and values -> (M, h, d)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        plan: Squares,
        kept: list[Tensor | None],
        scale: float,
    ) -> Tensor:
        """*kept*: per block None, or what its (c * h, T, T) chances are multiplied with."""
        trains = any(ctx.needs_input_grad)
        rows, output, chances = _taken(query, key, value, plan, kept, scale, trains)
        if trains:
            ctx.save_for_backward(*rows, output, *chances, *kept)
            ctx.plan, ctx.scale = plan, scale
        return plan.gather(output, query)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Those of queries, keys and values."""
        plan: Squares = ctx.plan
        *rows, output, chances, kept = _in_parts(ctx.saved_tensors)
        given = plan.spread(gradients[0]).mul_(plan.real)
        sums = (given * output).sum(-1, keepdim=True, dtype=torch.float32)
        found = [torch.empty_like(each) for each in rows]
        for chance, mask, g, total, q, k, v, *of in zip(
            chances, kept, *map(plan.parts, (given, sums, *rows, *found)), strict=True
        ):
            torch.bmm(_times(chance, mask, g.dtype).transpose(1, 2), g, out=of[2])
            scores = _times((g @ v.transpose(1, 2)).float(), mask, torch.float32)
            scores = scores.sub_(total).mul_(chance).to(g.dtype)
            torch.bmm(scores, k, out=of[0])
            torch.bmm(scores.transpose(1, 2), q, out=of[1])
        found[0].mul_(ctx.scale)
        return *(plan.gather(each, gradients[0]) for each in found), None, None, None


def _in_parts(saved: Sequence[Any]) -> list[Any]:
    """Rows of queries, keys, values and outputs, then the blocks' chances and what was kept."""
    half = 4 + (len(saved) - 4) // 2
    return [*saved[:4], saved[4:half], saved[half:]]


def _taken(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plan: Squares,
    kept: list[Tensor | None],
    scale: float,
    trains: bool,
) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """Rows of queries, keys and values, what is taken of the values, and, where it *trains*, the
    chances of each block."""
    with torch.autocast(query.device.type, enabled=False):
        rows = [plan.spread(each) for each in (query * scale, key, value)]
        output, chances = torch.empty_like(rows[2]), []
        for block, mask, q, k, v, out in zip(
            plan.blocks, kept, *map(plan.parts, (*rows, output)), strict=True
        ):
            chance = _chances(block, q, k)
            torch.bmm(_times(chance, mask, v.dtype), v, out=out)
            if trains:
                chances.append(chance)
    return rows, output, chances


def _chances(block: Block, query: Tensor, key: Tensor) -> Tensor:
    """(c * h, T, T) float32: how much of each token each query takes; padding has none."""
    scores = query @ key.transpose(1, 2)
    if block.bias is not None:
        scores.view(block.texts, -1, block.tokens).add_(block.bias)
    return scores.softmax(-1, dtype=torch.float32)


def _times(chances: Tensor, mask: Tensor | None, dtype: torch.dtype) -> Tensor:
    return (chances if mask is None else chances * mask).to(dtype)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: tuple[int, ...],
    dropout: float,
    scale: float | None,
) -> Tensor:
    """(M, h, d) each, of texts of *lengths* tokens one after the other -> (M, h, d).

    What follows the N tokens of the texts is not read, and is 0 in the answer.
    """
    heads, size = query.shape[1:]
    plan = squares(lengths, heads)
    shapes = [(block.texts * heads, block.tokens, block.tokens) for block in plan.blocks]
    kept: list[Tensor | None] = [None] * len(shapes)
    if dropout:
        kept = list(factors(shapes, dropout))
    scale = size**-0.5 if scale is None else scale
    if torch.is_inference_mode_enabled():  # nothing is derived: the same without its record
        return plan.gather(_taken(query, key, value, plan, kept, scale, trains=False)[1], query)
    output: Tensor = Attention.apply(query, key, value, plan, kept, scale)
    return output
