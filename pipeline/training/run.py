"""A run: every fold trained once, then the run's manifest, written last.

The same call again goes on where the last one stopped: a finished fold is never trained twice, and
never mixed with folds of other settings.
"""

import gc
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.base import ArtifactError, raise_if
from pipeline.base.errors import BusyError, DivergedError
from pipeline.base.fault_injection import reach
from pipeline.base.files import commit_json, refuse_links
from pipeline.base.leases import lease
from pipeline.metrics import Metric, MetricError
from pipeline.models import Watch
from pipeline.models.recipes import as_values
from pipeline.oof.manifest import FORMAT
from pipeline.oof.predictions import Wanted, assemble, check_one_origin, files_of, read_fold
from pipeline.oof.texts import assemble_texts
from pipeline.training.fold import train_fold
from pipeline.training.jobs import Job, Part, differences

Announce = Callable[[Part, dict[str, Any], bool], None]
"""Called with a part, its manifest, and whether it was trained now and here."""


def cross_validate(
    job: Job,
    metric: Metric,
    watch: Callable[[Part], Watch],
    announce: Announce,
    only_folds: Sequence[int] = (),
) -> dict[str, Any] | None:
    """Train every part that is not finished, then commit and return the run's manifest.

    *announce* is called with each part that is finished, trained now or before. A part that another
    process holds is passed over. Returns None while parts outside *only_folds* are missing. Raises,
    after the other parts, BusyError where some are still held by others, and DivergedError where
    some diverged and the rules say to skip them.
    """
    refuse_links(job.paths.run(job.run))
    done: dict[Part, dict[str, Any]] = {}
    held: dict[Part, str] = {}
    diverged: list[str] = []
    with set_apart():
        for part in wanted(job, only_folds):
            manifest = finished_part(job, part)
            new = manifest is None
            if new:
                job.policy.stop.check()
                try:
                    train_fold(job, part, metric, watch(part))
                except BusyError as error:
                    held[part] = str(error)
                    continue
                except DivergedError as error:
                    if job.policy.on_nan != "skip-fold":
                        raise
                    diverged.append(f"{part.name}: {error}")
                    continue
                manifest = finished_part(job, part)
            assert manifest is not None
            done[part] = manifest
            _tell(job, part, manifest, new, announce)
    headline = f"{len(diverged)} of {len(list(job.parts()))} folds of {job.run} diverged, skipped"
    raise_if(diverged, DivergedError, headline)
    for part in list(held):
        if (manifest := finished_part(job, part)) is not None:  # by another, meanwhile
            done[part] = manifest
            _tell(job, part, manifest, False, announce)
            del held[part]
    raise_if(list(held.values()), BusyError)
    for part in job.parts():
        if part not in done:
            if (manifest := finished_part(job, part)) is None:
                return None
            done[part] = manifest
    return finish(job, metric, done)


@contextmanager
def set_apart() -> Iterator[None]:
    """Within it Python does not look for circles among what was there before: each fold has it
    look, and through all libraries that takes longer than a fold of `linear`. Nothing is done
    where somebody has set objects apart already."""
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _tell(job: Job, part: Part, manifest: dict[str, Any], new: bool, announce: Announce) -> None:
    """A part is finished: what it learnt about the machine is remembered, and it is announced.

    Checkpoints and stages that a kill between its commit and its tidying up left are deleted.
    """
    job.checkpoints_of(part).clear()
    shutil.rmtree(job.workspace(part).stages, ignore_errors=True)
    here = job.factory.facts().get("device")
    if manifest.get("factory", {}).get("device") == here:  # what fits elsewhere says nothing
        job.factory.remember(manifest["learner"])
    announce(part, manifest, new)


def wanted(job: Job, only_folds: Sequence[int] = ()) -> list[Part]:
    """The parts of the job, or those of some folds."""
    return [part for part in job.parts() if not only_folds or part.fold in only_folds]


def finished_part(job: Job, part: Part) -> dict[str, Any] | None:
    """The part's manifest where its predictions are there and whole; None where they are not.

    Raises ArtifactError naming what differs where they were made under other settings.
    """
    path = job.predictions(part)
    if not path.with_suffix(".json").exists():
        return None
    manifest = read_fold(path)[1]
    if changed := differences(manifest["settings"], job.settings):
        listing = "\n".join(f"  - {line}" for line in changed)
        raise ArtifactError(
            f"run {job.run} has folds that were trained with other settings:\n{listing}\n"
            "Set them back, or train anew with --fresh (this deletes the run's finished folds), "
            "or give the recipe another name to keep both."
        )
    today = {"factory": job.factory.facts()}
    check_one_origin(f"run {job.run}", {part.name: manifest, "today's": today})
    return manifest


def unfinished(job: Job, only_folds: Sequence[int] = ()) -> list[Part]:
    """The parts, of all folds or of some, that are still missing."""
    return [part for part in wanted(job, only_folds) if finished_part(job, part) is None]


def start_over(job: Job, only_folds: Sequence[int] = ()) -> None:
    """Delete the job's finished parts and what they were made with.

    BusyError, and nothing is deleted, where another process trains one of them. run.json goes
    first, so that no half run looks whole.
    """
    parts = wanted(job, only_folds)
    with ExitStack() as claims:
        for part in parts:
            claims.enter_context(lease(job.workspace(part).lease, f"{part.name} of {job.run}"))
        job.paths.run_manifest(job.run).unlink(missing_ok=True)
        for part in parts:
            path, workspace = job.predictions(part), job.workspace(part)
            for each in files_of(path):
                each.unlink(missing_ok=True)
            workspace.trained.unlink(missing_ok=True)
            workspace.events.unlink(missing_ok=True)
            workspace.progress.unlink(missing_ok=True)
            made = (workspace.checkpoints, workspace.weights, workspace.logs, workspace.stages)
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)


