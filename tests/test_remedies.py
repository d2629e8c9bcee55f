"""What init refuses says what to do, and that is tried: the same folder with the remedy passes."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline import init
from pipeline.base.command import run
from tests.test_forms import refusal
from tests.test_shapes import competition, save

Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
Make = Callable[[Path, Frames], None]


def accepted(root: Path, folder: Path, flags: str) -> None:
    """init writes the config, and built a submission dry before."""
    asked = [str(folder), "--root", str(root), "--name", "topics", *shlex.split(flags)]
    assert run(init.main, asked) == 0


def as_they_are(folder: Path, frames: Frames) -> None:
    train, test, sample = frames
    save(folder, train=train, test=test, sample_submission=sample)


def two_trains(folder: Path, frames: Frames) -> None:
    train, test, sample = frames
    save(folder, train_old=train, train_new=train, test=test, sample_submission=sample)


def two_tests(folder: Path, frames: Frames) -> None:
    train, test, sample = frames
    save(folder, train=train, test_a=test, test_b=test, sample_submission=sample)


def nothing_called_so(folder: Path, frames: Frames) -> None:
    save(folder, labelled=frames[0], test=frames[1], sample_submission=frames[2])


def two_ids(folder: Path, frames: Frames) -> None:
    train, test = (each.drop(columns="id").assign(row_id=each["id"]) for each in frames[:2])
    save(
        folder,
        train=train.assign(text_id=train["row_id"]),
        test=test.assign(text_id=test["row_id"]),
    )


def no_text(folder: Path, frames: Frames) -> None:
    train, test = (frame.rename(columns={"title": "code"}) for frame in frames[:2])
    for frame in (train, test):
        frame["code"] = [f"c{row}" for row in range(len(frame))]
        frame["shop"] = [f"s{row % 7}" for row in range(len(frame))]
    as_they_are(folder, (train, test, frames[2]))


def two_targets(folder: Path, frames: Frames) -> None:
    train = (
        frames[0].rename(columns={"topic": "label"}).assign(labels=["x", "y", "x", "y", "z"] * 12)
    )
    save(folder, train=train, test=frames[1])


def grades_or_codes(folder: Path, frames: Frames) -> None:
    train = frames[0].assign(topic=[str(row % 3 * 2) for row in range(60)])
    as_they_are(folder, (train, frames[1], frames[2].assign(topic="2")))


def broken_lines(folder: Path, frames: Frames) -> None:
    as_they_are(folder, frames)
    with (folder / "train.csv").open("a", encoding="utf-8") as stream:
        stream.write("00099,no more\n")


def no_header(folder: Path, frames: Frames) -> None:
    train, test, sample = frames
    titles = [f"the market and the song of {row}" for row in range(72)]
    train["title"], test["title"] = titles[:60], titles[60:]
    as_they_are(folder, (train, test, sample))
    train.to_csv(folder / "train.csv", index=False, header=False)


def other_encoding(folder: Path, frames: Frames) -> None:
    as_they_are(folder, frames)
    korean = frames[0].assign(title="가격 " + frames[0]["title"])
    korean.to_csv(folder / "train.csv", index=False, encoding="cp949")


def constant(folder: Path, frames: Frames) -> None:
    train, test, sample = frames
    renamed = sample.rename(columns={"topic": "label"})
    as_they_are(folder, (train.assign(label="x"), test, renamed))


REMEDIES: list[tuple[Make, str, str, str]] = [
    (two_trains, "", "--train FILE: 2 files could be it", "--train train_new.csv"),
    (two_tests, "", "--test FILE: 2 files could be it", "--test test_a.csv"),
    (nothing_called_so, "", "--train FILE: no file of", "--train labelled.csv"),
    (two_ids, "", "--id COLUMN: several columns name every row", "--id row_id"),
    (no_text, "", "--text COLUMN (twice for pairs): no column of train", "--text code"),
    (two_targets, "", "--target COLUMN: several columns are in train only", "--target label"),
    (grades_or_codes, "", "a grade (regression) or the code of a class", "--problem multiclass"),
    (grades_or_codes, "", "a grade (regression) or the code of a class", "--problem regression"),
    (broken_lines, "", "pipeline.init --skip-broken", "--skip-broken train.csv"),
    (no_header, "", "reads like a row: name the columns", '--names "train.csv=id,title,topic"'),
    (
        other_encoding,
        "--encoding utf-8",
        "--encoding train.csv=cp949",
        "--encoding train.csv=cp949",
    ),
    (constant, "", "Name another column with --target", "--target topic"),
    (as_they_are, "--id idd", "did you mean 'id'?", "--id id"),
    (as_they_are, "--target topics", "did you mean 'topic'?", "--target topic"),
    (as_they_are, "--text titel", "is not in train and test", "--text title"),
    (as_they_are, "--template '{titel}'", "is not in train and test", "--template '{title}'"),
    (as_they_are, "--classes art money", "has further classes", "--classes art money state"),
]


@pytest.mark.parametrize(
    ("make", "asked", "said", "remedy"), REMEDIES, ids=[each[2][:40] for each in REMEDIES]
)
def test_what_a_refusal_says_to_do_works(tmp_path, capsys, make, asked, said, remedy):
    folder = tmp_path / "data"
    make(folder, competition(folder))
    assert said in refusal(tmp_path, folder, capsys, *shlex.split(asked))
    accepted(tmp_path, folder, remedy)


def test_a_config_that_is_there_is_overwritten_or_gets_another_name(tmp_path, capsys):
    folder = tmp_path / "data"
    as_they_are(folder, competition(folder))
    accepted(tmp_path, folder, "")
    asked = [str(folder), "--root", str(tmp_path), "--name", "topics"]
    assert run(init.main, asked) == 2
    assert "--force overwrites it, --name writes another one" in capsys.readouterr().err
    accepted(tmp_path, folder, "--force")
    accepted(tmp_path, folder, "--name others")


def test_targets_of_other_names_than_the_samples_columns_are_called_alike(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train = train.drop(columns="topic").assign(money=["0", "1"] * 30, art=["1", "1", "0"] * 20)
    sample = sample.drop(columns="topic").assign(a="0.5", b="0.5")
    save(folder, train=train, test=test, sample_submission=sample)
    asked = ["--target", "money", "--target", "art"]
    for flags in ([], asked):  # which of them is which, nobody can know
        assert "alike in both files" in refusal(tmp_path, folder, capsys, *flags)
    save(folder, train=train.rename(columns={"money": "a", "art": "b"}))
    accepted(tmp_path, folder, "")


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("split", "Part it into two files, train.csv and test.csv, by that column"),
        ("half", "part it into two files, train.csv and test.csv"),
    ],
)
def test_one_file_with_all_rows_is_parted(tmp_path, capsys, column, told):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    names = ("train", "test") if column == "split" else ("one", "two")
    parts = zip((train, test), names, strict=True)
    save(folder, all=pd.concat([each.assign(**{column: name}) for each, name in parts]))
    assert told in refusal(tmp_path, folder, capsys)
    as_they_are(folder, (train, test, sample))
    accepted(tmp_path, folder, "")


def test_a_sample_without_rows_may_be_left_out(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample.head(0))
    assert "a sample submission may be left out" in refusal(tmp_path, folder, capsys)
    (folder / "sample_submission.csv").unlink()
    accepted(tmp_path, folder, "")


def test_a_table_that_names_the_classes_is_no_input(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    names = pd.DataFrame({"topic": ["money", "art", "state"], "name": ["M", "A", "S"]})
    save(folder, train=train, test=test, sample_submission=sample, names=names)
    accepted(tmp_path, folder, "")
    assert "joins" not in (tmp_path / "configs" / "topics.yaml").read_text(encoding="utf-8")
