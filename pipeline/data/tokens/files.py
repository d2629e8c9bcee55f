"""Token stores on disk: written once, mapped by every fold, seed, worker and later command.

    runs/tokens/KEY/tokens.npy      (N,) records of a token number and, where used, its type
                    starts.npy      (n + 1,) where each input's tokens begin
                    truncated.npy   (n,)
                    keys.npy        (2, n) the key of each input, ascending
                    store.json      sizes and SHA-256 of the others; written last: exists = complete

KEY is a digest of all that the bytes depend on: the whole tokenizer, the settings, and the keys of
the inputs, by which pairs and single texts differ too. So whoever has the same texts under the same
tokenizer finds the same files, and writers that do not know of each other write the same bytes.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from pipeline.base import ArtifactError, read_json
from pipeline.base.files import commit, commit_json, sha256

# Token numbers of many inputs in flat arrays, in memory or mapped from files.
#
# Shapes: n inputs, N tokens altogether.


@dataclass(frozen=True, kw_only=True)
class TokenArrays:
    """The tokens of inputs 0 … n - 1."""

    tokens: np.ndarray
    """(N,) records of an "id" and, where the backbone reads them, a "type"."""
    starts: np.ndarray
    """(n + 1,) int64: where each input's tokens begin, and the end."""
    truncated: np.ndarray
    """(n,) bool: whether the input lost tokens to max_length."""

    def __len__(self) -> int:
        return len(self.truncated)

    def slice(self, row: int) -> np.ndarray:
        """The records (T,) of one input."""
        return self.tokens[self.starts[row] : self.starts[row + 1]]

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each of *rows* (any shape), int64."""
        return np.asarray(self.starts[rows + 1] - self.starts[rows])

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The records of *rows* (r,), one input after the other; only they are read."""
        starts, lengths = self.starts[rows], self.lengths(rows)
        before = np.cumsum(lengths) - lengths
        return self.tokens[np.repeat(starts - before, lengths) + np.arange(lengths.sum())]


def joined(shelves: Iterable[TokenArrays]) -> TokenArrays:
    """One shelf in memory with the inputs of all of *shelves*, one after the other."""
    kept = list(shelves)
    lengths = [np.diff(shelf.starts) for shelf in kept]
    return TokenArrays(
        tokens=np.concatenate([shelf.tokens for shelf in kept]),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]),
        truncated=np.concatenate([shelf.truncated for shelf in kept]),
    )


def empty(record: np.dtype) -> TokenArrays:
    """A shelf without inputs, for records of that kind."""
    return TokenArrays(
        tokens=np.empty(0, record), starts=np.zeros(1, np.int64), truncated=np.empty(0, bool)
    )


FORMAT = 1
MANIFEST = "store.json"
ARRAYS = ("tokens", "starts", "truncated", "keys")
NAME = re.compile(r"[0-9a-f]{32}")
"""Of a store's folder: the runs of a competition called "tokens" would stand beside them."""
KEPT_DAYS = 30
"""A store that nobody has opened for so long is deleted when another one is written."""


def name_of(facts: Mapping[str, Any], keys: np.ndarray) -> str:
    """The folder's name of the store of the inputs *keys* (2, n), ascending, made as *facts* say.

    >>> NAME.fullmatch(name_of({"max_length": 8}, np.zeros((2, 1), np.uint64))) is not None
    True
    """
    content = hashlib.sha256(np.ascontiguousarray(keys, "<u8").tobytes()).hexdigest()
    made_from = {"format": FORMAT, "content": content, **facts}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]


