"""What the disk says of a competition, as records of an experiment tracker.

One record a fold, one a run (its group), one a submission. Everything is read from the files that a
training leaves anyway, so a record can be made while it runs, after it, and again. No text and no
label of the competition is in one: a tracker may be somebody else's machine.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import read_json
from pipeline.base.config import flat
from pipeline.base.errors import PipelineError
from pipeline.base.paths import Paths, Workspace, safe_name
from pipeline.doctor.workspace import holder
from pipeline.oof.predictions import read_fold
from pipeline.training.tracking import curves_at, numbers_of

SUBMISSIONS = "(submissions)"
"""The group of their records; no run's safe name."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that goes with a record."""

    signature: str
    """Changes when the content does."""
    write: Callable[[Path], object]
    """Writes it to a path."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a tracker is told of one fold, one run or one submission."""

    key: str
    """Unlike any other: linear, linear/seed-42/fold-0, submissions/toy-001-mean."""
    group: str
    """The run's name; SUBMISSIONS."""
    kind: str
    """fold, run or submission."""
    state: str
    """running, finished, failed or stopped."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted name -> plain value; {} where they are not known yet."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else may be filtered by: machine, version, the folds' digest."""
    curves: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Tag -> optimiser step -> value."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """As they are now: scores, seconds, bytes; all finite."""
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    """File name -> file."""

    @property
    def name(self) -> str:
        """For people: the key without the group."""
        return self.key.removeprefix(f"{self.group}/")


# The records.


def records_of_run(paths: Paths, run: str) -> Iterator[Record]:
    """Of a run, then of each of its folds that has begun."""
    noted = read_or_none(paths.tracked(run) / "settings.json")
    folder, workspace = paths.run(run), paths.workspaces / safe_name(run)
    found = {path.relative_to(folder).with_suffix("") for path in folder.glob("seed-*/*.json")}
    found |= {path.relative_to(workspace) for path in workspace.glob("seed-*/*/")}
    manifests = {part: read_or_none(folder / f"{part}.json") for part in sorted(found)}
    whole = read_or_none(folder / "run.json")
    done = [manifest for manifest in manifests.values() if manifest]
    settings = done[0].get("settings") if done else noted
    folds = [
        _fold(run, part, manifest, Workspace(workspace / part), noted)
        for part, manifest in manifests.items()
    ]
    state = "running" if any(fold.state == "running" for fold in folds) else "stopped"
    state = "finished" if whole else state
    yield _run(paths, run, whole, state, done, settings or {})
    yield from folds


def _run(
    paths: Paths,
    run: str,
    whole: Mapping[str, Any],
    state: str,
    done: list[dict[str, Any]],
    settings: Mapping[str, Any],
) -> Record:
    """*done*: the manifests of its finished folds."""
    metric = done[0].get("metric", "") if done else ""
    numbers: dict[str, Any] = {"folds_finished": len(done)}
    if so_far := [each["score"] for each in done if each.get("score") is not None]:
        numbers[f"folds/{metric}_mean"] = float(np.mean(so_far))
    if whole:
        scores = [score for score in whole["fold_scores"] if score is not None]
        numbers |= {f"oof/{metric}": whole["oof_score"]}
        numbers |= {f"holdout/{metric}": whole.get("holdout_score")}
        numbers |= {f"folds/{metric}_{n}": score for n, score in enumerate(whole["fold_scores"])}
        if len(scores) > 1:
            numbers[f"folds/{metric}_sd"] = float(np.std(scores, ddof=1))
        numbers["seconds"] = sum(whole["seconds"].values())
    artifacts = {"passport.json": _file(paths.passport)} if paths.passport.exists() else {}
    if whole:
        manifest = paths.run_manifest(run)
        artifacts["run.json"] = _file(manifest)
        written = Artifact(
            signature=_file(manifest).signature,
            write=lambda path: write_oof(paths.run(run), whole, path),
        )
        artifacts["oof.parquet"] = written
    facts = {"passport": whole.get("passport"), "foldstack": whole.get("foldstack")}
    blended = _blended(paths, run)
    return Record(
        key=run,
        group=run,
        kind="run",
        state=state,
        settings=flat(settings),
        numbers=_finite(numbers | blended[0]),
        facts=_texts(facts | blended[1]),
        artifacts=artifacts,
    )


def _blended(paths: Paths, run: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The honest score of the newest submission that the run is in, and the run's weight there."""
    for path in reversed(_provenances(paths)):
        origin = read_or_none(path)
        for member in origin.get("members", []):
            if safe_name(str(member.get("name"))) == safe_name(run):
                scores = origin.get("scores", {})
                honest = {f"ensemble/honest_{scores.get('metric')}": scores.get("honest")}
                numbers = {"ensemble/weight": member.get("weight")}
                return honest | numbers, {"submission": path.stem, "method": origin.get("method")}
    return {}, {}


