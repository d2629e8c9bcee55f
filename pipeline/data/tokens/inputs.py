"""What a backbone reads at once, and the key it is known by.

An input is a pair as one (pairing "cross"), or each text alone ("siamese"). It is known by a key of
16 bytes that depends on its cleaned texts and on nothing else, so no text has to stay in memory to
find its tokens again: keys are kept sorted in arrays, and a look-up is a binary search.

Texts are cleaned by one rule before they are tokenised: control characters (NUL among them) are
removed, except those that separate words, which become a space; lone surrogates become U+FFFD.
Everything else (emoji, joiners, right-to-left text) is the tokenizer's business.

Shapes: n rows, s texts per row, m inputs of w texts each, keys (2, m) uint64: the two halves.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
