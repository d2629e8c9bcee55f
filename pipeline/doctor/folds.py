"""Frozen folds: the fold file against its passport, and what later checks need of both."""

import hashlib
import json
import zipfile
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Paths, read_json
from pipeline.base.files import sha256, size_text
from pipeline.data import named
from pipeline.doctor.finding import Finding, attempt, note, problem
from pipeline.doctor.repair import Commands
from pipeline.folds.passport import FoldFile, read_fold_file

# Whether a fold file is the one its passport was drawn up for.
#
# The digest is that of `pipeline.folds.passport`, computed here from the fold file alone: neither
# the rows are needed nor what makes folds, whose import takes longer than everything the doctor
# does.


FORMAT = 1
KEPT = 3
FULL = 16


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


def _smallest_ids(ids: list[str], groups: list[int]) -> list[str]:
    smallest: dict[int, str] = {}
    for row_id, group in zip(ids, groups, strict=True):
        smallest[group] = min(row_id, smallest.get(group, row_id))
    return [smallest[group] for group in groups]


# Whether a file is the one that was written: by its SHA-256, or quickly by its own frame.


LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format."""


def not_as_written(path: Path, expected: str, quick: bool) -> str:
    """How *path* differs from the file that was written; empty where it does not.

    *quick* does not hash: it only sees a file that is cut off or no file of its kind.
    """
    if quick:
        return "" if looks_whole(path) else f"is cut off or damaged ({_size(path)})"
    found = sha256(path)
    if found == expected:
        return ""
    return (
        f"has changed since it was written: its SHA-256 is {found[:12]}…, "
        f"expected {expected[:12]}… ({_size(path)})"
    )


def looks_whole(path: Path) -> bool:
    """Whether a .npz or .safetensors file has its beginning and its end; True for other kinds."""
    if path.suffix == ".npz":
        return zipfile.is_zipfile(path)
    if path.suffix == ".safetensors":
        return path.stat().st_size == _announced_size(path)
    return True


def _announced_size(path: Path) -> int:
    """The size that the header of a safetensors file announces; -1 where it has none."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= LONGEST_HEADER:
            return -1
        content = stream.read(length)
    try:
        header = json.loads(content)
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        return 8 + length + max((int(each["data_offsets"][1]) for each in tensors), default=0)
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):
        return -1


def _size(path: Path) -> str:
    return size_text(path.stat().st_size)


Rows = dict[tuple[int, int], set[str]]
RESTORE = "Restore the file (git checkout, or a teammate's copy)"


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What is known about the frozen folds of a competition."""

    digest: str = ""
    """What a run on these folds carries; empty where no passport is whole."""
    count: int = 0
    """K; 0 where nobody knows."""
    repeats: int = 0
    """R; 0 where nobody knows."""
    rows: Rows = field(default_factory=dict)
    """(repeat, fold) -> ids it holds out; empty where the fold file is not the frozen one."""

    @property
    def counts(self) -> str:
        """For the page."""
        if not self.digest:
            return "no passport"
        rows = sum(len(ids) for (repeat, _), ids in self.rows.items() if repeat == 0)
        repeats = f", {self.repeats} repeats" if self.repeats > 1 else ""
        known = f"{rows:,} rows in " if rows else ""
        return f"{known}{self.count} folds{repeats}, digest {self.digest[:12]}"


def check_folds(paths: Paths, runs: int) -> tuple[Frozen, list[Finding]]:
    """Compare fold file and passport; *runs* of the competition depend on them."""
    csv, passport = paths.folds_csv, paths.passport
    cost = "no run depends on them"
    if runs:
        its = "its run has" if runs == 1 else f"its {runs} runs have"
        cost = f"then {its} to be trained again"
    afresh = f"{RESTORE}; or delete {csv} and {passport} to freeze new folds: {cost}."
    if not passport.exists():
        return Frozen(), _without_passport(paths, runs, afresh)
    content, findings = attempt(passport, lambda: _read_passport(passport), afresh)
    if not csv.exists():
        findings.append(problem(csv, "is missing, its passport is there", afresh))
    if content is None:
        return Frozen(), findings
    rows: Rows | None = None
    if csv.exists():
        rows, more = attempt(csv, lambda: _read_rows(csv, content), afresh)
        findings += more
    facts = content["facts"]
    frozen = Frozen(
        digest=content["digests"]["overall"],
        count=facts["folds"],
        repeats=facts["repeats"],
        rows=rows or {},
    )
    return frozen, findings


def _without_passport(paths: Paths, runs: int, afresh: str) -> list[Finding]:
    if not paths.folds_csv.exists():
        what = "is missing, and so is its passport; runs depend on them"
        return [problem(paths.folds_csv, what, afresh)] if runs else []
    command = Commands(paths.root, paths.competition).folds()
    again = f"{command} (writes it again where the config gives these folds)."
    if not runs:
        what = f"is missing beside {paths.folds_csv.name}: freezing was interrupted, or it is lost"
        return [note(paths.passport, what, f"Nothing: the next command writes it; or run: {again}")]
    what = f"is missing beside {paths.folds_csv.name}, and runs depend on it"
    return [problem(paths.passport, what, f"Restore it; or run: {again}")]


def _read_passport(path: Path) -> dict[str, Any]:
    """A passport of this format, whole, with the fields that are asked for here."""
    passport = read_json(path)
    if passport.get("format") != FORMAT:
        raise ArtifactError(
            f"{path} has format {passport.get('format')!r}, this version reads {FORMAT}"
        )
    if passport.get("checksum") != checksum(passport):
        raise ArtifactError(f"{path} is damaged or was edited: its checksum does not fit")
    facts = passport["facts"]
    for value in (facts["rows"], facts["folds"], facts["repeats"]):
        if not isinstance(value, int):
            raise TypeError(f"{value!r} where a number is expected")
    for name in ("overall", "folds"):
        if not isinstance(passport["digests"][name], str):
            raise TypeError(f"digests.{name} is no text")
    return passport


def _read_rows(path: Path, passport: Mapping[str, Any]) -> Rows:
    """The rows of each fold; ArtifactError where they are not those of the passport."""
    repeats, folds = passport["facts"]["repeats"], passport["facts"]["folds"]
    file = read_fold_file(path, repeats, ArtifactError)
    if (found := len(file.ids)) != (expected := passport["facts"]["rows"]):
        raise ArtifactError(f"{path} holds {found} rows, its passport was made for {expected}")
    if file.group_of_row is None:
        raise ArtifactError(f"{path} has lost its column 'group'")
    hashes = row_hashes(file)
    if digest(file.ids, hashes) != passport["digests"]["folds"]:
        raise ArtifactError(
            f"{path} does not fit its passport: {_difference(passport, file, hashes)}"
        )
    ids = file.ids.astype(object)
    return {
        (repeat, fold): set(ids[file.fold_of_row[repeat] == fold].tolist())
        for repeat in range(repeats)
        for fold in range(folds)
    }


def _difference(passport: Mapping[str, Any], file: FoldFile, hashes: np.ndarray) -> str:
    edited = edited_rows(passport, file, hashes)
    if not edited:
        return "ids, folds or groups have been edited"
    return f"folds or groups of {len(edited)} rows have been edited: {named(edited)}"
