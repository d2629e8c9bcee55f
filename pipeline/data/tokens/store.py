"""Texts as token numbers, each distinct input tokenised once for all folds, epochs and seeds.

`keep` tokenises whole tables at once, into files that every worker and every later command with
the same texts opens instead (see `files`); they are mapped, so only the rows that are asked
for are read. Inputs that come later are kept in memory beside them.

An input is what the backbone reads at once: a pair as one input (pairing "cross"), or each text
alone ("siamese"). It is known by its content (see `inputs`), so a fold's rows, another seed's rows
and a test row with the same texts share one entry.

Shapes: n rows, s texts per row, u inputs per row (1 for "cross", s for "siamese").

Stores are found by content: the folder's name is a digest of the whole tokenizer (its file, not
only its canary), the settings and the keys of all inputs; a key is a hash of the cleaned texts.
So no command has to be told where its tokens lie, and none can find wrong ones. The rows stand by
ascending key: the same texts in any order give the same bytes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.base import ArtifactError
from pipeline.base.errors import BusyError, ResourceError
from pipeline.base.leases import holder, lease
from pipeline.data.tokens.files import (
    MANIFEST,
    TokenArrays,
    delete_unused,
    empty,
    joined,
    name_of,
    read,
    write,
)
from pipeline.data.tokens.tokenizer import (
    NOTHING,
    Index,
    Pairing,
    Tokeniser,
    clean,
    distinct,
    inputs_of,
    keys_of,
)

# One token store on disk for whoever needs it: found, waited for, mended or made.


POLL_SECONDS = 0.5
LEASE = "store.lease"
Make = Callable[[], Iterable[TokenArrays]]
Kept = tuple[Index, TokenArrays]


class ProgressCallback(Protocol):
    """Told what happens: a `pipeline.models.learner.Watch` is one."""

    def phase(self, name: str, total: int) -> None:
        """A phase of *total* steps begins."""

    def advance(self, steps: int = 1) -> None:
        """That many steps are done."""

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Something a person should know."""


def in_memory(keys: np.ndarray, make: Make) -> Kept:
    """The tokens of the inputs *keys* (2, n) that *make* gives, on no disk."""
    return Index(keys), joined(make())


def on_disk(
    folder: Path, record: np.dtype, keys: np.ndarray, make: Make, tell: ProgressCallback
) -> Kept:
    """The store in *folder*, mapped; where it is missing or damaged it is made first.

    One process makes it while the others wait. Where the disk is full or cannot be written, this
    process keeps the tokens in its own memory and says so: training may still fit, and the space
    that it needs is asked for by itself.
    """
    waited = False
    while (found := _there(folder, tell)) is None:
        try:
            with lease(folder / LEASE, f"the token store {folder}"):
                if (found := _there(folder, tell)) is None:  # made while the claim was waited for
                    write(folder, record, keys, make())
                    delete_unused(folder)
        except BusyError:
            if not waited:
                who = holder(folder / LEASE)
                tell.event("waiting", f"waiting for {who}, which tokenises the same texts")
            waited = True
            time.sleep(POLL_SECONDS)
        except ResourceError as error:
            tell.event(
                "tokens not kept",
                f"the tokens stay in this process's memory and are made again next time: {error}",
            )
            return in_memory(keys, make)
    return found


def _there(folder: Path, tell: ProgressCallback) -> Kept | None:
    try:
        found = read(folder)
    except ArtifactError as damage:
        tell.event("tokens damaged", f"{damage}. The texts are tokenised again.")
        with suppress(OSError):  # told once
            (folder / MANIFEST).unlink()
        return None
    return None if found is None else (Index(found[0]), found[1])


__all__ = ["TokenStore", "clean"]
SAMPLE = 200
"""Inputs whose tokens are compared."""
CHUNK = 4_096
"""Inputs handed to the tokenizer at once: parallel enough, and its objects are not kept."""


