"""Texts as token numbers, each distinct input tokenised once for all folds, epochs and seeds.

An input is what the backbone reads at once: a pair as one input (pairing "cross"), or each text
alone ("siamese"). The store is keyed by the input's content, so a fold's rows, another seed's rows
and a test row with the same texts share one entry.

Texts are cleaned by one rule before they are tokenised: control characters (NUL among them) are
removed, except those that separate words, which become a space; lone surrogates become U+FFFD.
Everything else (emoji, joiners, right-to-left text) is the tokenizer's business.

Shapes: n rows, s texts per row, u inputs per row (1 for "cross", s for "siamese").
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from pipeline.errors import ArtifactError, UsageError

Input = tuple[str, ...]
CHUNK = 16_384
"""Inputs handed to the tokenizer at once: parallel enough, and its objects are not kept."""
CONTROL = {
    code: " " if chr(code).isspace() else None
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\t\n\r"
}
SURROGATE = re.compile("[\ud800-\udfff]")
LIBRARIES = ("tokenizers", "transformers")
CANARY_TEXTS = (
    "The quick brown fox, 3.14 times!",
    "고양이가 소파에서 자고 있다. ㅋㅋㅋ",
    "猫はソファで寝ている",
    "قطة تنام على الأريكة",
    "Größe naïve Ωμέγα Привет 👩\u200d👩\u200d👧",
    "",
)


def clean(text: str) -> str:
    """*text* without control characters and lone surrogates.

    >>> clean("a\\x00b\\x0cc\\td"), clean("\\ud83d")
    ('ab c\\td', '\ufffd')
    """
    if text.isprintable():  # the usual case, and fast
        return text
    return SURROGATE.sub("\ufffd", text.translate(CONTROL))


class TokenStore:
    """The token numbers of every distinct input seen so far, in flat arrays with offsets."""

    def __init__(
        self, tokenizer: Any, max_length: int, pairing: Literal["cross", "siamese"]
    ) -> None:
        """Wrap a fast Hugging Face tokenizer.

        Raises UsageError where *max_length* is more than the backbone takes, ArtifactError where
        the tokenizer does not add the special tokens it defines.
        """
        if max_length > tokenizer.model_max_length:
            raise UsageError(
                f"max_length is {max_length}, but the backbone takes at most "
                f"{tokenizer.model_max_length} tokens. Set max_length={tokenizer.model_max_length} "
                "or less; longer texts are truncated and counted."
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.pairing = pairing
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.uses_type_ids = "token_type_ids" in tokenizer.model_input_names
        self._row_of: dict[Input, int] = {}
        self._ids = np.empty(0, np.int32)
        self._type_ids = np.empty(0, np.int8)
        self._starts = np.zeros(1, np.int64)
        self._truncated = np.empty(0, bool)
        _check_special_tokens(tokenizer)

    def __len__(self) -> int:
        return len(self._row_of)

    def rows(self, texts: np.ndarray) -> np.ndarray:
        """Store rows (n, u), int64, of the inputs that *texts* (n, s) make; new ones are added."""
        inputs = [_inputs(row, self.pairing) for row in texts.tolist()]
        distinct = dict.fromkeys(itertools.chain.from_iterable(inputs))
        self._add([item for item in distinct if item not in self._row_of])
        found = [[self._row_of[item] for item in row] for row in inputs]
        per_row = 1 if self.pairing == "cross" else texts.shape[1]
        return np.array(found, dtype=np.int64).reshape(len(texts), per_row)

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each of the store rows *rows* (any shape), special tokens included; int64."""
        return self._starts[rows + 1] - self._starts[rows]

    def truncated(self, rows: np.ndarray) -> int:
        """How many of the store rows *rows* (any shape) lost tokens to max_length."""
        return int(self._truncated[rows].sum())

    def tokens(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Token numbers (T,) int32 and token types (T,) int8 of one store row."""
        part = slice(self._starts[row], self._starts[row + 1])
        return self._ids[part], self._type_ids[part]

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

    def _add(self, new: list[Input]) -> None:
        if not new:
            return
        parts = [self._encode(new[at : at + CHUNK]) for at in range(0, len(new), CHUNK)]
        ids, type_ids, lengths, truncated = (
            np.concatenate(arrays) for arrays in zip(*parts, strict=True)
        )
        self._row_of.update(zip(new, range(len(self), len(self) + len(new)), strict=True))
        self._ids = np.concatenate([self._ids, ids])
        self._type_ids = np.concatenate([self._type_ids, type_ids])
        ends = self._starts[-1] + np.cumsum(lengths)
        self._starts = np.concatenate([self._starts, ends])
        self._truncated = np.concatenate([self._truncated, truncated])

    def _encode(self, inputs: list[Input]) -> tuple[np.ndarray, ...]:
        """Token numbers and types, both flat, then length and "truncated" of each input."""
        columns = [list(column) for column in zip(*inputs, strict=True)]
        encodings = self.tokenizer(
            *columns, truncation="longest_first", max_length=self.max_length
        ).encodings
        ids = [encoding.ids or [self._stand_in()] for encoding in encodings]
        types = (
            [encoding.type_ids or [0] for encoding in encodings]
            if self.uses_type_ids
            else [[0] * len(tokens) for tokens in ids]
        )
        return (
            _flat(ids, np.int32),
            _flat(types, np.int8),
            np.array([len(tokens) for tokens in ids], np.int64),
            np.array([bool(encoding.overflowing) for encoding in encodings]),
        )

    def _stand_in(self) -> int:
        """The token of an input that has none: an empty text, and no special tokens around it."""
        candidates = (self.tokenizer.unk_token_id, self.tokenizer.eos_token_id)
        return next((token for token in candidates if token is not None), self.pad_id)


def _inputs(texts: list[str], pairing: str) -> list[Input]:
    cleaned = [clean(text) for text in texts]
    return [tuple(cleaned)] if pairing == "cross" else [(text,) for text in cleaned]


def _flat(lists: Iterable[list[int]], dtype: type[np.generic]) -> np.ndarray:
    return np.fromiter(itertools.chain.from_iterable(lists), dtype)


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
