"""A batch run without padding: its real tokens in one row, each text attending to itself alone.

All layers but attention look at one token at a time, so they need not know where a text ends. The
attention is a function of our own, registered with transformers' attention interface (`attention`).
Nothing else is computed for padding, and the result is that of the padded batch but for the order
of sums. (Packing as in Portes et al., "MosaicBERT", 2023; here without a kernel of its own.)

Whether a backbone can be run so is found by trying (`packable`): one that brings its own attention,
such as DeBERTa's, cannot.

Notation: B rows of T tokens at most, N real tokens among them, h heads of d numbers.

Padded ids still come from the loader: they cost nothing, and a step can be cut, run in groups, or
packed without asking for its rows again. Whether a backbone can be packed is tried when it is
loaded; no architecture is named. docs/speed.md has the figures.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.hub.weights import quiet
from pipeline.models.kernels.attention import attention
from pipeline.models.kernels.backbone_facts import BackboneFacts, facts_of
from pipeline.models.kernels.cpu_kernels import filled

# Where the tokens of a batch's texts stand in one packed row.
#
# Notation: B texts, padded to T tokens each, N real tokens among the B * T.


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


NAME = "foldstack_packed"
"""Of the attention in transformers' registry."""
HARMLESS = {"position_ids", "packed", "output_hidden_states"}
"""What an attention may be told beside its tensors without becoming another one."""
PROBE_LENGTHS = (5, 160, 5, 2)
"""Tokens of the texts that `packable` tries; longer than the window of any local attention."""
REHEARSAL_LENGTHS = (5, 12, 2)
TOLERANCE = 1e-3
"""Most difference of a state, in float32; states have a size of about 1."""


class Packing:
    """Runs a backbone on the real tokens of a batch."""

    as_one_row = True
    """Whether all texts are run at once."""

    def __init__(self, first_position: int) -> None:
        """*first_position*: the number that the backbone gives to a text's first token."""
        self.first_position = first_position

    def states(
        self, backbone: nn.Module, encoded: Mapping[str, Tensor], lengths: np.ndarray
    ) -> Tensor:
        """(B, T, H) token states of a padded batch, 0 for padding; its rows have *lengths* (B,)."""
        return self.layers(backbone, encoded, lengths, 1)[-1]

    def layers(
        self,
        backbone: nn.Module,
        encoded: Mapping[str, Tensor],
        lengths: np.ndarray,
        count: int | None,
    ) -> list[Tensor]:
        """The same of the last *count* layers, the last one last (see `layers_of`)."""
        rows, width = encoded["input_ids"].shape
        packed = pack(lengths, width, encoded["input_ids"].device)
        flat = {
            name: values.reshape(-1)[packed.places]
            for name, values in encoded.items()
            if name != "attention_mask"
        }
        found = self.run(backbone, flat, packed, rows * width, count)
        return [states.view(rows, width, -1) for states in found]

    def run(
        self,
        backbone: nn.Module,
        flat: Mapping[str, Tensor],
        packed: Packed,
        size: int,
        count: int | None = 1,
    ) -> list[Tensor]:
        """Of the last *count* layers (size, H): the states of what is packed already, at their
        places; 0 elsewhere.

        *flat* holds what the backbone reads of each token, (N,). On a CPU the row is filled up to
        one of a few sizes with copies of its first token, to which nothing attends (see `filled`).
        """
        row = {name: values[None] for name, values in flat.items()}
        row["position_ids"] = packed.positions + self.first_position
        tokens = len(packed.places)
        if packed.places.device.type == "cpu" and (spare := filled(tokens) - tokens):
            row = {
                name: torch.cat([values, values[:, :1].expand(1, spare)], dim=1)
                for name, values in row.items()
            }
        found = [states[0, :tokens] for states in layers_of(backbone, row, count, packed=packed)]
        return [
            states.new_zeros(size, states.shape[1]).index_copy(0, packed.places, states)
            for states in found
        ]


class EqualLengths(Packing):
    """Runs the texts of each length by themselves, for a backbone that would read padding as text:
    exact whatever the architecture, in one forward pass for each length there is."""

    as_one_row = False

    def __init__(self) -> None:
        super().__init__(0)

    def layers(
        self,
        backbone: nn.Module,
        encoded: Mapping[str, Tensor],
        lengths: np.ndarray,
        count: int | None,
    ) -> list[Tensor]:
        """See `Packing.layers`."""
        width = encoded["input_ids"].shape[1]
        places, parts = [], []
        for length in np.unique(lengths).tolist():
            alike = torch.from_numpy(np.flatnonzero(lengths == length))
            alike = alike.to(encoded["input_ids"].device)
            short = {name: values[alike, :length] for name, values in encoded.items()}
            found = layers_of(backbone, short, count)
            parts.append([functional.pad(each, (0, 0, 0, width - length)) for each in found])
            places.append(alike)
        order = torch.argsort(torch.cat(places))
        return [torch.cat(states)[order] for states in zip(*parts, strict=True)]