def write(folder: Path, record: np.dtype, keys: np.ndarray, parts: Iterable[TokenArrays]) -> None:
    """Commit the store of the inputs *keys* (2, n); *parts* hold their tokens in that order.

    No more than one part is in memory at once. Raises ResourceError where the disk is full or the
    folder cannot be written; what was there before is then untouched.
    """
    small: list[tuple[np.ndarray, np.ndarray]] = []

    def tokens(stream: IO[bytes]) -> None:
        total = 0
        _header(stream, record, total)
        for part in parts:
            stream.write(part.tokens.tobytes())
            total += len(part.tokens)
            small.append((np.diff(part.starts), part.truncated))
        stream.seek(0)
        _header(stream, record, total)

    digests = {"tokens": commit(folder / "tokens.npy", tokens)}
    lengths, truncated = (np.concatenate(arrays) for arrays in zip(*small, strict=True))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype("<i8")
    for name, array in (("starts", starts), ("truncated", truncated), ("keys", keys)):
        digests[name] = commit(folder / f"{name}.npy", _saver(array))
    sizes = {name: (folder / f"{name}.npy").stat().st_size for name in ARRAYS}
    manifest = {"format": FORMAT, "inputs": len(truncated), "tokens": int(starts[-1])}
    commit_json(folder / MANIFEST, {**manifest, "bytes": sizes, "sha256": digests})


def _saver(array: np.ndarray) -> Callable[[IO[bytes]], None]:
    return lambda stream: np.save(stream, array, allow_pickle=False)


def _header(stream: IO[bytes], record: np.dtype, length: int) -> None:
    """The head of a .npy file, which has room for any length."""
    what = {"descr": npy.dtype_to_descr(record), "fortran_order": False, "shape": (length,)}
    npy.write_array_header_1_0(stream, what)


def read(folder: Path) -> tuple[np.ndarray, TokenArrays] | None:
    """The keys (2, n) and tokens of the store in *folder*, mapped; None where there is none.

    Raises ArtifactError where it is damaged. The store counts as used from now.
    """
    if not (folder / MANIFEST).exists():
        return None
    if damage := damage_of(folder):
        raise ArtifactError(f"{folder} {damage}")
    with contextlib.suppress(OSError):  # a disk for reading only
        os.utime(folder / MANIFEST)
    try:
        arrays = {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder} cannot be mapped: {error}") from error
    return arrays.pop("keys"), TokenArrays(**arrays)


def _mapped(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)


def damage_of(folder: Path, quick: bool = False) -> str:
    """What is wrong with a complete store, as the end of a sentence; empty for nothing.

    *quick* looks at sizes only.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        if manifest["format"] != FORMAT:
            return f"has format {manifest['format']!r}, this version reads {FORMAT}"
        for name in ARRAYS:
            path, size = folder / f"{name}.npy", manifest["bytes"][name]
            if (found := path.stat().st_size) != size:
                return f"is cut off: {path.name} has {found} bytes, expected {size}"
            if not quick and sha256(path) != manifest["sha256"][name]:
                return f"has changed since it was written: {path.name} has another SHA-256"
    except ArtifactError:
        return f"has a damaged {MANIFEST}"
    except FileNotFoundError as error:
        return f"is incomplete: {Path(error.filename).name} is missing"
    except OSError as error:
        return f"cannot be read: {(error.strerror or str(error)).lower()}"
    except (KeyError, TypeError) as error:
        return f"has a {MANIFEST} that does not hold what it should ({error})"
    return ""


def stores(folder: Path) -> Iterator[Path]:
    """The folders of stores in *folder*, complete or not, by name."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path


def delete_unused(kept: Path) -> list[Path]:
    """Delete the stores beside *kept*, used just now, that nobody used for KEPT_DAYS; return them.

    Ages are differences between times that the disk itself gave, so no two clocks are compared.
    """
    now, gone = _last_used(kept), []
    for store in stores(kept.parent):
        if store != kept and now - _last_used(store) > KEPT_DAYS * 86_400:
            with contextlib.suppress(OSError):
                (store / MANIFEST).unlink(missing_ok=True)  # first: what is half is not complete
            shutil.rmtree(store, ignore_errors=True)
            gone.append(store)
    return gone


def _last_used(store: Path) -> float:
    manifest = store / MANIFEST
    return (manifest if manifest.exists() else store).stat().st_mtime
