"""Which runs there are to blend, and why the score of one may not be honest.

Doubts are read from a run's run.json. Whatever shows a score (the ensemble's page and its json, the
list of runs, submissions and their ledger, finalists, rebuild, doctor) asks here, so that a doubt
travels with the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.base import Paths, UsageError, raise_if
from pipeline.base.config import FoldsConfig
from pipeline.base.paths import part_name
from pipeline.oof.manifest import origin_of, read_manifest, unproven
from pipeline.oof.predictions import complete_runs

FIXED = ("mean", "rank-mean")
"""Methods that fit nothing, so that a run needs no proof of its folds."""
BEST_ON_VALID = "best-on-valid"
Kind = Literal["selection", "folds", "labels", "forced"]
FOLDS = "nothing proves that it was made on our folds, so no fitted score with it is honest"


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """One reason not to believe the score of a run, or of a blend that holds it."""

    kind: Kind
    """selection: checkpoints were chosen on held-out rows; folds: it is not shown, or not so, that
    it was made on our folds; labels: it may have seen the labels it is scored on; forced: it is out
    and was stored all the same."""
    says: str

    @property
    def matters_to_fixed_weights(self) -> bool:
        """Whether it also spoils a blend in which nothing is fitted, such as the plain mean.

        Fitted weights must not have heard of the rows they are scored on; where nothing is fitted,
        it is enough that each row was predicted by a learner that had not seen it, on any folds.
        """
        return self.kind != "folds"


def doubts_of(manifest: Mapping[str, Any]) -> list[Doubt]:
    """The doubts about a run; [] where its score can be believed as far as anybody looked.

    Raises ArtifactError where the field "team" is damaged.
    """
    found = []
    if manifest.get("selection") == BEST_ON_VALID:
        says = "its checkpoints were chosen on the held-out rows, so its scores are too good"
        found.append(Doubt(kind="selection", says=says))
    team = origin_of(manifest) or {}
    found += [Doubt(kind="forced", says=str(says)) for says in team.get("forced", [])]
    answered = team.get("challenge") or {}
    for finding in _findings(team, "unproven"):
        kind: Kind = "folds" if finding.get("about") == "folds" else "labels"
        if kind == "labels" and answered.get("verdict") == "passed":
            continue  # its learners have shown that they do not know these rows
        found.append(Doubt(kind=kind, says=str(finding.get("says"))))
    if answered.get("verdict") == "failed":
        says = f"it failed the challenge: {answered.get('says')}"
        found.append(Doubt(kind="labels", says=says))
    if unproven(manifest) and not any(doubt.kind == "folds" for doubt in found):
        found.append(Doubt(kind="folds", says=FOLDS))
    return found


def doubted(manifests: Sequence[Mapping[str, Any]], fixed: bool) -> list[tuple[str, Doubt]]:
    """(run, doubt) of all doubts that keep a blend of these runs from an honest score.

    *fixed*: nothing is fitted on their predictions.
    """
    return [
        (str(manifest["name"]), doubt)
        for manifest in manifests
        for doubt in doubts_of(manifest)
        if doubt.matters_to_fixed_weights or not fixed
    ]


def standing(manifest: Mapping[str, Any]) -> Literal["in", "unproven", "out"]:
    """What a run's audit and its answer to a challenge make of it together.

    Raises ArtifactError where the field "team" is damaged.
    """
    found = doubts_of(manifest)
    team = origin_of(manifest) or {}
    failed = (team.get("challenge") or {}).get("verdict") == "failed"
    if failed or any(doubt.kind == "forced" for doubt in found):
        return "out"
    return "unproven" if any(doubt.kind != "selection" for doubt in found) else "in"


ON_TRUST = (
    "Equal weights are fitted on nothing, so its folds need not be ours; that each row was "
    "predicted by a learner that had not seen it is taken on trust"
)


def warned(manifests: Sequence[Mapping[str, Any]], fixed: bool) -> list[tuple[str, str]]:
    """(run, what) a person should know of these runs though no score of a blend is spoilt by it:
    what an audit warned of, and what is taken on trust.

    *fixed*: nothing is fitted on their predictions.
    """
    found = []
    for manifest in manifests:
        doubts = doubts_of(manifest)
        told = remarks_of(manifest)
        if doubts and fixed and not any(each.matters_to_fixed_weights for each in doubts):
            told = [f"{doubts[0].says}. {ON_TRUST}", *told]
        found += [(str(manifest["name"]), says) for says in told]
    return found


def remarks_of(manifest: Mapping[str, Any]) -> list[str]:
    """What the audit warned of without a doubt about the score: rounding, another unit, copies."""
    return [str(finding.get("says")) for finding in _findings(origin_of(manifest), "warning")]


def seen_by_audit(manifest: Mapping[str, Any]) -> str:
    """What the audit of a team-mate's run could exclude; empty where nothing is said."""
    team = origin_of(manifest)
    return "" if team is None else str(team["audit"].get("power", ""))


def _findings(team: Mapping[str, Any] | None, grade: str) -> Sequence[Mapping[str, Any]]:
    listed = [] if not team else team["audit"]["findings"]
    return [each for each in listed if isinstance(each, dict) and each.get("grade") == grade]


# The runs to blend: the complete ones, or those that were named, but none that is in doubt.


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
        force: take runs as well whose score is in doubt (`doubts_of`).
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
