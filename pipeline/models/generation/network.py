"""The network that writes: a text and an answer in, the answer's log-likelihood out; or answers.

One module for an encoder with a decoder, and for a decoder alone, which reads the text and goes on
with the answer.

Notation: B rows, S tokens of the longest text, T of the longest answer, V pieces of the vocabulary,
C candidates per row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration

from pipeline.base.seeding import derive_seed
from pipeline.models.generator_settings import GeneratorRecipe
from pipeline.models.transformer.heads import Encoded, Network, Pooling, drawn_from
from pipeline.models.transformer.losses import TargetCodec


class NoPooling(Pooling):
    """Nothing is pooled: a decoder says something at every token."""

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """The states as they are."""
        return states[-1]


class Writer(Network):
    """(text, answer) of B rows -> (B, 1) minus the log-likelihood of the answers, in nats.

    While it is trained, with label smoothing: a share of each token's probability is spread over
    all others (Szegedy et al., "Rethinking the Inception Architecture", 2016).
    """

    def __init__(
        self, backbone: nn.Module, adapters: frozenset[str] | None, smoothing: float
    ) -> None:
        super().__init__(backbone, nn.Identity(), NoPooling(1, 1, 0), adapters=adapters)
        self.smoothing = smoothing
        model: Any = backbone
        self.others = others_beside(backbone)
        self.encodes = bool(model.config.is_encoder_decoder)
        names = {f"backbone.{name}" for name, _ in backbone.named_parameters()}
        names |= {f"backbone.{name}" for name, _ in backbone.named_buffers()}
        self.distinct = frozenset(names)
        """One name for each of the weights, also where several share one (tied embeddings)."""

    def write_with(self, others: Sequence[nn.Module]) -> None:
        """From now on the *others*, which have the same tokenizer, write with it."""
        self.beside = nn.ModuleList(others)
        for other in others:
            self.others += [other, *others_beside(other)]

    @property
    def whole(self) -> bool:
        """Never: names that stand for the same weights are left out."""
        return False

    def owns(self, name: str) -> bool:
        """See `Network.owns`; of several names of the same weights, the first."""
        inner = name.removeprefix("backbone.")
        return super().owns(name) and (inner == name or name in self.distinct)

    def forward(self, inputs: Sequence[Encoded], lengths: np.ndarray | None = None) -> Tensor:
        """See the class; *inputs* are the texts and the answers."""
        text, answer = inputs
        ids, real = answer["input_ids"], answer["attention_mask"]
        said = [
            self.logits(text, ids, real, model).float().log_softmax(dim=2)
            for model in (self.backbone, *self.others)
        ]
        if self.others and not self.training:
            said = [mean_of_logs(said)]
        return torch.stack([self._lost(logs, ids, real) for logs in said]).mean(dim=0)

    def _lost(self, logs: Tensor, ids: Tensor, real: Tensor) -> Tensor:
        """(B, 1) by what one network says, (B, T, V)."""
        lost = -logs.gather(2, ids[..., None])[..., 0]
        if self.training and self.smoothing:
            lost = (1 - self.smoothing) * lost - self.smoothing * logs.mean(dim=2)
        return (lost * real).sum(dim=1, keepdim=True)

    def logits(self, text: Encoded, ids: Tensor, real: Tensor, model: Any) -> Tensor:
        """(B, T, V): what *model* says of each token of the answers *ids* (B, T) before it is
        known."""
        if self.encodes:
            start = model.generation_config.decoder_start_token_id
            before = functional.pad(ids[:, :-1], (1, 0), value=start)
            return model(
                input_ids=text["input_ids"],
                attention_mask=text["attention_mask"],
                decoder_input_ids=before,
                use_cache=False,
            ).logits
        own = text["attention_mask"].sum(dim=1, keepdim=True)
        place = torch.arange(text["input_ids"].shape[1] + ids.shape[1], device=ids.device)[None]
        read = text["input_ids"].gather(
            1, place.clamp(max=text["input_ids"].shape[1] - 1).expand(len(ids), -1)
        )
        written = ids.gather(1, (place - own).clamp(min=0, max=ids.shape[1] - 1))
        mask = (place < own + real.sum(dim=1, keepdim=True)).long()
        line = torch.where(place < own, read, written)
        found = model(input_ids=line, attention_mask=mask, use_cache=False).logits
        says = own - 1 + torch.arange(ids.shape[1], device=ids.device)[None]
        return found.gather(1, says[..., None].expand(-1, -1, found.shape[2]))

    def write(self, text: Encoded, recipe: GeneratorRecipe) -> tuple[Tensor, Tensor]:
        """(B, C, T) the tokens of C answers to each text, and (B, C, T) 1 where they are real, the
        end-of-text included."""
        model: Any = self.backbone
        ids, mask = text["input_ids"], text["attention_mask"]
        if not self.encodes:  # padding comes before a line that goes on
            spare = mask.shape[1] - mask.sum(dim=1, keepdim=True)
            place = torch.arange(mask.shape[1], device=mask.device)[None] - spare
            ids, mask = ids.gather(1, place.clamp(min=0)), (place >= 0).long()
        found = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=way_of(recipe, model),
            logits_processor=[Together(self.others, ids, mask)] if self.others else [],
        )
        found = found[:, 1:] if self.encodes else found[:, ids.shape[1] :]
        end = (found == model.generation_config.eos_token_id).long()
        real = (end.cumsum(dim=1) - end) == 0
        shape = len(ids), recipe.kept, found.shape[1]
        return found.view(shape), real.long().view(shape)


# Networks side by side: each learns by its own loss, they write together (ensemble decoding, as in
# Sutskever, Vinyals & Le, "Sequence to Sequence Learning with Neural Networks", NeurIPS 2014).


def others_beside(backbone: Any) -> list[Any]:
    """The networks that write with *backbone*; they are parts of it, for what saves and steps."""
    return list(getattr(backbone, "beside", []))


def mean_of_logs(said: Sequence[Tensor]) -> Tensor:
    """(…, V) the mean of log-probabilities, as log-probabilities again."""
    return torch.stack(list(said)).mean(dim=0).log_softmax(dim=-1)


class Together:
    """What transformers asks at each token: the mean of what all networks say of it.

    Each network keeps the states of what was written so far; a beam search goes on from some of its
    beginnings and drops others, so states are brought into the order of those it goes on from.
    """

    def __init__(self, others: Sequence[Any], ids: Tensor, mask: Tensor) -> None:
        """*others* read the B texts *ids* (B, S)."""
        self.others, self.mask = others, mask
        encodes = bool(others[0].config.is_encoder_decoder)
        self.read = [
            other.get_encoder()(ids, attention_mask=mask)[0] if encodes else None
            for other in others
        ]
        self.states: list[Any] = [None] * len(others)
        self.before: Tensor | None = None
        """(B x beams, t - 1) the beginnings at the last token."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B x beams, V) of the beginnings *input_ids* (B x beams, t), where one says *scores*."""
        said, origin = [scores.log_softmax(dim=-1)], self._origin(input_ids)
        mask = self.mask.repeat_interleave(len(input_ids) // len(self.mask), dim=0)
        for place, other in enumerate(self.others):
            if origin is None:
                self.states[place] = None
            else:
                self.states[place].reorder_cache(origin)
            new = input_ids if origin is None else input_ids[:, -1:]
            asked = self._asked(place, mask, input_ids, new.shape[1])
            found = other(**asked, past_key_values=self.states[place], use_cache=True)
            self.states[place] = found.past_key_values
            said.append(found.logits[:, -1].float().log_softmax(dim=-1))
        self.before = input_ids.clone()
        return mean_of_logs(said)

    def _origin(self, line: Tensor) -> Tensor | None:
        """(B x beams,) which of the last beginnings each of *line* (B x beams, t) goes on from;
        None where there are none, or one of them goes on from no beginning of its text."""
        if self.before is None or self.before.shape != line[:, :-1].shape:
            return None
        rows, beams = len(self.mask), len(line) // len(self.mask)
        new = line[:, :-1].view(rows, beams, 1, -1)
        same = (new == self.before.view(rows, 1, beams, -1)).all(dim=-1)
        if not bool(same.any(dim=-1).all()):
            return None
        first = torch.arange(rows, device=line.device)[:, None] * beams
        return (first + same.int().argmax(dim=-1)).flatten()

    def _asked(self, place: int, mask: Tensor, line: Tensor, new: int) -> dict[str, Any]:
        """What a network is given to say what comes after *line* (b, t), of which *new* tokens are
        new to it. A decoder alone reads a text, padded in front as *mask* (b, S) says, and what was
        written after it."""
        states = self.read[place]
        if states is not None:
            repeated = states.repeat_interleave(len(line) // len(states), dim=0)
            return {
                "encoder_outputs": (repeated,),
                "attention_mask": mask,
                "decoder_input_ids": line[:, -new:],
            }
        written = mask.new_ones(len(mask), line.shape[1] - mask.shape[1])
        real = torch.cat([mask, written], dim=1)
        places = (real.cumsum(dim=1) - 1).clamp(min=0)
        return {
            "input_ids": line[:, -new:],
            "attention_mask": real,
            "position_ids": places[:, -new:],
        }


def way_of(recipe: GeneratorRecipe, model: Any) -> GenerationConfig:
    """How transformers decodes as *recipe* says."""
    ways: dict[str, dict[str, Any]] = {
        "greedy": {"num_beams": 1, "do_sample": False},
        "beam": {
            "num_beams": recipe.beams,
            "do_sample": False,
            "length_penalty": recipe.length_penalty,
        },
        "sample": {
            "num_beams": 1,
            "do_sample": True,
            "temperature": recipe.temperature,
            "top_p": recipe.top_p,
            "top_k": 0,
        },
    }
    return GenerationConfig(
        max_new_tokens=recipe.max_answer,
        num_return_sequences=recipe.kept,
        no_repeat_ngram_size=recipe.no_repeat,
        **own_tokens(model.generation_config),
        **ways[recipe.decode],
    )


def own_tokens(config: GenerationConfig) -> dict[str, Any]:
    """The tokens that a backbone begins and ends with."""
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
    return {name: getattr(config, name) for name in names}


def write_by_recipe_alone(model: Any, tokenizer: Any) -> None:
    """Forget how the checkpoint of *model* would decode (least lengths, penalties, beams): the
    recipe says that. What an answer ends in is the end-of-text of its *tokenizer*."""
    said = own_tokens(model.generation_config)
    start = said["decoder_start_token_id"]
    if start is None:
        start = getattr(model.config, "decoder_start_token_id", None)
    if start is None and model.config.is_encoder_decoder:
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else 0
    end, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    said |= {
        "decoder_start_token_id": start,
        "eos_token_id": end,
        "pad_token_id": end if padding is None else padding,
    }
    model.generation_config = GenerationConfig(**said)


def from_nothing(recipe: GeneratorRecipe, pieces: int, seed: int) -> nn.Module:
    """An encoder with a decoder after T5 (Raffel et al., "Exploring the Limits of Transfer
    Learning", 2020; version 1.1, with one table of words), its weights drawn by *seed* alone."""
    config = T5Config(
        vocab_size=pieces,
        d_model=recipe.width,
        d_kv=recipe.width // recipe.attention_heads,
        d_ff=recipe.feed_forward,
        num_layers=recipe.layers,
        num_decoder_layers=recipe.layers,
        num_heads=recipe.attention_heads,
        dropout_rate=recipe.dropout,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    made = []
    for number in range(recipe.networks):
        with drawn_from(seed if not number else derive_seed(seed, "network", number), "weights"):
            made.append(T5ForConditionalGeneration(config))
    if made[1:]:
        made[0].beside = nn.ModuleList(made[1:])
    return made[0]


@dataclass(frozen=True, kw_only=True)
class LikelihoodCodec(TargetCodec):
    """Of answers: their mean loss per token."""

    tokens: float = 1.0
    """Of an answer, on average: the loss is divided by it, so that it is the same however a step is
    cut."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LikelihoodCodec":
        """The codec whose `as_json` went into a JSON file."""
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """For `from_json`."""
        return {"problem": self.problem, "loss": self.loss, "tokens": self.tokens}

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, 1) what each answer counts."""
        return targets.astype(np.float32)

    def mean_loss(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """(B, 1) losses of answers and what they count -> ()."""
        return (logits * encoded).mean() / self.tokens

    def decode(self, logits: Tensor) -> Tensor:
        """(B, 1) log-likelihoods."""
        return -logits.float()
