"""Runs read as members of one ensemble, all made on the same folds (`foreign`)."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.errors import ArtifactError, raise_if
from pipeline.base.paths import Paths
from pipeline.oof.compatibility import FrozenFolds, check_passports, foreign_rows
from pipeline.oof.manifest import read_manifest
from pipeline.oof.pile import Pile
from pipeline.oof.predictions import Run, Wanted, assemble


@dataclass(frozen=True, kw_only=True)
class Members:
    """M runs on the same folds, their rows in the order asked for."""

    names: list[str]
    manifests: list[dict[str, Any]]
    oof: list[np.ndarray]
    """M arrays (n, k) float32; many or long ones are read from disk as they are needed (`Pile`)."""
    test: list[np.ndarray]
    """M arrays (m, k): the mean over seeds, repeats and folds."""
    holdout: list[np.ndarray]
    """M arrays (h, k)."""

    def keep(self, places: Sequence[int]) -> "Members":
        """The members at these positions only."""
        return Members(
            names=[self.names[place] for place in places],
            manifests=[self.manifests[place] for place in places],
            oof=[self.oof[place] for place in places],
            test=[self.test[place] for place in places],
            holdout=[self.holdout[place] for place in places],
        )


def read_members(
    paths: Paths,
    runs: Sequence[str],
    folds: FrozenFolds,
    outputs: Sequence[str],
    test_ids: np.ndarray,
    holdout_ids: np.ndarray,
) -> Members:
    """Read the *runs* (folder names), their out-of-fold rows in the order of folds.ids.

    Raises ArtifactError where runs come from different folds, hold other rows than these folds
    hold out, have their columns in another order, or are damaged.
    """
    manifests = {name: read_manifest(paths.runs / name) for name in runs}
    check_passports(paths, manifests, folds)
    problems = []
    for name, manifest in manifests.items():
        if manifest["outputs"] != list(outputs):
            problems.append(
                f"run {name} predicts the columns {manifest['outputs']}, today's config "
                f"asks for {list(outputs)}: train it again"
            )
        problems += foreign_rows(paths, name, manifest, folds)
    raise_if(problems, ArtifactError)
    wanted, columns = Wanted.of(folds.ids, test_ids, holdout_ids), len(outputs)
    kinds = {  # summed in float64; float32 is what a run of one seed has on disk
        "oof": (len(folds.ids), np.float32),
        "test": (len(test_ids), np.float64),
        "holdout": (len(holdout_ids), np.float64),
    }
    with ExitStack() as stack:
        piles = {
            part: stack.enter_context(Pile(paths.workspaces, len(runs), (rows, columns), kind))
            for part, (rows, kind) in kinds.items()
        }
        for name in runs:
            run = assemble(paths.runs / name, manifests[name], wanted)
            problems += _not_finite(run)
            for part, pile in piles.items():
                pile.add(getattr(run, part))
        raise_if(problems, ArtifactError)
        arrays = {part: pile.arrays() for part, pile in piles.items()}
    return Members(names=list(runs), manifests=[manifests[name] for name in runs], **arrays)


def _not_finite(run: Run) -> list[str]:
    return [
        f"run {run.name} has {count} predictions of {kind} rows that are not finite: train it again"
        for kind, count in run.not_finite.items()
        if count and (kind == "test" or run.manifest.get("has_holdout", True))
    ]
