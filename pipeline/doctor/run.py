"""One run: its predictions, run.json, and what training left of it on this machine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base import Paths
from pipeline.base.paths import part_name, safe_name
from pipeline.doctor.finding import (
    Finding,
    Found,
    Part,
    Section,
    attempt,
    find_parts,
    guarded,
    note,
    oddities,
    part_named,
    problem,
    unsafe,
)
from pipeline.doctor.fold_predictions import Fold, check_part, check_together, on_other_folds
from pipeline.doctor.folds import Frozen
from pipeline.doctor.repair import Mending, mending
from pipeline.doctor.workspace import Training, check_workspace
from pipeline.oof import doubts_of, read_manifest
from pipeline.oof.runs import remarks_of

# How far a run is: what of it is missing, and what goes on from where.


Missing = Mapping[int, Sequence[Part]]
"""Seed -> its parts that are not committed."""


def missing_parts(found: Found, done: Sequence[Part], frozen: Frozen) -> dict[int, list[Part]]:
    """What each seed of a run lacks; without *frozen* folds, what was begun and not finished."""
    seen = {*found.predicted, *found.worked_on}
    return {
        seed: sorted(
            (_all_of(seed, frozen) or {part for part in seen if part.seed == seed}) - set(done)
        )
        for seed in found.seeds
    }


def _all_of(seed: int, frozen: Frozen) -> set[Part]:
    return {
        Part(seed, repeat, fold) for repeat in range(frozen.repeats) for fold in range(frozen.count)
    }


def check_progress(
    folder: Path, missing: Missing, trainings: Mapping[Part, Training], mend: Mending
) -> Iterator[Finding]:
    """A note where the run is not finished."""
    parts = [part for lacking in missing.values() for part in lacking]
    if not parts:
        return
    lacks = "; ".join(
        f"seed {seed} lacks {', '.join(part_name(*part[1:]) for part in lacking)}"
        for seed, lacking in missing.items()
        if lacking
    )
    if any(training.held for training in trainings.values()):
        advice = "Nothing: the run is being trained."
    else:
        saved = "".join(_saved(part, trainings.get(part)) for part in parts)
        advice = f"Run: {mend.go_on(parts, saved)}"
    yield note(folder, f"is not finished: {lacks}", advice)


def _saved(part: Part, training: Training | None) -> str:
    """What of a part that is not finished is saved."""
    if training and training.trained:
        return f"; {part.said} has only to predict"
    if training and training.step is not None:
        return f"; {part.said} goes on from step {training.step}"
    return ""


def check_kept(
    folder: Path, folds: Sequence[Fold], trainings: Mapping[Part, Training], mend: Mending
) -> Iterator[Finding]:
    """A note where weights of finished folds are not on this machine; a team-mate's never are."""
    if mend.given:
        return
    without = [fold for fold in folds if not trainings.get(fold.part, Training()).weights]
    if without:
        what = f"holds no weights of {len(without)} of {len(folds)} finished folds"
        yield note(
            folder, what, "Nothing: blending needs no weights, only predicting further rows."
        )


def counts(
    whole: int, damaged: int, missing: Missing, trainings: Mapping[Part, Training], manifest: bool
) -> str:
    """How much there is of a run, for the page."""
    total = whole + damaged + sum(map(len, missing.values()))
    seeds = f" in {len(missing)} seeds" if len(missing) > 1 else ""
    kept = sum(training.weights for training in trainings.values())
    return ", ".join(
        [
            f"{whole} of {total} folds{seeds}",
            "run.json" if manifest else "no run.json",
            f"weights of {kept}",
        ]
    )


# run.json against the folds it was made from.


WARNED = "Nothing: its score stands. python -m pipeline.team show RUN says more."
DOUBTED = "Nothing: it is left out of honest scores. python -m pipeline.team show RUN says more."


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a run is."""

    folds: Sequence[Fold]
    """The committed ones."""
    damaged: Sequence[Part]
    """Those that are there, but damaged: told already."""
    complete: Sequence[int]
    """Seeds whose every fold is committed."""

    def of(self, seeds: Sequence[int]) -> list[Part]:
        """The committed parts of *seeds*."""
        return [fold.part for fold in self.folds if fold.part.seed in seeds]


def check_manifest(path: Path, state: State, frozen: Frozen, mend: Mending) -> Iterator[Finding]:
    """Compare run.json at *path* with the finished folds of its run."""
    if not path.exists():
        if state.complete:
            seeds = ", ".join(map(str, state.complete))
            what = f"is not there yet, though every fold of seed {seeds} is finished"
            yield note(path, what, mend.manifest_again(state.of(state.complete)))
        return
    finished = [fold.part for fold in state.folds]
    damaged = partial(mend.manifest_again, finished, first=f"Delete {path}")
    if any(each.is_symlink() for each in path.parent.rglob("*")):
        return  # nothing beside a link is read; the link is told where links are looked for
    manifest, failed = attempt(path, partial(read_manifest, path.parent), damaged)
    yield from failed
    if manifest is None:
        return
    yield from _identity(path, manifest, frozen, mend, damaged)
    yield from _doubted(path, manifest, damaged)
    yield from _listed(path, manifest, state, mend, damaged)
    if unlisted := [seed for seed in state.complete if seed not in manifest["seeds"]]:
        what = f"does not hold seed {', '.join(map(str, unlisted))}, whose folds are finished"
        yield note(path, what, mend.manifest_again(state.of(unlisted)))


def _doubted(
    path: Path, manifest: Mapping[str, Any], damaged: Callable[[], str]
) -> Iterator[Finding]:
    """What the audit of a team-mate's file could not clear."""
    doubts, failed = attempt(path, partial(doubts_of, manifest), damaged)
    yield from failed
    for doubt in doubts or []:
        yield note(path, f"its score is in doubt: {doubt.says}", DOUBTED)
    for says in [] if doubts is None else remarks_of(manifest):
        yield note(path, f"its audit warned: {says}", WARNED)


