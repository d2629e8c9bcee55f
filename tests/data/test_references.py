"""Right answers that are texts: several of a row, however the file has them."""

import json

import numpy as np
import pytest

from pipeline.base import DataError
from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.data import load

ROWS = [
    ("b", "one", "first"),
    ("a", "one", "second"),
    ("c", "two", 'third, "quoted"'),
    ("d", "one", "first"),
]


def competition(train: str) -> Competition:
    return Competition(
        name="texts",
        data=DataConfig(train=train, test="test.csv", sample_submission=""),
        columns=ColumnsConfig(id="id", texts=["input"], targets=["answer"]),
        task=TaskConfig(problem="text", metric="chrf"),
        folds=FoldsConfig(count=2),
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "test.csv").write_text("id,input\nt,three\n", encoding="utf-8")
    return tmp_path


def csv_of(rows) -> str:
    quoted = ['"' + answer.replace('"', '""') + '"' for _, _, answer in rows]
    lines = [f"{row},{text},{each}\n" for (row, text, _), each in zip(rows, quoted, strict=True)]
    return "id,input,answer\n" + "".join(lines)


@pytest.mark.parametrize("turned", [False, True])
def test_rows_of_one_input_are_one_row_whatever_their_order(folder, turned):
    rows = ROWS[::-1] if turned else ROWS
    (folder / "train.csv").write_text(csv_of(rows), encoding="utf-8")
    train = load(competition("train.csv"), folder).train
    found = dict(zip(train.ids.tolist(), train.references.tolist(), strict=True))
    assert found == {"a": ("first", "second"), "c": ('third, "quoted"',)}
    assert dict(zip(train.ids.tolist(), train.targets[:, 0].tolist(), strict=True)) == {
        "a": 5.5,
        "c": 15.0,
    }


def test_lists_in_cells_are_several_answers(folder):
    lines = [
        {"id": "a", "input": "one", "answer": ["first", "second"]},
        {"id": "c", "input": "two", "answer": "third"},
        {"id": "e", "input": "four", "answer": "[not a list"},
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "train.jsonl").write_text(content, encoding="utf-8")
    train = load(competition("train.jsonl"), folder).train
    assert train.references.tolist() == [("first", "second"), ("third",), ("[not a list",)]


def test_another_answer_has_other_targets_and_goes_with_its_row(folder):
    (folder / "train.csv").write_text(csv_of(ROWS), encoding="utf-8")
    whole = load(competition("train.csv"), folder).train
    assert whole.rows(np.array([1])).references.tolist() == [whole.references[1]]
    changed = [(*row[:2], row[2].replace("third", "thirt")) for row in ROWS]
    (folder / "train.csv").write_text(csv_of(changed), encoding="utf-8")
    other = load(competition("train.csv"), folder).train
    assert whole.targets[0].tolist() == other.targets[0].tolist()
    assert whole.targets[1, 0] == other.targets[1, 0]
    assert whole.targets[1, 1] != other.targets[1, 1]


def test_rows_without_an_answer_are_named(folder):
    (folder / "train.csv").write_text(csv_of([*ROWS, ("e", "x", " ")]), encoding="utf-8")
    with pytest.raises(DataError, match="column 'answer': no answer: id e"):
        load(competition("train.csv"), folder)
