"""Which runs there are to blend: the complete ones, or those that were named."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.base import Paths, UsageError, raise_if
from pipeline.base.config import FoldsConfig
from pipeline.base.paths import part_name
from pipeline.oof.doubts import FIXED, doubts_of, warned
from pipeline.oof.manifest import read_manifest
from pipeline.oof.predictions import complete_runs

FIXED_INSTEAD = "--method mean takes it: equal weights need no proof of folds"


def find_runs(
    paths: Paths,
    wanted: Sequence[str],
    force: bool,
    folds: FoldsConfig,
    train: str,
    method: str = "auto",
) -> tuple[list[str], list[str]]:
    """Folder names of the runs to blend, and notes about those left out.

    Args:
        wanted: names given by the user; empty for every complete run.
        force: take runs as well whose score is in doubt (`pipeline.oof.doubts`).
        folds: what a run must have to be complete.
        train: the command that trains a model, for messages.
        method: how they are to be blended; a fixed one (FIXED) needs no proof of the folds.

    Raises UsageError where there is nothing to blend, or a name is unknown or not complete.
    """
    complete = complete_runs(paths.runs)
    expected = [
        part_name(repeat, fold) for repeat in range(folds.repeats) for fold in range(folds.count)
    ]
    partial = {
        folder.name: _lacks(folder, expected)
        for folder in sorted(paths.runs.glob("*/"))
        if folder.name not in complete and any(folder.glob("seed-*/*.json"))
    }
    if not complete and not wanted:
        started = "".join(f"\n  - {name} is not complete: {why}" for name, why in partial.items())
        raise UsageError(
            f"there is no complete run of {paths.competition} under {paths.runs}.{started}\n"
            f"Train one first: {train}"
        )
    if wanted:
        _check_named(paths, wanted, complete, partial, train)
    names = list(dict.fromkeys(paths.run(name).name for name in wanted)) or complete
    notes = [] if wanted else [f"{name} left out: {why}" for name, why in partial.items()]
    manifests = {name: read_manifest(paths.runs / name) for name in names}
    return _without_unfair(manifests, bool(wanted), force, method in FIXED, notes)


def _check_named(
    paths: Paths, wanted: Sequence[str], complete: list[str], partial: dict[str, str], train: str
) -> None:
    known = ", ".join(complete) or "none"
    problems = []
    for given in wanted:
        name = paths.run(given).name
        if name in partial:
            problems.append(f"run {given} is not complete: {partial[name]}. Go on with: {train}")
        elif name not in complete:
            problems.append(f"there is no run {given}; complete runs: {known}")
    raise_if(problems, UsageError)


def _lacks(folder: Path, expected: Sequence[str]) -> str:
    """Which folds an unfinished run still lacks, seed by seed."""
    found = []
    for seed in sorted(folder.glob("seed-*")):
        missing = [part for part in expected if not (seed / f"{part}.json").exists()]
        found.append(f"{seed.name} lacks {', '.join(missing) or 'only its run.json'}")
    return "; ".join(found)


def _without_unfair(
    manifests: Mapping[str, Mapping[str, Any]],
    named: bool,
    force: bool,
    fixed: bool,
    notes: list[str],
) -> tuple[list[str], list[str]]:
    """Leave out, refuse or, by force, keep runs whose scores nobody can believe."""
    unfair, offered = {}, []
    for name, manifest in manifests.items():
        doubts = doubts_of(manifest)
        against = [each for each in doubts if each.matters_to_fixed_weights or not fixed]
        if against:
            unfair[name] = "; ".join(each.says for each in against)
            if not any(each.matters_to_fixed_weights for each in against):
                offered.append(name)
        notes = [*notes, *(f"{name}: {says}" for _, says in warned([manifest], fixed))]
    if force:
        return list(manifests), notes + [
            f"{name} is blended (--force) although {why}" for name, why in unfair.items()
        ]
    kept = [name for name in manifests if name not in unfair]
    if unfair and (named or not kept):
        told = [
            f"run {name}: {why}. "
            + (f"{FIXED_INSTEAD}; " if name in offered else "")
            + "--force blends it all the same"
            for name, why in unfair.items()
        ]
        raise_if(told, UsageError)
    return kept, notes + [
        f"{name} left out: {why} (--force blends it)"
        + (f"; {FIXED_INSTEAD}" if name in offered else "")
        for name, why in unfair.items()
    ]
