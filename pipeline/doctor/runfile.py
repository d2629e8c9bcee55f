"""run.json against the folds it was made from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base.paths import safe_name
from pipeline.doctor.finding import Finding, attempt, note, problem
from pipeline.doctor.fold_predictions import Fold
from pipeline.doctor.folds import Frozen
from pipeline.doctor.names import Part, part_named
from pipeline.doctor.repair import Mending
from pipeline.oof.manifest import read_manifest


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
    yield from _listed(path, manifest, state, mend, damaged)
    if unlisted := [seed for seed in state.complete if seed not in manifest["seeds"]]:
        what = f"does not hold seed {', '.join(map(str, unlisted))}, whose folds are finished"
        yield note(path, what, mend.manifest_again(state.of(unlisted)))


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
