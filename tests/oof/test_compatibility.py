"""Runs of other folds, rows or labels: refused, and how they differ is told."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.errors import ArtifactError
from pipeline.base.files import read_json
from pipeline.oof.compatibility import check_compatible
from tests.blendable import make

OTHER = "f" * 64
"""A digest of other folds."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    made = make(tmp_path_factory.mktemp("compatible"), "regression", "rmse", n=40, m=8)
    made.add_run("one", 0.5)
    made.add_run("two", 0.6, seed=2)
    return made


def refusal(toy, folds, names=("one", "two"), **changed):
    """What is said of the runs, the last one's manifest *changed*, under these *folds*."""
    manifests = {name: read_json(toy.paths.run_manifest(name)) for name in names}
    manifests[names[-1]] |= changed
    with pytest.raises(ArtifactError) as caught:
        check_compatible(toy.paths, manifests, folds, toy.competition.outputs)
    return str(caught.value)


def test_runs_of_todays_folds_are_compatible(toy):
    manifests = {name: read_json(toy.paths.run_manifest(name)) for name in ("one", "two")}
    check_compatible(toy.paths, manifests, toy.folds, toy.competition.outputs)


def test_rows_that_moved_are_named_with_both_folds(toy):
    fold = toy.folds.fold_of_row.copy()
    moved = np.flatnonzero(fold[0] == 2)[:7]
    fold[0, moved] = 3
    now = replace(toy.folds, fold_of_row=fold, digest=OTHER)
    message = refusal(toy, now)
    old = toy.folds.digest[:16]
    first = ", ".join(f"{row} (fold 2, now 3)" for row in toy.folds.ids[moved[:5]])
    assert f"  - {OTHER[:16]} (toy.csv, today): no run\n" in message
    assert f"  - {old}: one; 7 of 40 rows are in another fold, first {first}\n" in message
    assert f"  - {old}: two; 7 of 40" in message
    assert message.endswith("Train one, two again on today's folds (--fresh)")


def test_a_foreign_run_among_ours_may_be_left_out(toy):
    message = refusal(toy, toy.folds, passport="e" * 64)
    assert f"{toy.folds.digest[:16]} (toy.csv, today): one\n" in message
    assert (
        f"  - {'e' * 16}: two; every row is in the same fold, but texts or groups have" in message
    )
    assert message.endswith("again on today's folds (--fresh), or leave out two: --runs one")


def test_rows_that_are_gone_or_new_are_named(toy):
    kept = np.arange(38)
    now = replace(
        toy.folds,
        ids=toy.folds.ids[kept],
        fold_of_row=toy.folds.fold_of_row[:, kept],
        label_hash=toy.folds.label_hash[kept],
        digest=OTHER,
    )
    gone = ", ".join(sorted(toy.folds.ids[38:]))
    assert f"2 rows are only in one of them, first {gone}" in refusal(toy, now)


def test_rows_with_another_label_are_named_as_far_as_the_run_tells(toy):
    labels = toy.folds.label_hash.copy()
    labels[[3, 5]] ^= 1
    message = refusal(toy, replace(toy.folds, label_hash=labels, digest=OTHER))
    told = "every row is in the same fold, but 2 of 40 rows have another label since, first "
    assert told + ", ".join(toy.folds.ids[[3, 5]]) in message
    unknown = refusal(toy, replace(toy.folds, label_hash=None, digest=OTHER))
    assert "but labels or texts have changed since" in unknown


def test_a_run_that_claims_our_folds_and_holds_other_rows_is_found_out(toy):
    fold = toy.folds.fold_of_row.copy()
    row = int(np.flatnonzero(fold[0] == 1)[0])
    fold[0, row] = 0
    message = refusal(toy, replace(toy.folds, fold_of_row=fold), names=("one",))
    claimed = toy.folds.digest[:16]
    for number in (0, 1):
        assert (
            f"run one claims the passport {claimed}, but its fold {number} of seed 42 holds other "
            f"rows than that fold, first {toy.folds.ids[row]}: train it again"
        ) in message
    assert "fold 2" not in message


def test_other_columns_and_other_repeats_are_refused(toy):
    assert "run two predicts the columns ['x'], today's config asks for ['label']" in refusal(
        toy, toy.folds, outputs=["x"]
    )
    assert "run two has 2 repeats, today's folds have 1" in refusal(toy, toy.folds, repeats=2)
