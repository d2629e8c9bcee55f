"""A competition whose answers are texts, from files to a checked submission."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import api, cv, finalists, init, ledger, predict, rebuild, worth, wrapup
from pipeline.base.command import run
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.folds import __main__ as folds
from pipeline.oof.predictions import read_fold
from pipeline.report import __main__ as report
from pipeline.team import __main__ as team

NAMES = ["Anna", "Bert", "Cleo", "Dora", "Emil", "Fritz"]
PLACES = ["Rome", "Oslo", "Graz", "Bern"]
FORMS = ["{n} lives in {p}.", "In {p} lives {n}, who is {a}.", "{n}, who is {a}, is from {p}."]


def facts(number: int) -> tuple[str, list[str]]:
    """An input, and two right answers."""
    random = np.random.default_rng(number)
    name, place, age = random.choice(NAMES), random.choice(PLACES), 20 + number
    told = [form.format(n=name, p=place, a=age) for form in FORMS]
    return f"name[{name}] place[{place}] age[{age}]", [str(each) for each in told[number % 2 :][:2]]


def competition(root: Path) -> None:
    """A row per answer; six test rows."""
    rows = [(row, each) for row in range(36) for each in facts(row)[1]]
    lines = [f'{place},"{facts(row)[0]}","{answer}"\n' for place, (row, answer) in enumerate(rows)]
    (root / "train.csv").write_text("id,facts,text\n" + "".join(lines), encoding="utf-8")
    test = [f't{row},"{facts(row)[0]}"\n' for row in range(50, 56)]
    (root / "test.csv").write_text("id,facts\n" + "".join(test), encoding="utf-8")
    sample = [f"t{row},nobody lives here\n" for row in range(55, 49, -1)]
    (root / "sample_submission.csv").write_text("id,text\n" + "".join(sample), encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A competition with one complete run."""
    root = tmp_path_factory.mktemp("texts")
    competition(root)
    asked = ["--root", str(root), "--name", "facts", "--metric", "bleu", "--folds", "3"]
    assert run(init.main, [*asked, str(root)]) == 0
    assert run(cv.main, [*asking(root), "--model", "nearest"]) == 0
    return root


@pytest.fixture
def place(made, tmp_path) -> Path:
    """A copy of its own."""
    root = tmp_path / "facts"
    shutil.copytree(made, root)
    return root


def asking(root: Path) -> list[str]:
    return ["--root", str(root), "--config", str(root / "configs" / "facts.yaml")]


def parts(root: Path) -> list[Path]:
    return sorted(root.glob("oof/facts/nearest/seed-42/*.npz"))  # of the first run alone


