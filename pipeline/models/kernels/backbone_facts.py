"""What a backbone takes and how it reads, found by running it on a few tokens.

A tokenizer's file, a default of a config or the name of an architecture may say something else than
the model does: GPT-2 takes "token_type_ids" and adds them as words, ALBERT's tokenizer does not
list those that ALBERT has two embeddings for, MPNet counts positions from 2 on. So the model itself
is asked, once, when it is loaded: which tables are looked up with which numbers, and which states
change when a token or a type does. One text of `TOKENS` tokens is run a few times.

The backbone itself is lent to one learner after the other as it was loaded: `Pristine`.

Notation: T tokens, H hidden size.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.base import UsageError

TOKENS = 7
NO_LIMIT = 2**31
MOST_TYPES = 3
"""Segment types that a tokenizer gives at most: XLNet's and Funnel's third is that of <cls>."""
SAME = 1e-6
"""Most difference of states, relative to their size, that says nothing: rounding."""
PADDING, PADDED_SAME = 5, 1e-4
"""Tokens of padding that are tried, and the most difference that they may make: longer sums are
rounded otherwise. Those that mask differ by 1e-6 at most, the others by 1e-3 or more."""


@dataclass(frozen=True, kw_only=True)
class BackboneFacts:
    """What holds for one backbone."""

    kind: str
    """For people: what transformers calls the architecture."""
    hidden: int
    """H."""
    words: int
    """Rows of its word table."""
    types: int
    """Segment types it tells apart; below 2 it reads none."""
    longest: int
    """Most tokens of one input; `NO_LIMIT` where nothing sets one."""
    sees_later: bool
    """Whether a text's first token sees the others; not in decoders (GPT, Llama)."""
    masks_padding: bool
    """Whether a text's states are the same beside padding; where not (FNet, ConvBERT, YOSO), what
    is predicted of a text in a padded batch depends on the other texts."""
    can_recompute: bool
    """Whether it knows gradient checkpointing."""
    own_words: tuple[int, ...] = ()
    """Words that it reads beside those of a text, whatever the text: CPM-Ant's prompt."""


def facts_of(backbone: nn.Module) -> BackboneFacts:
    """Ask *backbone*, whose mode, weights and random draws stay as they are.

    Raises UsageError where it does not turn T tokens into T states.
    """
    model: Any = backbone
    kind = str(getattr(model.config, "model_type", type(model).__name__))
    table = word_table(backbone)
    if table is None:
        raise UsageError(f"{kind} has no table of words: it is no model that reads texts")
    words, training = len(table.weight), model.training
    ids = sample_ids(model.config, words, TOKENS)[None].to(table.weight.device)
    model.eval()
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
            without_cache(model),
            looked_up(backbone) as seen,
        ):
            for shorter in range(
                1, TOKENS
            ):  # Funnel halves a text more often than short ones allow
                _states(backbone, kind, ids[:, :shorter])
            del seen[:]
            states = _states(backbone, kind, ids)
            longest = min(_stated_limit(model.config), _table_limit(seen))
            own_words = _own_words(table, ids, seen)
            other = ids.clone()
            other[0, -1] = ids[0, 0]
            masks_padding = _masks_padding(backbone, kind, ids, states, longest)
            sees_later = _differ(_states(backbone, kind, other)[0, 0], states[0, 0])
            types = next(
                (
                    most
                    for most in range(MOST_TYPES, 1, -1)
                    if _reads_types(backbone, table, ids, most, states, seen)
                ),
                0,
            )
    finally:
        model.train(training)
    return BackboneFacts(
        kind=kind,
        hidden=states.shape[-1],
        words=words,
        types=types,
        longest=longest,
        sees_later=sees_later,
        masks_padding=masks_padding,
        can_recompute=can_recompute(backbone),
        own_words=own_words,
    )


@contextmanager
def without_cache(model: Any) -> Iterator[None]:
    """Within, a decoder keeps no states for tokens to come: it is not asked to go on, and those of
    several kinds of layers cannot even begin (LFM3)."""
    before = getattr(model.config, "use_cache", None)
    if before is None:
        yield
        return
    model.config.use_cache = False
    try:
        yield
    finally:
        model.config.use_cache = before


