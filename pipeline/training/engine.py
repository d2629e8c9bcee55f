"""A run: every fold trained once, then the run's manifest, written last.

The same call again goes on where the last one stopped: a finished fold is never trained twice, and
never mixed with folds of other settings.
"""

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.config import as_dict
from pipeline.errors import ArtifactError
from pipeline.files import commit_json, read_json
from pipeline.models.learner import Watch
from pipeline.results.metrics import Metric, MetricError
from pipeline.results.oof import assemble, read_fold
from pipeline.training.fold import train_fold
from pipeline.training.job import Job, Part, differences

Announce = Callable[[Part, dict[str, Any]], None]


def cross_validate(
    job: Job,
    metric: Metric,
    watch: Callable[[Part], Watch],
    announce: Announce,
    only_folds: Sequence[int] = (),
) -> dict[str, Any] | None:
    """Train every part that is not finished, then commit and return the run's manifest.

    *announce* is called with each part and its manifest as it is there, trained now or before.
    Returns None while parts outside *only_folds* are missing.
    """
    for part in job.parts():
        if only_folds and part.fold not in only_folds:
            continue
        manifest = finished_part(job, part)
        if manifest is None:
            train_fold(job, part, metric, watch(part))
            manifest = read_fold(job.paths.fold_predictions(job.run, *part))[1]
        announce(part, manifest)
    return finish(job, metric) if not unfinished(job) else None


def finished_part(job: Job, part: Part) -> dict[str, Any] | None:
    """The part's manifest where its predictions are there and whole; None where they are not.

    Raises ArtifactError naming what differs where they were made under other settings.
    """
    path = job.paths.fold_predictions(job.run, *part)
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
    return manifest


def unfinished(job: Job) -> list[Part]:
    """The parts of the job that are still missing."""
    return [part for part in job.parts() if finished_part(job, part) is None]


def start_over(job: Job, only_folds: Sequence[int] = ()) -> None:
    """Delete the job's finished parts; run.json first, so that no half run looks whole."""
    job.paths.run_manifest(job.run).unlink(missing_ok=True)
    for part in job.parts():
        if only_folds and part.fold not in only_folds:
            continue
        path = job.paths.fold_predictions(job.run, *part)
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        shutil.rmtree(job.paths.fold_workspace(job.run, *part), ignore_errors=True)


def finish(job: Job, metric: Metric) -> dict[str, Any]:
    """Commit run.json over every seed that is complete, and return it."""
    seeds = _complete_seeds(job)
    parts = {part.name: _part_manifest(job, part) for part in job.parts(seeds)}
    manifest: dict[str, Any] = {
        "name": job.run,
        "competition": job.competition.name,
        "passport": job.folds.digest,
        "recipe": as_dict(job.recipe),
        "outputs": job.competition.outputs,
        "seeds": seeds,
        "repeats": len(job.folds.fold_of_row),
        "folds": job.folds.count,
        "selection": "last-epoch",
        "parts": {name: part["predictions_sha256"] for name, part in parts.items()},
        "part_scores": {name: part["score"] for name, part in parts.items()},
        "seconds": {name: sum(part["seconds"].values()) for name, part in parts.items()},
        "peak_memory": {name: part["peak_memory"] for name, part in parts.items()},
        "foldstack": __version__,
    }
    manifest |= _scores(job, manifest, metric)
    commit_json(job.paths.run_manifest(job.run), manifest)
    return manifest


def _complete_seeds(job: Job) -> list[int]:
    """The job's seeds and those of earlier calls whose every part is finished, ascending."""
    folder = job.paths.run(job.run)
    found = {int(path.name.removeprefix("seed-")) for path in folder.glob("seed-*")}
    return sorted(
        seed
        for seed in found | set(job.seeds)
        if all(finished_part(job, part) for part in job.parts([seed]))
    )


def _part_manifest(job: Job, part: Part) -> dict[str, Any]:
    return read_json(job.paths.fold_predictions(job.run, *part).with_suffix(".json"))


def _scores(job: Job, manifest: dict[str, Any], metric: Metric) -> dict[str, Any]:
    """Scores of the predictions averaged over seeds: per fold, pooled, and on the holdout."""
    train, holdout = job.tables.train, job.tables.holdout
    none = np.empty(0, dtype=object)
    run = assemble(
        job.paths.run(job.run),
        manifest,
        train.ids,
        job.tables.test.ids,
        none if holdout is None else holdout.ids,
    )
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
    if holdout is not None and holdout.targets is not None:
        scores["holdout_score"] = _score_or_none(metric, holdout.targets, run.holdout.mean(axis=0))
    return scores


def _score_or_none(metric: Metric, y_true: np.ndarray, y_pred: np.ndarray) -> float | None:
    try:
        return metric.score(y_true, y_pred)
    except MetricError:  # a fold may be too small for the metric; the pooled score decides
        return None
