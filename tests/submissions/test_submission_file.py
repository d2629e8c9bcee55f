import csv
import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, TaskConfig
from pipeline.base.errors import BusyError, DataError
from pipeline.base.leases import lease
from pipeline.data.reading.delimited import Layout
from pipeline.data.sample import LongForm, Sample
from pipeline.problems.label_texts import NumberForm
from pipeline.submissions.submission_file import answers_under_ids, build, check, existing, write


def sample_of(ids, columns=("target",), fill="0.0"):
    values = np.full((len(ids), len(columns)), fill, dtype=object)
    return Sample(
        id_column="id", columns=list(columns), ids=np.array(ids, dtype=object), values=values
    )


def test_rows_are_joined_on_id_in_the_samples_order():
    sample = sample_of(["b", "c", "a"])
    content = build(sample, ["a", "b", "c"], {"target": ["1", "2", "3"]})
    assert content == b"id,target\nb,2\nc,3\na,1\n"


def test_columns_that_are_not_filled_keep_the_samples_texts_and_place():
    sample = sample_of(["a"], ["usage", "target"], fill="Public")
    assert build(sample, ["a"], {"target": ["1"]}) == b"id,usage,target\na,Public,1\n"


def test_a_row_per_class_is_filled_with_numbers_written_as_the_sample_writes_them():
    ids, names = np.repeat(["x", "y"], 2).tolist(), ["a", "b"] * 2
    frame = pd.DataFrame({"id": ids, "class": names, "chance": ["0,5"] * 4}, dtype=object)
    sample = replace(
        sample_of(["x", "y"], ["a", "b"], fill="0,5"),
        file_form=LongForm(frame=frame, ids=ids, names=names, value_column="chance", told=""),
        numbers={"chance": NumberForm.of("1,5")},
        layout=Layout(separator=";"),
    )
    content = build(sample, ["y", "x"], {"a": ["0.25", "1"], "b": ["0.75", "0"]})
    assert content == b"id;class;chance\nx;a;1\nx;b;0\ny;a;0,25\ny;b;0,75\n"


AWKWARD = [
    "007",
    "a,b",
    'say "hi"',
    "two\nlines",
    "=1+1",
    "@home",
    "-5",
    "1e5",
    "한국어",
    " x ",
    "",
]


def test_awkward_ids_and_classes_read_back_as_they_were():
    sample = sample_of(AWKWARD)
    content = build(sample, AWKWARD, {"target": AWKWARD[::-1]})
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    assert rows == [["id", "target"], *map(list, zip(AWKWARD, AWKWARD[::-1], strict=True))]
    frame = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    assert frame["id"].tolist() == AWKWARD


def test_lines_end_in_lf_and_formulas_are_left_alone():
    content = build(sample_of(["=cmd"]), ["=cmd"], {"target": ["+1"]})
    assert content == b"id,target\n=cmd,+1\n"


@pytest.mark.parametrize(
    ("ids", "sample_ids", "message"),
    [
        (["a"], ["a", "b"], "1 ids of the sample submission have no prediction, first 'b'"),
        (["a", "z"], ["a"], "1 predicted ids are not in the sample submission, first 'z'"),
        (["a", "a"], ["a"], "1 ids stand more than once in the test file, first 'a'"),
        (["a"], ["a", "a"], "1 ids stand more than once in the sample submission, first 'a'"),
        (["1"], ["1.0"], "first '1.0'"),
    ],
)
def test_ids_that_do_not_fit_one_to_one_are_refused(ids, sample_ids, message):
    with pytest.raises(DataError) as caught:
        check(ids, sample_ids, np.zeros((len(ids), 1)))
    assert message in str(caught.value)


def test_all_problems_are_told_at_once_with_five_examples():
    ids = [f"x{i}" for i in range(7)]
    with pytest.raises(DataError) as caught:
        check(ids, ["a"], np.array([[np.nan]] + [[1.0]] * 5 + [[np.inf]]))
    assert str(caught.value) == (
        "no submission was written:\n"
        "  - 1 ids of the sample submission have no prediction, first 'a'\n"
        "  - 7 predicted ids are not in the sample submission, "
        "first 'x0', 'x1', 'x2', 'x3', 'x4'\n"
        "  - 2 rows have a prediction that is not finite, first 'x0', 'x6'"
    )


def test_files_are_numbered_and_their_provenance_lies_beside_them(tmp_path):
    first = write(tmp_path, "toy", "mean", b"id,target\na,1\n", {"members": ["linear"]})
    second = write(tmp_path, "toy", "greedy", b"id,target\na,2\n", {})
    assert [first.path.name, second.path.name] == ["toy-001-mean.csv", "toy-002-greedy.csv"]
    assert first.path.read_bytes() == b"id,target\na,1\n"
    beside = json.loads(first.path.with_suffix(".json").read_text())
    digest = hashlib.sha256(b"id,target\na,1\n").hexdigest()
    assert beside == {"file": "toy-001-mean.csv", "sha256": digest, "members": ["linear"]}


def test_the_same_bytes_are_not_written_twice(tmp_path):
    first = write(tmp_path, "toy", "mean", b"same", {"n": 1})
    again = write(tmp_path, "toy", "greedy", b"same", {"n": 2})
    assert again.path == first.path
    assert (first.reused, again.reused) == (False, True)
    assert json.loads(first.path.with_suffix(".json").read_text())["n"] == 1
    assert len(list(tmp_path.glob("*.csv"))) == 1


