"""Which runs there are to blend: the complete ones, or those that were named."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.base.config import FoldsConfig
from pipeline.base.errors import UsageError, raise_if
from pipeline.base.paths import Paths, part_name
from pipeline.oof.manifest import origin_of, read_manifest, unproven
from pipeline.oof.predictions import complete_runs

BEST_ON_VALID = "best-on-valid"


def find_runs(
    paths: Paths, wanted: Sequence[str], force: bool, folds: FoldsConfig, train: str
) -> tuple[list[str], list[str]]:
    """Folder names of the runs to blend, and notes about those left out.

    Args:
        wanted: names given by the user; empty for every complete run.
        force: take runs as well whose checkpoints were chosen on held-out rows, and files of
            others that nothing proves to be made on our folds.
        folds: what a run must have to be complete.
        train: the command that trains a model, for messages.

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
    return _without_unfair(manifests, bool(wanted), force, notes)


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
    manifests: Mapping[str, Mapping[str, Any]], named: bool, force: bool, notes: list[str]
) -> tuple[list[str], list[str]]:
    """Leave out, refuse or, by force, keep runs whose scores nobody can believe."""
    unfair = {name: why for name, each in manifests.items() if (why := _unfair(each))}
    notes = notes + [
        f"{name} was added with --force although: {reason}"
        for name, each in manifests.items()
        if name not in unfair or force
        for reason in (origin_of(each) or {}).get("forced", [])
    ]
    if force:
        return list(manifests), notes + [
            f"{name} is blended (--force) although {why}" for name, why in unfair.items()
        ]
    kept = [name for name in manifests if name not in unfair]
    if unfair and (named or not kept):
        told = [
            f"run {name}: {why}. --force blends it all the same" for name, why in unfair.items()
        ]
        raise_if(told, UsageError)
    return kept, notes + [
        f"{name} left out: {why} (--force blends it)" for name, why in unfair.items()
    ]


def _unfair(manifest: Mapping[str, Any]) -> str:
    """Why the scores of a run cannot be believed; empty where they can."""
    if manifest.get("selection") == BEST_ON_VALID:
        return "its checkpoints were chosen on the held-out rows, so its scores are too good"
    if unproven(manifest):
        return "nothing proves that it was made on our folds, so no score with it is honest"
    return ""
