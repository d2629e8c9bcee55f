"""The network that is trained: a pretrained backbone, pooling, and a head of our own.

Notation: B rows, T tokens, H hidden size, o outputs, u inputs per row.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.base.lookup import load
from pipeline.base.seeding import derive_seed
from pipeline.models.kernels.packing import Packing
from pipeline.models.registry import POOLINGS

# From token states to outputs: pooling, the pair's features, the head.
#
# Notation: B rows, T tokens, H hidden size, u inputs per row (2 for a siamese pair, else 1). Heads
# live outside the Hugging Face model, so its own initialisation never touches them.


HEAD_STD = 0.02  # of BERT's own initialisation
PAIR_STD = 2e-4  # loses 0.001 of the Pearson of a plain cosine; 2e-3 would lose 0.035


def pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """(B, T, H) token states and their (B, T) mask -> (B, H), in float32.

    *pooling* is a name of `pipeline.models.registry.POOLINGS`.
    """
    pooled: Tensor = load(POOLINGS[pooling])(states, mask)
    return pooled


def mean_of_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over the real tokens only, so padding changes nothing."""
    weight = mask.unsqueeze(-1).float()
    return (states.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


def first_token(states: Tensor, mask: Tensor) -> Tensor:
    """The state of the first token, which many backbones are trained to sum a text up in."""
    return states[:, 0].float()


def last_token(states: Tensor, mask: Tensor) -> Tensor:
    """The state of the last real token, the only one that has seen a whole text in a decoder."""
    places = mask.sum(dim=1).clamp(min=1) - 1
    return states[torch.arange(len(states), device=states.device), places].float()


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


Encoded = Mapping[str, Tensor]
"""One text of B rows: input_ids, attention_mask and what else the backbone reads, each (B, T)."""


class Network(nn.Module):
    """Texts in, outputs out."""

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        pooling: str,
        packing: Packing | None = None,
    ) -> None:
        """With *packing*, nothing is computed for padding."""
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.pooling = pooling
        self.packing = packing

    def forward(self, inputs: Sequence[Encoded], lengths: np.ndarray | None = None) -> Tensor:
        """The u inputs of B rows (a cross-encoded pair is one input) -> (B, o).

        *lengths* (u, B): the real tokens of each. Without them they are read off the masks, which
        waits for the device.
        """
        known = [None] * len(inputs) if lengths is None else lengths
        vectors = [self.vector(*each) for each in zip(inputs, known, strict=True)]
        outputs: Tensor = self.head(vectors)
        return outputs

    def vector(self, encoded: Encoded, lengths: np.ndarray | None = None) -> Tensor:
        """(B, H): one input's pooled token states; its rows have *lengths* (B,)."""
        if lengths is None:
            lengths = encoded["attention_mask"].sum(1).cpu().numpy()
        if self.packing is None:
            states = self.backbone(**encoded).last_hidden_state
        else:
            states = self.packing.states(self.backbone, encoded, lengths)
        return pool(states, encoded["attention_mask"], self.pooling)


class Pristine:
    """A backbone as it was loaded, lent to one learner after the other."""

    def __init__(self, backbone: nn.Module, hidden: int | None = None) -> None:
        """*hidden*: the size of its states; that of its config by default."""
        self.backbone = backbone
        self._hidden = hidden
        self.weights = {name: value.clone() for name, value in backbone.state_dict().items()}
        self.lent = 0
        """How often `restore` was called: only the last borrower holds true weights."""

    def restore(self) -> int:
        """Copy the loaded weights back, bit for bit; return the borrower's number.

        The backbone is then in training mode and without gradients, on the device where it was.
        """
        self.backbone.train().zero_grad(set_to_none=True)
        self.backbone.load_state_dict(self.weights)
        self.lent += 1
        return self.lent

    def drop(self) -> None:
        """Hold no weights any more; nobody borrows from it again."""
        self.backbone, self.weights = nn.Module(), {}
        self.lent += 1

    @cached_property
    def config_digest(self) -> str:
        """A hash of the settings the backbone was built with (dropout, norms …): 16 hex digits."""
        config: Any = self.backbone.config
        content = json.dumps(config.to_diff_dict(), sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def hidden(self) -> int:
        """H."""
        config: Any = self.backbone.config
        return int(config.hidden_size) if self._hidden is None else self._hidden

    @property
    def parameters(self) -> int:
        """How many numbers the backbone holds."""
        return sum(parameter.numel() for parameter in self.backbone.parameters())
