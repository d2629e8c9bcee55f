"""The passport of frozen folds: what they were made from, so that a change is seen and named.

Three hashes stand for each row: of its id and normalised texts, of its id and targets, of its id,
folds and group. Their first bytes, in the order of the fold file, let changed rows be named; their
digests over all rows, sorted by id, decide. The overall digest is what every run carries: it
depends on ids, texts, targets, folds and groups, not on row order, file format or versions.

The fold file beside it is readable, diffable and joined by id: `id,fold,group`, with more repeats
`id,fold,fold_2,…,group`. Fold files of your own need only `id,fold`. The group stands beside id and
fold: a bootstrap over groups, weeks later on a laptop, needs the very groups the folds were made
from, not a second search.
"""

import csv
import hashlib
import io
import json
import platform
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Competition
from pipeline.base.config import FoldsConfig, as_dict, flat
from pipeline.base.errors import PipelineError
from pipeline.data import Table, named
from pipeline.data.reading.encoding import guess
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


DIGITS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class FoldFile:
    """The rows of a fold file, in its order."""

    ids: np.ndarray
    """(n,) str objects."""
    fold_of_row: np.ndarray
    """(R, n) int."""
    group_of_row: np.ndarray | None
    """(n,) int; None where the file has no group column."""


def as_text(rows: FoldFile) -> str:
    """The file's content; equal rows give equal bytes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    assert rows.group_of_row is not None
    writer.writerow(["id", *fold_columns(len(rows.fold_of_row)), "group"])
    writer.writerows(
        zip(
            rows.ids.tolist(),
            *rows.fold_of_row.tolist(),
            rows.group_of_row.tolist(),
            strict=True,
        )
    )
    return stream.getvalue()


def fold_columns(repeats: int) -> list[str]:
    """Names of the fold columns.

    >>> fold_columns(3)
    ['fold', 'fold_2', 'fold_3']
    """
    return ["fold", *(f"fold_{number}" for number in range(2, repeats + 1))]


def read_fold_file(path: Path, repeats: int, error: type[PipelineError]) -> FoldFile:
    """Read a fold file with *repeats* fold columns; *error* where it is not one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *lines = list(csv.reader(stream, strict=True)) or [[]]
    except FileNotFoundError as cause:
        raise error(f"the fold file {path} is missing. Put it back (git checkout)") from cause
    except UnicodeDecodeError as cause:
        looks = guess(path.read_bytes())
        raise error(
            f"the fold file {path} is not UTF-8{f', it looks like {looks}' if looks else ''}. "
            "Save it as UTF-8."
        ) from cause
    except (OSError, csv.Error) as cause:
        raise error(f"the fold file {path} cannot be read: {cause}. Put it back") from cause
    wanted = ["id", *fold_columns(repeats)]
    if absent := [name for name in wanted if name not in header]:
        raise error(
            f"the fold file {path} has no column {absent[0]!r}; "
            f"its header is {','.join(header)}, expected {','.join(wanted)}"
        )
    lines = [line for line in lines if line]
    if short := [number for number, line in enumerate(lines, 2) if len(line) != len(header)]:
        raise error(
            f"the fold file {path} has {len(header)} columns, but row {short[0]} "
            f"has {len(lines[short[0] - 2])} fields. Mend that row"
        )
    columns = dict(zip(header, zip(*lines, strict=True), strict=True)) if lines else {}
    group = _numbers(columns["group"], "group", path, error) if "group" in columns else None
    folds = [_numbers(columns.get(name, ()), name, path, error) for name in wanted[1:]]
    return FoldFile(
        ids=np.array(columns.get("id", ()), dtype=object),
        fold_of_row=np.stack(folds),
        group_of_row=group,
    )


def _numbers(
    values: tuple[str, ...], name: str, path: Path, error: type[PipelineError]
) -> np.ndarray:
    wrong = [row for row, value in enumerate(values) if not DIGITS.fullmatch(value)]
    if wrong:
        raise error(
            f"the fold file {path} has {values[wrong[0]]!r} as {name} in row {wrong[0] + 2}; "
            "expected a whole number from 0"
        )
    return np.array(values, dtype=np.int64)
