"""Runs read as members of one ensemble, all made on the same folds.

The way of a run into an ensemble goes through five files, from each to the next:

    members        which runs, for which rows
    manifest       what each run says of itself is whole
    compatibility  all were made on today's folds, and predict the same columns
    predictions    the parts of a run, checked and joined by id
    arrays         the members' rows laid on each other, on disk where they are many
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Paths, raise_if
from pipeline.oof.arrays import MemberArrays
from pipeline.oof.compatibility import FrozenFolds, check_compatible
from pipeline.oof.manifest import read_manifest
from pipeline.oof.predictions import Wanted, assemble

KINDS = {"oof": np.float32, "test": np.float64, "holdout": np.float64}
"""Summed in float64; float32 is what a run of one seed has on disk."""


@dataclass(frozen=True, kw_only=True)
class Members:
    """M runs on the same folds, their rows in the order asked for."""

    names: list[str]
    manifests: list[dict[str, Any]]
    oof: list[np.ndarray]
    """M arrays (n, k) float32; long ones stay on disk (`MemberArrays`)."""
    test: list[np.ndarray]
    """M arrays (m, k): the mean over seeds, repeats and folds."""
    holdout: list[np.ndarray]
    """M arrays (h, k)."""
    by_fold: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Of "test" and "holdout": M arrays (K, s, k) of the learners of each fold, for the rows at
    `pipeline.data.join.kept_by_fold`."""

    apart: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """Of "oof", "test" and "holdout": member -> (rows,) how far a row's wordings are apart, for
    members that were asked about several (`tta`)."""

    def keep(self, places: Sequence[int]) -> "Members":
        """The members at these positions only."""
        kept = [self.names[place] for place in places]
        return Members(
            names=kept,
            manifests=[self.manifests[place] for place in places],
            oof=[self.oof[place] for place in places],
            test=[self.test[place] for place in places],
            holdout=[self.holdout[place] for place in places],
            by_fold={
                name: [each[place] for place in places] for name, each in self.by_fold.items()
            },
            apart={
                part: {name: each[name] for name in kept if name in each}
                for part, each in self.apart.items()
            },
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
    check_compatible(paths, manifests, folds, outputs)
    wanted = Wanted.of(folds.ids, test_ids, holdout_ids)
    problems: list[str] = []
    piles: dict[str, MemberArrays] = {}
    by_fold: dict[str, list[np.ndarray]] = {}
    apart: dict[str, dict[str, np.ndarray]] = {}
    with ExitStack() as opened:
        for name in runs:
            run = assemble(paths.runs / name, manifests[name], wanted)
            problems += run.problems
            for part, values in run.by_fold.items():
                by_fold.setdefault(part, []).append(values)
            for part, values in run.apart.items():
                apart.setdefault(part, {})[name] = values
            for part, kind in KINDS.items():
                values = getattr(run, part)
                if part not in piles:  # the first run tells the shape of all
                    pile = MemberArrays(paths.workspaces, len(runs), values.shape, kind)
                    piles[part] = opened.enter_context(pile)
                piles[part].add(values)
        raise_if(problems, ArtifactError)
        arrays = {part: piles[part].arrays() if runs else [] for part in KINDS}
    return Members(
        names=list(runs),
        manifests=[manifests[name] for name in runs],
        by_fold=by_fold,
        apart=apart,
        **arrays,
    )
