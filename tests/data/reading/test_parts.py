"""Tables of several files: parts with a number, a folder for each class, saved data sets."""

from pathlib import Path

import pandas as pd
import pyarrow
import pytest

from pipeline.base.errors import DataError
from pipeline.data.reading.parts import grouped, is_there
from pipeline.data.reading.reader import column_names, found_encoding, read


def parts(folder: Path, numbers: list[int], of: int = 3) -> Path:
    """Parts of one row each, which says its number."""
    for number in numbers:
        frame = pd.DataFrame({"id": [f"r{number}"], "text": [f"text {number}"]})
        frame.to_parquet(folder / f"train-{number:05}-of-{of:05}.parquet")
    return folder / f"train-*-of-{of:05}.parquet"


def test_parts_are_one_table_in_the_order_of_their_numbers(tmp_path):
    path = parts(tmp_path, [2, 0, 1])
    table = read(path, name="data/train-*-of-00003.parquet")
    assert table.frame["id"].tolist() == ["r0", "r1", "r2"]
    assert table.frame.index.tolist() == [0, 1, 2]
    first, last = (f"train-0000{number}-of-00003.parquet" for number in (0, 2))
    assert table.notes[0].startswith(f"3 files read as one table: {first}")
    assert table.notes[0].endswith(last)
    assert column_names(path) == ["id", "text"]


def test_numbers_are_not_sorted_as_texts(tmp_path):
    for number in (9, 10, 11):
        (tmp_path / f"train_{number}.csv").write_text(f"id,text\nr{number},a\n", encoding="utf-8")
    assert read(tmp_path / "train_*.csv").frame["id"].tolist() == ["r9", "r10", "r11"]


def test_a_missing_part_is_refused_with_what_to_do(tmp_path):
    path = parts(tmp_path, [0, 2])
    with pytest.raises(DataError, match=r"2 parts are there .* by their names there are 3") as told:
        read(path)
    assert "one as data.train (init: --train), the others as data.extra_train" in str(told.value)
    parts(tmp_path, [1])  # the first remedy
    assert len(read(path).frame) == 3


def test_parts_with_other_columns_are_refused(tmp_path):
    (tmp_path / "train_1.csv").write_text("id,text\n1,a\n", encoding="utf-8")
    (tmp_path / "train_2.csv").write_text("id,label\n2,a\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train_2.csv has the columns id, label; .*id, text"):
        read(tmp_path / "train_*.csv")


def test_without_a_part_the_pattern_is_said(tmp_path):
    assert not is_there(tmp_path / "train_*.csv")
    assert not is_there(tmp_path / "train.csv")
    assert is_there(tmp_path)
    assert is_there(parts(tmp_path, [1]))
    with pytest.raises(DataError, match="called so with a number in place of the star"):
        read(tmp_path / "train_*.csv")


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["train_1.csv", "train_2.csv"], "train_*.csv"),
        (["train_part01.csv", "train_part02.csv"], "train_part*.csv"),
        (["a-00000-of-00002.parquet", "a-00001-of-00002.parquet"], "a-*-of-00002.parquet"),
        (["2024_train_1.csv", "2024_train_2.csv"], "2024_train_*.csv"),
        (["train_v1.csv", "train_v2.csv"], None),
        (["train_1.csv", "train_5.csv"], None),
        (["train.csv", "train_2.csv"], None),
        (["train_1.csv", "test_2.csv"], None),
    ],
)
def test_what_names_say_of_parts(names, pattern):
    assert grouped(names) == ({pattern: names} if pattern else {})


@pytest.mark.parametrize("form", [pyarrow.ipc.new_stream, pyarrow.ipc.new_file])
def test_a_saved_data_set_is_read_in_both_forms_of_arrow(tmp_path, form):
    path = tmp_path / "data-00000-of-00001.arrow"
    table = pyarrow.table({"text": ["a", "b"], "label": [0, 1]})
    with pyarrow.OSFile(str(path), "wb") as file, form(file, table.schema) as writer:
        writer.write_table(table)
    assert read(path).frame.to_numpy().tolist() == [["a", "0"], ["b", "1"]]
    assert column_names(path) == ["text", "label"]
    path.write_bytes(b"no arrow")
    with pytest.raises(DataError, match="is not an arrow file, or is damaged"):
        read(path)


def test_a_folder_for_each_class_is_a_column(tmp_path):
    for place, kind in enumerate(["pos", "neg", "pos"]):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / f"{place}.txt").write_text(f"text {place}", encoding="utf-8")
    frame = read(tmp_path).frame
    assert frame.to_numpy().tolist() == [
        ["neg/1", "text 1", "neg"],
        ["pos/0", "text 0", "pos"],
        ["pos/2", "text 2", "pos"],
    ]
    assert column_names(tmp_path) == frame.columns.tolist()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp949", "utf-16", "cp1252"])
def test_the_bytes_of_a_file_show_its_encoding(tmp_path, encoding):
    text = {"ascii": "id,text\n1,plain\n", "cp1252": "id,text\n1,déjà vu à Noël\n"}
    path = tmp_path / "train.csv"
    path.write_bytes(text.get(encoding, "id,text\n1,안녕하세요\n").encode(encoding))
    assert found_encoding(path) == (None if encoding in ("utf-8", "ascii") else encoding)
    frame = read(path, found_encoding(path) or "utf-8").frame
    assert frame["text"].tolist()[0].isascii() == (encoding == "ascii")
