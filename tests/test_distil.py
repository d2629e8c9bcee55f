"""A student learns what an ensemble knows, and nothing of the labels that it is scored on."""

import json
import shutil

import numpy as np
import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.seeding import generator
from pipeline.distil import lessons as lessons_module
from pipeline.distil import student as student_module
from pipeline.distil.__main__ import main
from pipeline.ensemble import __main__ as ensemble
from tests.toy import command, pairs, predictions, toy_files, write

COLUMNS = ["id", "sentence_1", "sentence_2", "label"]
SURE = """
learner: linear
char_ngrams: [2, 3]
word_ngrams: [1, 1]
buckets: 4096
pair_order: symmetric
strengths: [0.01]
"""
CHANCE = 0.16
"""Two and a half standard errors of a correlation of 240 rows that is none."""


def competition(root, rows):
    """`rows` of train, and a run on them of a linear recipe that learns its rows by heart."""
    (toy_files(root) / "sure.yaml").write_text(SURE)
    write(root / "train.csv", COLUMNS, rows)
    assert run(cv.main, ["--root", str(root), "--model", "sure"]) == 0
    return root


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Labels that nothing in the texts tells. texts.csv: the texts of train as further rows."""
    random = generator(3, "noise")
    rows = [(*row[:3], f"{random.uniform(0, 5):.2f}") for row in pairs(240, "train")]
    root = competition(tmp_path_factory.mktemp("noise"), rows)
    more = [(f"more-{number}", *row[1:3]) for number, row in enumerate(rows)]
    write(root / "texts.csv", COLUMNS[:3], more)
    return root


def honest(root, capsys, *more):
    capsys.readouterr()
    argv = ["--root", str(root), "--student", "sure", "--runs", "sure", "--method", "best"]
    argv += ["--json", *more]
    assert run(main, argv) == 0
    return json.loads(capsys.readouterr().out)


def test_of_noise_a_student_learns_nothing_that_it_is_scored_on(noise, capsys):
    found = honest(noise, capsys, "--rows", "texts.csv", "--weight", "1")
    assert abs(found["honest"]) < CHANCE
    assert found["teachers"] == ["sure"]


@pytest.mark.nightly
@pytest.mark.parametrize("method", ["auto", "simplex", "ridge"])
def test_nor_through_the_fitted_weights_of_several_members(noise, capsys, method):
    argv = ["--root", str(noise), "--model", "linear", "--model", "boosting"]
    assert run(cv.main, argv) == 0
    more = ["--rows", "texts.csv", "--weight", "1", "--method", method]
    found = honest(noise, capsys, "--runs", "sure", "linear", "boosting", *more)
    assert abs(found["honest"]) < CHANCE
    assert len(found["members"]) == 3


def test_the_out_of_fold_predictions_as_answers_would_have_told_the_labels(
    noise, capsys, monkeypatch
):
    def naive(ground, outcome, teachers, console):
        return np.stack([np.asarray(outcome.members.oof[0])] * ground.folds.count)

    monkeypatch.setattr(student_module, "_of_training_rows", naive)
    assert honest(noise, capsys, "--rows", "none", "--weight", "0.99")["honest"] > 3 * CHANCE


@pytest.mark.nightly
def test_the_mean_of_all_learners_about_unlabelled_rows_would_have_told_them(
    noise, capsys, monkeypatch
):
    told = lessons_module.about_unlabelled

    def naive(outcome, by_fold, table):
        said = told(outcome, by_fold, table)
        return np.broadcast_to(said.mean(axis=0), said.shape)

    monkeypatch.setattr(student_module, "about_unlabelled", naive)
    argv = ["--rows", "texts.csv", "--teachers", "none"]
    assert honest(noise, capsys, *argv, "--weight", "0.98")["honest"] > 3 * CHANCE


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """60 rows with labels that texts tell, and its linear run."""
    return competition(tmp_path_factory.mktemp("toy"), pairs(60, "train"))


@pytest.mark.nightly
@pytest.mark.parametrize("fault", ["fold:2:kill9", "stage:2:kill9"])
def test_killed_after_a_fold_or_a_teacher_it_goes_on_to_the_same_bytes(
    toy, tmp_path, capsys, fault
):
    found = honest(toy, capsys)
    name = found["run"]
    assert run(ensemble.main, ["--root", str(toy), "--runs", name, "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["scores"]["honest"]
    assert said == pytest.approx(found["honest"])
    other = competition(tmp_path, pairs(60, "train"))
    argv = ["--student", "sure", "--method", "best", "--json"]
    assert command(other, "distil", *argv, fault=fault).returncode == -9
    assert not (other / "oof" / "toy" / name / "run.json").exists()
    done = command(other, "distil", *argv)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["honest"] == found["honest"]
    ours, theirs = (
        {path: digest for path, digest in predictions(root).items() if f"/{name}/" in path}
        for root in (other, toy)
    )
    assert len(ours) == 3
    assert ours == theirs


def test_another_student_of_the_same_teachers_trains_none_of_them_again(toy, capsys, monkeypatch):
    honest(toy, capsys)

    def trained(*_):
        raise AssertionError("a teacher is trained again")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.models.linear.learner.LinearLearner.fit", trained)
        assert run(main, ["--root", str(toy), "--student", "sure", "--method", "best"]) == 0
    before = {
        path: path.stat().st_mtime_ns for path in toy.glob("runs/toy/.teachers/**/answers.npz")
    }
    assert len(before) == 3
    honest(toy, capsys, "--weight", "0.9")
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--weight", "0"], "--weight 0: it must be above 0, at most 1"),
        (["--set", "distil={weight: 0.5}"], "has distil already"),
        (["--rows", "none", "--teachers", "none"], "there is nothing to learn from but the labels"),
        (["--teachers", "nobody"], "--teachers nobody: not in the ensemble, which has sure"),
        (["--rows", "nowhere.csv"], "--rows: there is no file"),
        (["--export", "onnx"], "--export needs a folder to write: -o DIR"),
        (["--int8"], "--int8 belongs to an exported model: add --export onnx"),
        (["-o", "student", "--int8"], "-o and --int8 belong to an exported model: add --export"),
    ],
)
def test_what_cannot_be_taught_is_refused_in_a_sentence(toy, capsys, argv, says):
    assert run(main, ["--root", str(toy), "--student", "sure", "--runs", "sure", *argv]) == 2
    assert says in capsys.readouterr().err


def test_members_whose_weights_are_gone_answer_no_new_rows_and_may_be_left_out(
    toy, tmp_path, capsys
):
    root = tmp_path / "toy"
    shutil.copytree(toy, root)
    (root / "configs" / "models" / "weak.yaml").write_text("learner: linear\nbuckets: 16\n")
    assert run(cv.main, ["--root", str(root), "--model", "weak"]) == 0
    shutil.rmtree(root / "runs" / "toy" / "weak")
    write(root / "texts.csv", COLUMNS[:3], [(f"more-{row[0]}", *row[1:3]) for row in pairs(9, "x")])
    argv = ["--root", str(root), "--student", "sure", "--teachers", "none", "--rows", "texts.csv"]
    assert run(main, [*argv, "--runs", "sure", "weak", "--method", "mean"]) == 2
    said = capsys.readouterr().err
    assert "--rows: members cannot answer new rows; leave them out of --runs" in said
    assert "weak: " in said
    assert "sure: " not in said
    assert run(main, [*argv, "--runs", "sure"]) == 0
