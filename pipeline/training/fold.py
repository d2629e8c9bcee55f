"""Train one fold and commit what it says about the rows it has not seen."""

import ctypes
import gc
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline import __version__
from pipeline.base import ArtifactError, Competition, read_json
from pipeline.base.errors import DivergedError
from pipeline.base.fault_injection import reach
from pipeline.base.files import commit_json
from pipeline.base.leases import lease
from pipeline.base.paths import Workspace
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.data.candidates import Candidates
from pipeline.data.table import concatenate
from pipeline.data.tables import fold_columns
from pipeline.metrics import Metric, MetricError
from pipeline.models import Recipe, Watch
from pipeline.models.learner import Learner, LearnerFactory, Resuming
from pipeline.models.recipes import further_columns, tta_steps_of
from pipeline.models.row_transforms.transform import Place, augmented, steps_of
from pipeline.models.row_transforms.wordings import averaged
from pipeline.oof.manifest import FORMAT
from pipeline.oof.predictions import FoldPredictions, commit_fold
from pipeline.training.jobs import Job, Part
from pipeline.training.progress import Journal, Pulse
from pipeline.training.tracking import numbers_of, track

# What to do when a training diverges: stop, or go back and take smaller steps.


RATE_FACTOR = 0.5
LEAST_RATE = 0.125
"""Of the recipe's learning rate: what diverges even at an eighth is not a matter of the rate."""


def fit_through(job: Job, part: Part, train: Table, workspace: Workspace, watch: Watch) -> Learner:
    """A fresh learner, fitted on *train*.

    With `--on-nan rollback` a training that diverges goes back to the start of its epoch and on
    from there with half the learning rate, down to an eighth. Epochs start at the same step
    whenever a process was killed, so the result does not depend on it. Raises DivergedError.
    """
    rate_scale = 1.0
    while True:
        learner = job.factory.make(derive_seed(part.seed, "learner", part.repeat, part.fold))
        try:
            learner.fit(train, workspace, watch, rate_scale)
            return learner
        except DivergedError as error:
            watch.event("diverged", str(error))
            rate_scale = RATE_FACTOR * learner.facts.get("rate_scale", 0.0)
            if job.policy.on_nan != "rollback" or rate_scale < LEAST_RATE:
                raise
            step = job.checkpoints_of(part).roll_back()
            watch.event(
                "rolled back",
                f"back to step {step}, and from there at {rate_scale:g} times the learning rate",
                step=step,
                rate_scale=rate_scale,
            )


# Peak memory of a stretch of work: resident memory of this process, and of the GPU where used.


STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): writing 5 resets VmHWM to the current resident size


