"""The passport of frozen folds: what they were made from, so that a change is seen and named.

Three hashes stand for each row: of its id and normalised texts, of its id and targets, of its id,
folds and group. Their first bytes, in the order of the fold file, let changed rows be named; their
digests over all rows, sorted by id, decide. The overall digest is what every run carries: it
depends on ids, texts, targets, folds and groups, not on row order, file format or versions.
"""

import hashlib
import json
import platform
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Competition
from pipeline.base.config import FoldsConfig, as_dict, flat
from pipeline.data import Table, named
from pipeline.folds.groups import VERSION, normalise_all

FORMAT = 1
KEPT = 3
"""Bytes of each row's hash that the passport keeps: enough to name rows, not to prove anything."""
FULL = 16
LIBRARIES = ("numpy", "scipy", "datasketch")


@dataclass(frozen=True, kw_only=True)
class RowHashes:
    """(n, FULL) bytes per row for each kind of content, rows in one common order."""

    texts: np.ndarray
    labels: np.ndarray
    folds: np.ndarray


WHAT = {
    "texts": "the texts of {0} rows have changed since the folds were frozen: {1}",
    "labels": "the targets of {0} rows have changed since the folds were frozen: {1}",
    "folds": "the folds or groups of {0} rows have been edited by hand: {1}",
}


def hash_rows(train: Table, fold_of_row: np.ndarray, group_of_row: np.ndarray) -> RowHashes:
    """The hashes of all rows of *train*, with folds (R, n) and groups (n,) in its order."""
    assert train.targets is not None
    distinct, number = normalise_all(train.texts)
    spelled = distinct[number]
    labels = (train.targets + 0.0).astype("<f8")  # + 0.0 makes one zero of two
    first_id = _smallest_ids(train.ids, group_of_row)
    folds = fold_of_row.T.tolist()
    return RowHashes(
        # a normalised text holds no control character, so the separator is unambiguous
        texts=_hashes(train.ids, ("\x1f".join(row) for row in spelled.tolist())),
        labels=_hashes(train.ids, (row.tobytes().hex() for row in labels)),
        folds=_hashes(
            train.ids, (f"{row} {first}" for row, first in zip(folds, first_id, strict=True))
        ),
    )


def digests(ids: np.ndarray, hashes: RowHashes) -> dict[str, str]:
    """SHA-256 of each kind of row hash over all rows, whatever their order, and of all of them."""
    order = np.argsort(ids.astype(object), kind="stable")
    found = {
        kind: hashlib.sha256(getattr(hashes, kind)[order].tobytes()).hexdigest() for kind in WHAT
    }
    return {**found, "overall": hashlib.sha256(json.dumps(found).encode()).hexdigest()}


def recipe(competition: Competition) -> dict[str, Any]:
    """What decides the folds, beside the rows."""
    folds = as_dict(competition.folds)
    for name in ("whole", "rare"):  # passports from before there was a choice lack it
        if folds[name] == getattr(FoldsConfig, name):
            del folds[name]
    return {
        "folds": folds,
        "columns": {
            "texts": competition.columns.texts,
            "targets": competition.columns.targets,
        },
        "task": {"problem": competition.task.problem, "classes": competition.task.classes},
    }


def draw_up(
    competition: Competition,
    train: Table,
    hashes: RowHashes,
    facts: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The passport's content; the rows of *train* and *hashes* are in the fold file's order."""
    content = {
        "format": FORMAT,
        "competition": competition.name,
        "digests": digests(train.ids, hashes),
        "facts": dict(facts),
        "recipe": recipe(competition),
        "notes": list(notes),
        "versions": {
            "python": platform.python_version(),
            "unicode": unicodedata.unidata_version,
            "normalise": VERSION,
            **{name: version(name) for name in LIBRARIES},
        },
        "rows": {
            kind: b64encode(getattr(hashes, kind)[:, :KEPT].tobytes()).decode() for kind in WHAT
        },
    }
    return {**content, "checksum": _checksum(content)}


def check_whole(passport: Mapping[str, Any], where: str) -> None:
    """Raise ArtifactError where a passport is of another format, damaged or edited."""
    if passport.get("format") != FORMAT:
        raise ArtifactError(
            f"{where} has format {passport.get('format')!r}, this version reads {FORMAT}. "
            "Update Foldstack, or restore the file."
        )
    content = {key: value for key, value in passport.items() if key != "checksum"}
    if passport.get("checksum") != _checksum(content):
        raise ArtifactError(
            f"{where} is damaged or was edited: its checksum does not fit. "
            "Restore it (git checkout)."
        )


def recipe_problems(passport: Mapping[str, Any], competition: Competition) -> list[str]:
    """Settings that were others when the folds were frozen."""
    problems = []
    if (used := passport["versions"]["normalise"]) != VERSION:
        problems.append(f"texts were compared by rules {used}, this version has rules {VERSION}")
    before, now = flat(passport["recipe"]), flat(recipe(competition))
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            problems.append(
                f"{name} was {before.get(name)!r} when the folds were frozen, "
                f"the config now has {now.get(name)!r}"
            )
    return problems


def row_changes(passport: Mapping[str, Any], train: Table, hashes: RowHashes) -> list[str]:
    """Rows whose content differs, named; *train* and *hashes* are in the fold file's order."""
    problems = []
    now = digests(train.ids, hashes)
    for kind, sentence in WHAT.items():
        if now[kind] == passport["digests"][kind]:
            continue
        kept = np.frombuffer(b64decode(passport["rows"][kind]), np.uint8).reshape(-1, KEPT)
        changed = np.arange(len(train))
        if len(kept) == len(train):
            changed = np.flatnonzero((kept != getattr(hashes, kind)[:, :KEPT]).any(axis=1))
        problems.append(sentence.format(len(changed) or "some", named(train.ids[changed].tolist())))
    return problems


def label_hashes(passport: Mapping[str, Any]) -> np.ndarray:
    """(n, KEPT) bytes of the hash of each row's id and targets, in the order of the fold file."""
    return np.frombuffer(b64decode(passport["rows"]["labels"]), np.uint8).reshape(-1, KEPT)


def _hashes(ids: np.ndarray, contents: Iterable[str]) -> np.ndarray:
    digest = [
        hashlib.blake2b(
            f"{len(row_id)}:{row_id}{content}".encode("utf-8", "surrogatepass"), digest_size=FULL
        ).digest()
        for row_id, content in zip(ids.tolist(), contents, strict=True)
    ]
    return np.frombuffer(b"".join(digest), np.uint8).reshape(len(ids), FULL)


def _smallest_ids(ids: np.ndarray, group_of_row: np.ndarray) -> list[str]:
    """For each row the smallest id of its group: a group's name that no renumbering changes."""
    order = np.argsort(ids.astype(object), kind="stable")
    groups, first = np.unique(group_of_row[order], return_index=True)
    return list(ids[order][first][np.searchsorted(groups, group_of_row)])


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
