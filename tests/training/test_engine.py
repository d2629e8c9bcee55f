"""The fold engine with learners whose right answers are obvious."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from pipeline.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.data.folds import frozen
from pipeline.data.sample import Sample
from pipeline.data.table import Table
from pipeline.data.tables import Tables
from pipeline.errors import ArtifactError, BusyError, DivergedError
from pipeline.files import claim, commit_json, sha256
from pipeline.models.learner import Silent
from pipeline.models.recipes import LinearRecipe
from pipeline.paths import Paths
from pipeline.results.metrics import get_metric
from pipeline.results.oof import complete_runs, read_fold, read_run
from pipeline.training.engine import cross_validate, finish, start_over, unfinished
from pipeline.training.job import Job, Part

COMPETITION = Competition(
    name="toy",
    data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
    columns=ColumnsConfig(id="id", texts=["text"], targets=["label"]),
    task=TaskConfig(problem="regression", metric="pearson", label_range=(0, 5)),
    folds=FoldsConfig(count=3, bins=2, groups="exact"),
)


def table(n: int, prefix: str, labelled: bool = True) -> Table:
    words = [f"row {number} of {prefix}" + " and more" * (number % 4) for number in range(n)]
    return Table(
        ids=np.array([f"{prefix}{number}" for number in range(n)], dtype=object),
        texts=np.array([[text] for text in words], dtype=object),
        targets=np.array([[float(number % 6)] for number in range(n)]) if labelled else None,
    )


class Eavesdropper:
    """Predicts 1 for a row it was trained on and 0 for any other."""

    facts: ClassVar[dict] = {}

    def fit(self, train, logs, watch):
        assert train.targets is not None
        self.heard = set(train.ids)

    def predict(self, table, watch):
        assert table.targets is None, "a learner must not be shown the answers"
        return np.array([[float(row_id in self.heard)] for row_id in table.ids])

    def save(self, folder):
        commit_json(folder / "heard.json", {"ids": sorted(self.heard)})


class LengthRidge(Eavesdropper):
    """Ridge on the length of the text."""

    @staticmethod
    def features(table):
        return np.array([[len(text)] for text in table.texts[:, 0]], dtype=float)

    def fit(self, train, logs, watch):
        self.heard = set(train.ids)
        self.model = Ridge().fit(self.features(train), train.targets)

    def predict(self, table, watch):
        return self.model.predict(self.features(table)).reshape(len(table), 1)


class Factory:
    def __init__(self, kind=LengthRidge):
        self.kind = kind
        self.made: list = []
        self.seeds: list[int] = []

    def make(self, seed):
        self.seeds.append(seed)
        self.made.append(self.kind())
        return self.made[-1]

    def facts(self):
        return {"device": "cpu"}

    def prepare(self, tables, watch):
        return ""

    def load(self, folder):
        raise AssertionError("not needed here")

    def disk_bytes(self):
        return 1000


def make_job(root: Path, kind=LengthRidge, seeds=(42,), extra=None, **changes) -> Job:
    train = table(31, "tr")
    tables = Tables(
        train=train,
        test=table(7, "te", labelled=False),
        extra=extra,
        holdout=table(5, "ho"),
        sample=Sample(
            id_column="id",
            columns=["target"],
            ids=table(7, "te").ids,
            values=np.full((7, 1), "0.0", dtype=object),
        ),
    )
    paths = Paths(root, "toy")
    settings = {
        "run": "spy",
        "competition": COMPETITION,
        "recipe": LinearRecipe(),
        "tables": tables,
        "folds": frozen(COMPETITION, paths, train, extra),
        "factory": Factory(kind),
        "paths": paths,
        "seeds": list(seeds),
    }
    return Job(**(settings | changes))


METRIC = get_metric("pearson", COMPETITION.task)


def run(job: Job, **more):
    told: list[str] = []
    manifest = cross_validate(
        job, METRIC, lambda part: Silent(), lambda part, _: told.append(part.name), **more
    )
    return manifest, told


def read(job: Job):
    tables = job.tables
    return read_run(job.paths.run(job.run), tables.train.ids, tables.test.ids, tables.holdout.ids)


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


def test_a_fold_that_somebody_else_trains_is_busy(tmp_path):
    job = make_job(tmp_path)
    lock = job.paths.fold_workspace("spy", 42, 0, 0) / "fold.lock"
    with claim(lock, "it"), pytest.raises(BusyError, match="seed-42/fold-0 of run spy"):
        run(job)


def test_a_changed_prediction_file_is_refused(tmp_path):
    job = make_job(tmp_path)
    run(job)
    path = job.paths.fold_predictions("spy", 42, 0, 2)
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=r"fold-2\.npz has changed since it was written"):
        finish(job, METRIC)


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