def facts_of_writer(model: Any) -> BackboneFacts:
    """What holds for a *model* that writes texts, as its config says."""
    table = word_table(model)
    assert table is not None, "a model of texts"
    return BackboneFacts(
        kind=str(model.config.model_type),
        hidden=int(table.weight.shape[1]),
        words=len(table.weight),
        types=0,
        longest=_stated_limit(model.config),
        sees_later=bool(model.config.is_encoder_decoder),
        masks_padding=True,
        can_recompute=can_recompute(model),
    )


def count_states(backbone: nn.Module) -> int:
    """How many layers' token states *backbone* gives beside each other, those below its first layer
    included; 1 where it gives its last layer's only. Mode and random draws stay as they are."""
    model: Any = backbone
    table, training = word_table(backbone), model.training
    ids = sample_ids(model.config, len(table.weight), TOKENS)[None].to(table.weight.device)
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            found = model(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
            )
    except (TypeError, ValueError, AttributeError):
        return 1
    finally:
        model.train(training)
    shape = found.last_hidden_state.shape
    states = getattr(found, "hidden_states", None) or ()
    return max(1, len(states)) if all(each.shape == shape for each in states) else 1


def word_table(backbone: nn.Module) -> Any:
    """The module that turns token numbers into vectors, with a weight (V, H); None without one."""
    with suppress(AttributeError, NotImplementedError):
        table = backbone.get_input_embeddings()  # type: ignore[operator]
        if isinstance(getattr(table, "weight", None), Tensor):
            return table
    return None


def can_recompute(backbone: nn.Module) -> bool:
    """Whether the backbone's layers can drop their activations and compute them again."""
    return bool(getattr(backbone, "supports_gradient_checkpointing", False))


