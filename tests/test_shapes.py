"""Competition files in the shapes that organisers hand out, from the folder to the submission."""

import json
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline import cv, init, ledger, predict, rebuild
from pipeline.base import Competition, DataError
from pipeline.base.command import run
from pipeline.base.parser import read_section
from pipeline.data.tables import load
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from tests.nightly import nightly
from tests.quick import quick

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
    """The cells of the file that the whole way ends in, its header first.

    Of three folds, not of five as init proposes: they are trained and blended in 60 % of the time.
    """
    where, file = ["--root", str(root)], root / "configs" / "topics.yaml"
    assert run(init.main, [str(folder), *where, "--name", "topics", *flags]) == 0
    file.write_text(file.read_text("utf-8").replace("count: 5", "count: 3"), "utf-8")
    quick(root)
    config = ["--config", str(file)]
    assert run(cv.main, [*where, *config, "--model", "linear"]) == 0
    assert run(ensemble.main, [*where, *config]) == 0
    files = (root / "submissions").glob("topics-001-*")
    (file,) = [path for path in files if path.suffix != ".json"]
    return [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]


def test_files_that_were_written_with_their_index(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, index=True, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert lines[0] == ["", "id", "topic"]
    assert [line[:2] for line in lines[1:]] == [[str(row), f"00{900 + row}"] for row in range(12)]
    assert {line[2] for line in lines[1:]} == {"money", "art", "state"}


@pytest.mark.nightly
def test_an_index_is_no_answer_where_the_sample_calls_the_target_otherwise(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    sample = sample.rename(columns={"topic": "target"})
    save(folder, index=True, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert lines[0] == ["", "id", "target"]
    assert [line[0] for line in lines[1:]] == [str(row) for row in range(12)]
    assert {line[2] for line in lines[1:]} == {"money", "art", "state"}


@pytest.mark.nightly
def test_ids_of_both_texts_of_a_pair_do_not_name_the_row(tmp_path):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    for start, frame in ((100, train), (900, test)):
        frame["#1 ID"] = [str(start + 2 * row) for row in range(len(frame))]
        frame["#2 ID"] = [str(start + 2 * row + 1) for row in range(len(frame))]
        frame["#2 title"] = [f"{text} again" for text in frame["title"]]
    train = train.drop(columns="id")
    save(folder, train=train, test=test.rename(columns={"id": "index"}))
    lines = submission(tmp_path, folder)
    assert lines[0] == ["index", "topic"]
    assert [line[0] for line in lines[1:]] == [f"00{900 + row}" for row in range(12)]


# Numbers written another way, and files that are separated another way: so is the submission.


def german(folder: Path) -> None:
    """Semicolons, commas for the point, in the label, a further column and the sample."""
    train, test, sample = competition(folder)
    train["topic"] = [f"{row % 4},{row % 7}5" for row in range(60)]
    for frame in (train, test):
        frame["length"] = [f"1.{row % 9}00,5" for row in range(len(frame))]
    for name, frame in (("train", train), ("test", test), ("sample_submission", sample)):
        frame = frame.assign(topic="0,0") if name[0] == "s" else frame
        frame.to_csv(folder / f"{name}.csv", index=False, sep=";")


def test_commas_for_the_point_are_read_and_written(tmp_path, capsys):
    german(tmp_path / "data")
    (header,), *rows = submission(tmp_path, tmp_path / "data")
    assert header == "id;topic"
    assert all(re.fullmatch(r"00\d+;\d", row[0]) and len(row) == 2 for row in rows)
    said = " ".join(capsys.readouterr().out.split())
    assert "another way: topic (as 0,05 for 0.05); length (as 1.000,5 for 1000.5)." in said
    config = read_section(Competition, tmp_path / "configs" / "topics.yaml")
    assert config.task.problem == "regression"
    tables = load(config, tmp_path)
    assert tables.train.targets[:5, 0].tolist() == [0.05, 1.15, 2.25, 3.35, 0.45]
    assert tables.test.features["length"][:2].tolist() == ["1000.5", "1100.5"]


def test_percent_signs_and_tabs_of_the_sample_are_those_of_the_submission(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["topic"] = [f"{row % 50 + 0.5} %" for row in range(60)]
    save(folder, train=train, test=test)
    sample.assign(topic="10 %").to_csv(folder / "sample_submission.tsv", index=False, sep="\t")
    (header,), *rows = submission(tmp_path, folder)
    assert header == "id\ttopic"
    assert all(re.fullmatch(r"00\d+\t[\d.]+ %", row[0]) for row in rows)
    (file,) = (tmp_path / "submissions").glob("*.tsv")
    where = ["--root", str(tmp_path)]
    written = file.read_bytes()
    assert run(rebuild.main, [file.name, *where]) == 0
    file.unlink()
    assert run(rebuild.main, [file.stem, *where]) == 0
    assert file.read_bytes() == written
    config = ["--config", str(tmp_path / "configs" / "topics.yaml")]
    assert run(ledger.main, ["add", file.name, *where, *config]) == 0
    assert run(doctor.main, [*where]) == 0
    out = tmp_path / "new.tsv"
    assert (
        run(predict.main, [str(folder / "test.csv"), "--with", file.name, "-o", str(out), *where])
        == 0
    )
    assert out.read_bytes() == written


@pytest.mark.nightly
def test_probabilities_in_percent_are_a_hundred_times_as_large(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test)
    wide = sample[["id"]].assign(money="33,3%", art="33,3%", state="33,3%")
    wide.to_csv(folder / "sample_submission.txt", index=False, sep="|")
    (header,), *rows = submission(tmp_path, folder, "--metric", "log-loss")
    assert header == "id|money|art|state"
    cells = [",".join(row).split("|")[1:] for row in rows]
    values = [[float(cell.removesuffix("%").replace(",", ".")) for cell in row] for row in cells]
    assert all(sum(row) == pytest.approx(100, abs=0.01) for row in values)


# What test has where labels would be, and samples that show nothing.


@pytest.mark.nightly
def test_an_empty_column_of_the_sample_for_one_of_two_words_gets_words(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["topic"] = train["topic"].replace("state", "art")
    save(folder, train=train, test=test, sample_submission=sample.assign(topic=""))
    lines = submission(tmp_path, folder)
    assert [line[1] for line in lines[1:]] == ["money", "art", "art"] * 4


def test_the_label_in_words_is_no_feature_where_test_has_a_mark_for_it(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    train["label"] = train["topic"].factorize()[0].astype(str)
    train = train.rename(columns={"topic": "label_text"})
    save(folder, train=train, test=test.assign(label_text="unknown", label="-1"))
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 0
    config = read_section(Competition, tmp_path / "configs" / "topics.yaml")
    assert config.columns.features == []
    assert config.columns.targets == ["label"]
    assert "The label in another form: label_text" in " ".join(capsys.readouterr().out.split())


def test_a_word_in_every_row_of_test_stands_for_the_numbers_to_predict(tmp_path):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    for place, name in enumerate(("anger", "joy")):
        train[name] = [str((row >> place) % 2) for row in range(60)]
    train = train.drop(columns="topic")
    save(folder, train=train, test=test.assign(anger="NONE", joy="NONE"))
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 0
    config = read_section(Competition, tmp_path / "configs" / "topics.yaml")
    assert config.columns.targets == ["anger", "joy"]
    assert config.task.problem == "multilabel"


# Several files that are one table; a file or a folder for each class.


@pytest.mark.parametrize(
    "names",
    [
        ["train_1.csv", "train_2.csv"],
        nightly(["train-00000-of-00002.csv", "train-00001-of-00002.csv"]),
    ],
)
def test_train_in_two_files_is_found_and_read_as_one(tmp_path, names, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    for name, rows in zip(names, (train[:30], train[30:]), strict=True):
        rows.to_csv(folder / name, index=False)
    save(folder, test=test, sample_submission=sample)
    assert len(submission(tmp_path, folder)) == 13
    said = " ".join(capsys.readouterr().out.split())
    assert f"2 files that are one table, from {names[0]} to {names[1]}" in said
    assert "60 train, 12 test" in said
    (provenance,) = (tmp_path / "submissions").glob("*.json")
    assert f'"data/{names[0][:6]}*' in provenance.read_text(encoding="utf-8")


@pytest.mark.nightly
@pytest.mark.parametrize("form", ["{role}_{what}.txt", "{what}-{role}.txt"])
def test_a_file_of_texts_and_one_of_labels_are_a_table_by_their_lines(tmp_path, form, capsys):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    columns = {"text": train["title"], "labels": train["topic"]}
    files = {form.format(role="train", what=what): cells for what, cells in columns.items()}
    for name, cells in {**files, form.format(role="test", what="text"): test["title"]}.items():
        (folder / name).write_text("\r\n".join(cells) + "\r\n", encoding="utf-8")
    lines = submission(tmp_path, folder)
    assert lines[0] == ["id", "labels"]
    assert [line[0] for line in lines[1:3]] == ["test-1", "test-2"]
    assert [line[1] for line in lines[1:]] == ["money", "art", "state"] * 4
    assert "A line of each is a row: " in " ".join(capsys.readouterr().out.split())
    config = read_section(Competition, tmp_path / "configs" / "topics.yaml")
    short = folder / Path(next(iter(files))).name
    short.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"have not as many lines: .*\b60\b"):
        load(config, tmp_path)


def test_a_file_of_each_class_is_no_column(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, test=test, sample_submission=sample)
    for name in ("train_pos.txt", "train_neg.txt"):
        (folder / name).write_text("\n".join(train["title"]), encoding="utf-8")
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 2
    assert "2 files could be it" in capsys.readouterr().err


@pytest.mark.nightly
def test_versions_of_a_file_are_asked_about(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train.to_csv(folder / "train_1.csv", index=False)
    train.assign(title=train["title"] + " mended").to_csv(folder / "train_2.csv", index=False)
    save(folder, test=test, sample_submission=sample)
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 2
    assert "--train FILE: 2 files could be it" in capsys.readouterr().err
    assert len(submission(tmp_path, folder, "--train", "train_2.csv")) == 13


@pytest.mark.nightly
def test_a_folder_for_each_class_holds_the_labels(tmp_path):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    (folder / "test").mkdir()
    for number, row in enumerate(train.itertuples()):
        (folder / "train" / row.topic).mkdir(parents=True, exist_ok=True)
        (folder / "train" / row.topic / f"{number}_7.txt").write_text(row.title, encoding="utf-8")
    for number, title in enumerate(test["title"]):
        (folder / "test" / f"{number}.txt").write_text(title, encoding="utf-8")
    lines = submission(tmp_path, folder)
    assert sorted(line[0] for line in lines[1:]) == sorted(map(str, range(12)))
    assert {line[1] for line in lines[1:]} == {"money", "art", "state"}


@pytest.mark.nightly
def test_essays_of_train_and_test_in_text_files_and_labels_in_a_table(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    for name, frame in (("train", train), ("test", test)):
        (folder / name).mkdir()
        for row in frame.itertuples():
            (folder / name / f"{row.id}.txt").write_text(row.title, encoding="utf-8")
    save(folder, train_labels=train[["id", "topic"]], sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert {line[1] for line in lines[1:]} == {"money", "art", "state"}


@pytest.mark.parametrize("with_ids", [nightly(True), False])
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


@pytest.mark.nightly
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([], id="found"),
        pytest.param(["--encoding", "cp949"], id="of all"),
        pytest.param(["--encoding", "train.csv=cp949"], id="of one"),
    ],
)
def test_one_file_in_utf_8_beside_others_in_cp949(tmp_path, flags):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, test=test.assign(title="가격 " + test["title"]))
    train["title"] = "가격 " + train["title"]
    for name, frame in (("train", train), ("sample_submission", sample)):
        frame.to_csv(folder / f"{name}.csv", index=False, encoding="cp949")
    assert len(submission(tmp_path, folder, *flags)) == 13
    config = (tmp_path / "configs" / "topics.yaml").read_text(encoding="utf-8")
    assert "encoding: cp949" in config
    if not flags:
        assert "By its bytes: train.csv cp949. --encoding FILE=NAME says otherwise." in config


def test_the_id_stays_where_the_sample_has_it(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample[["topic", "id"]])
    lines = submission(tmp_path, folder)
    assert lines[:2] == [["topic", "id"], ["money", "00900"]]


def config_of(root: Path, folder: Path) -> Competition:
    assert run(init.main, [str(folder), "--root", str(root), "--name", "topics"]) == 0
    return read_section(Competition, root / "configs" / "topics.yaml")


def test_a_folder_of_several_tables_is_one_table(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, sample_submission=sample)
    for role, frame in (("train", train), ("test", test)):
        (folder / role).mkdir()
        save(folder / role, ko=frame.iloc[::2], en=frame.iloc[1::2])
    config = config_of(tmp_path, folder)
    assert config.data.train == "data/train/*.csv"
    read = load(config, tmp_path)
    assert read.train.ids.tolist() == [*train["id"][1::2], *train["id"][::2]]
    assert read.test.ids.tolist() == [*test["id"][1::2], *test["id"][::2]]


def test_both_texts_of_a_pair_are_joined_by_their_ids(tmp_path):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    texts = pd.DataFrame({"doc": [f"d{row}" for row in range(60)], "body": train["title"]})
    pairs = [
        frame[["id"]].assign(
            left=[f"d{row}" for row in range(len(frame))],
            right=[f"d{59 - row}" for row in range(len(frame))],
        )
        for frame in (train, test)
    ]
    pairs[0]["same"] = ["0", "1"] * 30
    save(folder, train=pairs[0], test=pairs[1], texts=texts)
    config = config_of(tmp_path, folder)
    assert config.columns.texts == ["left_body", "right_body"]
    read = load(config, tmp_path)
    assert read.train.texts[1].tolist() == [train["title"][1], train["title"][58]]


def test_the_sheet_that_is_a_table_is_read(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, test=test, sample_submission=sample)
    with pd.ExcelWriter(folder / "train.xlsx") as book:
        pd.DataFrame({"About": ["the rows", "of train"]}).to_excel(book, sheet_name="README")
        pd.DataFrame().to_excel(book, sheet_name="empty")
        train.to_excel(book, sheet_name="rows", index=False)
        test.to_excel(book, sheet_name="more", index=False)
    config_of(tmp_path, folder)
    said = capsys.readouterr().out
    assert "only its sheet 'rows' is read, not 'README', 'empty', 'more'" in " ".join(said.split())


@pytest.mark.parametrize("key", ["{id}_{name}", nightly("{name}:{id}")])
def test_a_sample_whose_keys_join_ids_and_columns(tmp_path, key):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    names = ["content_score", "wording_score"]
    train = train.drop(columns="topic").assign(
        **{
            name: [f"{(row + step) % 3 * step / 2}" for row in range(60)]
            for step, name in enumerate(names, 1)
        }
    )
    keys = [key.format(id=each, name=name) for name in names for each in test["id"]]
    sample = pd.DataFrame({"row_id": keys, "score": "0.0"})
    save(folder, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert lines[0] == ["row_id", "score"]
    assert [line[0] for line in lines[1:]] == keys
    config = " ".join((tmp_path / "configs" / "topics.yaml").read_text().replace("#", "").split())
    assert f"The sample's keys join it with the names of columns, as in {keys[0]!r}." in config
    assert "first column" not in config
    found = {key: float(value) for key, value in lines[1:]}
    for step, name in enumerate(names, 1):
        for row, each in enumerate(test["id"]):
            right = (row + step) % 3 * step / 2
            assert abs(found[key.format(id=each, name=name)] - right) < 0.4


def test_targets_of_words_and_of_numbers_are_two_competitions(tmp_path, capsys):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train["price"], sample["price"] = [f"{row / 7:.3f}" for row in range(60)], "0.5"
    save(folder, train=train, test=test, sample_submission=sample)
    where = [str(folder), "--root", str(tmp_path)]
    assert run(init.main, [*where, "--name", "topics"]) == 2
    assert "--target topic, and then once more --target for the others" in capsys.readouterr().err
    assert run(init.main, [*where, "--name", "topics", "--problem", "heads"]) == 2
    assert "more than 50 different numbers (candidates: 'price')" in capsys.readouterr().err
    assert run(init.main, [*where, "--name", "topics", "--target", "topic"]) == 0
    assert run(init.main, [*where, "--name", "prices", "--target", "price"]) == 0


# How a table is written, and what files and columns are called.


def with_bars(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False, sep="|")


def with_comments(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        text = f"# version 1, of 2024\n# licence: CC BY\n{frame.to_csv(index=False)}"
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")


def for_excel(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        text = f"sep=;\n{frame.to_csv(index=False, sep=';')}"
        (folder / f"{name}.csv").write_text(text, encoding="utf-8-sig")


def under_their_ids(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        rows = frame.set_index("id").to_dict("index")
        rows = rows if name != "sample_submission" else frame.to_dict("records")
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")


def in_korean(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    names = {"train": "학습데이터", "test": "평가데이터", "sample_submission": "제출양식"}
    for name, frame in frames.items():
        written = unicodedata.normalize("NFD", names[name])  # as macOS does
        frame.to_csv(folder / f"{written}.csv", index=False, encoding="utf-8-sig")


def in_other_case(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    frames["train"] = frames["train"].rename(columns={"id": "ID", "title": "Title "})
    save(folder, **frames)


def with_labels_beside(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    train = frames.pop("train")
    dev = train.head(9).assign(id=[f"d{row}" for row in range(9)], title="the song is at last new")
    save(folder, **frames)
    for name, frame in (("train", train), ("development", dev)):
        save(folder, **{name: frame[["id", "title"]], f"{name}_labels": frame[["id", "topic"]]})


@pytest.mark.parametrize(
    ("write", "ids"),
    [
        pytest.param(with_bars, "id", id="bars"),
        pytest.param(with_comments, "id", id="comments"),
        pytest.param(for_excel, "id", id="for Excel"),
        pytest.param(under_their_ids, "id", id="under ids"),
        pytest.param(in_korean, "id", id="Korean"),
        pytest.param(in_other_case, "ID", id="case"),
        pytest.param(with_labels_beside, "id", id="labels beside"),
    ],
)
def test_every_way_to_write_a_table_is_read(tmp_path, write, ids):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    write(folder, {"train": train.copy(), "test": test, "sample_submission": sample})
    config = config_of(tmp_path, folder)
    assert config.columns.id == ids
    read = load(config, tmp_path)
    classes = ["art", "money", "state"]
    assert config.task.classes == classes
    assert sorted(read.train.texts[:, 0]) == sorted(train["title"])
    label_of = dict(zip(read.train.ids, read.train.targets[:, 0].astype(int), strict=True))
    assert [classes[label_of[each]] for each in train["id"]] == train["topic"].tolist()
    assert read.test.ids.tolist() == read.sample.ids.tolist() == test["id"].tolist()
    assert read.test.texts[:, 0].tolist() == test["title"].tolist()
    if write is with_labels_beside:
        assert read.holdout.ids.tolist() == [f"d{row}" for row in range(9)]


@pytest.mark.nightly
def test_columns_of_the_sample_may_have_a_beginning_and_an_end_beside_the_class(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    columns = [f"P({name})" for name in ("state", "art", "money")]
    sample = sample[["id"]].assign(**dict.fromkeys(columns, "0.3"))
    save(folder, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    assert lines[0] == ["id", *columns]
    likeliest = [columns[max(range(3), key=lambda at: float(line[1 + at]))] for line in lines[1:]]
    assert likeliest == ["P(money)", "P(art)", "P(state)"] * 4


@pytest.mark.nightly
def test_a_sample_without_header_is_written_so(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test)
    sample.to_csv(folder / "sample_submission.csv", index=False, header=False)
    lines = submission(tmp_path, folder, "--names", "sample_submission.csv=id,topic")
    assert lines == list(map(list, zip(test["id"], ["money", "art", "state"] * 4, strict=True)))


@pytest.mark.parametrize("names", [["train", "test", "holdout", "extra_train"], ["train", "test"]])
def test_a_table_beside_all_rows_reaches_those_that_the_config_names(tmp_path, names):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    prompts = pd.DataFrame({"prompt_id": ["p0", "p1"], "prompt": ["say it loud", "say it low"]})
    for frame in (train, test):
        frame["prompt_id"] = [f"p{row % 2}" for row in range(len(frame))]
    more = {}
    for place, name in enumerate(("dev", "more")):
        again = [f"{text} {name}" for text in train["title"][:9]]
        more[name] = train.head(9).assign(id=[f"{name}{row}" for row in range(9)], title=again)
        more[name]["prompt_id"] = f"p{place}"
    save(folder, train=train, test=test, prompts=prompts, **more)
    asked = [str(folder), "--root", str(tmp_path), "--name", "topics", "--extra", "more.csv"]
    assert run(init.main, asked) == 0
    config = read_section(Competition, tmp_path / "configs" / "topics.yaml")
    assert config.data.joins[0].to == ["train", "test", "holdout", "extra_train"]
    (join,) = config.data.joins
    data = replace(config.data, joins=[replace(join, to=names)])
    if len(names) == 2:  # as configs had it: extra rows get what train has
        data = replace(data, holdout=[])
    read = load(replace(config, data=data), tmp_path)

    def prompts_of(table):
        texts = dict(zip(config.columns.texts, table.texts.T, strict=True))
        return {*texts.get("prompt", table.features.get("prompt"))}

    assert prompts_of(read.extra) == {"say it low"}
    assert read.holdout is None or prompts_of(read.holdout) == {"say it loud"}
    assert (read.holdout is None) == (len(names) == 2)


def test_a_file_per_row_in_folders_of_training_and_validation(tmp_path):
    folder = tmp_path / "data"
    train, test, _ = competition(folder)
    for role, frame in (("Training", train), ("Validation", test.assign(topic="art"))):
        (folder / role).mkdir()
        for row, (own, title, topic) in enumerate(frame.to_numpy().tolist()):
            text = json.dumps({"info": {"id": own}, "title": title, "topic": topic})
            (folder / role / f"r{row}.json").write_text(text, encoding="utf-8")
    where = [str(folder), "--root", str(tmp_path), "--name", "topics", "--target", "topic"]
    assert run(init.main, [*where, "--test", "Validation/*.json"]) == 0
    config = read_section(Competition, tmp_path / "configs" / "topics.yaml")
    assert config.data.train == "data/Training/r*.json"
    assert config.data.holdout == [], "it is the test file"
    read = load(config, tmp_path)
    assert (config.columns.id, len(read.train)) == ("info.id", 60)
    assert sorted(read.test.ids) == test["id"].tolist()


@pytest.mark.nightly
def test_rows_that_are_named_by_their_texts(tmp_path):
    folder = tmp_path / "data"
    train, test, sample = competition(folder)
    train, test = (frame.drop(columns="id") for frame in (train, test))
    train["title"] = train["title"] + " of the day"
    test["title"] = test["title"] + " of the night"
    sample = pd.DataFrame({"title": test["title"], "topic": "art"})
    save(folder, train=train, test=test, sample_submission=sample)
    lines = submission(tmp_path, folder)
    right = ["money", "art", "state"] * 4
    assert lines[1:] == list(map(list, zip(test["title"], right, strict=True)))
