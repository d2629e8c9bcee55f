"""Proof that runs were made on today's folds; where they were not, how they differ.

Predictions made on different folds, rows or labels cannot be scored as one ensemble: a row would be
judged by weights that have seen it. So every run must carry the digest of today's frozen folds, and
the rows in its files must be the ones that these folds hold out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from pipeline.base import ArtifactError, Paths, raise_if
from pipeline.base.errors import some
from pipeline.data import compare
from pipeline.data.join import same_ids
from pipeline.oof.predictions import held_out_ids, read_fold

EXAMPLES = 5


class FrozenFolds(Protocol):
    """What is asked of the frozen folds (`pipeline.folds.frozen.Folds`)."""

    @property
    def ids(self) -> np.ndarray:
        """(n,) str."""

    @property
    def fold_of_row(self) -> np.ndarray:
        """(R, n)."""

    @property
    def group_of_row(self) -> np.ndarray:
        """(n,)."""

    @property
    def label_hash(self) -> np.ndarray | None:
        """(n, 3) uint8, or None where it is not known."""

    @property
    def digest(self) -> str:
        """Names these folds and the rows and labels they were made from."""


def check_compatible(
    paths: Paths,
    manifests: Mapping[str, Mapping[str, Any]],
    folds: FrozenFolds,
    outputs: Sequence[str],
) -> None:
    """Raise ArtifactError unless all runs, name -> manifest, belong into one ensemble.

    They must carry the passport of today's *folds*, hold out exactly the rows that these folds
    hold out, and predict the columns *outputs* in this order.
    """
    _check_passports(paths, manifests, folds)
    problems = []
    for name, manifest in manifests.items():
        if manifest["outputs"] != list(outputs):
            problems.append(
                f"run {name} predicts the columns {some(manifest['outputs'])}, today's config "
                f"asks for {some(outputs)}: train it again"
            )
        problems += _foreign_rows(paths, name, manifest, folds)
    raise_if(problems, ArtifactError)


def _check_passports(
    paths: Paths, manifests: Mapping[str, Mapping[str, Any]], folds: FrozenFolds
) -> None:
    """Refuse runs of other folds, naming both digests and the first rows that differ."""
    foreign = {name: each for name, each in manifests.items() if each["passport"] != folds.digest}
    if not foreign:
        return
    native = [name for name in manifests if name not in foreign]
    lines = [
        "these runs were not made on the same folds, so they cannot be scored as one ensemble:",
        f"  - {folds.digest[:16]} ({paths.folds_csv.name}, today): {', '.join(native) or 'no run'}",
    ]
    for name, manifest in foreign.items():
        lines.append(
            f"  - {manifest['passport'][:16]}: {name}; {_moved(paths, name, manifest, folds)}"
        )
    out = ", ".join(foreign)
    keep = f", or leave out {out}: --runs {' '.join(native)}" if native else ""
    raise ArtifactError("\n".join([*lines, f"Train {out} again on today's folds (--fresh){keep}"]))


def _moved(paths: Paths, run: str, manifest: Mapping[str, Any], folds: FrozenFolds) -> str:
    """How the held-out rows of a run differ from those of today's folds."""
    then = {
        row_id: fold
        for fold, ids in held_out_ids(paths.runs / run, manifest, manifest["seeds"][0]).items()
        for row_id in ids.tolist()
        if fold[0] == 0
    }
    now = dict(zip(folds.ids.tolist(), folds.fold_of_row[0].tolist(), strict=True))
    other = [row_id for row_id in now if row_id in then and then[row_id][1] != now[row_id]]
    if other:
        first = ", ".join(
            f"{row_id} (fold {then[row_id][1]}, now {now[row_id]})" for row_id in other[:EXAMPLES]
        )
        return f"{len(other)} of {len(now)} rows are in another fold, first {first}"
    differ = compare(list(then), list(now))
    if alone := sorted(differ.missing + differ.surplus):
        return f"{len(alone)} rows are only in one of them, first {', '.join(alone[:EXAMPLES])}"
    return f"every row is in the same fold, but {_relabelled(paths, run, manifest, folds)}"


def _relabelled(paths: Paths, run: str, manifest: Mapping[str, Any], folds: FrozenFolds) -> str:
    """Which rows had another label when the *run* was made, as far as its files tell."""
    unknown = "labels or texts have changed since"
    if folds.label_hash is None:
        return unknown
    now = dict(zip(folds.ids.tolist(), map(bytes, folds.label_hash), strict=True))
    then: dict[str, bytes] = {}
    for fold in range(manifest["folds"]):
        found, _ = read_fold(paths.fold_predictions(run, manifest["seeds"][0], 0, fold))
        if found.valid_labels is None:
            return unknown
        then |= zip(found.valid_ids.tolist(), map(bytes, found.valid_labels), strict=True)
    other = [row_id for row_id in now if then.get(row_id) != now[row_id]]
    if not other:
        return "texts or groups have changed since; the labels are the same"
    return (
        f"{len(other)} of {len(now)} rows have another label since, first "
        f"{', '.join(other[:EXAMPLES])}"
    )


def _foreign_rows(
    paths: Paths, run: str, manifest: Mapping[str, Any], folds: FrozenFolds
) -> list[str]:
    """Problems of a run whose files, of any seed, hold other rows than the folds it claims."""
    known = len(folds.fold_of_row)
    if manifest["repeats"] != known:
        return [f"run {run} has {manifest['repeats']} repeats, today's folds have {known}"]
    problems = []
    for seed in manifest["seeds"]:
        for (repeat, fold), found in held_out_ids(paths.runs / run, manifest, seed).items():
            expected = folds.ids[folds.fold_of_row[repeat] == fold]
            if same_ids(found, expected):
                continue
            differ = compare(found.tolist(), expected.tolist())
            if strange := sorted(differ.missing + differ.surplus):
                problems.append(
                    f"run {run} claims the passport {folds.digest[:16]}, but its fold {fold} of "
                    f"seed {seed} holds other rows than that fold, first "
                    f"{', '.join(strange[:EXAMPLES])}: train it again"
                )
    return problems
