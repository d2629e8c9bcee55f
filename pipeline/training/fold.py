"""Train one fold and commit what it says about the rows it has not seen."""

import platform
import time
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.data.table import Table, concatenate
from pipeline.errors import DivergedError
from pipeline.files import claim, sweep
from pipeline.models.learner import Learner, Watch
from pipeline.results.metrics import Metric, MetricError
from pipeline.results.oof import FoldPredictions, commit_fold
from pipeline.seeding import derive_seed
from pipeline.training.job import Job, Part
from pipeline.training.logs import log_fold
from pipeline.training.memory import peak_bytes, reset_peak


def train_fold(job: Job, part: Part, metric: Metric, watch: Watch) -> None:
    """Fit a fresh learner on the rows outside the fold and commit its predictions.

    Raises BusyError where another process holds the fold, DivergedError where a prediction is not
    finite. Nothing of the fold is visible before all of it is.
    """
    path = job.paths.fold_predictions(job.run, *part)
    workspace = job.paths.fold_workspace(job.run, *part)
    with claim(workspace / "fold.lock", f"{part.name} of run {job.run}"):
        sweep(path.parent)
        sweep(workspace / "weights")
        reset_peak()
        started = time.monotonic()
        learner = job.factory.make(derive_seed(part.seed, "learner", part.repeat, part.fold))
        train = training_table(job, part)
        learner.fit(train, workspace / "logs", watch)
        fitted = time.monotonic()
        if job.keep_weights:
            learner.save(workspace / "weights")
        predictions = _predict(job, part, learner, watch)
        seconds = {"fit": fitted - started, "predict": time.monotonic() - fitted}
        manifest = _manifest(job, part, learner, metric, predictions) | {
            "train_rows": len(train),
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "peak_memory": peak_bytes(),
        }
        try:
            log_fold(workspace / "logs", manifest)
        except OSError as error:  # a log that cannot be written must not cost a trained fold
            watch.say(f"no TensorBoard log: {error}")
        commit_fold(path, predictions, manifest)


def training_table(job: Job, part: Part) -> Table:
    """The rows that the fold's learner may see: other folds, and extra rows unrelated to it."""
    train = job.tables.train.rows(job.folds.training_rows(part.repeat, part.fold))
    allowed = job.folds.extra_rows(part.repeat, part.fold)
    if job.tables.extra is None or allowed is None:
        return train
    return concatenate(train, job.tables.extra.rows(allowed))


def _predict(job: Job, part: Part, learner: Learner, watch: Watch) -> FoldPredictions:
    valid = job.tables.train.rows(job.folds.valid_rows(part.repeat, part.fold))
    test, holdout = job.tables.test, job.tables.holdout
    nobody = test.rows(np.zeros(len(test), dtype=bool))
    asked = {"valid": valid, "test": test, "holdout": nobody if holdout is None else holdout}
    arrays: dict[str, np.ndarray] = {}
    for name, table in asked.items():
        arrays[f"{name}_ids"] = table.ids
        arrays[name] = _checked(
            learner, replace(table, targets=None), len(job.competition.outputs), watch
        )
    return FoldPredictions(**arrays)


def _checked(learner: Learner, table: Table, k: int, watch: Watch) -> np.ndarray:
    """(len(table), k) finite predictions of *table*, which carries no targets to peek at."""
    if not len(table):
        return np.empty((0, k), dtype=np.float32)
    values = np.asarray(learner.predict(table, watch), dtype=np.float32)
    assert values.shape == (len(table), k), f"predicted {values.shape}, not {(len(table), k)}"
    broken = table.ids[~np.isfinite(values).all(axis=1)]
    if len(broken):
        raise DivergedError(
            f"{len(broken)} predictions are NaN or infinite, first for {broken[:5].tolist()}. "
            "Try a lower learning_rate, or precision fp32."
        )
    return values


def _manifest(
    job: Job, part: Part, learner: Learner, metric: Metric, predictions: FoldPredictions
) -> dict[str, Any]:
    held_out = job.tables.train.rows(job.folds.valid_rows(part.repeat, part.fold))
    assert held_out.targets is not None
    try:
        score, undefined = metric.score(held_out.targets, predictions.valid), None
    except MetricError as error:
        score, undefined = None, str(error)
    return {
        "run": job.run,
        "seed": part.seed,
        "repeat": part.repeat,
        "fold": part.fold,
        "valid_rows": len(held_out),
        "metric": metric.name,
        "score": score,
        "score_undefined": undefined,
        "settings": job.settings,
        "learner": learner.facts,
        "factory": job.factory.facts(),
        "foldstack": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
