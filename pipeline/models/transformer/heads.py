"""From token states to outputs: poolings, a pair's features, heads, the network of all parts.

Notation: B rows, T tokens, H hidden size, W numbers of a pooled vector, u inputs per row (2 for a
siamese pair, else 1), o outputs. Poolings and heads live outside the Hugging Face model, so its own
initialisation never touches them; their start is drawn from a seed of their own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.base.doors import load
from pipeline.base.seeding import derive_seed
from pipeline.models.kernels.packing import Packing, layers_of
from pipeline.models.registry import POOLINGS

HEAD_STD = 0.02  # of BERT's own initialisation
PAIR_STD = 2e-4  # loses 0.001 of the Pearson of a plain cosine; 2e-3 would lose 0.035
LEAST_WEIGHT = 1e-6


@contextmanager
def drawn_from(seed: int, what: str) -> Iterator[None]:
    """Within, modules that draw from torch's generator draw from *seed* alone; it stays as it is
    outside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, what))
        yield


class Pooling(nn.Module, ABC):
    """The states of a text's tokens to one vector; what it learns has the head's rate."""

    layers: ClassVar[int | None] = 1
    """How many of the last layers it reads; None for all, what stands below the first included."""

    def __init__(self, hidden: int, layers: int, seed: int) -> None:
        """For states of *hidden* numbers, of so many *layers*; what is drawn is by *seed*."""
        super().__init__()
        self.width = hidden
        """W: numbers of the vector."""

    @abstractmethod
    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """The layers' token states (B, T, H), the last layer last, and their (B, T) mask, 0 for
        padding -> (B, W), float32."""


def pooling_named(name: str, hidden: int, layers: int, seed: int) -> Pooling:
    """The pooling that a recipe calls *name*, a name of `pipeline.models.registry.POOLINGS`."""
    made: Pooling = load(POOLINGS[name])(hidden, layers, seed)
    return made