def layers_of(
    backbone: nn.Module, encoded: Mapping[str, Tensor], count: int | None, **more: Any
) -> Sequence[Tensor]:
    """(B, T, H) token states of the last *count* layers, the last one last; None for all of them,
    with what stands below the first."""
    if count == 1:
        return [backbone(**encoded, **more).last_hidden_state]
    found = backbone(**encoded, **more, output_hidden_states=True)
    layers = [*found.hidden_states[:-1], found.last_hidden_state]  # its norm may come after
    return layers if count is None else layers[-count:]


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: Packed,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """(1, h, N, d) queries, keys and values of a packed row -> (1, N, h, d).

    Raises ValueError where the backbone asks for an attention that this is not.
    """
    unknown = {name for name, asked in more.items() if asked is not None} - HARMLESS
    if unknown or attention_mask is not None or getattr(module, "is_causal", False):
        raise ValueError(f"no packed attention with a mask, or with {', '.join(unknown)}")
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    attend = _jagged if query.is_cuda else _in_squares
    return attend(q, k, v, packed, dropout, scaling)[None], None


def _in_squares(
    query: Tensor, key: Tensor, value: Tensor, packed: Packed, dropout: float, scale: float | None
) -> Tensor:
    """(N, h, d) each: a few padded blocks of texts of like length."""
    return attention(query, key, value, tuple(packed.lengths), dropout, scale)


def _jagged(
    query: Tensor, key: Tensor, value: Tensor, packed: Packed, dropout: float, scale: float | None
) -> Tensor:
    """(N, h, d) each: one kernel for all texts, where the device has one."""
    q, k, v = (
        torch.nested.nested_tensor_from_jagged(
            each.contiguous(), packed.offsets, min_seqlen=1, max_seqlen=packed.longest
        ).transpose(1, 2)
        for each in (query, key, value)
    )
    output = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
    return output.transpose(1, 2).values()


def packable(
    backbone: nn.Module,
    precision: AbstractContextManager[Any] | None = None,
    facts: BackboneFacts | None = None,
    type_ids: bool = False,
) -> Packing | None:
    """How to pack for *backbone*, which is then set up for it; None, and it is as before, if not.

    It is tried where the backbone is: the states of packed texts must be those of the padded batch.
    Positions may count from 0, or as RoBERTa's do from the padding token's number on. With
    *precision*, the context of forward passes, a way there and back in training is tried as well: a
    GPU takes other kernels for other numbers, for dropout and for gradients. *facts* are the
    backbone's, found if not given; with *type_ids* it is tried with token types, as it is trained.
    """
    model: Any = backbone
    before, training = model.config._attn_implementation, model.training
    model.eval()
    try:
        with quiet():
            facts = facts or facts_of(backbone)
        encoded, lengths = probe(model.config, facts, type_ids, next(model.parameters()).device)
        with torch.no_grad(), quiet(), warnings.catch_warnings():
            # packed texts are nested tensors to a GPU; what is used of them is tried here
            warnings.filterwarnings("ignore", "The PyTorch API of nested tensors", UserWarning)
            expected = model(**encoded).last_hidden_state
            model.set_attn_implementation(NAME)
            for first in (0, (model.config.get_text_config().pad_token_id or 0) + 1):
                packing = Packing(first)
                states = packing.states(model, encoded, lengths)
                if _equal(states, expected, encoded["attention_mask"]):
                    if precision is not None:
                        _train(model, packing, encoded, lengths, precision)
                    return packing
    except Exception:  # whatever this backbone, or this device, does instead, it is not this
        pass
    finally:
        model.train(training).zero_grad(set_to_none=True)
    model.set_attn_implementation(before)
    return None


def rehearse(
    backbone: nn.Module, facts: BackboneFacts, type_ids: bool, packing: Packing | None
) -> None:
    """Train on a few tokens, packed or padded, where the backbone is; raises whatever goes wrong.

    Weights, mode and random draws stay as they are.
    """
    model: Any = backbone
    training, device = model.training, next(model.parameters()).device
    encoded, lengths = probe(model.config, facts, type_ids, device, REHEARSAL_LENGTHS)
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(0)
            _train(model, packing, encoded, lengths, nullcontext())
    finally:
        model.train(training).zero_grad(set_to_none=True)


@torch.enable_grad()
def _train(
    model: Any,
    packing: Packing | None,
    encoded: Mapping[str, Tensor],
    lengths: np.ndarray,
    precision: AbstractContextManager[Any],
) -> None:
    """A step's way there and back, whatever comes of it."""
    model.train()
    with precision:
        if packing is None:
            states = model(**encoded).last_hidden_state
        else:
            states = packing.states(model, encoded, lengths)
    states.float().mean().backward()


def probe(
    config: Any,
    facts: BackboneFacts,
    type_ids: bool,
    device: torch.device,
    of_lengths: Sequence[int] = PROBE_LENGTHS,
) -> tuple[dict[str, Tensor], np.ndarray]:
    """A padded batch of texts of some lengths, with what training gives the backbone to read."""
    lengths = np.minimum(of_lengths, facts.longest)
    mask = torch.arange(lengths.max()) < torch.from_numpy(lengths)[:, None]
    padding = int(config.get_text_config().pad_token_id or 0)
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(facts.words - 1, mask.shape, generator=draw)
    ids += ids >= padding  # every token but the one for padding
    batch = {"input_ids": ids.where(mask, padding), "attention_mask": mask.long()}
    if type_ids:
        batch["token_type_ids"] = torch.randint(2, mask.shape, generator=draw) * mask
    return {name: values.to(device) for name, values in batch.items()}, lengths


def _equal(states: Tensor, expected: Tensor, mask: Tensor) -> bool:
    real = mask.bool()
    return bool(torch.allclose(states[real], expected[real], rtol=0.0, atol=TOLERANCE))


transformers.AttentionInterface.register(NAME, packed_attention)
