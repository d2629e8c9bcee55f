"""Whether a fold file is the one its passport was drawn up for.

The digest is that of `pipeline.folds.passport`, computed here from the fold file alone: neither the
rows are needed nor what makes folds, whose import takes longer than everything the doctor does.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.folds.fold_file import FoldFile

FORMAT = 1
KEPT = 3
FULL = 16
NAMED = 5
"""So many ids are named."""


def checksum(passport: Mapping[str, Any]) -> str:
    """What the field "checksum" of an unchanged passport holds."""
    content = {key: value for key, value in passport.items() if key != "checksum"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def row_hashes(file: FoldFile) -> np.ndarray:
    """(n, FULL) bytes: for each row the hash of its id, its folds and its group's smallest id."""
    assert file.group_of_row is not None
    rows = zip(
        file.ids.tolist(),
        file.fold_of_row.T.tolist(),
        _smallest_ids(file.ids.tolist(), file.group_of_row.tolist()),
        strict=True,
    )
    digests = [
        hashlib.blake2b(
            f"{len(row_id)}:{row_id}{folds} {first}".encode("utf-8", "surrogatepass"),
            digest_size=FULL,
        ).digest()
        for row_id, folds, first in rows
    ]
    return np.array([list(each) for each in digests], np.uint8).reshape(len(digests), FULL)


def digest(ids: np.ndarray, hashes: np.ndarray) -> str:
    """SHA-256 over the row hashes in the order of the ids: a passport's digests.folds."""
    order = np.argsort(ids.astype(object), kind="stable")
    return hashlib.sha256(hashes[order].tobytes()).hexdigest()


def edited_rows(passport: Mapping[str, Any], file: FoldFile, hashes: np.ndarray) -> list[str]:
    """Ids of the rows whose fold or group is not the passport's; [] where that cannot be told."""
    kept = np.frombuffer(b64decode(passport["rows"]["folds"]), np.uint8).reshape(-1, KEPT)
    if len(kept) != len(hashes):
        return []
    return [str(row_id) for row_id in file.ids[(kept != hashes[:, :KEPT]).any(axis=1)]]


def named(ids: list[str]) -> str:
    """The first of *ids*, and how many more there are.

    >>> named(["a", "b"]), named(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def _smallest_ids(ids: list[str], groups: list[int]) -> list[str]:
    smallest: dict[int, str] = {}
    for row_id, group in zip(ids, groups, strict=True):
        smallest[group] = min(row_id, smallest.get(group, row_id))
    return [smallest[group] for group in groups]