def _cuda() -> Any | None:
    """torch.cuda where torch is already loaded and has a GPU; never loads torch itself."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def give_back_memory() -> None:
    """Let go of what the work before left behind, and hand what is free back to the machine.

    Lightning's modules, loaders and trainers refer to each other, so the last fold's stay until
    Python looks for such circles; and the C library keeps what was freed in case it is asked for
    again. Without this every fold starts on top of what the one before it left.
    """
    gc.collect()
    if sys.platform.startswith("linux") and (
        trim := getattr(ctypes.CDLL(None), "malloc_trim", None)
    ):
        trim(0)


def reset_peak() -> None:
    """Start a new stretch. Without /proc (macOS) the peak stays that of the whole process."""
    try:
        CLEAR.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        pass
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def peak_bytes() -> dict[str, int]:
    """Peak since `reset_peak`, in bytes: {"ram": …} and, on a GPU, {"gpu": …}."""
    peak = {"ram": _peak_ram()}
    if cuda := _cuda():
        peak["gpu"] = int(cuda.max_memory_allocated())
    return peak


def _peak_ram() -> int:
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def train_fold(job: Job, part: Part, metric: Metric, watch: Watch) -> None:
    """Fit a learner on the rows outside the fold and commit its predictions; idempotent.

    Goes on from the checkpoint, or the trained weights, that an earlier attempt left. Raises
    BusyError where another process holds the fold, DivergedError for NaN or infinity. Nothing of
    the fold is visible before all of it is.
    """
    workspace = job.workspace(part)
    with lease(workspace.lease, f"{part.name} of run {job.run}") as held:
        if job.predictions(part).with_suffix(".json").exists():  # by another, while we waited
            return
        workspace = replace(workspace, check=held.check)
        _train(job, part, metric, workspace, watch)


def _train(job: Job, part: Part, metric: Metric, workspace: Workspace, watch: Watch) -> None:
    path = job.predictions(part)
    journal = Journal(workspace.events, Pulse(workspace.progress, watch))
    journal.record("started", f"process {os.getpid()} on {platform.node()}", at=time.time())
    give_back_memory()
    reset_peak()
    started = time.monotonic()
    train, made = with_made_rows(job, part, training_table(job, part))
    train = train if job.lessons is None else job.lessons(part, train)
    learner = _trained(job, workspace, journal)
    if learner is None and job.averaging is not None:
        learner = job.averaging.learner(job, part, workspace)
    elif learner is None:
        learner = fit_through(job, part, train, workspace, journal)
        _keep(job, learner, workspace)
    reach("trained")
    fitted = time.monotonic()
    predictions = _predict(job, part, learner, workspace, journal)
    reach("predicted")
    seconds = {"fit": fitted - started, "predict": time.monotonic() - fitted}
    manifest = _manifest(job, part, learner, metric, predictions) | {
        "train_rows": len(train),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak_memory": peak_bytes(),
        **({"rows_made": made} if made else {}),
    }
    with track(workspace.logs, journal) as tracking:
        tracking.log(numbers_of(manifest), step=0)
        tracking.settings(f"{job.competition.name}/{job.run}", manifest["settings"]["recipe"])
    workspace.check()
    commit_fold(path, predictions, manifest | {"events": journal.entries()})
    reach("fold")
    workspace.progress.unlink(missing_ok=True)
    job.checkpoints_of(part).clear()
    shutil.rmtree(workspace.stages, ignore_errors=True)
    shutil.rmtree(workspace.answers, ignore_errors=True)


def _keep(job: Job, learner: Learner, workspace: Workspace) -> None:
    """Save the trained weights, and then that they are all there."""
    if job.keep_weights:
        workspace.check()
        workspace.trained.unlink(missing_ok=True)  # it speaks of other weights
        learner.save(workspace.weights)
        commit_json(workspace.trained, {"settings": workspace.fingerprint})


def _trained(job: Job, workspace: Workspace, watch: Watch) -> Learner | None:
    """The learner of an attempt that was trained, but not predicted with; None where none was."""
    if not workspace.trained.exists():
        return None
    try:
        if read_json(workspace.trained).get("settings") != workspace.fingerprint:
            workspace.trained.unlink()
            return None
        learner = job.factory.load(workspace.weights)
    except ArtifactError as error:
        watch.event("weights refused", f"{error} It is trained again")
        return None
    watch.event("resumed", "was trained before; it goes on with the predictions")
    return learner


def training_table(job: Job, part: Part) -> Table:
    """The rows that the fold's learner may see: other folds, and extra rows unrelated to it."""
    train = job.tables.train.rows(job.folds.training_rows(part.repeat, part.fold))
    allowed = job.folds.extra_rows(part.repeat, part.fold)
    if job.tables.extra is None or allowed is None:
        return train
    extra = job.tables.extra.rows(allowed)
    if job.row_steps:  # an extra row may have the id of a held-out one, and is another row
        extra = replace(extra, ids=np.array([f"{each}\0extra" for each in extra.ids], dtype=object))
    return concatenate(train, extra)


def with_made_rows(job: Job, part: Part, train: Table) -> tuple[Table, dict[str, int]]:
    """*train* and what the recipe's `rows` makes of it, and how many rows each transform adds.

    Raises UsageError where one was made of a row that is not the fold's to train on.
    """
    if not job.row_steps:
        return train, {}
    held_out = job.tables.train.ids[job.folds.valid_rows(part.repeat, part.fold)]
    seed = derive_seed(part.seed, "rows", part.repeat, part.fold)
    place = replace(job.place, seed=seed, mask=lambda: job.factory.mask())
    return augmented(train, job.row_steps, place, held_out)


def _predict(
    job: Job, part: Part, learner: Learner, workspace: Workspace, watch: Watch
) -> FoldPredictions:
    valid = job.tables.train.rows(job.folds.valid_rows(part.repeat, part.fold))
    test, holdout = job.tables.test, job.tables.holdout
    nobody = test.rows(np.zeros(len(test), dtype=bool))
    asked = {"valid": valid, "test": test, "holdout": nobody if holdout is None else holdout}
    arrays: dict[str, Any] = {}
    texts: dict[str, Candidates] = {}
    for name, table in asked.items():
        arrays[f"{name}_ids"] = table.ids
        if job.averaging is not None:
            learner = job.averaging.speaker(job, part, workspace, name, learner)
        if isinstance(learner, Resuming):
            learner.keep_below(workspace.answers)
        said = SAYING[job.competition.task.problem_type.predictions](job, learner, table, watch)
        arrays[name], arrays[f"{name}_apart"], candidates = said
        if candidates is not None:
            texts[name] = candidates
    if (labels := job.folds.label_hash) is not None:
        arrays["valid_labels"] = labels[job.folds.valid_rows(part.repeat, part.fold)]
    return FoldPredictions(**arrays, texts=texts)