def test_answers_of_one_input_are_held_out_together(made):
    config = (made / "configs" / "facts.yaml").read_text(encoding="utf-8")
    assert "problem: text" in config
    whole = [read_fold(path)[0] for path in parts(made)]
    held = [row for fold in whole for row in fold.valid_ids.tolist()]
    assert sorted(held, key=int) == [str(2 * row) for row in range(36)], "a row per input"
    for fold in whole:
        answers = [each for row in fold.valid_ids for each in facts(int(row) // 2)[1]]
        own = {each for each in answers if "who is" in each}
        said = {text for row in fold.texts["valid"].texts for text in row}
        assert not own & said, "no learner has seen the answers of the rows that it predicts"
        assert len(fold.texts["test"]) == 6
        assert all(np.isfinite(logs).all() for logs in fold.texts["valid"].log_probabilities)
    manifest = json.loads((made / "oof/facts/nearest/run.json").read_text(encoding="utf-8"))
    assert 0.3 < manifest["oof_score"] < 1
    assert len(manifest["fold_scores"]) == 3


def test_runs_go_on_and_start_over_to_the_same_bytes(place, capsys):
    before = {path: path.read_bytes() for path in (place / "oof").rglob("fold-*") if path.is_file()}
    assert len(before) == 3 * 4, "lines of held-out and test rows, arrays, manifest"
    for path in (place / "oof").rglob("fold-1*"):
        path.unlink()
    (place / "oof/facts/nearest/run.json").unlink()
    assert run(cv.main, [*asking(place), "--model", "nearest"]) == 0
    assert "2 of 3 finished before" in capsys.readouterr().out
    kept = {path: content for path, content in before.items() if path.suffix != ".json"}
    assert {path: path.read_bytes() for path in kept} == kept
    assert run(cv.main, [*asking(place), "--model", "nearest", "--fresh", "--yes"]) == 0
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_kill_between_lines_and_arrays_leaves_nothing_that_counts(place):
    shutil.rmtree(place / "runs")  # what was trained must not be taken up
    before = {path: path.read_bytes() for path in place.rglob("fold-1*") if path.is_file()}
    kept = {path: content for path, content in before.items() if path.suffix != ".json"}
    for path in before:
        path.unlink()
    command = [sys.executable, "-m", "pipeline.cv", *asking(place), "--model", "nearest"]
    fault = {**os.environ, "PIPELINE_FAULT": "commit-replace:7:kill9"}
    killed = subprocess.run(command, env=fault, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = {path.name for path in (place / "oof").rglob("fold-1*")}
    assert left <= {"fold-1-valid.jsonl", "fold-1-test.jsonl"}, "lines, and no more"
    assert run(cv.main, [*asking(place), "--model", "nearest"]) == 0
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_lines_that_are_not_as_written_are_found(place, capsys, harm):
    lines = parts(place)[1].with_name("fold-1-test.jsonl")
    if harm == "gone":
        lines.unlink()
    else:
        lines.write_text(lines.read_text(encoding="utf-8").replace("lives", "dwells"), "utf-8")
    assert run(cv.main, [*asking(place), "--model", "nearest"]) != 0
    said = "has changed since it was written" if harm == "changed" else "is missing"
    assert f"fold-1-test.jsonl {said}" in capsys.readouterr().err
    assert run(doctor.main, asking(place)) == 5
    assert "fold-1-test.jsonl" in capsys.readouterr().out


def test_folds_and_doctor_look_at_it(made, capsys):
    assert run(folds.main, asking(made)) == 0
    assert run(doctor.main, asking(made)) == 0
    assert "36 rows" in capsys.readouterr().out


def test_labels_have_no_text_and_texts_no_labels(made, capsys):
    assert run(cv.main, [*asking(made), "--model", "linear"]) == 2
    assert "does not learn text" in capsys.readouterr().err


@pytest.fixture(scope="module")
def blended(made) -> Path:
    """The same with a second member, and the file of their blend."""
    other = ["--set", "inputs=1", "--set", "candidates=1"]
    assert run(cv.main, [*asking(made), "--model", "nearest", *other]) == 0
    assert run(ensemble.main, [*asking(made), "--method", "greedy"]) == 0
    return made


def test_the_file_has_a_text_for_every_row_of_the_sample(blended):
    (file,) = (blended / "submissions").glob("*.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [f"t{row}" for row in range(55, 49, -1)]
    known = {answer for row in range(36) for answer in facts(row)[1]}
    assert {row["text"] for row in rows} <= known, "answers of training rows"
    record = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["method"] == "greedy"
    assert sum(each["weight"] for each in record["members"]) == pytest.approx(1)
    scores = record["scores"]
    low, high = scores["honest_interval_95"]
    assert 0.2 < low < scores["honest"] < high <= 1
    assert scores["in_sample"] >= scores["honest"] - 1e-9 or scores["in_sample"] > 0
    assert {"chrf", "rouge-l", "exact-match"} <= scores["others"].keys()


def test_rebuild_gives_the_same_bytes_and_the_ledger_takes_the_file(blended, tmp_path, capsys):
    (file,) = (blended / "submissions").glob("*.csv")
    root = ["--root", str(blended)]
    assert run(rebuild.main, [file.name, *root, "--out", str(tmp_path / "again.csv")]) == 0
    assert (tmp_path / "again.csv").read_bytes() == file.read_bytes()
    assert run(doctor.main, asking(blended)) == 0
    assert "utilities" not in capsys.readouterr().out
    shutil.rmtree(blended / "runs" / "facts" / ".utilities")
    assert run(rebuild.main, [file.name, *root]) == 0
    sent = ["add", file.name, "--public", "0.5", "--by", "Ann"]
    assert run(ledger.main, [*sent, *asking(blended)]) == 0
    assert run(ledger.main, asking(blended)) == 0
    assert file.name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("main", "more"),
    [
        (predict.main, ["test.csv", "--with", "FILE", "-o", "out.csv"]),
        (finalists.main, ["CONFIG"]),
        (worth.main, ["nearest", "CONFIG"]),
        (wrapup.main, ["CONFIG"]),
        (report.main, ["CONFIG"]),
        (team.main, ["add", "FILE", "--name", "theirs", "CONFIG"]),
        (ensemble.main, ["--figure", "x.png", "CONFIG"]),
        (ensemble.main, ["--method", "ridge", "CONFIG"]),
    ],
)
def test_what_cannot_do_texts_yet_says_so(blended, capsys, monkeypatch, main, more):
    monkeypatch.chdir(blended)
    (file,) = (blended / "submissions").glob("*.csv")
    words = [str(file) if word == "FILE" else word for word in more if word != "CONFIG"]
    where = asking(blended) if "CONFIG" in more else ["--root", str(blended)]
    assert run(main, [*words, *where]) == 2
    assert "texts" in capsys.readouterr().err


def test_the_notebook_blends_texts_and_shows_no_table_of_them(blended):
    project = api.use(blended / "configs" / "facts.yaml", blended)
    blend = project.ensemble(dry_run=True)
    (alone,) = [line for line in blend.details["methods"] if line["name"] == blend.method]
    assert 0.2 < blend.honest <= alone["honest"], "never more than the method that is written"
    with pytest.raises(Exception, match="does not read texts"):
        project.oof()
