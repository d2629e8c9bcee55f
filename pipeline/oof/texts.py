"""Runs whose predictions are texts: the candidates of every row, joined by id.

Texts cannot be averaged, so what a run says stays apart: of training rows one set of candidates for
each seed and repeat, of test and holdout rows one for each learner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Paths, raise_if
from pipeline.data.candidates import Candidates, concatenate_rows
from pipeline.data.join import Differences, Order
from pipeline.oof.compatibility import FrozenFolds, check_compatible
from pipeline.oof.manifest import parts_of, read_manifest
from pipeline.oof.predictions import FoldPredictions, Wanted, check_one_origin, read_fold


@dataclass(frozen=True, kw_only=True)
class TextRun:
    """One model's candidates for every row, in the order of the ids asked for."""

    name: str
    manifest: dict[str, Any]
    oof: list[Candidates]
    """For each seed and repeat, n rows: each said by a learner that had not seen it."""
    test: list[Candidates]
    """For each learner (seed x repeat x fold), m rows."""
    holdout: list[Candidates]
    """Likewise, h rows; [] of a team-mate's run that came without them."""


def assemble_texts(folder: Path, manifest: dict[str, Any], wanted: Wanted) -> TextRun:
    """Join the parts that *manifest* lists, checked against the digests it holds.

    Raises ArtifactError where a part is missing or damaged, where the parts were not made with the
    same backbone and tokenizer, or where the run's rows are not exactly those asked for.
    """
    parts: dict[str, FoldPredictions] = {}
    manifests: dict[str, dict[str, Any]] = {}
    for part, digest in manifest["parts"].items():
        path = folder / f"{part}.npz"
        parts[part], manifests[part] = read_fold(path)
        if manifests[part]["predictions_sha256"] != digest:
            raise ArtifactError(
                f"{path} is not the file that {folder / 'run.json'} was made from. "
                "Run the model's pipeline.cv command again."
            )
        if not parts[part].texts:
            raise ArtifactError(f"{path} holds no texts. Train the fold again.")
    check_one_origin(str(folder), manifests)
    held_out: dict[tuple[int, int], list[FoldPredictions]] = {}
    for part in parts_of(manifest):
        held_out.setdefault((part.seed, part.repeat), []).append(parts[part.name])
    return TextRun(
        name=manifest["name"],
        manifest=manifest,
        oof=[_whole(folder, folds, wanted.train) for folds in held_out.values()],
        test=[_others(folder, fold, "test", wanted.test) for fold in parts.values()],
        holdout=[_others(folder, fold, "holdout", wanted.holdout) for fold in parts.values()]
        if manifest.get("has_holdout", True)
        else [],
    )


def _whole(folder: Path, folds: list[FoldPredictions], order: Order) -> Candidates:
    """The held-out rows of all *folds* of one seed and repeat, in *order*."""
    ids = np.concatenate([fold.valid_ids for fold in folds])
    together = concatenate_rows([fold.texts["valid"] for fold in folds])
    return _in_order(folder, together, ids, order, "training")


def _others(folder: Path, fold: FoldPredictions, kind: str, order: Order) -> Candidates:
    ids: np.ndarray = getattr(fold, f"{kind}_ids")
    return _in_order(folder, fold.texts[kind], ids, order, kind)


def _in_order(
    folder: Path, candidates: Candidates, ids: np.ndarray, order: Order, kind: str
) -> Candidates:
    places = order.places(ids)
    count = np.bincount(places[places >= 0], minlength=len(order))
    differ = Differences(
        missing=[str(order.ids[row]) for row in np.flatnonzero(count != 1)],
        surplus=ids[places < 0].tolist(),
    )
    raise_if(differ.of_predictions(kind), ArtifactError, str(folder))
    return candidates.rows(np.argsort(places))


def read_text_members(
    paths: Paths,
    runs: Sequence[str],
    folds: FrozenFolds,
    outputs: Sequence[str],
    wanted: Wanted,
) -> list[TextRun]:
    """The *runs* (folder names), proved to be of the same *folds*; rows in the order *wanted*.

    Raises ArtifactError with everything that does not fit, as `members.read_members`.
    """
    manifests = {name: read_manifest(paths.runs / name) for name in runs}
    check_compatible(paths, manifests, folds, outputs)
    return [assemble_texts(paths.runs / name, manifests[name], wanted) for name in runs]
