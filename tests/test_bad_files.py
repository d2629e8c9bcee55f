"""Files as they come in: read to the letter or refused, by every command, to the submission."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.base.files import sha256
from pipeline.ensemble import __main__ as ensemble
from pipeline.folds import __main__ as folds
from pipeline.oof.predictions import read_fold
from tests.nightly import nightly
from tests.quick import quick

WORDS = ["강아지", "고양이", "나무", "하늘", "바다", "산", "강", "꽃", "별", "달"]
CONFIG = """
name: toy
data: {{train: train.csv, test: test.csv, sample_submission: sample.csv}}
columns: {{id: id, texts: [text], targets: [label]}}
task: {{problem: {problem}, metric: {metric}, classes: {classes}, submit: {submit}}}
folds: {{count: {count}, groups: exact}}
"""


class Folder:
    """A competition of Korean texts that tell their class, whose files can be spoiled."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.train = [["id", "text", "label"]]
        self.train += [[f"tr{n}", sentence(n), "pos" if n % 2 else "neg"] for n in range(24)]
        self.test = [["id", "text"], *([f"te{n}", sentence(n + 100)] for n in range(6))]
        self.sample = [["id", "label"], *([f"te{n}", "neg"] for n in range(6))]
        self.classes, self.problem, self.metric = ["neg", "pos"], "binary", "accuracy"
        self.count, self.submit = 3, "label"

    def write(self, encoding: str = "utf-8", end: str = "\n") -> None:
        for name in ("train", "test", "sample"):
            text = as_csv(getattr(self, name)).replace("\n", end)
            (self.root / f"{name}.csv").write_bytes(text.encode(encoding))
        self.configure()

    def configure(self) -> None:
        quick(self.root)
        facts = {name: getattr(self, name) for name in ("problem", "metric", "count", "submit")}
        classes = json.dumps(self.classes, ensure_ascii=False)
        text = CONFIG.format(classes=classes, **facts)
        (self.root / "configs" / "default.yaml").write_text(text, encoding="utf-8")

    def call(self, command, *more: str) -> int:
        where = [str(self.root), "--name", "other"] if command is init else []
        model = ["--model", "linear", "--no-weights"] if command is cv else []
        return run(command.main, [*where, "--root", str(self.root), *model, *more])

    def submission(self) -> list[list[str]]:
        (path,) = (self.root / "submissions").glob("*.csv")
        return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))

    def predictions(self) -> list[str]:
        return [sha256(path) for path in sorted(self.root.glob("oof/**/*.npz"))]


def sentence(n: int) -> str:
    side = ["나쁘다", "좋다"][n % 2]
    return " ".join([*(WORDS[(n * k + k) % 10] for k in range(1, 4)), side, str(n)])


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def whole_way(folder: Folder, *more: str) -> None:
    for command in (cv, ensemble):
        assert folder.call(command, *more) == 0


# --- 15: encodings

COMMANDS = [init, folds, cv, ensemble]


@pytest.mark.parametrize("encoding", ["cp949", nightly("utf-16")])
def test_every_command_names_file_guess_and_option_and_then_reads_the_same_rows(
    folder, capsys, encoding
):
    folder.write()
    whole_way(folder)
    expected = folder.predictions()
    folder.write(encoding)
    for command in COMMANDS:
        asked = ["--encoding", "utf-8"] if command is init else []
        assert folder.call(command, *asked) == 3
        message = capsys.readouterr().err
        assert "train.csv is not utf-8" in message
        assert "test.csv is not utf-8" in message
        if command is init:
            assert f"Say so with --encoding train.csv={encoding}, or convert" in message
        else:
            assert f"Say so with --data.encoding {encoding} (in the config: " in message
        assert "Traceback" not in message
    assert folder.call(init) == 0  # which finds it
    assert f"encoding: {encoding}" in (folder.root / "configs" / "other.yaml").read_text()
    whole_way(folder, "--data.encoding", encoding)
    assert folder.call(cv, "--data.encoding", encoding, "--fresh", "--yes") == 0
    assert folder.predictions() == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_takes_korean_for_latin_letters(folder, capsys, command):
    folder.write()
    folder.call(cv)
    folder.write("cp949")
    option = "--encoding" if command is init else "--data.encoding"
    assert folder.call(command, option, "latin-1") == 3
    assert "train.csv is not latin-1; it looks like CP949 (EUC-KR)" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_byte_order_mark_changes_nothing(folder):
    folder.write()
    whole_way(folder)
    expected = folder.predictions()
    folder.write("utf-8-sig")
    (folder.root / "submissions").rename(folder.root / "before")
    assert folder.call(cv, "--fresh", "--yes") == 0
    assert folder.call(ensemble) == 0
    assert folder.predictions() == expected
    assert folder.submission()[0] == ["id", "label"]
    assert folder.call(init) == 0


