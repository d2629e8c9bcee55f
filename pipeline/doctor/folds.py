"""Frozen folds: the fold file against its passport, and what later checks need of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import ArtifactError
from pipeline.base.files import read_json
from pipeline.base.paths import Paths
from pipeline.doctor.advice import Commands
from pipeline.doctor.assignment import FORMAT, checksum, digest, edited_rows, named, row_hashes
from pipeline.doctor.finding import Finding, attempt, note, problem
from pipeline.folds.fold_file import FoldFile, read_fold_file

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
