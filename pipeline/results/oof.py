"""Predictions on disk: what a fold commits, what a run is, how runs are read back.

    oof/COMP/RUN/seed-42/fold-0.npz    valid_ids (n_f,), valid (n_f, k), test_ids (m,), test (m, k),
                                       holdout_ids (h,), holdout (h, k)
    oof/COMP/RUN/seed-42/fold-0.json   the fold's manifest, written after the .npz
    oof/COMP/RUN/run.json              the run's manifest, written last: exists = complete

Rows are known by id. A run is read into arrays filled with NaN and then checked complete, so a
missing row cannot pass for a zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ArtifactError, raise_if
from pipeline.files import commit_arrays, commit_json, read_arrays, read_json


@dataclass(frozen=True, kw_only=True)
class FoldPredictions:
    """What the learner of one fold says about rows it has not seen. Values are float32."""

    valid_ids: np.ndarray
    """(n_f,) str."""
    valid: np.ndarray
    """(n_f, k)."""
    test_ids: np.ndarray
    """(m,) str."""
    test: np.ndarray
    """(m, k)."""
    holdout_ids: np.ndarray
    """(h,) str; h = 0 where the competition has no holdout file."""
    holdout: np.ndarray
    """(h, k)."""


ARRAYS = tuple(FoldPredictions.__dataclass_fields__)


def commit_fold(path: Path, predictions: FoldPredictions, manifest: Mapping[str, Any]) -> None:
    """Write one fold's predictions to *path* (.npz), then its manifest beside it (.json)."""
    arrays = {name: getattr(predictions, name) for name in ARRAYS}
    digest = commit_arrays(
        path,
        {
            name: value.astype(np.str_) if name.endswith("ids") else value.astype(np.float32)
            for name, value in arrays.items()
        },
    )
    commit_json(path.with_suffix(".json"), {**manifest, "predictions_sha256": digest})


def read_fold(path: Path) -> tuple[FoldPredictions, dict[str, Any]]:
    """A committed fold and its manifest; ArtifactError where it is missing, damaged or changed."""
    manifest = read_json(path.with_suffix(".json"))
    arrays = read_arrays(path, expected_sha256=manifest.get("predictions_sha256"))
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise ArtifactError(
            f"{path} lacks {', '.join(missing)}; delete it and train the fold again"
        )
    return FoldPredictions(**{name: arrays[name] for name in ARRAYS}), manifest


@dataclass(frozen=True, kw_only=True)
class Run:
    """One model's predictions for every row, averaged over its seeds and repeats."""

    name: str
    manifest: dict[str, Any]
    oof: np.ndarray
    """(n, k) float64, in the order of the ids asked for."""
    test: np.ndarray
    """(P, m, k) float32: one layer per part (seed × repeat × fold), not yet averaged."""
    holdout: np.ndarray
    """(P, h, k) float32."""


def read_run(folder: Path, ids: np.ndarray, test_ids: np.ndarray, holdout_ids: np.ndarray) -> Run:
    """Read a complete run, its rows put into the order of the given ids; see `assemble`."""
    return assemble(folder, read_json(folder / "run.json"), ids, test_ids, holdout_ids)


def assemble(
    folder: Path,
    manifest: dict[str, Any],
    ids: np.ndarray,
    test_ids: np.ndarray,
    holdout_ids: np.ndarray,
) -> Run:
    """Join the parts that *manifest* lists, checked against the digests it holds.

    Raises ArtifactError where a part is missing or damaged, or where the run's rows are not
    exactly those asked for; the message names the first ids that differ.
    """
    total = np.zeros((len(ids), len(manifest["outputs"])))
    count = np.zeros(len(ids), dtype=int)
    position = {row_id: place for place, row_id in enumerate(ids)}
    test, holdout = [], []
    for part, digest in manifest["parts"].items():
        fold, fold_manifest = read_fold(folder / f"{part}.npz")
        if fold_manifest["predictions_sha256"] != digest:
            raise ArtifactError(
                f"{folder / part}.npz is not the file that {folder / 'run.json'} was made from. "
                "Run the model's pipeline.cv command again."
            )
        unknown = [row_id for row_id in fold.valid_ids.tolist() if row_id not in position]
        raise_if(_differences("training", [], unknown), ArtifactError, str(folder))
        rows = np.array([position[row_id] for row_id in fold.valid_ids.tolist()], dtype=int)
        total[rows] += fold.valid
        count[rows] += 1
        test.append(_aligned(fold.test, fold.test_ids, test_ids, f"{folder / part}.npz: test"))
        where = f"{folder / part}.npz: holdout"
        holdout.append(_aligned(fold.holdout, fold.holdout_ids, holdout_ids, where))
    expected = len(manifest["seeds"]) * manifest["repeats"]
    wrong = [str(ids[place]) for place in np.flatnonzero(count != expected)]
    raise_if(_differences("training", wrong, []), ArtifactError, str(folder))
    oof = total / expected
    if not np.isfinite(oof).all():
        first = ids[np.flatnonzero(~np.isfinite(oof).all(axis=1))[:3]].tolist()
        raise ArtifactError(f"{folder} holds predictions that are not finite, first for {first}")
    return Run(
        name=manifest["name"],
        manifest=manifest,
        oof=oof,
        test=np.stack(test),
        holdout=np.stack(holdout),
    )


def _aligned(
    values: np.ndarray, found_ids: np.ndarray, wanted_ids: np.ndarray, where: str
) -> np.ndarray:
    """*values* (rows as *found_ids*) put into the order of *wanted_ids*."""
    position = {row_id: place for place, row_id in enumerate(found_ids.tolist())}
    wanted = wanted_ids.tolist()
    missing = [row_id for row_id in wanted if row_id not in position]
    surplus = sorted(set(position) - set(wanted))
    raise_if(_differences("its", missing, surplus), ArtifactError, where)
    aligned = values[[position[row_id] for row_id in wanted]] if wanted else values[:0]
    return np.asarray(aligned)


def _differences(kind: str, missing: Sequence[str], surplus: Sequence[str]) -> list[str]:
    problems = []
    if missing:
        problems.append(
            f"{len(missing)} of {kind} rows have no prediction, or more than one: {missing[:5]}"
        )
    if surplus:
        problems.append(f"{len(surplus)} of {kind} rows are not in today's files: {surplus[:5]}")
    return problems


def complete_runs(runs: Path) -> list[str]:
    """Names of the complete runs below a competition's oof folder, sorted."""
    return sorted(manifest.parent.name for manifest in runs.glob("*/run.json"))