def sample_ids(config: Any, words: int, count: int) -> Tensor:
    """(count,) token numbers, none of them the padding's, no two neighbours alike."""
    padding = config.get_text_config().pad_token_id
    padding = -1 if padding is None else int(padding)
    numbers = [number for number in range(min(words, count + 2)) if number != padding]
    turns = -(-count // len(numbers))
    return torch.tensor((list(reversed(numbers)) * turns)[:count])


@contextmanager
def looked_up(backbone: nn.Module) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Within, gathers each embedding that is called, with the numbers it is called with."""
    seen: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, given: tuple[Any, ...]) -> None:
        if given and isinstance(given[0], Tensor):
            seen.append((module, given[0]))

    hooks = [
        module.register_forward_pre_hook(note)
        for module in backbone.modules()
        if isinstance(module, nn.Embedding)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _masks_padding(
    backbone: nn.Module, kind: str, ids: Tensor, states: Tensor, longest: int
) -> bool:
    """Whether *ids* (1, T) have the same *states* (1, T, H) where padding follows them."""
    spare = min(PADDING, longest - TOKENS)
    if spare < 1:
        return True
    config: Any = backbone.config
    padding = int(config.get_text_config().pad_token_id or 0)
    longer = torch.cat([ids, ids.new_full((1, spare), padding)], dim=1)
    mask = (torch.arange(longer.shape[1], device=ids.device) < TOKENS).long()[None]
    found = _states(backbone, kind, longer, attention_mask=mask)[:, :TOKENS]
    return not _differ(found, states, PADDED_SAME)


def _states(backbone: nn.Module, kind: str, ids: Tensor, **more: Tensor) -> Tensor:
    """(1, T, H) of *ids* (1, T), all of them real tokens unless *more* has a mask."""
    try:
        found = backbone(**{"input_ids": ids, "attention_mask": torch.ones_like(ids), **more})
        states = found.last_hidden_state
    except Exception as error:  # whatever this architecture asks for instead
        if isinstance(error, MemoryError) or "out of memory" in str(error):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UsageError(
            f"{kind} does not read a text of {ids.shape[1]} tokens by itself ({said}); choose an "
            "encoder such as BERT or a decoder such as Qwen3"
        ) from error
    if not isinstance(states, Tensor) or states.shape[:2] != ids.shape:
        shape = tuple(getattr(states, "shape", ()))
        raise UsageError(
            f"{kind} gives states of the shape {shape} for {ids.shape[1]} tokens, expected one "
            "per token; choose another backbone"
        )
    return states


def _differ(one: Tensor, other: Tensor, most: float = SAME) -> bool:
    one, other = one.cpu(), other.cpu()
    size = float(other.abs().max())
    return bool((one - other).abs().max() > most * max(size, 1e-12))


def _reads_types(
    backbone: nn.Module,
    table: nn.Module,
    ids: Tensor,
    most: int,
    states: Tensor,
    seen: list[tuple[nn.Module, Tensor]],
) -> bool:
    """Whether types 0 … most - 1 are read as types: by a table of their own, or in some other way
    that changes the states, but not by the table of words."""
    types = torch.arange(ids.shape[1]).mul(most).div(ids.shape[1], rounding_mode="floor")[None]
    del seen[:]
    try:
        found = _states(backbone, "", ids, token_type_ids=types.to(ids.device))
    except UsageError:
        return False  # no such argument, or fewer types
    numbers = types[0].tolist()
    by = [module for module, given in seen if given.reshape(-1).cpu().tolist() == numbers]
    if any(module is table for module in by):
        return False
    return bool(by) or _differ(found, states)


def _stated_limit(config: Any) -> int:
    """What the config says about positions, where the model has any."""
    text = config.get_text_config()
    most = getattr(text, "max_position_embeddings", None)
    if not isinstance(most, int) or most < 1 or not getattr(text, "position_biased_input", True):
        return NO_LIMIT
    return most


def _table_limit(seen: list[tuple[nn.Module, Tensor]]) -> int:
    """What tables of positions hold: those looked up with one number after the other."""
    limits = [NO_LIMIT]
    for module, given in seen:
        numbers = given.reshape(-1)[:TOKENS].cpu().tolist()
        if len(numbers) == TOKENS and numbers == list(range(numbers[0], numbers[0] + TOKENS)):
            limits.append(module.num_embeddings - numbers[0])
    return min(limits)


def _own_words(
    table: nn.Module, ids: Tensor, seen: list[tuple[nn.Module, Tensor]]
) -> tuple[int, ...]:
    """The numbers that *table* was asked for beside those of *ids* (1, T)."""
    asked = {
        number
        for module, given in seen
        if module is table
        for number in given.reshape(-1).cpu().tolist()
    }
    return tuple(sorted(asked - set(ids.reshape(-1).cpu().tolist())))


class Pristine:
    """A backbone as it was loaded, lent to one learner after the other."""

    def __init__(
        self,
        backbone: nn.Module,
        hidden: int | None = None,
        adapters: Collection[str] | None = None,
        own_words: Collection[int] = (),
    ) -> None:
        """*hidden*: the size of its states; that of its config by default. *adapters*: the names of
        those of its parameters that a training can change; None for all. *own_words*: those that it
        reads whatever the text."""
        self.backbone, self.own_words = backbone, np.array(sorted(own_words), dtype=np.int64)
        self._hidden = hidden
        self.adapters = None if adapters is None else frozenset(adapters)
        self.weights = {
            name: value.clone()
            for name, value in backbone.state_dict().items()
            if self.adapters is None or name in self.adapters
        }
        self.fixed = {name for name, each in backbone.named_parameters() if not each.requires_grad}
        self.lent = 0
        """How often `restore` was called: only the last borrower holds true weights."""

    def restore(self) -> int:
        """Copy the loaded weights back, bit for bit; return the borrower's number.

        The backbone is then in training mode and without gradients, on the device where it was.
        """
        self.backbone.train().zero_grad(set_to_none=True)
        self.backbone.load_state_dict(self.weights, strict=self.adapters is None)
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

    def keep_no_cache(self) -> None:
        """Have a decoder keep no states for tokens to come, in what is left of its life; the digest
        of its settings stays that of its file."""
        config: Any = self.backbone.config
        if self.config_digest and getattr(config, "use_cache", None) is not None:
            config.use_cache = False

    @property
    def hidden(self) -> int:
        """H."""
        config: Any = self.backbone.config
        return int(config.hidden_size) if self._hidden is None else self._hidden

    @property
    def parameters(self) -> int:
        """How many numbers the backbone holds, those of its adapters included."""
        return sum(parameter.numel() for parameter in self.backbone.parameters())

    @property
    def trained(self) -> int:
        """How many of them a training can change."""
        return self.parameters if self.adapters is None else sum(map(Tensor.numel, self._own()))

    def _own(self) -> Iterator[Tensor]:
        return (self.weights[name] for name in sorted(self.adapters or ()))