@pytest.mark.parametrize("encoding", ["cp949", "utf-16"])
def test_a_config_that_is_not_utf_8_is_named(folder, capsys, encoding):
    folder.write()
    path = folder.root / "configs" / "default.yaml"
    path.write_bytes(path.read_text(encoding="utf-8").replace("toy", "장난감").encode(encoding))
    assert folder.call(cv) == 2
    message = capsys.readouterr().err
    assert f"the config {path} is not UTF-8 (line " in message
    assert "Save it as UTF-8" in message


def test_a_fold_file_that_is_not_utf_8_is_named(folder, capsys):
    folder.write()
    (folder.root / "own.csv").write_bytes("id,fold\n가나다라마바사,1\n".encode("cp949"))
    assert folder.call(cv, "--folds.file", "own.csv") == 3
    assert "own.csv is not UTF-8, it looks like cp949. Save it as UTF-8" in capsys.readouterr().err


# --- 16: lines


@pytest.mark.nightly
def test_all_line_ends_give_the_same_predictions(folder):
    found = []
    folder.train[3][1] += "\n둘째 줄"  # in quotes; its own line end is the same in every file
    for end in ("\n", "\r\n", "\r"):
        folder.write()
        content = as_csv(folder.train).replace("\n둘째", "\v둘째").replace("\n", end)
        (folder.root / "train.csv").write_bytes(content.replace("\v둘째", "\n둘째").encode())
        assert folder.call(cv, "--fresh", "--yes") == 0
        found.append(folder.predictions())
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text,label\ntr0,a,neg,more\n", "surplus fields (the header has 3): line 2 has 4"),
        ("id,text,label\ntr0,a\n", "missing fields (the header has 3): line 2 has 2"),
        ('id,text,label\ntr0,"a,neg\ntr1,b,pos\n', "unbalanced quotes"),
        ("id,text,text,label\ntr0,a,b,neg\n", "stand twice in the header (line 1): 'text'"),
        ("id,text,label\n", "there is a header (line 1) but no row below it"),
        ("", "train.csv is empty"),
    ],
)
def test_a_broken_table_ends_with_3_and_its_line(folder, capsys, content, message):
    folder.write()
    (folder.root / "train.csv").write_text(content)
    for command in (folds, cv):
        assert folder.call(command) == 3
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error


# --- 17: words that look like nothing

NOTHING = ["NA", "None", "null", "nan", "N/A"]


def test_words_that_look_missing_are_texts_and_classes_like_any_other(folder, capsys):
    folder.classes, folder.problem = NOTHING, "multiclass"
    for n, row in enumerate(folder.train[1:]):
        row[1] = f"{NOTHING[n % 5]} {WORDS[n % 10]}" if n % 4 else NOTHING[n % 5]
        row[2] = NOTHING[n % 5]
    folder.test[1:] = [[f"te{n}", NOTHING[n % 5]] for n in range(6)]
    folder.sample[1:] = [[f"te{n}", "NA"] for n in range(6)]
    folder.write()
    whole_way(folder)
    assert [row[1] for row in folder.submission()[1:]] == [NOTHING[n % 5] for n in range(6)]
    assert folder.call(init, "--json") == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sorted(answer["competition"]["task"]["classes"]) == sorted(NOTHING)


# --- 18: ids

AWKWARD = ["007", "1e5", "12345678901234567890123", "0x1F", " 8 ", "1.0"]


def test_ids_come_out_as_they_went_in(folder):
    folder.test[1:] = [[row_id, sentence(n)] for n, row_id in enumerate(AWKWARD)]
    folder.sample[1:] = [[row_id, "neg"] for row_id in reversed(AWKWARD)]
    folder.write()
    whole_way(folder)
    assert [row[0] for row in folder.submission()[1:]] == AWKWARD[::-1]