Said = tuple[np.ndarray, np.ndarray | None, Candidates | None]
"""Values (r, k), how far wordings are apart, and texts: the values are then how many there are."""


def _values(job: Job, learner: Learner, table: Table, watch: Watch) -> Said:
    return *predict_wordings(job, learner, table, watch), None


def _texts(job: Job, learner: Learner, table: Table, watch: Watch) -> Said:
    found = generate_bare(job, learner, table, watch)
    amounts = [[len(row)] for row in found.texts]
    return np.array(amounts, dtype=np.float32).reshape(-1, 1), None, found


SAYING: dict[str, Callable[..., Said]] = {"numbers": _values, "texts": _texts}
"""What predictions are (`Problem.predictions`) -> what a learner says of rows."""


class Asked(Protocol):
    """A run that is asked for predictions: a `Job` is one."""

    @property
    def competition(self) -> Competition:
        """What is predicted."""

    @property
    def recipe(self) -> Recipe:
        """How it was learnt."""

    @property
    def factory(self) -> LearnerFactory:
        """What its learners share."""

    @property
    def root(self) -> Path:
        """Relative paths of files start there."""


def predict_bare(job: Asked, learner: Learner, table: Table, watch: Watch) -> np.ndarray:
    """(len(table), k) finite predictions of *table*; see `predict_wordings`."""
    return predict_wordings(job, learner, table, watch)[0]


def predict_wordings(
    job: Asked, learner: Learner, table: Table, watch: Watch
) -> tuple[np.ndarray, np.ndarray | None]:
    """(len(table), k) finite predictions of *table*, its targets taken away first: float32, or what
    the problem type has them kept as. And how far the wordings of each row are apart, (n,), where
    the recipe asks about several (`tta`).

    Raises DivergedError where one is NaN or infinite.
    """
    k, stored = len(job.competition.outputs), job.competition.task.problem_type.stored
    steps = steps_of(tta_steps_of(job.recipe))
    if not len(table):
        return np.empty((0, k), dtype=stored), np.empty(0, np.float32) if steps else None
    bare, apart = _bare(job, table), None
    if steps:
        place = Place(competition=job.competition, root=job.root, mask=lambda: job.factory.mask())
        values, apart = averaged(lambda rows: learner.predict(rows, watch), bare, steps, place)
        values = values.astype(stored)
    else:
        values = np.asarray(learner.predict(bare, watch), dtype=stored)
    assert values.shape == (len(bare), k), f"predicted {values.shape}, not {(len(bare), k)}"
    broken = bare.ids[~np.isfinite(values).all(axis=1)]
    if len(broken):
        raise DivergedError(
            f"{len(broken)} predictions are NaN or infinite, first for {broken[:5].tolist()}. "
            "Try a lower learning_rate, or precision fp32."
        )
    return values, apart


def _bare(job: Asked, table: Table) -> Table:
    """*table* without its right answers, and without the columns that only training rows have."""
    hidden = set(further_columns(job.recipe)) - set(fold_columns(job.competition))
    shown = {key: each for key, each in table.features.items() if key not in hidden}
    return replace(table, targets=None, references=None, features=shown)


def generate_bare(job: Asked, learner: Learner, table: Table, watch: Watch) -> Candidates:
    """Texts for the rows of *table*, its references taken away first.

    Raises DivergedError where a log-probability is infinite.
    """
    if not len(table):
        return Candidates([], [])
    said = learner.predict(_bare(job, table), watch)
    assert isinstance(said, Candidates), f"expected candidates, not {type(said).__name__}"
    assert len(said) == len(table), f"{len(said)} rows, not {len(table)}"
    logs = zip(table.ids, said.log_probabilities, strict=True)
    if broken := [row for row, each in logs if np.isinf(each).any()]:
        raise DivergedError(
            f"{len(broken)} rows have a candidate whose log-probability is infinite, first "
            f"{broken[:5]}. Try a lower learning_rate, or precision fp32."
        )
    return said


def _manifest(
    job: Job, part: Part, learner: Learner, metric: Metric, predictions: FoldPredictions
) -> dict[str, Any]:
    held_out = job.tables.train.rows(job.folds.valid_rows(part.repeat, part.fold))
    assert held_out.truth is not None
    try:
        score, undefined = metric.score(held_out.truth, predictions.said("valid")), None
    except MetricError as error:
        score, undefined = None, str(error)
    return {
        "format": FORMAT,
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
