"""What the tokenizer says about texts, and by what to tell that it is still the same tokenizer."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from pipeline.base.errors import ArtifactError, UsageError
from pipeline.data.tokens.inputs import CLEANING, clean
from pipeline.data.tokens.shelf import Shelf

LIBRARIES = ("tokenizers", "transformers")
CANARY_TEXTS = (
    "The quick brown fox, 3.14 times!",
    "고양이가 소파에서 자고 있다. ㅋㅋㅋ",
    "猫はソファで寝ている",
    "قطة تنام على الأريكة",
    "Größe naïve Ωμέγα Привет 👩\u200d👩\u200d👧",
    "",
)


class Tokeniser:
    """A fast Hugging Face tokenizer with a limit of tokens."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        """Raises UsageError where *max_length* is more than the backbone takes, ArtifactError where
        the tokenizer does not add the special tokens it defines."""
        if max_length > tokenizer.model_max_length:
            raise UsageError(
                f"max_length is {max_length}, but the backbone takes at most "
                f"{tokenizer.model_max_length} tokens. Set max_length={tokenizer.model_max_length} "
                "or less; longer texts are truncated and counted."
            )
        self.tokenizer, self.max_length = tokenizer, max_length
        self.uses_type_ids = "token_type_ids" in tokenizer.model_input_names
        _check_special_tokens(tokenizer)

    @cached_property
    def highest(self) -> int:
        """The highest token number that can occur."""
        return max(self.tokenizer.get_vocab().values())

    @cached_property
    def record(self) -> np.dtype:
        """How a token is kept: its number in as few bytes as the vocabulary needs, and its type."""
        fields = [("id", "<u2" if self.highest < 2**16 else "<i4")]
        return np.dtype(fields + [("type", "i1")] * self.uses_type_ids)

    def encode(self, inputs: np.ndarray) -> Shelf:
        """The tokens of *inputs* (m, w), w one or two; all cores take part.

        The library's own batches, without the offsets and words that nobody asks for, are twice
        as fast as its front end (docs/scale.md).
        """
        backend = self.tokenizer.backend_tokenizer
        side = self.tokenizer.truncation_side
        backend.enable_truncation(self.max_length, strategy="longest_first", direction=side)
        backend.no_padding()
        rows = [tuple(map(clean, texts)) for texts in inputs.tolist()]
        found = backend.encode_batch_fast([row if len(row) > 1 else row[0] for row in rows])
        ids = [each.ids or [self._stand_in] for each in found]
        tokens = np.empty(sum(map(len, ids)), self.record)
        tokens["id"] = _flat(ids)
        if self.uses_type_ids:
            tokens["type"] = _flat(each.type_ids or [0] for each in found)
        return Shelf(
            tokens=tokens,
            starts=np.cumsum([0, *map(len, ids)], dtype=np.int64),
            truncated=np.array([bool(each.overflowing) for each in found]),
        )

    @cached_property
    def _stand_in(self) -> int:
        """The token of an input that has none: an empty text, and no special tokens around it."""
        own = self.tokenizer
        candidates = (own.unk_token_id, own.eos_token_id)
        return next((token for token in candidates if token is not None), own.pad_token_id or 0)

    def facts(self) -> dict[str, Any]:
        """All that the tokens of an input depend on, JSON-ready."""
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()  # its state of the moment, not what it is
        backend.no_padding()
        return {
            "tokenizer_sha256": hashlib.sha256(backend.to_str().encode()).hexdigest(),
            "canary": self.canary(),
            "tokenizers": version("tokenizers"),
            "max_length": self.max_length,
            "truncation_side": self.tokenizer.truncation_side,
            "stand_in": self._stand_in,
            "types": self.uses_type_ids,
            "cleaning": CLEANING,
        }

    def canary(self) -> str:
        """A hash that changes when the tokenizer's output does: 16 hex digits.

        Kept with predictions: after an upgrade of the tokenizers library the same text may become
        other tokens, and predictions from before and after must not be mixed unseen.
        """
        singles = self.tokenizer(list(CANARY_TEXTS))
        pairs = self.tokenizer(list(CANARY_TEXTS), list(reversed(CANARY_TEXTS)))
        facts = {
            "singles": singles["input_ids"],
            "pairs": pairs["input_ids"],
            "types": pairs["token_type_ids"] if self.uses_type_ids else None,
            "special": self.tokenizer.all_special_ids,
        }
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def identity(self) -> dict[str, str]:
        """The canary and the versions of the libraries that made it, to be kept with weights."""
        return {"canary": self.canary(), **{name: version(name) for name in LIBRARIES}}

    def check(self, saved: Mapping[str, str], where: str) -> None:
        """Raise ArtifactError where *saved*, the `identity` kept at *where*, gives other tokens."""
        now = self.identity()
        if saved["canary"] != now["canary"]:
            then, today = (
                ", ".join(f"{name} {each.get(name, 'unknown')}" for name in LIBRARIES)
                for each in (saved, now)
            )
            means = (
                "Install those versions" if then != today else "Use the backbone's files of then"
            )
            raise ArtifactError(
                f"the tokenizer output changed: {where} was made with {saved['canary']} ({then}), "
                f"here the same texts give {now['canary']} ({today}). {means}, or train again with "
                "--fresh."
            )


def _flat(lists: Iterable[list[int]]) -> np.ndarray:
    return np.fromiter(itertools.chain.from_iterable(lists), np.int32)


def _check_special_tokens(tokenizer: Any) -> None:
    """A tokenizer that defines [CLS] or [SEP] must add them; some releases forgot to."""
    found = set(tokenizer("a")["input_ids"])
    lost = [
        str(token)
        for token, number in (
            (tokenizer.cls_token, tokenizer.cls_token_id),
            (tokenizer.sep_token, tokenizer.sep_token_id),
        )
        if number is not None and number not in found
    ]
    if lost:
        raise ArtifactError(
            f"the tokenizer defines {' and '.join(lost)} but does not add them, so the "
            "backbone would read what it was not trained on. Install another version of "
            "transformers, or use a folder whose tokenizer.json has the template."
        )