def test_numbers_in_parquet_and_texts_in_csv_are_the_same_ids(folder):
    folder.sample[1:] = [[str(2**60 + n), "neg"] for n in range(6)]
    folder.write()
    frame = pd.DataFrame(
        {"id": [2**60 + n for n in range(6)], "text": [sentence(n) for n in range(6)]}
    )
    frame.to_parquet(folder.root / "test.parquet")
    whole_way(folder, "--data.test", "test.parquet")
    assert [row[0] for row in folder.submission()[1:]] == [str(2**60 + n) for n in range(6)]


def test_doubled_and_missing_ids_end_with_3_and_the_first_five(folder, capsys):
    for n in range(2, 20, 2):
        folder.train[n][0] = folder.train[n - 1][0]
    folder.train[22][0] = ""
    folder.write()
    assert folder.call(cv) == 3
    message = capsys.readouterr().err
    assert "rows without an id: row 22" in message
    assert "ids that stand more than once: tr0 (2 times), tr2 (2 times), tr4 (2 times), " in message
    assert "tr8 (2 times) and 4 more" in message


# --- 19: labels


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "column 'label': no label: id tr4"),
        ("nan", "a class that is not in task.classes: id tr4 ('nan')"),
        ("Pos", "a class that is not in task.classes: id tr4 ('Pos')"),
    ],
)
def test_a_label_that_is_none_ends_with_3_and_its_id(folder, capsys, label, message):
    folder.train[5][2] = label
    folder.write()
    assert folder.call(cv) == 3
    assert message in capsys.readouterr().err


def test_a_missing_label_column_ends_with_3_and_the_nearest(folder, capsys):
    folder.train[0][2] = "lable"
    folder.write()
    assert folder.call(cv) == 3
    assert "no column 'label'; the nearest is 'lable'; it has id, text, lable" in (
        capsys.readouterr().err
    )


@pytest.mark.nightly
def test_labels_with_spaces_are_the_same_labels_and_told(folder, capsys):
    folder.write()
    whole_way(folder)
    expected = folder.predictions()
    folder.train[5][2] = f" {folder.train[5][2]} "
    folder.write()
    assert folder.call(ensemble, "--dry-run") == 0
    assert "labels with outer spaces, read without: id tr4" in capsys.readouterr().out
    assert folder.call(cv, "--fresh", "--yes") == 0
    assert folder.predictions() == expected


def test_the_order_of_the_classes_is_kept_with_the_folds_and_may_not_change(folder, capsys):
    folder.write()
    folder.call(cv)
    folder.classes = folder.classes[::-1]
    folder.configure()
    for command in (folds, cv, ensemble):
        assert folder.call(command) == 5
        assert "task.classes was ['neg', 'pos'] when the folds were frozen" in (
            capsys.readouterr().err
        )


@pytest.mark.parametrize("labels", [("0.0", "1.0"), ("false", "true")])
def test_binary_labels_of_any_spelling_come_back_in_the_samples_spelling(folder, labels):
    folder.classes = list(labels)
    for n, row in enumerate(folder.train[1:]):
        row[2] = labels[n % 2]
    for row in folder.sample[1:]:
        row[1] = labels[0]
    folder.write()
    whole_way(folder)
    assert {row[1] for row in folder.submission()[1:]} <= set(labels)


# --- 20: the sample submission


def test_the_submission_has_the_samples_order_and_header(folder):
    folder.sample = [["Id", "Predicted"], *([f"te{n}", "neg"] for n in (3, 0, 5, 1, 4, 2))]
    folder.write()
    whole_way(folder)
    found = folder.submission()
    assert [row[0] for row in found] == [row[0] for row in folder.sample]
    assert found[0] == ["Id", "Predicted"]
    by_id = {row[0]: row[1] for row in found[1:]}
    assert by_id == {f"te{n}": ["neg", "pos"][n % 2] for n in range(6)}


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            ["te0", "te1", "te2", "te3", "te4"],
            "1 ids of the test file are not in it (if it shows some rows only, set",
        ),
        (
            ["te0", "te1", "te2", "te3", "te4", "te5", "x", "y"],
            "2 of its ids are not in the test file: x, y",
        ),
        (
            ["te0", "te0", "te1", "te2", "te3", "te4", "te5"],
            "ids that stand more than once: te0 (2 times)",
        ),
    ],
)
def test_a_sample_with_other_ids_ends_with_3_and_nothing_is_written(folder, capsys, ids, message):
    folder.write()
    folder.call(cv)
    folder.sample[1:] = [[row_id, "neg"] for row_id in ids]
    folder.write()
    for command in (cv, ensemble):
        assert folder.call(command) == 3
        assert f"sample.csv: {message}" in capsys.readouterr().err
    assert not (folder.root / "submissions").exists()