def expecting(*parts: str, honest: float = 0.9) -> dict:
    return {"n": len(parts), "scores": {"honest": honest, "expected": dict.fromkeys(parts, 0)}}


def test_the_same_bytes_get_the_ranges_that_were_not_known_then(tmp_path):
    first = write(tmp_path, "toy", "mean", b"same", expecting("test"))
    again = write(tmp_path, "toy", "mean", b"same", expecting("test", "public", "private"))
    assert (again.reused, again.refreshed) == (True, True)
    beside = json.loads(first.path.with_suffix(".json").read_text())
    assert list(beside["scores"]["expected"]) == ["test", "public", "private"]
    assert (beside["n"], beside["file"]) == (1, first.path.name)
    for fewer in (expecting("test"), expecting("test", "public", "private", "more", honest=0.8)):
        assert not write(tmp_path, "toy", "mean", b"same", fewer).refreshed
    assert json.loads(first.path.with_suffix(".json").read_text()) == beside


def test_the_same_file_made_in_the_same_way_gets_todays_score(tmp_path):
    """Else the score that an earlier version told would stand beside it for good."""
    way = {"requested": "auto", "method": "mean", "passport": "p"}
    way["members"] = [{"name": "m0", "parts": {"seed-1/fold-0": "digest"}}]
    first = write(tmp_path, "toy", "mean", b"same", way | expecting("test", honest=0.9615))
    other = way | {"requested": "mean"} | expecting("test", honest=0.97)
    assert not write(tmp_path, "toy", "mean", b"same", other).refreshed
    members = way | {"members": [{"name": "m0", "parts": {"seed-1/fold-0": "another digest"}}]}
    for told in (members, way | {"members": []}):
        again = write(tmp_path, "toy", "mean", b"same", told | expecting("test", honest=0.97))
        assert not again.refreshed
    today = way | expecting("test", honest=0.9608) | {"message": "honest 0.9608"}
    assert write(tmp_path, "toy", "mean", b"same", today).refreshed
    beside = json.loads(first.path.with_suffix(".json").read_text())
    assert (beside["scores"], beside["message"]) == (today["scores"], "honest 0.9608")
    assert not write(tmp_path, "toy", "mean", b"same", today).refreshed


def test_a_file_without_an_honest_score_gets_the_ranges_that_were_not_known_then(tmp_path):
    write(tmp_path, "toy", "mean", b"same", expecting("test", honest=None))
    more = expecting("test", "public", honest=None)
    assert write(tmp_path, "toy", "mean", b"same", more).refreshed


def test_two_files_of_nobody_are_not_made_in_the_same_way(tmp_path):
    """Without members nothing says that both came about alike."""
    way = {"requested": "auto", "method": "mean", "passport": "p", "members": []}
    write(tmp_path, "toy", "mean", b"same", way | expecting("test", honest=0.96))
    other = way | expecting("test", honest=0.97)
    assert not write(tmp_path, "toy", "mean", b"same", other).refreshed


def test_a_file_that_lost_its_provenance_to_a_kill_gets_it(tmp_path):
    first = write(tmp_path, "toy", "mean", b"same", {"n": 1})
    first.path.with_suffix(".json").unlink()
    again = write(tmp_path, "toy", "mean", b"same", {"n": 2})
    assert again.path == first.path
    assert json.loads(first.path.with_suffix(".json").read_text())["n"] == 2


def test_no_number_is_used_twice_even_after_a_file_was_deleted_in_between(tmp_path):
    for content in (b"1", b"2", b"3"):
        write(tmp_path, "toy", "mean", content, {})
    (tmp_path / "toy-002-mean.csv").unlink()
    assert write(tmp_path, "toy", "mean", b"4", {}).path.name == "toy-004-mean.csv"


def test_other_competitions_and_other_files_do_not_count(tmp_path):
    (tmp_path / "toy-extra-009-mean.csv").write_text("x")
    (tmp_path / "notes.csv").write_text("x")
    write(tmp_path, "toy-two", "mean", b"x", {})
    assert existing(tmp_path, "toy") == {}
    assert write(tmp_path, "toy", "mean", b"x", {}).path.name == "toy-001-mean.csv"


def test_two_writers_at_once_are_told_apart(tmp_path):
    with lease(tmp_path / ".toy.lease", "a submission"), pytest.raises(BusyError):
        write(tmp_path, "toy", "mean", b"x", {})
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("test", "sample", "asked"),
    [
        ("test.json", "", True),
        ("test.json", "sample.csv", False),
        ("test.csv", "sample.json", True),
        ("test.csv", "", False),
    ],
)
def test_answers_are_written_under_ids_where_that_is_asked(tmp_path, test, sample, asked):
    path_of_csv = tmp_path / "c-001-mean.csv"
    path_of_csv.write_text('id,answer\nq1,"two, ""red"" lamps"\nq2,\nq3,램프\n', encoding="utf-8")
    data = DataConfig(train="a.json", test=test, sample_submission=sample)
    competition = Competition(
        name="c",
        data=data,
        columns=ColumnsConfig(id="id", texts=["text"], targets=["answer"], question="q"),
        task=TaskConfig(problem="span", metric="exact-match"),
    )
    found = answers_under_ids(path_of_csv, competition)
    assert bool(found) == asked
    for path in found:
        assert path == tmp_path / "c-001-mean" / "predictions.json"
        answers = json.loads(path.read_text(encoding="utf-8"))
        assert answers == {"q1": 'two, "red" lamps', "q2": "", "q3": "램프"}
