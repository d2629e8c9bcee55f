"""Forms of labels and of submissions, the whole way; what cannot be written is refused first."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline import cv, init
from pipeline.base.command import run
from tests.test_shapes import competition, save, submission

CODES = ["art=7", "money=8", "state=9"]


def folder_of(tmp_path: Path, **changed: object) -> Path:
    """The competition of three topics; *changed* columns of its sample submission."""
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample.assign(**changed))
    return folder


def refusal(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What init says when it refuses; no config may be left behind."""
    asked = [str(folder), "--root", str(tmp_path), "--name", "topics", *flags]
    assert run(init.main, asked) in (2, 3)
    assert not (tmp_path / "configs").exists()
    return " ".join(capsys.readouterr().err.split())


# What contradicts the sample.


def test_words_against_codes_are_refused_before_the_config_and_the_remedy_works(tmp_path, capsys):
    folder = folder_of(tmp_path, topic="8")
    message = refusal(tmp_path, folder, capsys)
    assert "the sample submission shows '8', the classes of train are 'art', 'money'" in message
    assert "init: --class-codes art=0 money=1 state=2, with the organiser's codes" in message
    lines = submission(tmp_path, folder, "--class-codes", *CODES)
    assert [line[1] for line in lines[1:]] == ["8", "7", "9"] * 4


def test_words_may_stand_where_the_sample_shows_a_number(tmp_path):
    lines = submission(tmp_path, folder_of(tmp_path, topic="0"), "--class-codes", "as-is")
    assert [line[1] for line in lines[1:]] == ["money", "art", "state"] * 4


@pytest.mark.parametrize(
    ("codes", "said"),
    [(["art=1", "money=2"], "have no code (candidates: 'state')"), (["x=1"], "names no class")],
)
def test_codes_that_do_not_fit_the_classes_are_refused(tmp_path, capsys, codes, said):
    assert said in refusal(tmp_path, folder_of(tmp_path), capsys, "--class-codes", *codes)


def test_cv_refuses_what_cannot_be_written_before_it_trains(tmp_path, capsys):
    folder, where = folder_of(tmp_path), ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *where, "--name", "topics"]) == 0
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    sample.assign(topic="0").to_csv(folder / "sample_submission.csv", index=False)
    config = ["--config", str(tmp_path / "configs" / "topics.yaml"), "--model", "linear"]
    assert run(cv.main, [*where, *config]) == 3
    assert "Set task.class_codes" in capsys.readouterr().err
    assert not (tmp_path / "folds").exists()
    codes = '["7", "8", "9"]'
    assert run(cv.main, [*where, *config, "--task.class_codes", codes]) == 0


def with_minus_one(tmp_path: Path) -> Path:
    """Every third row has -1 for a label, the others 0 or 1."""
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["topic"] = [["-1", "0", "1"][row % 3] for row in range(60)]
    save(folder, train=train, test=test, sample_submission=sample.assign(topic="0"))
    return folder


def test_minus_one_is_asked_about_and_may_be_rows_without_a_label(tmp_path, capsys):
    folder = with_minus_one(tmp_path)
    message = refusal(tmp_path, folder, capsys, "--problem", "multiclass")
    assert "--unlabelled=-1, or --class-codes as-is: 'topic' has -1 beside 0, 1" in message
    lines = submission(tmp_path, folder, "--unlabelled=-1", "--metric", "accuracy")
    assert "20 rows without a label (-1) are left out" in " ".join(capsys.readouterr().out.split())
    assert {line[1] for line in lines[1:]} == {"0", "1"}


def test_minus_one_may_be_a_class(tmp_path):
    flags = ["--class-codes", "as-is", "--problem", "multiclass"]
    lines = submission(tmp_path, with_minus_one(tmp_path), *flags)
    assert [line[1] for line in lines[1:]] == ["-1", "0", "1"] * 4