class TokenStore:
    """The token numbers of every distinct input seen so far."""

    def __init__(
        self, tokenizer: Any, max_length: int, pairing: Pairing, cache: Path | None = None
    ) -> None:
        """Wrap a fast Hugging Face tokenizer; *cache* is the folder that `keep` writes below.

        Raises UsageError where *max_length* is more than the backbone takes, ArtifactError where
        the tokenizer does not add the special tokens it defines.
        """
        self.tokenizer, self.max_length, self.pairing = tokenizer, max_length, pairing
        self._tokeniser, self._cache = Tokeniser(tokenizer, max_length), cache
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.uses_type_ids = self._tokeniser.uses_type_ids
        self.separates = self._tokeniser.separates
        self.folder: Path | None = None
        """Where the tokens of `keep` lie; None while they are in memory only."""
        self._kept, self._more = empty(self._tokeniser.record), empty(self._tokeniser.record)
        self._kept_index = self._more_index = NOTHING

    def __len__(self) -> int:
        return len(self._kept) + len(self._more)

    def keep(self, tables: Sequence[np.ndarray], tell: ProgressCallback) -> np.ndarray:
        """Tokenise all *tables*, texts (n, s) each, or open the files where that was done before.

        Returns the store rows (m,) of their distinct inputs. Rows handed out earlier stay valid:
        a store that is not empty keeps what is new in memory.
        """
        inputs = np.concatenate([inputs_of(texts, self.pairing) for texts in tables])
        keys = keys_of(inputs)
        first = distinct(keys)
        keys = np.ascontiguousarray(keys[:, first])
        if len(self) or not len(first):
            return self._rows_of(inputs[first], keys)
        make = partial(self._encoded, inputs[first], tell)
        if self._cache is None:
            self._kept_index, self._kept = in_memory(keys, make)
        else:
            self.folder = folder = self._cache / name_of(self._tokeniser.facts(), keys)
            record = self._tokeniser.record
            self._kept_index, self._kept = on_disk(folder, record, keys, make, tell)
        return np.arange(len(self._kept))

    def rows(self, texts: np.ndarray) -> np.ndarray:
        """Store rows (n, u), int64, of the inputs that *texts* (n, s) make; new ones are added."""
        inputs = inputs_of(texts, self.pairing)
        per_row = 1 if self.pairing == "cross" else texts.shape[1]
        return self._rows_of(inputs, keys_of(inputs)).reshape(len(texts), per_row)

    def forget(self) -> None:
        """Drop the inputs that came after `keep`: their rows are not valid any more."""
        self._more, self._more_index = empty(self._tokeniser.record), NOTHING

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each of the store rows *rows* (any shape), special tokens included; int64."""
        mine, more = self._parted(rows)
        found = np.empty(rows.shape, dtype=np.int64)
        found[mine] = self._kept.lengths(rows[mine])
        found[~mine] = self._more.lengths(more)
        return found

    def truncated(self, rows: np.ndarray) -> int:
        """How many of the store rows *rows* (any shape) lost tokens to max_length."""
        mine, more = self._parted(rows)
        return int(self._kept.truncated[rows[mine]].sum() + self._more.truncated[more].sum())

    def tokens(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Token numbers (T,) int32 and token types (T,) int8 of one store row."""
        later = row - len(self._kept)
        return self._split(self._kept.slice(row) if later < 0 else self._more.slice(later))

    def reads_alike(self, rows: np.ndarray) -> bool:
        """Whether several store rows *rows* (m,), of distinct inputs, all have the same tokens, as
        far as SAMPLE of them tell: the tokenizer knows nothing of these texts."""
        some = rows[:: max(1, len(rows) // SAMPLE)]
        return len(some) > 1 and len({self.tokens(row)[0].tobytes() for row in some.tolist()}) == 1

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The tokens of the store rows *rows* (r,), one row after the other; only they are read.

        Returns:
            Token numbers (N,) int32, token types (N,) int8, and the length (r,) int64 of each row;
            N is their sum.
        """
        mine, more = self._parted(rows)
        lengths = self.lengths(rows)
        if mine.all():
            return *self._split(self._kept.gather(rows)), lengths
        whose = np.repeat(mine, lengths)
        records = np.empty(len(whose), self._tokeniser.record)
        records[whose] = self._kept.gather(rows[mine])
        records[~whose] = self._more.gather(more)
        return *self._split(records), lengths

    def words(self, rows: np.ndarray) -> np.ndarray:
        """Every token number in the store rows *rows* (any shape), padding too; sorted, int64."""
        found, rows = {self.pad_id}, np.unique(rows)
        for at in range(0, len(rows), CHUNK):
            found.update(np.unique(self.gather(rows[at : at + CHUNK])[0]).tolist())
        return np.array(sorted(found), dtype=np.int64)

    def facts(self) -> dict[str, Any]:
        """All that the tokens of an input depend on."""
        return self._tokeniser.facts()

    def canary(self) -> str:
        """A hash that changes when the tokenizer's output does: 16 hex digits."""
        return self._tokeniser.canary()

    def identity(self) -> dict[str, str]:
        """The canary and the versions of the libraries that made it, to be kept with weights."""
        return self._tokeniser.identity()

    def check(self, saved: Mapping[str, str], where: str) -> None:
        """Raise ArtifactError where *saved*, the `identity` kept at *where*, gives other tokens."""
        self._tokeniser.check(saved, where)

    def _rows_of(self, inputs: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Store rows (m,) of *inputs* (m, w) known by *keys* (2, m); new ones are added."""
        rows = self._find(keys)
        new = np.flatnonzero(rows < 0)
        if len(new):
            first = new[np.sort(distinct(keys[:, new]))]
            self._add(inputs[first], keys[:, first])
            rows[new] = self._find(keys[:, new])
        return rows

    def _find(self, keys: np.ndarray) -> np.ndarray:
        rows, later = self._kept_index.find(keys), self._more_index.find(keys)
        return np.where(later < 0, rows, later)

    def _add(self, inputs: np.ndarray, keys: np.ndarray) -> None:
        rows = np.arange(len(self), len(self) + len(inputs))
        self._more = joined([self._more, *self._encoded(inputs)])
        self._more_index = self._more_index.joined(keys, rows)

    def _encoded(
        self, inputs: np.ndarray, tell: ProgressCallback | None = None
    ) -> Iterator[TokenArrays]:
        """The tokens of *inputs* (m, w), CHUNK of them at a time."""
        if tell is not None:
            tell.phase("tokenise", len(inputs))
        for at in range(0, len(inputs), CHUNK):
            part = self._tokeniser.encode(inputs[at : at + CHUNK])
            yield part
            if tell is not None:
                tell.advance(len(part))

    def _parted(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of *rows* are of the kept shelf, and the places of the others on theirs."""
        mine = rows < len(self._kept)
        return mine, rows[~mine] - len(self._kept)

    def _split(self, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers, int32, and types, int8, of records of tokens."""
        types = records["type"] if self.uses_type_ids else np.zeros(len(records), np.int8)
        return records["id"].astype(np.int32), np.ascontiguousarray(types, np.int8)
