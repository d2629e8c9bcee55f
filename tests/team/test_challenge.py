"""The challenge: honest learners pass, one model of all rows and mixed-up folds do not."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.files import read_json
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.oof.runs import doubts_of
from pipeline.team.__main__ import main
from tests.blendable import Toy, make
from tests.team.files import send

N, M = 300, 60
Predict = Callable[[int, int], float]
"""(fold left out in training, row) -> what that learner says of the row."""


@pytest.fixture
def toy(tmp_path) -> Toy:
    return make(tmp_path, "regression", "pearson", n=N, m=M)


def learners(toy: Toy, memory: float) -> Predict:
    """Learners that remember a share *memory* of what the label holds beyond the text."""
    truth, fold = toy.truth["train"][:, 0], toy.folds.fold_of_row[0]
    read = truth + np.random.default_rng(1).normal(size=N)
    return lambda left_out, row: float(
        read[row] + (memory * (truth[row] - read[row]) if fold[row] != left_out else 0)
    )


def all_rows(toy: Toy) -> Predict:
    """One model that was trained on all rows."""
    honest = learners(toy, 0.9)
    return lambda left_out, row: honest(-1, row)


def own_fold(toy: Toy) -> Predict:
    """Learners that were trained on the fold that they predict, and on no other."""
    honest, fold = learners(toy, 0.9), toy.folds.fold_of_row[0]
    return lambda left_out, row: honest(-1 if fold[row] == left_out else fold[row], row)


def sent(toy: Toy, predict: Predict) -> Path:
    """The file of these learners."""
    folds = toy.folds.fold_of_row[0]
    train = [[predict(fold, row)] for row, fold in enumerate(folds.tolist())]
    test = toy.truth["test"] + np.random.default_rng(2).normal(size=(M, 1))
    return send(toy, {"train": np.array(train), "test": test})


def call(toy: Toy, *words: str) -> int:
    return run(main, [*words, "--root", str(toy.root), "--config", "toy"])


def answered(toy: Toy, predict: Predict, name: str = "anna") -> int:
    """Ask and answer; the exit code."""
    questions, answers = toy.root / "questions.csv", toy.root / "answers.csv"
    assert call(toy, "challenge", name, "--out", str(questions)) == 0
    texts = [str(text) for text in toy.tables.train.texts[:, 0]]
    row_of = {text: texts.index(text) for text in texts}
    with questions.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 2 * N
    with answers.open("w", encoding="utf-8", newline="") as stream:
        rows = [[line["id"], predict(int(line["fold"]), row_of[line["text0"]])] for line in lines]
        csv.writer(stream).writerows([["id", "pred"], *rows])
    return call(toy, "challenge", name, "--answer", str(answers))


def doubts(toy: Toy, name: str = "anna") -> list[str]:
    return [each.says for each in doubts_of(read_json(toy.paths.run_manifest(name)))]


def in_doubt(toy: Toy) -> None:
    """Make the audit of anna one that could not clear her labels."""
    path = toy.paths.run_manifest("anna")
    manifest = read_json(path)
    finding = {"check": "claims", "grade": "unproven", "says": "too good", "about": "labels"}
    manifest["team"]["audit"]["findings"].append(finding)
    manifest["team"]["audit"]["verdict"] = "unproven"
    path.write_text(json.dumps(manifest))


def test_honest_learners_pass_and_their_run_counts_again(toy, capsys):
    predict = learners(toy, 0.8)
    assert call(toy, "add", str(sent(toy, predict)), "--name", "anna") == 0
    toy.add_run("m0", 0.8)
    in_doubt(toy)
    assert doubts(toy) == ["too good"]
    assert answered(toy, predict) == 0
    page = capsys.readouterr().out
    assert "challenge  anna: passed" in page
    assert "verdict  in, by its audit it was unproven" in page
    assert doubts(toy) == []
    assert call(toy, "show", "anna") == 0
    assert "challenge  anna: passed" in capsys.readouterr().out
    assert run(ensemble, toy.arguments("--json", "--dry-run", "--method", "greedy")) == 0
    members = json.loads(capsys.readouterr().out)["members"]
    assert [each["name"] for each in members] == ["anna", "m0"]
    assert call(toy, "list", "--json") == 0
    runs = {each["run"]: each for each in json.loads(capsys.readouterr().out)["runs"]}
    assert runs["anna"]["verdict"] == "in, challenge passed"


def test_one_model_of_all_rows_fails(toy, capsys):
    predict = all_rows(toy)
    assert call(toy, "add", str(sent(toy, predict)), "--name", "anna", "--force") == 0
    assert answered(toy, predict) == 3
    page = capsys.readouterr().out
    assert "one learner answered for all folds" in page
    assert "verdict  out" in page
    assert "it stays stored and is in no honest score" in page
    assert run(ensemble, toy.arguments("--dry-run", "--runs", "anna")) == 2
    assert any("it failed the challenge" in says for says in doubts(toy))


def test_learners_of_their_own_fold_fail(toy, capsys):
    predict = own_fold(toy)
    assert call(toy, "add", str(sent(toy, predict)), "--name", "anna", "--force") == 0
    assert answered(toy, predict) == 3
    assert "The wrong way round" in capsys.readouterr().out


def test_honest_learners_cannot_answer_for_a_file_of_all_rows(toy, capsys):
    assert call(toy, "add", str(sent(toy, all_rows(toy))), "--name", "anna", "--force") == 0
    assert answered(toy, learners(toy, 0.8)) == 3
    assert "other learners answered" in capsys.readouterr().out


def test_learners_that_remember_next_to_nothing_prove_nothing(toy, capsys):
    predict = learners(toy, 0.02)
    assert call(toy, "add", str(sent(toy, predict)), "--name", "anna") == 0
    in_doubt(toy)
    assert answered(toy, predict) == 3
    assert "challenge  anna: no proof" in capsys.readouterr().out
    assert doubts(toy) == ["too good"]


def test_every_question_is_to_be_answered(toy, capsys):
    predict = learners(toy, 0.8)
    assert call(toy, "add", str(sent(toy, predict)), "--name", "anna") == 0
    assert answered(toy, predict) == 0
    answers = toy.root / "answers.csv"
    answers.write_text("\n".join(answers.read_text().splitlines()[:-3]))
    assert call(toy, "challenge", "anna", "--answer", str(answers)) == 3
    assert f"has {2 * N - 3} rows, {2 * N} were asked" in capsys.readouterr().err


def test_team_add_judges_the_answers_that_come_with_a_file(toy, capsys):
    predict = learners(toy, 0.8)
    path = str(sent(toy, predict))
    assert call(toy, "add", path, "--name", "anna") == 0
    in_doubt(toy)
    assert answered(toy, predict) == 0
    answers = str(toy.root / "answers.csv")
    capsys.readouterr()
    assert call(toy, "add", path, "--name", "anna", "--by", "A", "--answer", answers) == 0
    page = capsys.readouterr().out
    assert page.index("verdict  in") < page.index("challenge  anna: passed")
    assert call(toy, "add", path, "--name", "anna", "--passport", toy.folds.digest) == 0
    assert read_json(toy.paths.run_manifest("anna"))["team"]["challenge"]["verdict"] == "passed"
    assert answered(toy, all_rows(toy)) == 3
    assert call(toy, "add", path, "--name", "anna", "--answer", answers, "--json") == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["challenge"]["verdict"] == "failed"


def test_a_challenge_proves_no_folds(toy, capsys):
    predict = learners(toy, 0.8)
    assert call(toy, "add", str(sent(toy, predict)), "--name", "anna") == 0
    path = toy.paths.run_manifest("anna")
    manifest = read_json(path)
    manifest["team"]["proof"] = {"kind": "none", "says": "nothing"}
    path.write_text(json.dumps(manifest))
    assert answered(toy, predict) == 0
    page = capsys.readouterr().out
    assert "challenge  anna: passed" in page
    assert "verdict  unproven" in page
    assert "its score counts" not in page
    assert "python -m pipeline.ensemble --method mean" in page


def test_a_run_of_our_own_needs_no_proof(toy, capsys):
    toy.add_run("m0", 0.8)
    assert call(toy, "challenge", "m0", "--out", str(toy.root / "q.csv")) == 2
    assert "trained here" in capsys.readouterr().err
