"""The network that is trained: a pretrained backbone, pooling, and a head of our own.

Notation: B rows, T tokens, H hidden size, o outputs, u inputs per row.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

from pipeline.models.kernels.packing import Packing, layers_of
from pipeline.models.transformer.heads import Pooling

Encoded = Mapping[str, Tensor]
"""One text of B rows: input_ids, attention_mask and what else the backbone reads, each (B, T)."""


class Network(nn.Module):
    """Texts in, outputs out."""

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        pooling: Pooling,
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
        outputs: Tensor = self.head(self.vectors(inputs, lengths))
        return outputs

    def vectors(self, inputs: Sequence[Encoded], lengths: np.ndarray | None = None) -> list[Tensor]:
        """What the head is given: the u inputs' pooled token states, (B, W) each."""
        known = [None] * len(inputs) if lengths is None else lengths
        return [self.vector(*each) for each in zip(inputs, known, strict=True)]

    def vector(self, encoded: Encoded, lengths: np.ndarray | None = None) -> Tensor:
        """(B, W): one input's pooled token states; its rows have *lengths* (B,)."""
        if lengths is None:
            lengths = encoded["attention_mask"].sum(1).cpu().numpy()
        if self.packing is None:
            states = layers_of(self.backbone, encoded, self.pooling.layers)
        else:
            states = self.packing.layers(self.backbone, encoded, lengths, self.pooling.layers)
        pooled: Tensor = self.pooling(states, encoded["attention_mask"])
        return pooled


class Pristine:
    """A backbone as it was loaded, lent to one learner after the other."""

    def __init__(self, backbone: nn.Module, hidden: int | None = None) -> None:
        """*hidden*: the size of its states; that of its config by default."""
        self.backbone = backbone
        self._hidden = hidden
        self.weights = {name: value.clone() for name, value in backbone.state_dict().items()}
        self.fixed = {name for name, each in backbone.named_parameters() if not each.requires_grad}
        self.lent = 0
        """How often `restore` was called: only the last borrower holds true weights."""

    def restore(self) -> int:
        """Copy the loaded weights back, bit for bit; return the borrower's number.

        The backbone is then in training mode and without gradients, on the device where it was.
        """
        self.backbone.train().zero_grad(set_to_none=True)
        self.backbone.load_state_dict(self.weights)
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name not in self.fixed)
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
