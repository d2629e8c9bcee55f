"""Where answers stand in their texts, and what a file of them may look like."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, TaskConfig
from pipeline.base.errors import UsageError
from pipeline.data.reading.reader import read
from pipeline.data.sample import sample_of_documents
from pipeline.data.spans import span_table
from pipeline.problems.span import References

COLUMNS = ColumnsConfig(id="id", texts=["text"], targets=["answer"], question="q")
COMPETITION = Competition(
    name="c",
    data=DataConfig(train="a", test="b", sample_submission=""),
    columns=COLUMNS,
    task=TaskConfig(problem="span", metric="exact-match"),
)


def table_of(rows: list[dict[str, str]], targets: list[str] | None = None):
    """The table of *rows*, problems, notes."""
    frame = pd.DataFrame([{"q": "Who?", **row} for row in rows], dtype=object)
    columns = replace(COLUMNS, targets=targets or COLUMNS.targets)
    competition = replace(COMPETITION, columns=columns)
    ids = np.array([f"r{row}" for row in range(len(frame))], dtype=object)
    return span_table("a.csv", frame, ids, competition, [], labelled=True)


def spans(table) -> list[tuple[str, int, int]]:
    """Of each reference the text's id, its first character and its last."""
    found = References.of(table.targets)
    return [
        (table.ids[begin].split("#")[0], *(int(table.units.place[row]) for row in (begin, end)))
        for begin, end in zip(found.begin, found.end, strict=True)
    ]


def test_an_answer_without_a_place_is_found_and_doubt_is_counted():
    table, problems, notes = table_of(
        [
            {"text": "Bo saw Eve", "answer": "Eve"},
            {"text": "Bo saw Bo", "answer": "Bo"},
            {"text": "nobody came", "answer": ""},
            {"text": "", "answer": ""},
        ]
    )
    assert problems == []
    assert spans(table) == [("r0", 7, 9), ("r1", 0, 1)]
    assert notes == ["answers that stand in their text more than once: the first counts: id r1"]
    assert table.units.document.tolist()[-1] == "r3", "a text without a character has one row"
    assert set(table.units.asked) == {"Who?"}


def test_a_place_says_which_one_and_a_wrong_place_is_mended_by_the_nearest():
    rows = [
        {"text": "Bo saw Bo, Bo", "answer": "Bo", "at": "7"},
        {"text": "Bo saw Bo, Bo", "answer": "Bo", "at": "10"},
        {"text": "Bo saw Eve", "answer": " Eve", "at": "6"},
    ]
    table, problems, notes = table_of(rows, ["answer", "at"])
    assert problems == []
    assert spans(table) == [("r0", 7, 8), ("r1", 11, 12), ("r2", 6, 9)]
    assert notes == ["answers that do not stand at their place: the nearest counts: id r1 (10: 11)"]


def test_several_references_stand_in_lists():
    rows = [
        {"text": "Bo Lee saw Eve", "answer": '["Bo Lee", "Bo"]', "at": "[0, 0]"},
        {"text": "nobody", "answer": "", "at": ""},
        {"text": "Eve", "answer": '["Eve"]', "at": "[0, 1]"},
    ]
    table, problems, _ = table_of(rows[:2], ["answer", "at"])
    assert problems == []
    assert spans(table) == [("r0", 0, 5), ("r0", 0, 1)]
    table, problems, _ = table_of(rows, ["answer", "at"])
    assert table is None
    assert "answers and places of answers that are not as many: id r2 (1 and 2)." in problems[0]


def test_answers_that_stand_nowhere_are_left_out_or_refused():
    good = [{"text": f"Bo {row}", "answer": "Bo"} for row in range(30)]
    lost = {"text": "Bo came", "answer": "Eve"}
    table, problems, notes = table_of([*good, lost])
    assert problems == []
    assert "r30" not in set(table.units.document)
    assert "left out, as the answer does not stand in the text: id r30 ('Eve')" in notes
    table, problems, _ = table_of([*good[:5], lost])
    assert table is None
    assert "the answers (column 'answer') of 1 of 6 rows do not stand in their texts" in problems[0]


def test_a_question_is_for_spans_alone():
    with pytest.raises(UsageError, match=r"leave columns\.question out"):
        replace(COMPETITION, task=TaskConfig(problem="regression", metric="rmse"))


def test_articles_with_paragraphs_become_rows_of_questions(tmp_path):
    """SQuAD's and KLUE-MRC's form; names of the latter."""
    paragraph = {
        "context": "Bo saw Eve.",
        "qas": [
            {
                "guid": "k-1",
                "question": "Who saw?",
                "question_type": 1,
                "is_impossible": False,
                "answers": [{"text": "Bo", "answer_start": 0}],
            },
            {
                "guid": "k-2",
                "question": "Why?",
                "question_type": 3,
                "is_impossible": True,
                "answers": [],
                "plausible_answers": [{"text": "Eve", "answer_start": 7}],
            },
        ],
    }
    article = {"title": "Bo", "source": "wiki", "paragraphs": [paragraph]}
    for held in ({"version": "1", "data": [article]}, [article], article):
        path = tmp_path / "train.json"
        path.write_text(json.dumps(held), encoding="utf-8")
        frame = read(path).frame
        assert frame["id"].tolist() == ["k-1", "k-2"]
        assert frame["context"].tolist() == ["Bo saw Eve."] * 2
        assert frame["answers.text"].tolist() == ['["Bo"]', ""]
        assert frame["answers.answer_start"].tolist() == ["[0]", ""]
        assert frame["title"].tolist() == ["Bo"] * 2
        assert "plausible_answers" not in frame.columns


def test_a_sample_may_be_an_answer_under_each_id(tmp_path):
    path = tmp_path / "sample.json"
    path.write_text('{"q2": "Bo", "q1": "", "id-7": "Eve"}', encoding="utf-8")
    sample = sample_of_documents(read(path).frame, "id", ["answer"], {}, path.name)
    assert (sample.id_column, sample.columns) == ("id", ["answer"])
    assert sample.ids.tolist() == ["q2", "q1", "id-7"]
    assert sample.values[:, 0].tolist() == ["Bo", "", "Eve"]
    row = pd.DataFrame([{"id": "q1", "answer": "Bo"}], dtype=object)
    alone = sample_of_documents(row, "id", ["answer"], {"id": "id", "answer": "answer"}, path.name)
    assert alone.ids.tolist() == ["q1"], "one row is one row"