def _identity(
    path: Path,
    manifest: Mapping[str, Any],
    frozen: Frozen,
    mend: Mending,
    damaged: Callable[[], str],
) -> Iterator[Finding]:
    """Problems of a manifest of another run, other frozen folds or other columns."""
    if manifest["name"] != mend.run:
        back = (
            f"Rename the folder back to {manifest['name']}; or, if it is a copy, delete the folder."
        )
        yield problem(path, f"is of run {manifest['name']}, but lies in {path.parent}", back)
    name = manifest.get("competition", mend.paths.competition)
    if not isinstance(name, str) or safe_name(name) != mend.paths.competition:
        advice = f"Move {path.parent} to the competition it is of, or delete it."
        yield problem(path, f"is of competition {name}, but lies in {path.parents[1]}", advice)
    if frozen.digest and manifest["passport"] != frozen.digest:
        found = str(manifest["passport"])[:16]
        what = f"was made on other frozen folds: {found}; today's are {frozen.digest[:16]}"
        yield problem(path, what, damaged())


def _listed(
    path: Path, manifest: Mapping[str, Any], state: State, mend: Mending, damaged: Callable[[], str]
) -> Iterator[Finding]:
    """Problems of the folds that the manifest lists."""
    listed = manifest["parts"]
    committed = {fold.part.name: fold for fold in state.folds}
    told = {*committed, *(part.name for part in state.damaged)}
    absent = [name for name in listed if name not in told]
    if absent:
        parts = [part for part in map(part_named, absent) if part is not None]
        advice = f"Restore them (git, or a teammate's copy); or run: {mend.go_on(parts)}"
        yield problem(path, f"lists folds that are not there: {', '.join(absent)}", advice)
    other = [name for name in listed if name in committed and not _same(listed, committed[name])]
    if other:
        what = f"was made from other predictions than those that lie there: {', '.join(other)}"
        yield problem(path, what, damaged())
    width = len(manifest["outputs"])
    for fold in state.folds:
        if fold.columns not in (None, width):
            what = f"has {fold.columns} prediction columns, its run.json names {width} outputs"
            yield problem(fold.path, what, mend.again(fold.part))


def _same(listed: Mapping[str, Any], fold: Fold) -> bool:
    return bool(listed[fold.part.name] == fold.sha256)


# All predictions of a run: each fold, the folds together, and run.json.


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What is there of a run's predictions."""

    folds: Sequence[Fold]
    """Committed and whole."""
    damaged: Sequence[Part]
    """Committed, but damaged."""
    missing: Missing
    findings: list[Finding]

    @property
    def finished(self) -> set[Part]:
        """Parts that were trained to their end, damaged since or not."""
        return {*self.damaged, *(fold.part for fold in self.folds)}


def check_predictions(found: Found, frozen: Frozen, mend: Mending, quick: bool) -> Predictions:
    """Look at the parts that were *found*, one by one and together."""
    folds, damaged, findings = _each(found, mend, quick)
    oof = mend.paths.run(mend.run)
    findings += guarded(oof, check_together(folds, frozen, mend))
    expected = Frozen() if on_other_folds(folds, frozen) else frozen
    missing = missing_parts(found, [*damaged, *(fold.part for fold in folds)], expected)
    unsound = {part.seed for part in damaged}
    complete = [seed for seed, parts in missing.items() if not parts and seed not in unsound]
    state = State(folds=folds, damaged=damaged, complete=complete if expected.count else [])
    path = mend.paths.run_manifest(mend.run)
    findings += guarded(path, check_manifest(path, state, expected, mend))
    return Predictions(folds=folds, damaged=damaged, missing=missing, findings=findings)


def _each(found: Found, mend: Mending, quick: bool) -> tuple[list[Fold], list[Part], list[Finding]]:
    folds, damaged, findings = [], [], []
    for part in found.predicted:
        path = mend.paths.fold_predictions(mend.run, *part)
        fold, more = check_part(path, mend.run, part, quick, partial(mend.again, part))
        findings += more
        if fold is not None:
            folds.append(fold)
        elif any(finding.severity == "problem" for finding in more):
            damaged.append(part)
    return folds, damaged, findings


def check_run(paths: Paths, run: str, frozen: Frozen, quick: bool) -> Section:
    """Everything about one run, given by its folder's name."""
    oof, work = paths.runs / run, paths.workspaces / run
    found, findings = find_parts(oof, work)
    findings += unsafe(oof if oof.exists() else work, "run")
    mend = mending(paths, run, found.predicted)
    there = check_predictions(found, frozen, mend, quick)
    trainings = {
        part: check_workspace(work / part.name, part, part in there.finished, quick)
        for part in found.worked_on
    }
    findings += there.findings
    findings += check_progress(oof, there.missing, trainings, mend)
    findings += [finding for training in trainings.values() for finding in training.findings]
    findings += check_kept(work, there.folds, trainings, mend)
    for folder in (oof, work):
        findings += guarded(folder, oddities(paths.root, folder))
    size = counts(
        len(there.folds),
        len(there.damaged),
        there.missing,
        trainings,
        manifest=(oof / "run.json").exists(),
    )
    subject = f"run {run}"
    return Section(competition=paths.competition, subject=subject, counts=size, findings=findings)
