"""Competition files in the shapes that organisers hand out, from the folder to the submission."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.ensemble import __main__ as ensemble

WORDS = ["market price", "song picture", "vote parliament"]


def competition(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, test and sample of three topics."""
    folder.mkdir(parents=True)
    numbers = list(range(60))
    texts = [f"{WORDS[row % 3]} {row}" for row in numbers]
    labels = [["money", "art", "state"][row % 3] for row in numbers]
    ids = [f"{row:05}" for row in numbers]
    train = pd.DataFrame({"id": ids, "title": texts, "topic": labels})
    test = train.drop(columns="topic").tail(12).assign(id=[f"{row:05}" for row in range(900, 912)])
    test = test.reset_index(drop=True)
    return train, test, pd.DataFrame({"id": test["id"], "topic": "art"})


def save(folder: Path, index: bool = False, **frames: pd.DataFrame) -> None:
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=index)


def submission(root: Path, folder: Path, *flags: str) -> list[list[str]]:
    """The cells of the file that the whole way ends in, its header first."""
    where = ["--root", str(root)]
    assert run(init.main, [str(folder), *where, "--name", "topics", *flags]) == 0
    config = ["--config", str(root / "configs" / "topics.yaml")]
    assert run(cv.main, [*where, *config, "--model", "linear"]) == 0
    assert run(ensemble.main, [*where, *config]) == 0
    (file,) = (root / "submissions").glob("*.csv")
    return [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]


def test_files_that_were_written_with_their_index(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, index=True, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert lines[0] == ["", "id", "topic"]
    assert [line[:2] for line in lines[1:]] == [[str(row), f"00{900 + row}"] for row in range(12)]
    assert {line[2] for line in lines[1:]} == {"money", "art", "state"}


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_sample_without_ids_is_filled_in_the_order_of_the_test_file(tmp_path, with_ids, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    if not with_ids:
        train, test = train.drop(columns="id"), test.drop(columns="id")
    save(folder, train=train, test=test, sample_submission=sample[["topic"]])
    lines = submission(tmp_path, folder)
    assert lines[0] == ["topic"]
    right = ["money", "art", "state"] * 4
    assert [line[0] for line in lines[1:]] == right
    said = " ".join(capsys.readouterr().out.split())
    assert "the sample has no ids: its rows are those of this file, in order" in said


def test_a_sample_without_ids_and_of_other_length_is_refused(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample[["topic"]].head(5))
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 3
    assert "the sample has no ids and 5 rows, this file has 12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda ids: [each.lstrip("0") for each in ids], "zeros in front: '900' here is '00900'"),
        (lambda ids: [f"{each}.0" for each in ids], "a .0 at their end"),
        (lambda ids: [f"{each} " for each in ids], "spaces around them"),
    ],
)
def test_ids_that_a_spreadsheet_changed_are_named_with_what_changed_them(
    tmp_path, capsys, spoil, said
):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample.assign(id=spoil(sample["id"])))
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 3
    message = capsys.readouterr().err
    assert "its ids are those of the test file but for" in message
    assert said in message
    assert not (tmp_path / "configs").exists()


def test_one_file_in_utf_8_beside_others_in_cp949(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, test=test.assign(title="가격 " + test["title"]))
    train["title"] = "가격 " + train["title"]
    for name, frame in (("train", train), ("sample_submission", sample)):
        frame.to_csv(folder / f"{name}.csv", index=False, encoding="cp949")
    assert len(submission(tmp_path, folder, "--encoding", "cp949")) == 13


def test_the_id_stays_where_the_sample_has_it(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample[["topic", "id"]])
    lines = submission(tmp_path, folder)
    assert lines[:2] == [["topic", "id"], ["money", "00900"]]
