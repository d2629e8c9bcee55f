"""What the tokenizer says about texts, and by what to tell that it is still the same tokenizer."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from pipeline.base import ArtifactError, UsageError
from pipeline.data.tokens.files import TokenArrays

# What a backbone reads at once, and the key it is known by.
#
# An input is a pair as one (pairing "cross"), or each text alone ("siamese"). It is known by a key
# of 16 bytes that depends on its cleaned texts and on nothing else, so no text has to stay in
# memory to find its tokens again: keys are kept sorted in arrays, and a look-up is a binary search.
#
# Texts are cleaned by one rule before they are tokenised: control characters (NUL among them) are
# removed, except those that separate words, which become a space; lone surrogates become U+FFFD.
# Everything else (emoji, joiners, right-to-left text) is the tokenizer's business.
#
# Shapes: n rows, s texts per row, m inputs of w texts each, keys (2, m) uint64: the two halves.


Pairing = Literal["cross", "siamese"]
CLEANING = 1
"""Goes up when `clean` gives another result for any text: token stores name it."""
CONTROL = {
    code: " " if chr(code).isspace() else None
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\t\n\r"
}
SURROGATE = re.compile("[\ud800-\udfff]")
BLOCK = 65_536
"""Inputs whose texts are Python lists at once."""


def clean(text: str) -> str:
    """*text* without control characters and lone surrogates.

    >>> clean("a\\x00b\\x0cc\\td"), clean("\\ud83d")
    ('ab c\\td', '\ufffd')
    """
    if text.isprintable():  # the usual case, and fast
        return text
    return SURROGATE.sub("\ufffd", text.translate(CONTROL))


def inputs_of(texts: np.ndarray, pairing: Pairing) -> np.ndarray:
    """The inputs (m, w) that *texts* (n, s) make, row after row; m = n * u, w = s / u.

    >>> inputs_of(np.array([["a", "b"]], dtype=object), "siamese").tolist()
    [['a'], ['b']]
    """
    return texts if pairing == "cross" else texts.reshape(-1, 1)


def keys_of(inputs: np.ndarray) -> np.ndarray:
    """The keys (2, m) of *inputs* (m, w): equal only where the cleaned texts are."""
    found = np.empty((2, len(inputs)), dtype=np.uint64)
    for at in range(0, len(inputs), BLOCK):
        digests = b"".join(map(_digest, inputs[at : at + BLOCK].tolist()))
        found[:, at : at + BLOCK] = np.frombuffer(digests, ">u8").reshape(-1, 2).T
    return found


def _digest(texts: list[str]) -> bytes:
    # each text says how long it is, so that no two inputs read alike when glued
    content = "".join(f"{len(text)}:{text}" for text in map(clean, texts))
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


def distinct(keys: np.ndarray) -> np.ndarray:
    """The places, by ascending key, at which each different one of *keys* (2, m) stands first.

    >>> distinct(np.array([[7, 3, 7], [0, 0, 0]], dtype=np.uint64))
    array([1, 0])
    """
    order = np.lexsort((keys[1], keys[0]))
    sorted_keys = keys[:, order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (sorted_keys[:, 1:] != sorted_keys[:, :-1]).any(axis=0)
    return order[new]


@dataclass(frozen=True)
class Index:
    """Which row each key has."""

    keys: np.ndarray
    """(2, n) ascending, all different."""
    rows: np.ndarray | None = None
    """(n,) int64; None where the rows are 0 … n - 1."""

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """(m,) int64: the row of each of the keys *wanted* (2, m), -1 for those not there."""
        first, second = self.keys
        at = np.searchsorted(first, wanted[0])
        while True:
            inside = at < len(first)
            place = np.where(inside, at, 0)
            if not inside.any():
                return np.full(len(at), -1, dtype=np.int64)
            alike = inside & (first[place] == wanted[0])
            same = alike & (second[place] == wanted[1])
            if not (alike & ~same).any():  # hardly ever: two keys with one first half
                break
            at = at + (alike & ~same)
        rows = place if self.rows is None else self.rows[place]
        return np.where(same, rows, -1)

    def joined(self, keys: np.ndarray, rows: np.ndarray) -> "Index":
        """This index and *keys* (2, k), none of them in it, of the *rows* (k,)."""
        own = np.arange(self.keys.shape[1]) if self.rows is None else self.rows
        everything, all_rows = np.hstack([self.keys, keys]), np.concatenate([own, rows])
        order = np.lexsort((everything[1], everything[0]))
        return Index(everything[:, order], all_rows[order])


NOTHING = Index(np.empty((2, 0), dtype=np.uint64))


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
    def separates(self) -> bool:
        """Whether it puts a token of its own between the texts of a pair; those of most decoders
        (GPT, Qwen, Gemma) do not."""
        whose = self.tokenizer.backend_tokenizer.encode("a", "a").sequence_ids
        first = [place for place, text in enumerate(whose) if text == 0]
        second = [place for place, text in enumerate(whose) if text == 1]
        return not (first and second) or second[0] > first[-1] + 1

    @cached_property
    def highest(self) -> int:
        """The highest token number that can occur."""
        return max(self.tokenizer.get_vocab().values())

    @cached_property
    def record(self) -> np.dtype:
        """How a token is kept: its number in as few bytes as the vocabulary needs, and its type."""
        fields = [("id", "<u2" if self.highest < 2**16 else "<i4")]
        return np.dtype(fields + [("type", "i1")] * self.uses_type_ids)

    def encode(self, inputs: np.ndarray) -> TokenArrays:
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
        return TokenArrays(
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
