"""A linear-chain conditional random field over the units of a window (`head: crf`).

A path of tags scores what each unit's token says of its tag, and what it says of the pair of the
tag before and its own; the probability of a path is its share among all paths (Lafferty, McCallum &
Pereira, ICML 2001; pairs that depend on the token as in Ma & Hovy, "End-to-end Sequence Labeling
via Bi-directional LSTM-CNNs-CRF", ACL 2016). Learned is the right path; answered is how likely each
tag of a unit is over all paths, so that members with and without it can be blended.

Notation: B windows, U units of the longest, o tags.
"""

import torch
from torch import Tensor


def path_losses(tags_said: Tensor, pairs_said: Tensor, tags: Tensor, known: Tensor) -> Tensor:
    """(B,) minus the log-probability of each window's path.

    Args:
        tags_said: (B, U, o) what is said of each tag.
        pairs_said: (B, U, o, o) of the tag before and the unit's own; of first units never read.
        tags: (B, U) the path.
        known: (B, U) bool, which units there are: the first ones of each window.
    """
    path = tags.clamp(min=0)
    own = tags_said.gather(2, path[..., None]).squeeze(2)
    before = pairs_said[:, 1:].gather(2, _rows_of(path[:, :-1], pairs_said.shape[3])).squeeze(2)
    between = before.gather(2, path[:, 1:, None]).squeeze(2)
    score = (own * known).sum(1) + (between * known[:, 1:]).sum(1)
    return log_partition(tags_said, pairs_said, known) - score


def _rows_of(tags: Tensor, outputs: int) -> Tensor:
    """(B, U, 1, o) to gather the pairs that begin with *tags* (B, U)."""
    return tags[..., None, None].expand(*tags.shape, 1, outputs)


def log_partition(tags_said: Tensor, pairs_said: Tensor, known: Tensor) -> Tensor:
    """(B,) the logarithm of the sum over all paths (the forward algorithm)."""
    reached = tags_said[:, 0]
    for unit in range(1, tags_said.shape[1]):
        further = torch.logsumexp(reached[:, :, None] + pairs_said[:, unit], dim=1)
        further = further + tags_said[:, unit]
        reached = torch.where(known[:, unit, None], further, reached)
    return torch.logsumexp(reached, dim=1)


def unit_chances(tags_said: Tensor, pairs_said: Tensor) -> Tensor:
    """(B, U, o) how likely each tag of each unit is over all paths; every unit is known.

    It is the gradient of the log-partition (Eisner, "Inside-Outside and Forward-Backward Algorithms
    Are Just Backprop", 2016).
    """
    with torch.inference_mode(False), torch.enable_grad():
        said = tags_said.detach().double().requires_grad_()
        known = torch.ones(said.shape[:2], dtype=torch.bool, device=said.device)
        total = log_partition(said, pairs_said.detach().double(), known).sum()
        (found,) = torch.autograd.grad(total, said)
    return found
