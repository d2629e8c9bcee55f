"""The student that is handed on: one learner of all rows, as an ONNX file that is shown to answer
as it does.

    model.onnx        token numbers in, predictions out; model-int8.onnx where it was asked for
    tokenizer.json    of the backbone
    student.json      how rows are read, what comes out, checksums, scores
    predict.py        answers a csv: numpy, onnxruntime and tokenizers are all it needs
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, UsageError, raise_if
from pipeline.base.files import commit_json, commit_text, sha256
from pipeline.base.leases import lease
from pipeline.base.paths import Part, Workspace
from pipeline.data import Table
from pipeline.distil.alone import Student as Opened
from pipeline.distil.student import Student, all_rows
from pipeline.metrics import MetricError, metric_of
from pipeline.models import Recipe
from pipeline.models.learner import Silent, Watch
from pipeline.models.recipes import template_of, tta_steps_of
from pipeline.models.teaching.stages import Stages
from pipeline.training import Job
from pipeline.training.fold import predict_bare
from pipeline.training.jobs import make_factory

AWAY = 1e-4
"""By which a prediction may differ, in units of the predictions' spread where that is above 1."""
LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
NAME = "all-rows"
FOLDER = ".students"
"""Below runs/COMP: the learners of all rows."""
INT8 = "model-int8.onnx"
MODEL = "model.onnx"


def check_not_exported(out: str | None, int8: bool) -> None:
    """Raise UsageError where something is asked of an export that is not asked for."""
    asked = [option for option, given in (("-o", out), ("--int8", int8)) if given]
    if asked:
        raise UsageError(
            f"{' and '.join(asked)} belong{'s' if len(asked) == 1 else ''} to an exported model: "
            "add --export onnx"
        )


def check_export(recipe: Recipe, out: str | None) -> None:
    """Raise UsageError, before anything is trained, where *recipe* cannot be exported to *out*."""
    problems = []
    if out is None:
        problems.append("--export needs a folder to write: -o DIR")
    elif Path(out).exists():
        problems.append(f"-o {out} is there already; name another folder, or delete it")
    elif not Path(out).absolute().parent.is_dir():
        where = Path(out).absolute().parent
        problems.append(
            f"-o {out}: there is no folder {where}; make it first, or name another place"
        )
    if recipe.learner != "transformer":
        problems.append(
            f"--export onnx: {recipe.name} is of learner {recipe.learner}, which reads texts by "
            "code of our own (hashed n-grams, say) that neither ONNX nor skl2onnx has operators "
            "for. A transformer is exported; any student is packed by pipeline.bundle"
        )
    if changed := [
        name
        for name, value in (
            ("clean", recipe.clean),
            ("template", template_of(recipe)),
            ("tta", tta_steps_of(recipe)),
        )
        if value
    ]:
        problems.append(
            f"--export onnx: {recipe.name} has {', '.join(changed)}, which changes texts before "
            "they are tokens, and predict.py does not; leave it out of the student"
        )
    if gone := [name for name in LIBRARIES if find_spec(name) is None]:
        problems.append(
            f"--export onnx: {', '.join(gone)} is not installed. Install it: "
            'pip install "foldstack[onnx]"'
        )
    raise_if(problems, UsageError)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and what it costs."""

    out: Path
    bytes: dict[str, int]
    """Of each model."""
    away: dict[str, float]
    """The largest difference of a prediction of the test file from the learner's."""
    rows: int
    """Of the test file."""
    rows_per_second: dict[str, float]
    scores: tuple[float | None, float | None] | None
    """With int8: over all out-of-fold rows, of the folds' students as they are and in int8."""


