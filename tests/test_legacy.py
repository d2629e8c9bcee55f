"""Run folders of earlier releases are read, gone on with and blended as on their first day."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.files import commit_json, read_json, sha256
from pipeline.base.parser import read_section
from pipeline.base.paths import Paths
from pipeline.data.tables import load
from pipeline.ensemble import __main__ as ensemble
from pipeline.folds import __main__ as folds
from pipeline.metrics.metric import get_metric
from pipeline.models.learner import Silent
from pipeline.models.linear.learner import LinearFactory
from pipeline.models.recipes import find
from pipeline.models.settings import LinearRecipe
from pipeline.oof.predictions import read_fold, read_run

LEGACY = Path(__file__).parent / "legacy"
RELEASES = sorted(path.name for path in LEGACY.iterdir() if path.is_dir())


@pytest.fixture(params=RELEASES)
def root(request, tmp_path) -> Path:
    copy = tmp_path / request.param
    shutil.copytree(LEGACY / request.param, copy)
    return copy


def call(command, root: Path, *more: str) -> int:
    return run(command.main, ["--root", str(root), *more])


def parts(root: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (sha256(path), path.stat().st_mtime_ns) for path in root.glob("oof/**/*.npz")
    }


def test_there_is_a_folder_for_the_first_release():
    assert "v0.1" in RELEASES


def test_todays_ensemble_writes_the_submission_of_that_release(root):
    assert call(ensemble, root) == 0
    (submission,) = (root / "submissions").glob("*.csv")
    assert submission.read_bytes() == (root / "expected.csv").read_bytes()


def test_the_frozen_folds_still_fit(root, capsys):
    assert call(folds, root) == 0
    assert "still fit; nothing was written" in capsys.readouterr().out


def test_the_run_still_has_the_score_it_had(root):
    competition = read_section(Competition, root / "configs" / "default.yaml")
    tables, paths = load(competition, root), Paths(root, "toy")
    none = tables.train.ids[:0]
    found = read_run(paths.run("linear"), tables.train.ids, tables.test.ids, none)
    metric = get_metric(competition.task.metric, competition.task)
    again = metric.score(tables.train.targets, found.oof)
    assert again == pytest.approx(found.manifest["oof_score"], abs=1e-9)


def test_the_same_command_trains_nothing_again(root, capsys):
    before = parts(root)
    assert call(cv, root, "--model", "linear") == 0
    assert parts(root) == before
    assert "3 of 3 finished before" in capsys.readouterr().out


def test_a_run_that_was_not_finished_is_gone_on_with(root):
    path = root / "oof" / "toy" / "linear" / "seed-42" / "fold-0"
    before = parts(root)
    for file in (path.with_suffix(".npz"), path.with_suffix(".json"), path.parents[1] / "run.json"):
        file.unlink()
    assert call(cv, root, "--model", "linear") == 0
    after = parts(root)
    assert {name: after[name] for name in ("fold-1.npz", "fold-2.npz")} == {
        name: before[name] for name in ("fold-1.npz", "fold-2.npz")
    }
    assert read_json(path.parents[1] / "run.json")["folds"] == 3


def test_the_saved_weights_predict_what_they_predicted(root):
    competition = read_section(Competition, root / "configs" / "default.yaml")
    tables, paths = load(competition, root), Paths(root, "toy")
    recipe = find("linear", root)
    assert isinstance(recipe, LinearRecipe)
    factory = LinearFactory(recipe, competition.task, len(competition.outputs))
    learner = factory.load(paths.fold_workspace("linear", 42, 0, 0) / "weights")
    saved, _ = read_fold(paths.fold_predictions("linear", 42, 0, 0))
    again = learner.predict(tables.test, Silent())
    np.testing.assert_allclose(again, saved.test, atol=1e-5)


@pytest.mark.parametrize("number", [0, 2, "next"])
@pytest.mark.parametrize("file", ["run.json", "seed-42/fold-1.json"])
def test_a_format_that_is_not_known_is_named_with_what_to_do(root, capsys, file, number):
    path = root / "oof" / "toy" / "linear" / file
    commit_json(path, read_json(path) | {"format": number})
    assert call(ensemble, root) == 5
    message = capsys.readouterr().err
    assert f"{path} has format {number!r}, Foldstack " in message
    assert "Update Foldstack to the version that wrote it, or train the model again" in message
    assert not (root / "submissions").exists()