def mean_of(states: Tensor, mask: Tensor) -> Tensor:
    """(B, T, H) states -> (B, H): the mean over real tokens, so padding changes nothing."""
    weight = mask.unsqueeze(-1).float()
    return (states.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


class MeanOfTokens(Pooling):
    """The mean over the real tokens only."""

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        return mean_of(states[-1], mask)


class FirstToken(Pooling):
    """The state of the first token, which many backbones are trained to sum a text up in."""

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        return states[-1][:, 0].float()


class LastToken(Pooling):
    """The state of the last real token, the only one that has seen a whole text in a decoder."""

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        last = states[-1]
        places = mask.sum(dim=1).clamp(min=1) - 1
        return last[torch.arange(len(last), device=last.device), places].float()


class MaxOfTokens(Pooling):
    """The largest state of any real token, number by number."""

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        padding = (mask == 0).unsqueeze(-1)
        return states[-1].float().masked_fill(padding, -math.inf).amax(dim=1)


class GeneralisedMean(Pooling):
    """The mean of the states' p-th powers, and its p-th root, p learned from 3 on: between the mean
    (1) and the maximum (infinity). States below 1e-6 count as that (Radenović et al., "Fine-tuning
    CNN Image Retrieval with No Human Annotation", 2018)."""

    def __init__(self, hidden: int, layers: int, seed: int) -> None:
        super().__init__(hidden, layers, seed)
        self.power = nn.Parameter(torch.full((1,), 3.0))

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        powers = states[-1].float().clamp(min=LEAST_WEIGHT) ** self.power
        return mean_of(powers, mask).clamp(min=LEAST_WEIGHT**4) ** (1 / self.power)


class AttentionOfTokens(Pooling):
    """A mean whose weights a small network reads off the tokens: a layer of H, tanh, one number,
    softmax over the text (Yang et al., "Hierarchical Attention Networks", 2016)."""

    def __init__(self, hidden: int, layers: int, seed: int) -> None:
        super().__init__(hidden, layers, seed)
        with drawn_from(seed, "pooling"):
            self.seen, self.score = nn.Linear(hidden, hidden), nn.Linear(hidden, 1, bias=False)

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        last = states[-1].float()
        scores = self.score(torch.tanh(self.seen(last))).squeeze(-1).float()
        weights = scores.masked_fill(mask == 0, -math.inf).softmax(dim=1)
        return (last * weights.unsqueeze(-1)).sum(dim=1)


class LayerMix(Pooling):
    """The mean over the tokens of all layers' states, mixed by learned weights that sum to one,
    times a learned factor (Peters et al., "Deep Contextualized Word Representations", ELMo, 2018).
    They start alike, the factor at 1."""

    layers = None

    def __init__(self, hidden: int, layers: int, seed: int) -> None:
        super().__init__(hidden, layers, seed)
        self.weights = nn.Parameter(torch.zeros(layers))
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        vectors = torch.stack([mean_of(layer, mask) for layer in states])
        return self.factor * torch.einsum("l,lbh->bh", self.weights.softmax(dim=0), vectors)


class LastFour(Pooling):
    """The means over the tokens of the last four layers, side by side: W is 4H (as features, in
    Devlin et al., "BERT", 2019, section 5.3)."""

    layers = 4

    def __init__(self, hidden: int, layers: int, seed: int) -> None:
        super().__init__(hidden, layers, seed)
        self.width = 4 * hidden

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        return torch.cat([mean_of(layer, mask) for layer in states], dim=1)


class Lstm(Pooling):
    """The tokens read in both directions by an LSTM of H / 2 each; its last states side by side
    (Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997)."""

    def __init__(self, hidden: int, layers: int, seed: int) -> None:
        super().__init__(hidden, layers, seed)
        half = -(-hidden // 2)
        self.width = 2 * half
        with drawn_from(seed, "pooling"):
            self.lstm = nn.LSTM(hidden, half, batch_first=True, bidirectional=True)

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`; waits for the device."""
        last = states[-1]
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        with torch.autocast(last.device.type, enabled=False):
            packed = nn.utils.rnn.pack_padded_sequence(
                last.float(), lengths, batch_first=True, enforce_sorted=False
            )
            _, (ends, _) = self.lstm(packed)
        return torch.cat([ends[0], ends[1]], dim=1)


def join(vectors: Sequence[Tensor]) -> Tensor:
    """The features of B rows from the (B, W) vectors of their u inputs.

    One input: its vector as it is. Two: u, v, |u-v|, u*v side by side, (B, 4W) (Reimers and
    Gurevych, "Sentence-BERT", 2019, with the product added), of vectors scaled to the length
    sqrt(W): so the mean of u*v is their cosine.
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
        """u vectors (B, W) -> (B, outputs)."""
        return self.linear(self.dropout(join(vectors)))


class MultiSampleHead(Head):
    """A step learns from the mean loss of five outputs of each row, which differ by what dropout
    leaves of its vector; the backbone is run once (Inoue, "Multi-Sample Dropout for Accelerated
    Training and Better Generalization", 2019). Predictions are those of `Head`."""

    COUNT = 5

    def samples(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """u vectors (B, W) -> five times (B, outputs)."""
        joined = join(vectors)
        return [self.linear(self.dropout(joined)) for _ in range(self.COUNT)]


class LayeredHead(Head):
    """Dropout, a layer as wide as the vector, tanh, dropout, the outputs: the head of BERT's and
    RoBERTa's own fine-tuning. For two inputs it is added to `Head`, so that outputs start close to
    the cosine."""

    def __init__(self, hidden: int, inputs: int, outputs: int, dropout: float, seed: int) -> None:
        super().__init__(hidden, inputs, outputs, dropout, seed)
        draw = torch.Generator().manual_seed(derive_seed(seed, "head layers"))
        self.first = nn.utils.skip_init(nn.Linear, self.linear.in_features, hidden)
        nn.init.normal_(self.first.weight, std=HEAD_STD, generator=draw)
        nn.init.zeros_(self.first.bias)
        if inputs == 2:
            self.last = nn.utils.skip_init(nn.Linear, hidden, outputs, bias=False)
            nn.init.normal_(self.last.weight, std=PAIR_STD, generator=draw)
        else:
            self.linear = nn.utils.skip_init(nn.Linear, hidden, outputs)
            nn.init.normal_(self.linear.weight, std=HEAD_STD, generator=draw)
            nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """See `Head.forward`."""
        kept = self.dropout(join(vectors))
        inner = self.dropout(torch.tanh(self.first(kept)))
        if len(vectors) == 1:
            return self.linear(inner)
        outputs: Tensor = self.linear(kept) + self.last(inner)
        return outputs


# The network that is trained: a pretrained backbone, pooling, and a head of our own.


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
        adapters: frozenset[str] | None = None,
    ) -> None:
        """With *packing*, nothing is computed for padding. *adapters* are the names of those of the
        backbone's parameters that are trained; None for all."""
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.pooling = pooling
        self.packing = packing
        self.adapters = adapters

    @property
    def whole(self) -> bool:
        """Whether a training can change all that is in the state."""
        return self.adapters is None

    def owns(self, name: str) -> bool:
        """Whether a training can change what the state calls *name*; the rest is the backbone's
        files', and is not saved again."""
        inner = name.removeprefix("backbone.")
        return self.adapters is None or inner == name or inner in self.adapters

    def own_state(self) -> dict[str, Tensor]:
        """All that a training can change."""
        return {name: value for name, value in self.state_dict().items() if self.owns(name)}

    def load_own(self, state: Mapping[str, Tensor]) -> None:
        """Take up an `own_state`; RuntimeError where it is another network's."""
        lacking, strange = self.load_state_dict(state, strict=False)
        lacking = [name for name in lacking if self.owns(name)]
        if lacking or strange:
            raise RuntimeError(f"it lacks {lacking[:3]}, and has {strange[:3]} besides")

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
