"""Arrays of objects, objects in cells, tables called .txt, and Excel files."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from pipeline.base.errors import DataError
from pipeline.data.reading.json_lines import parse_jsonl
from pipeline.data.reading.reader import column_names, read, read_file
from tests.nightly import nightly

ROWS = [
    {"guid": "a-0", "labels": {"label": 3.7, "real-label": 3.714285714285714, "binary": 1}},
    {"guid": "a-1", "labels": {"label": 0.0, "real-label": 0.25, "binary": 0}},
]
NAMES = ["guid", "labels.label", "labels.real-label", "labels.binary"]
CELLS = [["a-0", "3.7", "3.714285714285714", "1"], ["a-1", "0.0", "0.25", "0"]]


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.json", json.dumps(ROWS, indent=2)),
        ("train.json", json.dumps({"version": "1.1", "data": ROWS})),
        ("train.json", "\n".join(map(json.dumps, ROWS))),
        ("train.jsonl", "\n".join(map(json.dumps, ROWS))),
    ],
    ids=["array", "list of an object", "lines called .json", "lines"],
)
def test_the_fields_of_an_object_are_columns(tmp_path, name, content):
    path = written(tmp_path / name, content)
    assert read_file(path).columns.tolist() == NAMES
    assert read_file(path).to_numpy().tolist() == CELLS
    assert column_names(path) == NAMES


@pytest.mark.parametrize("orient", ["columns", "list"])
def test_a_table_that_is_written_column_by_column(tmp_path, orient):
    rows = pd.DataFrame({"id": ["07", "8"], "text": ["a", "b"], "label": [1, 0]})
    path = tmp_path / "train.json"
    content = rows.to_json() if orient == "columns" else json.dumps(rows.to_dict("list"))
    path.write_text(content, encoding="utf-8")
    assert read_file(path).to_numpy().tolist() == [["07", "a", "1"], ["8", "b", "0"]]


@pytest.mark.parametrize(
    "content", ['{"id": "1", "text": "a"}', '{"id": {"x": 1}, "text": {"x": 2}}']
)
def test_one_object_is_one_row(tmp_path, content):
    path = tmp_path / "train.json"
    path.write_text(content, encoding="utf-8")
    assert len(read_file(path)) == 1


def test_parquet_structures_are_columns_too(tmp_path):
    pd.DataFrame(ROWS).to_parquet(tmp_path / "a.parquet")
    assert sorted(read_file(tmp_path / "a.parquet").columns) == sorted(NAMES)
    assert sorted(column_names(tmp_path / "a.parquet")) == sorted(NAMES)
    assert read_file(tmp_path / "a.parquet")[NAMES].to_numpy().tolist() == CELLS


def test_a_column_that_is_no_object_everywhere_stays_json(tmp_path):
    path = written(tmp_path / "a.json", '[{"a": {"b": 1}}, {"a": [2]}, {"a": null}]')
    assert read_file(path).to_numpy().tolist() == [['{"b": 1}'], ["[2]"], [""]]


def test_no_name_stands_twice(tmp_path):
    path = written(tmp_path / "a.json", '[{"a": {"b": 1}, "a.b": 2}]')
    assert read_file(path).to_numpy().tolist() == [['{"b": 1}', "2"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"a": 1}, 2]', "not a JSON object, such as {...}: element 2"),
        ('[{"a": 1},\n {"a" 2}]', "not JSON: line 2 (Expecting ':' delimiter at character 7)"),
        ("[" * 99_999, "nested too deeply"),
        ("[]", "no row below it"),
    ],
)
def test_a_broken_array_is_refused_with_its_place(tmp_path, content, said):
    with pytest.raises(DataError, match=r"a\.json cannot be read") as caught:
        read_file(written(tmp_path / "a.json", content))
    assert said in str(caught.value)


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_table_called_txt_is_read(tmp_path, separator):
    path = written(tmp_path / "ratings_train.txt", f"id{separator}document\n1{separator}NA\n")
    assert read_file(path).to_numpy().tolist() == [["1", "NA"]]


def test_an_array_of_texts_is_one_column(tmp_path):
    path = tmp_path / "test.json"
    path.write_text('["a b", "NA", ""]', encoding="utf-8")
    assert read_file(path).to_dict("list") == {"text": ["a b", "NA", ""]}
    path.write_text('["a b", 7]', encoding="utf-8")
    with pytest.raises(DataError, match="not a JSON object"):
        read_file(path)


@pytest.fixture
def book(tmp_path) -> Path:
    made = Workbook()
    rows = [
        ["id", "text", "label", "when", None],
        ["007", "NA", 3, datetime(2026, 1, 2, 3, 4), None],
        [8, "글 \u2028", 2.5, None, True],
        [None, None, None, None, None],
    ]
    for row in rows:
        made.active.append(row)
    made.create_sheet("notes").append(["read me"])
    made.save(tmp_path / "train.xlsx")
    return tmp_path / "train.xlsx"


def test_the_sheet_of_an_excel_file_is_read_as_it_is_stored(book):
    reading = read(book)
    assert reading.frame.columns.tolist() == ["id", "text", "label", "when", "Unnamed: 4"]
    assert reading.frame.to_numpy().tolist() == [
        ["007", "NA", "3", "2026-01-02T03:04:00", ""],
        ["8", "글 \u2028", "2.5", "", "true"],
    ]
    assert reading.notes == ["only its sheet 'Sheet' is read, not 'notes'"]
    assert column_names(book)[:2] == ["id", "text"]


def test_a_damaged_excel_file_says_so(book):
    book.write_bytes(book.read_bytes()[:-30])
    with pytest.raises(DataError, match="is not an Excel file, or is damaged"):
        read_file(book)


@pytest.mark.parametrize("processes", [1, nightly(20)])
def test_a_process_that_refuses_a_parquet_file_ends_with_its_own_code(tmp_path, processes):
    """Read through an open file, one process in ten aborted at its end (status 134)."""
    pd.DataFrame({"labels": [["joy"], ["fear"]] * 50}).to_parquet(tmp_path / "a.parquet")
    code = (
        "from pathlib import Path; from pipeline.data.reading.reader import read_file; "
        f"read_file(Path({str(tmp_path / 'a.parquet')!r})); raise SystemExit(3)"
    )
    for _ in range(processes):
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3


class Counted(str):
    """A text that counts how often all of it is looked through."""

    scans = 0

    def __contains__(self, part):
        self.scans += 1
        return super().__contains__(part)


def test_a_file_is_looked_through_as_often_for_a_thousand_rows_as_for_one():
    scans = []
    for rows in (1, 1000):
        text = Counted('{"id": 1, "text": "가"}\n' * rows)
        assert len(parse_jsonl(text)[0]) == rows
        scans.append(text.scans)
    assert scans[0] == scans[1]


@pytest.mark.parametrize("older", [False, True])
def test_numbers_of_tags_in_parquet_have_the_names_that_the_file_says(tmp_path, older):
    classes = {"names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}
    tags = [classes] if older else {"feature": classes, "_type": "Sequence"}
    features = {"ner_tags": tags, "label": classes, "tokens": [{"dtype": "string"}]}
    table = pa.table({"tokens": [["Ann", "B"], []], "ner_tags": [[1, 2], []], "label": [1, 0]})
    noted = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(noted), tmp_path / "train.parquet")
    found = read(tmp_path / "train.parquet")
    assert found.frame["ner_tags"].tolist() == ['["B-PER", "I-PER"]', "[]"]
    assert found.frame["label"].tolist() == ["1", "0"]
    assert any("0 is O, 1 is B-PER, 2 is I-PER" in note for note in found.notes)
    for other in ("no json", json.dumps({"info": None})):
        noted = {"huggingface": other}
        pq.write_table(table.replace_schema_metadata(noted), tmp_path / "other.parquet")
        assert read(tmp_path / "other.parquet").frame["ner_tags"].tolist() == ["[1, 2]", "[]"]
