"""From token states to outputs: pooling, the pair's features, the head.

Notation: B rows, T tokens, H hidden size, u inputs per row (2 for a siamese pair, else 1). Heads
live outside the Hugging Face model, so its own initialisation never touches them.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.base.seeding import derive_seed

HEAD_STD = 0.02  # of BERT's own initialisation
PAIR_STD = 2e-4  # loses 0.001 of the Pearson of a plain cosine; 2e-3 would lose 0.035


def pool(states: Tensor, mask: Tensor, pooling: Literal["mean", "cls"]) -> Tensor:
    """(B, T, H) token states and their (B, T) mask -> (B, H), in float32.

    "mean" is over the real tokens only, so padding changes nothing; "cls" is the first token.
    """
    if pooling == "cls":
        return states[:, 0].float()
    weight = mask.unsqueeze(-1).float()
    return (states.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


def join(vectors: Sequence[Tensor]) -> Tensor:
    """The features of B rows from the (B, H) vectors of their u inputs.

    One input: its vector as it is. Two: u, v, |u-v|, u*v side by side, (B, 4H) (Reimers and
    Gurevych, "Sentence-BERT", 2019, with the product added), of vectors scaled to the length
    sqrt(H): so the mean of u*v is their cosine.
    """
    if len(vectors) == 1:
        return vectors[0]
    u, v = (math.sqrt(x.shape[1]) * functional.normalize(x, dim=1) for x in vectors)
    return torch.cat([u, v, (u - v).abs(), u * v], dim=1)


class Head(nn.Module):
    """From the vectors of a row's inputs to its outputs: dropout and one linear layer.

    The start is drawn from *seed* alone. For two inputs every output starts close to their cosine,
    which a backbone trained on sentences already means something by: on 1,700 pairs one epoch from
    there reached a Pearson of 0.89, from a plain random start 0.31.
    """

    def __init__(self, hidden: int, inputs: int, outputs: int, dropout: float, seed: int) -> None:
        super().__init__()
        pair = inputs == 2
        self.dropout = nn.Dropout(dropout)
        # skip_init: the default initialisation would draw from torch's global generator
        self.linear = nn.utils.skip_init(nn.Linear, 4 * hidden if pair else hidden, outputs)
        draw = torch.Generator().manual_seed(derive_seed(seed, "head"))
        nn.init.normal_(self.linear.weight, std=PAIR_STD if pair else HEAD_STD, generator=draw)
        nn.init.zeros_(self.linear.bias)
        if pair:
            with torch.no_grad():
                self.linear.weight[:, 3 * hidden :] += 1 / hidden

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """u vectors (B, H) -> (B, outputs)."""
        return self.linear(self.dropout(join(vectors)))
