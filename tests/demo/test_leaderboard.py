"""The leaderboard of the built-in competition says what a real one would have said."""

import csv
import json
from pathlib import Path

import pytest

from demo.leaderboard import ANSWERS, leaderboard, main, newest, promised, report
from pipeline.base.errors import DataError, UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def answers():
    with ANSWERS.open(encoding="utf-8", newline="") as stream:
        return {row["id"]: float(row["label"]) for row in csv.DictReader(stream)}


def submission(folder, targets, name="demo-001-mean.csv"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    lines = [f"{row_id},{target}\n" for row_id, target in targets.items()]
    path.write_text("".join(["id,target\n", *lines]), encoding="utf-8")
    return path


def test_the_answers_themselves_score_one_whatever_their_order_and_scale(tmp_path, answers):
    shuffled = {row_id: 7 - 2 * answers[row_id] for row_id in sorted(answers, reverse=True)}
    scores = leaderboard(submission(tmp_path, shuffled))
    assert scores == pytest.approx({"public": -1, "private": -1, "all": -1})


def test_the_halves_are_different_rows(tmp_path, answers):
    with ANSWERS.open(encoding="utf-8", newline="") as stream:
        public = {row["id"] for row in csv.DictReader(stream) if row["half"] == "public"}
    right_there = {name: label if name in public else -label for name, label in answers.items()}
    scores = leaderboard(submission(tmp_path, right_there))
    assert scores["public"] == pytest.approx(1)
    assert scores["private"] == pytest.approx(-1)
    assert -1 < scores["all"] < 1


def test_a_submission_that_does_not_fit_is_told_with_every_problem(tmp_path, answers):
    targets = {f"demo-test-{place:04}": 1.0 for place in range(399)}
    path = submission(tmp_path, {**targets, "demo-test-0003": "nan", "demo-test-9999": 2.0})
    with path.open("a", encoding="utf-8") as stream:
        stream.write("demo-test-0000,1.0\n")
    with pytest.raises(DataError) as caught:
        leaderboard(path)
    assert str(caught.value).splitlines() == [
        f"{path} would be refused:",
        "  - 1 ids stand there more than once, first demo-test-0000",
        "  - 1 test rows have no line, first demo-test-0399",
        "  - 1 ids are not those of test rows, first demo-test-9999",
        "  - 1 targets are not finite numbers, first demo-test-0003",
    ]


def test_a_constant_submission_has_no_score(tmp_path, answers):
    path = submission(tmp_path, dict.fromkeys(answers, 0.0))
    with pytest.raises(DataError) as caught:
        leaderboard(path)
    assert str(caught.value) == f"{path} has no Pearson score: all predictions are the same"


def test_another_files_columns_are_named(tmp_path):
    with pytest.raises(DataError, match="has the columns id, source, sentence_1, sentence_2;"):
        leaderboard(ROOT / "demo" / "test.csv")


def test_the_newest_submission_is_the_one_with_the_highest_number(tmp_path):
    for name in ("demo-009-mean.csv", "demo-010-best.csv", "other-011-mean.csv"):
        submission(tmp_path, {}, name)
    assert newest(tmp_path).name == "demo-010-best.csv"


def test_without_a_submission_it_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match=r"Make one: python -m pipeline\.cv"):
        newest(tmp_path)


def test_it_sets_the_promise_beside_the_leaderboard(tmp_path, answers, capsys):
    path = submission(tmp_path / "submissions", answers)
    beside = {"scores": {"honest": 0.81234, "in_sample": 0.9, "metric": "pearson"}}
    path.with_suffix(".json").write_text(json.dumps(beside), encoding="utf-8")
    assert main(["--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "demo-001-mean.csv: Pearson",
        "",
        "  0.9000  cross-validation, weights fitted on the rows they are scored on",
        "  0.8123  cross-validation, honest: what to expect",
        "  1.0000  leaderboard while the competition runs (public half)",
        "  1.0000  leaderboard at the end (private half)",
        "  1.0000  all test rows",
    ]


def test_a_submission_without_provenance_is_scored_all_the_same(tmp_path):
    path = submission(tmp_path, {})
    scores = {"public": 0.5, "private": 0.25, "all": 0.375}
    assert promised(path) == {}
    assert "cross-validation: unknown" in report(path, scores, promised(path))


def test_nothing_but_the_leaderboard_reads_the_answers():
    code = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "demo").glob("*.py")]
    readers = {file.name for file in code if "answers.csv" in file.read_text(encoding="utf-8")}
    assert readers == {"generate.py", "leaderboard.py"}