def _fold(
    run: str, part: Path, manifest: Mapping[str, Any], space: Workspace, noted: Mapping[str, Any]
) -> Record:
    numbers: dict[str, Any] = numbers_of(manifest) if manifest else _progress(space)
    artifacts = {"events.jsonl": _file(space.events)} if space.events.exists() else {}
    facts = {name: manifest.get(name) for name in ("foldstack", "python", "machine")}
    facts |= {"fold": part.name, "seed": part.parent.name.removeprefix("seed-")}
    curves = curves_at(space.logs)
    # the fold's own numbers are logged as curves of one point, for TensorBoard
    curves = {tag: of_tag for tag, of_tag in curves.items() if tag not in numbers}
    return Record(
        key=f"{run}/{part.as_posix()}",
        group=run,
        kind="fold",
        state="finished" if manifest else _unfinished(space),
        settings=flat(manifest.get("settings") or noted),
        curves={tag: _finite(of_tag) for tag, of_tag in curves.items()},
        numbers=_finite(numbers),
        facts=_texts(facts),
        artifacts=artifacts,
    )


def _unfinished(space: Workspace) -> str:
    with contextlib.suppress(OSError):
        last = space.events.read_text(encoding="utf-8", errors="replace").rstrip().rsplit("\n")[-1]
        if '"what": "diverged"' in last:
            return "failed"
    with contextlib.suppress(OSError):
        found = holder(space.lease)
        return "running" if found is not None and found.living else "stopped"
    return "stopped"


def _progress(space: Workspace) -> dict[str, Any]:
    """How far it is, as its process wrote down last."""
    told = read_or_none(space.progress)
    names = ("step", "steps", "rows_per_second", "seconds", "ram", "gpu")
    return {f"now/{name}": told[name] for name in names if isinstance(told.get(name), int | float)}


def records_of_submissions(paths: Paths) -> Iterator[Record]:
    """Of each submission whose provenance is there."""
    for path in _provenances(paths):
        origin = read_or_none(path)
        scores, members = origin.get("scores") or {}, origin.get("members") or []
        metric = scores.get("metric")
        names = ("honest", "claimed", "in_sample", "optimism", "holdout", "gain_over_best_single")
        numbers = {f"{name}/{metric}": scores.get(name) for name in names}
        low, high = scores.get("interval_95") or (None, None)
        numbers |= {f"gain_low/{metric}": low, f"gain_high/{metric}": high}
        numbers |= {f"weight/{each['name']}": each.get("weight") for each in members}
        facts = {name: origin.get(name) for name in ("method", "message", "passport", "sha256")}
        yield Record(
            key=f"{SUBMISSIONS}/{path.stem}",
            group=SUBMISSIONS,
            kind="submission",
            state="finished",
            settings=flat(origin.get("config") or {}),
            numbers=_finite(numbers),
            facts=_texts(facts | {"verdict": scores.get("verdict")}),
            artifacts={"provenance.json": _file(path)},
        )


def _provenances(paths: Paths) -> list[Path]:
    """The submissions' provenance files of the competition, oldest first."""
    mine = safe_name(paths.competition)
    return [
        path
        for path in sorted(paths.submissions.glob("*.json"))
        if safe_name(str(read_or_none(path).get("competition"))) == mine
    ]


def write_oof(folder: Path, manifest: Mapping[str, Any], path: Path) -> None:
    """All out-of-fold predictions of a run as a table: seed, repeat, fold, id, a column an output.

    Fold by fold, so that memory holds one at a time.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for name in manifest["parts"]:
            predictions, part = read_fold(folder / f"{name}.npz")
            rows = len(predictions.valid_ids)
            table: dict[str, Any] = {
                key: np.full(rows, part[key]) for key in ("seed", "repeat", "fold")
            }
            table["id"] = predictions.valid_ids.astype(str)
            for place, output in enumerate(manifest["outputs"]):
                table[f"prediction_{output}"] = predictions.valid[:, place]
            batch = pa.table(table)
            writer = writer or pq.ParquetWriter(path, batch.schema)
            writer.write_table(batch)
    finally:
        if writer is not None:
            writer.close()


def _file(path: Path) -> Artifact:
    facts = path.stat()
    return Artifact(
        signature=f"{facts.st_size}-{facts.st_mtime_ns}",
        write=lambda to: to.write_bytes(path.read_bytes()),
    )


def read_or_none(path: Path) -> dict[str, Any]:
    """A JSON file of ours; {} where there is none that can be read, as it may just be replaced."""
    with contextlib.suppress(PipelineError, OSError):
        found = read_json(path)
        return found if isinstance(found, dict) else {}
    return {}


def _finite(numbers: Mapping[Any, Any]) -> dict[Any, float]:
    return {
        name: float(value)
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items() if value is not None}