def export(student: Student, out: Path, int8: bool, watch: Watch) -> Exported:
    """Train the student of all rows, export it, and prove it on the test file.

    Raises ArtifactError, and writes nothing, where a prediction is not the learner's.
    """
    staging = out.with_name(f".{out.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    job = _exact(student.job)
    try:
        weights = _trained(student, job, watch)
        said = predict_bare(job, job.factory.load(weights), job.tables.test, watch)
        _write(job, weights, staging, int8)
        about = _about(student, job)
        commit_text(staging / "predict.py", (Path(__file__).parent / "alone.py").read_text("utf-8"))
        names = [MODEL, *([INT8] if int8 else [])]
        about["sha256"] = {name: sha256(staging / name) for name in names}
        commit_json(staging / "student.json", about)
        found = {name: _answered(staging, job.tables.test, name == INT8) for name in names}
        away = {name: float(np.abs(each - said).max()) for name, (each, _) in found.items()}
        if away[MODEL] > AWAY * max(1.0, float(np.std(said))):
            raise ArtifactError(
                f"the exported model is not the student: its predictions of the test file are up "
                f"to {away[MODEL]:.1e} away. Nothing was written; another backbone may be exported "
                "faithfully"
            )
        scores = _scores_in_int8(job, staging) if int8 else None
        sizes = {name: (staging / name).stat().st_size for name in names}
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        job.factory.close()
    return Exported(
        out=out,
        bytes=sizes,
        away=away,
        rows=len(said),
        rows_per_second={name: len(said) / seconds for name, (_, seconds) in found.items()},
        scores=scores,
    )


def _exact(job: Job) -> Job:
    """*job* with learners that compute in 32 bits, as the exported model does."""
    recipe: Any = job.recipe
    factory = make_factory(
        replace(recipe, precision="fp32"), job.competition, job.policy, job.paths.tokens
    )
    factory.prepare(job.tables.all, Silent())
    return replace(job, factory=factory)


def _trained(student: Student, job: Job, watch: Watch) -> Path:
    """Where the learner of all rows is saved; it is trained where it is not there."""
    own = student.job
    seed = next(iter(own.seeds))
    first = own.workspace(Part(seed, 0, 0))
    digest = hashlib.sha256(f"{first.fingerprint} {NAME}".encode()).hexdigest()
    space = Workspace(own.paths.workspaces / FOLDER / own.run, digest)
    with lease(space.lease, f"{NAME} of {own.run}") as held:
        stages = Stages(
            competition=own.competition,
            hidden=frozenset(),
            seed=seed,
            workspace=replace(space, check=held.check),
            watch=watch,
            rate_scale=1.0,
        )
        if (space.stage(NAME).trained).exists():
            return stages.saved(NAME, own.factory, own.tables.train)
        table = all_rows(student)
        own.factory.prepare([table], watch)
        return stages.saved(NAME, own.factory, table)


def _write(job: Job, weights: Path, folder: Path, int8: bool) -> None:
    """The models and the tokenizer."""
    from pipeline.distil.graph import quantise, write

    factory: Any = job.factory
    write(factory, factory.load(weights), _inputs(job), folder / MODEL)
    if int8:
        quantise(folder / MODEL, folder / INT8)
    backend = factory.shared.store.tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.save(str(folder / "tokenizer.json"))


def _inputs(job: Job) -> int:
    recipe: Any = job.recipe
    return len(job.competition.columns.texts) if recipe.pairing == "siamese" else 1


def _about(student: Student, job: Job) -> dict[str, Any]:
    """student.json, but for checksums."""
    from pipeline.distil.graph import inputs_of

    factory: Any = job.factory
    recipe: Any = job.recipe
    shared, columns = factory.shared, job.competition.columns
    facts = shared.store.facts()
    fronts = [recipe.prefix, shared.between + recipe.prefix]
    return {
        "run": job.run,
        "competition": job.competition.name,
        "id": columns.id,
        "texts": columns.texts,
        "outputs": job.competition.outputs,
        "pairing": recipe.pairing,
        "fronts": fronts[: len(columns.texts)],
        "max_length": recipe.max_length,
        "truncation_side": facts["truncation_side"],
        "stand_in": facts["stand_in"],
        "pad_id": shared.store.pad_id,
        "reads": inputs_of(factory),
        "teachers": student.teachers,
        "members": student.made.outcome.members.names,
    }


def _answered(folder: Path, table: Table, int8: bool) -> tuple[np.ndarray, float]:
    """(m, k) by the exported model in *folder*, with the code of its predict.py; the seconds."""
    opened = Opened(folder, int8)
    rows = opened.read(table.texts.tolist())
    opened.answer(rows[:8])
    began = time.perf_counter()
    found = opened.answer(rows)
    return found, time.perf_counter() - began


def _scores_in_int8(job: Job, folder: Path) -> tuple[float | None, float | None]:
    """The pooled score of the folds' students as they are, and of each exported in int8."""
    truth, metric = job.tables.train.targets, metric_of(job.competition, job.root)
    assert truth is not None
    as_is = np.empty((len(truth), len(job.competition.outputs)))
    whole = as_is.copy()
    place = folder / "fold"
    for part, held in _held_out(job):
        rows = job.tables.train.rows(held)
        weights = job.workspace(part).weights
        as_is[held] = predict_bare(job, job.factory.load(weights), rows, Silent())
        place.mkdir()
        _write(job, weights, place, int8=True)
        about = json.loads((folder / "student.json").read_text("utf-8"))
        commit_json(place / "student.json", about | {"sha256": {INT8: sha256(place / INT8)}})
        whole[held] = _answered(place, rows, int8=True)[0]
        shutil.rmtree(place)

    def score(predicted: np.ndarray) -> float | None:
        try:
            return metric.score(truth, predicted)
        except MetricError:
            return None

    return score(as_is), score(whole)


def _held_out(job: Job) -> Iterator[tuple[Part, np.ndarray]]:
    """Each part of the first seed, and which rows it holds out."""
    for part in job.parts([next(iter(job.seeds))]):
        yield part, job.folds.valid_rows(part.repeat, part.fold)
