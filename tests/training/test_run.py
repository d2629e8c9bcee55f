"""The fold engine with learners whose right answers are obvious."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from pipeline.base.errors import ArtifactError, DivergedError
from pipeline.base.files import sha256
from pipeline.base.paths import part_name
from pipeline.models.recipes import LinearRecipe
from pipeline.oof.predictions import complete_runs, read_fold
from pipeline.training import run as run_module
from pipeline.training.jobs import Part
from pipeline.training.run import start_over, unfinished
from tests.training.toys import (
    Eavesdropper,
    Factory,
    LengthRidge,
    make_job,
    read,
    run,
    table,
)


def test_no_row_is_predicted_by_a_learner_that_trained_on_it(tmp_path):
    job = make_job(tmp_path, Eavesdropper)
    with pytest.raises(
        Exception, match="all predictions are the same"
    ):  # zeros everywhere: Pearson is undefined
        run(job)
    for part in job.parts():
        fold, _ = read_fold(job.paths.fold_predictions(job.run, *part))
        np.testing.assert_array_equal(fold.valid, 0)
        np.testing.assert_array_equal(fold.test, 0)
        np.testing.assert_array_equal(fold.holdout, 0)


def test_oof_agrees_with_sklearn(tmp_path):
    job = make_job(tmp_path)
    manifest, told = run(job)
    train = job.tables.train
    theirs = cross_val_predict(
        Ridge(),
        LengthRidge.features(train),
        train.targets,
        cv=PredefinedSplit(job.folds.fold_of_row[0]),
    )
    np.testing.assert_allclose(read(job).oof, theirs.reshape(-1, 1), rtol=1e-6)
    assert told == ["seed-42/fold-0", "seed-42/fold-1", "seed-42/fold-2"]
    expected = np.corrcoef(theirs.ravel(), train.targets.ravel())[0, 1]
    assert manifest["oof_score"] == pytest.approx(expected, abs=1e-6)


def test_every_fold_gets_a_learner_of_its_own_with_a_seed_of_its_own(tmp_path):
    job = make_job(tmp_path)
    run(job)
    assert len({id(learner) for learner in job.factory.made}) == 3
    assert len(set(job.factory.seeds)) == 3


def test_extra_rows_are_trained_on_but_never_when_related_to_the_held_out_rows(tmp_path):
    train = table(31, "tr")
    extra = replace(
        table(3, "ex"), texts=np.array([["a text of its own"], train.texts[4], ["another"]])
    )
    job = make_job(tmp_path, extra=extra)
    run(job)
    fold_of_twin = job.folds.fold_of_row[0][4]
    for fold, learner in enumerate(job.factory.made):
        assert {"ex0", "ex2"} <= learner.heard
        assert ("ex1" in learner.heard) == (fold != fold_of_twin)
    assert set(read(job).manifest["parts"]) == {part.name for part in job.parts()}


def test_a_finished_fold_is_never_trained_again(tmp_path):
    run(make_job(tmp_path), only_folds=[1])
    path = make_job(tmp_path).paths.fold_predictions("spy", 42, 0, 1)
    before = (sha256(path), path.stat().st_mtime_ns)
    job = make_job(tmp_path)
    manifest, told = run(job)
    assert len(job.factory.made) == 2
    assert told == ["seed-42/fold-0", "seed-42/fold-1", "seed-42/fold-2"]
    assert (sha256(path), path.stat().st_mtime_ns) == before
    assert manifest is not None


def test_one_fold_alone_leaves_no_run(tmp_path):
    job = make_job(tmp_path)
    manifest, _ = run(job, only_folds=[1])
    assert manifest is None
    assert complete_runs(job.paths.runs) == []
    assert [part.fold for part in unfinished(job)] == [0, 2]


def test_several_seeds_are_averaged_and_each_is_kept(tmp_path):
    class Seeded(LengthRidge):
        def predict(self, table, watch):
            return super().predict(table, watch) + len(self.heard) * 0

    class SeededFactory(Factory):
        def make(self, seed):
            learner = super().make(seed)
            shift = seed % 100
            inner = learner.predict
            learner.predict = lambda table, watch: inner(table, watch) + shift
            return learner

    job = make_job(tmp_path, seeds=(1, 2), factory=SeededFactory(Seeded))
    manifest, _ = run(job)
    assert manifest["seeds"] == [1, 2]
    each = []
    for seed in (1, 2):
        oof = np.full((31, 1), np.nan)
        for part in job.parts([seed]):
            fold, _ = read_fold(job.paths.fold_predictions(job.run, *part))
            place = {row_id: row for row, row_id in enumerate(job.tables.train.ids)}
            oof[[place[row_id] for row_id in fold.valid_ids]] = fold.valid
        each.append(oof)
    np.testing.assert_allclose(read(job).oof, np.mean(each, axis=0), rtol=1e-6)
    assert not np.allclose(each[0], each[1])


def test_a_later_call_with_another_seed_joins_the_run(tmp_path):
    run(make_job(tmp_path, seeds=(1,)))
    manifest, _ = run(make_job(tmp_path, seeds=(2,)))
    assert manifest["seeds"] == [1, 2]


def test_folds_of_other_settings_are_refused_naming_the_setting(tmp_path):
    run(make_job(tmp_path), only_folds=[0])
    changed = LinearRecipe(char_ngrams=(1, 5))
    with pytest.raises(ArtifactError, match=r"recipe\.char_ngrams: \[1, 4\] before, \[1, 5\] now"):
        run(make_job(tmp_path, recipe=changed))


def test_starting_over_trains_everything_again(tmp_path):
    run(make_job(tmp_path))
    job = make_job(tmp_path, recipe=LinearRecipe(char_ngrams=(1, 5)))
    start_over(job)
    assert complete_runs(job.paths.runs) == []
    manifest, _ = run(job)
    assert len(job.factory.made) == 3
    assert manifest["recipe"]["char_ngrams"] == [1, 5]


def test_a_prediction_that_is_not_finite_stops_the_fold_and_keeps_the_others(tmp_path):
    class Broken(LengthRidge):
        def predict(self, table, watch):
            values = super().predict(table, watch)
            if "tr0" not in self.heard:
                values[0] = np.nan
            return values

    job = make_job(tmp_path, Broken)
    with pytest.raises(DivergedError, match="1 predictions are NaN or infinite, first for"):
        run(job)
    broken = int(job.folds.fold_of_row[0][0])
    finished = [part.fold for part in job.parts() if part not in unfinished(job)]
    assert finished == list(range(broken))


def test_a_changed_prediction_file_is_refused(tmp_path):
    job = make_job(tmp_path)
    run(job)
    path = job.paths.fold_predictions("spy", 42, 0, 2)
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=r"fold-2\.npz has changed since it was written"):
        run(job)


def test_every_finished_part_is_read_once_and_then_joined(tmp_path, monkeypatch):
    job = make_job(tmp_path)
    run(job)
    read: list[str] = []

    def counted(path: Path) -> Any:
        read.append(path.name)
        return read_fold(path)

    monkeypatch.setattr(run_module, "read_fold", counted)
    run(job)
    assert sorted(read) == sorted(f"{part_name(0, fold)}.npz" for fold in range(job.folds.count))


@pytest.mark.nightly
def test_the_same_run_twice_gives_the_same_bytes(tmp_path):
    digests = []
    for name in ("a", "b"):
        job = make_job(tmp_path / name)
        run(job)
        parts = [job.paths.fold_predictions(job.run, *part) for part in job.parts()]
        digests.append([sha256(path) for path in parts])
    assert digests[0] == digests[1]


def test_part_names_are_where_the_files_are(tmp_path):
    job = make_job(tmp_path)
    run(job)
    assert (job.paths.run("spy") / f"{Part(42, 0, 1).name}.npz").exists()
