"""Only the words that a training's texts hold are trained; the others cannot learn anything.

A backbone knows 30,000 to 250,000 words and a competition uses a few thousand of them. The rest of
the table has no gradient, yet AdamW would visit all its rows, and two moments for each, in every
step: half of the weights of MiniLM, two thirds of XLM-R's. What AdamW does to a row without a
gradient is known beforehand: weight decay alone, one factor for all of them, which is kept as a
single number. So the result is that of training the whole table, but for the last digits.

Notation: V words of H numbers, U of them used.

The word table is exchanged while it is trained, not cut when the backbone is loaded: each fold
has words of its own, and what is saved is always the whole table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer


class UsedWords(nn.Module):
    """Stands in for an embedding while it is trained."""

    table: Tensor
    """(V, H) the whole, as it was before."""
    used: Tensor
    places: Tensor
    """(V,) int64: where each word stands among the used ones; -1 for the others."""

    def __init__(self, whole: nn.Embedding, used: Tensor) -> None:
        """*used* (U,) int64: the words that training texts hold; other words can be read too."""
        super().__init__()
        table = whole.weight.detach()
        used = used.to(table.device)
        places = torch.full((len(table),), -1, device=table.device)
        places[used] = torch.arange(len(used), device=table.device)
        for name, values in {"table": table, "used": used, "places": places}.items():
            self.register_buffer(name, values, persistent=False)
        self.weight = nn.Parameter(table[used])
        self.whole = (whole,)  # in a tuple, as it is no part of what is trained and saved
        padding = -1 if whole.padding_idx is None else int(places[whole.padding_idx])
        self.padding_idx = None if padding < 0 else padding
        self.decayed = 1.0
        """What weight decay has left of the other words by now."""

    def forward(self, ids: Tensor) -> Tensor:
        """(…) words -> (…, H)."""
        places = self.places[ids]
        if self.training:
            return functional.embedding(places, self.weight, self.padding_idx)
        known = functional.embedding(places.clamp(min=0), self.weight)
        others = functional.embedding(ids, self.table) * self.decayed
        return torch.where((places >= 0)[..., None], known, others)

    def decay(self, optimizer: Optimizer, *_: Any) -> None:
        """To be called after each of the *optimizer*'s steps."""
        if self.weight.grad is None:  # AdamW leaves what has no gradient: frozen embeddings
            return
        for group in optimizer.param_groups:
            if any(parameter is self.weight for parameter in group["params"]):
                self.decayed *= 1.0 - group["lr"] * group["weight_decay"]

    def put_back(self) -> nn.Embedding:
        """The whole embedding, as its training left it."""
        (whole,) = self.whole
        self.table.mul_(self.decayed)
        self.table[self.used] = self.weight.detach()
        whole.weight.data = self.table
        return whole

    def get_extra_state(self) -> Tensor:
        """() for a checkpoint, beside the weight."""
        return torch.tensor(self.decayed, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from there."""
        self.decayed = float(state)


@contextmanager
def only_used(backbone: nn.Module, used: Tensor) -> Iterator[int]:
    """Have *backbone* train the words *used* (U,) alone; gives how many words are trained.

    A backbone whose words are no plain table of its own is trained as it is; that gives 0.
    """
    owner: Any = backbone
    whole = _words_of(owner)
    if whole is None:
        yield 0
        return
    words = UsedWords(whole, used).train(whole.training)
    owner.set_input_embeddings(words)
    try:
        yield len(used)
    finally:
        owner.set_input_embeddings(words.put_back())


def _words_of(backbone: Any) -> nn.Embedding | None:
    """The backbone's table, if it is torch's own without extras and nothing else uses it."""
    try:
        table = backbone.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    if type(table) is not nn.Embedding or table.max_norm or table.scale_grad_by_freq:
        return None
    named = backbone.named_parameters(remove_duplicate=False)
    uses = sum(weight is table.weight for _, weight in named)
    return table if uses == 1 and not table.sparse else None


def follow(backbone: nn.Module, optimizer: Optimizer) -> None:
    """Have the words that are not trained follow the *optimizer*'s weight decay."""
    for module in backbone.modules():
        if isinstance(module, UsedWords):
            optimizer.register_step_post_hook(module.decay)