def finish(job: Job, metric: Metric, done: dict[Part, dict[str, Any]]) -> dict[str, Any]:
    """Commit run.json over every seed that is complete, and return it.

    *done* are the manifests of all parts of the job; seeds of earlier calls are read here.
    """
    seeds = set(job.seeds)
    for seed in sorted(_seeds_on_disk(job) - seeds):
        if earlier := _whole_seed(job, seed):
            done, seeds = done | earlier, seeds | {seed}
    parts = {part.name: done[part] for part in job.parts(sorted(seeds))}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": job.run,
        "competition": job.competition.name,
        "passport": job.folds.digest,
        "recipe": as_values(job.recipe),
        "outputs": job.competition.outputs,
        "seeds": sorted(seeds),
        "repeats": len(job.folds.fold_of_row),
        "folds": job.folds.count,
        "selection": "last-epoch",
        "parts": {name: part["predictions_sha256"] for name, part in parts.items()},
        "part_scores": {name: part["score"] for name, part in parts.items()},
        "seconds": {name: sum(part["seconds"].values()) for name, part in parts.items()},
        "peak_memory": {name: part["peak_memory"] for name, part in parts.items()},
        "events": {name: part.get("events", []) for name, part in parts.items()},
        "deterministic": all(
            part.get("factory", {}).get("deterministic", True) for part in parts.values()
        ),
        "foldstack": __version__,
    }
    manifest |= _scores(job, manifest, metric)
    commit_json(job.paths.run_manifest(job.run), manifest)
    reach("run")
    return manifest


def _seeds_on_disk(job: Job) -> set[int]:
    """Seeds of which the run has a folder."""
    folder = job.paths.run(job.run)
    named = [re.fullmatch(r"seed-(-?\d+)", path.name) for path in folder.glob("seed-*")]
    return {int(name[1]) for name in named if name}


def _whole_seed(job: Job, seed: int) -> dict[Part, dict[str, Any]]:
    """The manifests of all parts of a *seed*; {} where one is missing."""
    found = {}
    for part in job.parts([seed]):
        if (manifest := finished_part(job, part)) is None:
            return {}
        found[part] = manifest
    return found


def _scores(job: Job, manifest: dict[str, Any], metric: Metric) -> dict[str, Any]:
    """Scores of the predictions averaged over seeds: per fold, pooled, and on the holdout."""
    train, holdout = job.tables.train, job.tables.holdout
    none = np.empty(0, dtype=object)
    wanted = Wanted.of(train.ids, job.tables.test.ids, none if holdout is None else holdout.ids)
    return SCORED[job.competition.task.problem_type.predictions](job, manifest, metric, wanted)


def _number_scores(
    job: Job, manifest: dict[str, Any], metric: Metric, wanted: Wanted
) -> dict[str, Any]:
    train, holdout = job.tables.train, job.tables.holdout
    run = assemble(job.paths.run(job.run), manifest, wanted)
    assert train.targets is not None
    by_fold = [
        _score_or_none(metric, train.targets[rows], run.oof[rows])
        for rows in (job.folds.valid_rows(0, fold) for fold in range(job.folds.count))
    ]
    scores: dict[str, Any] = {
        "metric": metric.name,
        "fold_scores": by_fold,
        "oof_score": metric.score(train.targets, run.oof),
    }
    if "oof" in run.apart:
        scores["wordings_apart"] = _apart(train.ids, run.apart["oof"])
    if holdout is not None and holdout.targets is not None:
        scores["holdout_score"] = _score_or_none(metric, holdout.targets, run.holdout)
    return scores


def _text_scores(
    job: Job, manifest: dict[str, Any], metric: Metric, wanted: Wanted
) -> dict[str, Any]:
    """As `_scores`, of each row's best candidate, the mean over seeds and repeats; on the holdout,
    the mean over learners."""
    train, holdout = job.tables.train, job.tables.holdout
    run = assemble_texts(job.paths.run(job.run), manifest, wanted)
    truth = train.references
    assert truth is not None, "right answers that are texts"
    folds = [job.folds.valid_rows(0, fold) for fold in range(job.folds.count)]
    scores: dict[str, Any] = {
        "metric": metric.name,
        "fold_scores": [
            float(np.mean([metric.score(truth[rows], each.best[rows]) for each in run.oof]))
            for rows in folds
        ],
        "oof_score": float(np.mean([metric.score(truth, each.best) for each in run.oof])),
    }
    if holdout is not None and holdout.references is not None:
        held = [metric.score(holdout.references, each.best) for each in run.holdout]
        scores["holdout_score"] = float(np.mean(held))
    return scores


SCORED = {"numbers": _number_scores, "texts": _text_scores}
"""What predictions are (`Problem.predictions`) -> how a run is scored."""
MOST_APART = 20
"""Rows whose wordings are predicted most apart that a manifest names."""


def _apart(ids: np.ndarray, apart: np.ndarray) -> dict[str, Any]:
    """The mean of *apart* (n,), and the rows where it is largest with their values."""
    worst = np.argsort(-apart, kind="stable")[:MOST_APART]
    rows = {str(ids[row]): round(float(apart[row]), 6) for row in worst}
    return {"mean": round(float(apart.mean()), 6), "rows": rows}


def _score_or_none(metric: Metric, y_true: np.ndarray, y_pred: np.ndarray) -> float | None:
    try:
        return metric.score(y_true, y_pred)
    except MetricError:  # a fold may be too small for the metric; the pooled score decides
        return None