# --- 21: rare classes


def rare(folder: Folder, labels: Sequence[str]) -> None:
    folder.problem, folder.classes = "multiclass", ["b", "rare", "a"]
    folder.train[1:] = [
        [f"tr{n}", f"{label} {sentence(n)}", label] for n, label in enumerate(labels)
    ]
    folder.submit, folder.metric = "value", "log-loss"
    folder.sample = [["id", "a", "b", "rare"], *([f"te{n}", "0", "0", "1"] for n in range(6))]
    folder.write()


def test_a_class_with_fewer_rows_than_folds_keeps_its_column_in_every_fold(folder, capsys):
    folder.count = 4
    rare(folder, ["a"] * 11 + ["b"] * 11 + ["rare"] * 2)
    assert folder.call(folds) == 0
    whole_way(folder)
    shapes, held_out = [], []
    for path in sorted(folder.root.glob("oof/**/*.npz")):
        fold, _ = read_fold(path)
        shapes.append(fold.valid.shape[1])
        held_out.append(sum(row_id in ("tr22", "tr23") for row_id in fold.valid_ids))
        np.testing.assert_allclose(fold.valid.sum(axis=1), 1, atol=1e-5)
        assert (fold.valid[:, 1] > 0).all()
    assert shapes == [3, 3, 3, 3]
    assert sorted(held_out) == [0, 0, 1, 1], "and some fold holds none of it out"
    header, *rows = folder.submission()
    assert header == ["id", "a", "b", "rare"]
    values = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-4)
    passport = json.loads((folder.root / "folds" / "toy.json").read_text())
    assert any("class 'rare' stands in 2 groups of rows" in note for note in passport["notes"])


def test_all_classes_with_fewer_rows_than_folds_can_still_be_trained(folder):
    folder.count = 4
    rare(folder, ["a", "b", "rare"] * 2)
    whole_way(folder)
    held_out = [
        row_id
        for path in sorted(folder.root.glob("oof/**/*.npz"))
        for row_id in read_fold(path)[0].valid_ids
    ]
    assert sorted(held_out) == [f"tr{n}" for n in range(6)]
    assert [row[0] for row in folder.submission()] == ["id", *(f"te{n}" for n in range(6))]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 9 + ["b"] * 9 + ["rare"], "class 'rare' of train.csv has a single row (tr18)"),
        (["a"] * 9 + ["b"] * 9, "train.csv has no row of class 'rare'"),
        (["a"], "train.csv has 1 row, fewer than the 3 folds. Get more rows"),
        (["a", "b"], "train.csv has 2 rows, fewer than the 3 folds. Get more rows"),
    ],
)
def test_what_no_fold_could_learn_ends_with_3_and_a_way_out(folder, capsys, labels, message):
    rare(folder, labels)
    for command in (folds, cv):
        assert folder.call(command) == 3
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("label", ["2.5", "0"])
def test_a_constant_label_ends_with_3(folder, capsys, label):
    folder.problem, folder.metric, folder.classes, folder.submit = "regression", "rmse", [], "auto"
    for row in folder.train[1:]:
        row[2] = label
    folder.write()
    assert folder.call(cv) == 3
    assert f"every row of train.csv has label {label}: there is nothing to learn" in (
        capsys.readouterr().err
    )


def test_a_fraction_is_no_class(folder, capsys):
    folder.classes = ["0", "1"]
    for n, row in enumerate(folder.train[1:]):
        row[2] = ["0", "0.7"][n % 2]
    folder.write()
    assert folder.call(cv) == 3
    assert "a class that is not in task.classes: id tr1 ('0.7')" in capsys.readouterr().err
