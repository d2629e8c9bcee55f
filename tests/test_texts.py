"""A competition whose answers are texts, from files to a checked submission."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import api, bundle, cv, finalists, init, ledger, predict, rebuild, worth, wrapup
from pipeline.base import Competition
from pipeline.base.command import run
from pipeline.base.config import TaskConfig
from pipeline.base.parser import read_section
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.ensemble.texts.outcome import _interval
from pipeline.folds import __main__ as folds
from pipeline.metrics import get_metric
from pipeline.monitor import __main__ as monitor
from pipeline.oof.predictions import read_fold
from pipeline.report import __main__ as report
from pipeline.serve.bundle import open_bundle
from pipeline.serve.engine import Engine
from pipeline.serve.predicting import predict_file
from pipeline.submissions.build import BuildRequest
from pipeline.submissions.built import make_any
from pipeline.team import __main__ as team
from pipeline.team import challenge
from pipeline.training import new_rows

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
    message = capsys.readouterr().err
    assert f"fold-1-test.jsonl {said}" in message
    assert "python -m pipeline.doctor says how to mend it" in message
    assert run(doctor.main, asking(place)) == 5
    advice = " ".join(capsys.readouterr().out.split())
    assert "fold-1-test.jsonl" in advice
    remedy = re.search(
        r"or delete (\S+) and (\S+), then run: python -m pipeline\.cv (.+?) \(", advice
    )
    assert remedy is not None
    for name in remedy.groups()[:2]:
        lines.with_name(Path(name).name).unlink()
    assert run(cv.main, remedy[3].split()) == 0
    assert run(doctor.main, asking(place)) == 0


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
    other = ["--set", "char_ngrams=[1, 1]", "--set", "candidates=3"]
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
    assert [each["name"] for each in record["decisions"]["candidates"]] == ["length"]
    assert record["decisions"]["applied"] == "nothing", record["decisions"]


@pytest.mark.parametrize("score", [0.004, 0.996])
def test_no_interval_leaves_what_the_metric_can_be(score, made):
    competition = read_section(Competition, made / "configs" / "facts.yaml", [])
    outcome = make_any(made, competition, BuildRequest(runs=["nearest"])).outcome
    draws = np.random.default_rng(0).normal(score, 0.05, 200)
    found = _interval(outcome.metric, score, draws, outcome.nest)
    assert 0 <= found.low < score < found.high <= 1
    assert found.high - found.low > 0.05


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


def sent(root: Path) -> Path:
    """The file of the blend."""
    return next((root / "submissions").glob("*-001-greedy.csv"))


def test_new_rows_are_answered_by_the_whole_blend(blended, tmp_path, capsys, monkeypatch):
    file, out = sent(blended), tmp_path / "out.csv"
    asked = [str(blended / "test.csv"), "--with", str(file), "--root", str(blended)]
    calls, answer = [], new_rows.generate_bare

    def stopped(*given):
        calls.append(given)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return answer(*given)

    monkeypatch.setattr(new_rows, "PIECE", 4)
    monkeypatch.setattr(new_rows, "generate_bare", stopped)
    assert run(predict.main, [*asked, "-o", str(out)]) == 130
    assert not out.exists()
    assert run(predict.main, [*asked, "-o", str(out)]) == 0
    pieces = 2 * sum(len(read["parts"]) for read in manifests(blended))
    assert len(calls) == pieces + 1, "what was answered is not asked again"
    assert out.read_bytes() == file.read_bytes(), "the test file's answers are the submission"
    assert "honest   bleu 0." in capsys.readouterr().out
    new = tmp_path / "new.csv"
    new.write_text('id,facts\nn1,"name[Anna] place[Rome] age[99]"\n', encoding="utf-8")
    alone = [str(new), *asked[1:], "-o", str(tmp_path / "n.csv"), "--members", "nearest", "--json"]
    assert run(predict.main, alone) == 0
    assert json.loads(capsys.readouterr().out)["members"] == ["nearest"]
    row = (tmp_path / "n.csv").read_text(encoding="utf-8").splitlines()[1]
    assert row.startswith("n1,")
    assert "Anna" in row


def manifests(root: Path) -> list[dict]:
    found = sorted(root.glob("oof/facts/*/run.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def test_a_bundle_gives_the_bytes_of_the_submission(blended, tmp_path, capsys):
    out = tmp_path / "bundle"
    assert run(bundle.main, [str(sent(blended)), "-o", str(out), "--root", str(blended)]) == 0
    there, answered = str(blended / "test.csv"), tmp_path / "answers.csv"
    predict_file(out, there, str(answered), str(blended / "sample_submission.csv"))
    assert answered.read_bytes() == sent(blended).read_bytes()
    assert "pipeline.serve" in (out / "README.md").read_text(encoding="utf-8")
    engine = Engine(open_bundle(out))
    asked = [dict(zip(("id", "facts"), row, strict=True)) for row in cells(blended / "test.csv")]
    told = engine.answer(engine.table([{"facts": row["facts"]} for row in asked]))
    texts = dict(cells(answered))
    assert [each["answer"]["text"] for each in told] == [texts[row["id"]] for row in asked]
    assert {name for each in told for name in each["members"]} == {
        m["name"] for m in engine.bundle.members
    }
    assert all(0 <= each["agreement"] <= 1 for each in told)
    watched(blended, out, tmp_path / "labelled.csv", capsys)
    half = [str(sent(blended)), "-o", f"{out}-half", "--half", "--root", str(blended)]
    assert run(bundle.main, half) == 2
    assert "in numbers, not in texts: leave it" in capsys.readouterr().err
    assert not Path(f"{out}-half").exists()


def cells(path: Path) -> list[list[str]]:
    """Of a csv, without its header."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))[1:]


def watched(root: Path, out: Path, file: Path, capsys) -> None:
    """The bundle's texts of labelled rows have the score that they have; of the test file it
    expects what the ensemble did."""
    rows = range(60, 120)
    lines = [f'n{row},"{facts(row)[0]}","{facts(row)[1][0]}"\n' for row in rows]
    file.write_text("id,facts,text\n" + "".join(lines), encoding="utf-8")
    capsys.readouterr()
    asked = ["--root", str(root), "--json", str(out)]
    assert run(monitor.main, [*asked, str(root / "test.csv")]) == 0
    of_test = json.loads(capsys.readouterr().out)
    said = json.loads(sent(root).with_suffix(".json").read_text(encoding="utf-8"))["scores"]
    assert of_test["expected"] == pytest.approx(said["expected"]["whole"])
    assert of_test["real"] is None
    assert run(monitor.main, [*asked, str(file), "--labels"]) == 0
    found = json.loads(capsys.readouterr().out)
    answers = file.with_name("said.csv")
    predict_file(out, str(file), str(answers))
    with answers.open(encoding="utf-8", newline="") as stream:
        texts = np.array([row["text"] for row in csv.DictReader(stream)], dtype=object)
    right = np.array([[facts(row)[1][0]] for row in rows] + [None], dtype=object)[:-1]
    metric = get_metric("bleu", TaskConfig(problem="text", metric="bleu"))
    assert found["real"]["score"] == pytest.approx(metric.score(right, texts))
    assert found["real"]["rows"] == 60
    assert found["real"]["low"] < found["real"]["score"] < found["real"]["high"]
    assert found["verdict"] == "unknown", "36 training rows are too few to tell"


def test_the_leaderboard_is_forecast_and_files_are_compared(blended, tmp_path, capsys):
    place = tmp_path / "facts"
    shutil.copytree(blended, place)
    for method in ("mean", "best"):
        assert run(ensemble.main, [*asking(place), "--method", method, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["scores"]
    part = told["expected"]["whole"]
    assert part["low"] < told["honest"] < part["high"]
    assert part["score"] == pytest.approx(told["honest"], abs=0.01)
    wide, narrow = part["high"] - part["low"], np.ptp(told["honest_interval_95"])
    assert wide > narrow, "six rows vary more than 36"
    assert run(finalists.main, [*asking(place), "--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["first"]
    assert not found["left_out"]
    assert found["private_rows"] == 6
    first, second, *_ = found["candidates"]
    assert first["honest"] >= second["honest"]
    assert -1 < second["errors_alike"] < 1
    assert 0 < second["beats_first"] < 1
    assert second["test_alike"]["kind"] == "labels"


@pytest.fixture
def mate(blended, tmp_path, monkeypatch) -> Path:
    """A competition in which the second run comes from a team-mate: mate.jsonl."""
    root = tmp_path / "facts"
    shutil.copytree(blended, root)
    monkeypatch.chdir(root)
    (ours,) = root.glob("oof/facts/nearest-*")
    asked = ["export", ours.name, "--out", "mate.jsonl", "--config", "configs/facts.yaml"]
    assert run(team.main, asked) == 0
    shutil.rmtree(ours)
    return root


def added(file: str, capsys, *more: str) -> dict:
    """What `team add` says of a *file*."""
    capsys.readouterr()
    config = ["--config", "configs/facts.yaml"]
    code = run(team.main, ["add", file, "--name", Path(file).stem, *config, "--json", *more])
    found = json.loads(capsys.readouterr().out)
    assert code == (3 if found["verdict"] == "out" else 0)
    return found


def test_a_team_mates_candidates_are_audited_stored_and_blended(mate, capsys):
    found = added("mate.jsonl", capsys)
    assert (found["verdict"], found["proof"]["kind"]) == ("in", "folds")
    assert [line["run"] for line in found["compared"]] == ["nearest"]
    assert all(line["score"] > 0 for line in found["folds"])
    assert added("mate.jsonl", capsys)["reused"]
    asked = ["--root", str(mate), "--config", "configs/facts.yaml", "--json"]
    assert run(ensemble.main, [*asked, "--method", "greedy", "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    before = json.loads(sent(mate).with_suffix(".json").read_text(encoding="utf-8"))
    assert told["scores"]["honest"] == before["scores"]["honest"], "the same candidates"
    assert run(worth.main, ["mate", *asked]) == 0
    weighed = json.loads(capsys.readouterr().out)
    assert weighed["runs"][0]["name"] == "nearest"
    auto = weighed["methods"][0]
    difference = auto["with"] - auto["without"]
    assert auto["gain"]["difference"] == pytest.approx(difference)
    assert run(ensemble.main, [*asked, "--method", "mean"]) == 0
    file = Path(json.loads(capsys.readouterr().out)["submission"]).name
    assert run(predict.main, ["test.csv", "--with", file, "-o", "x"]) == 5
    assert "it is a team-mate's file" in capsys.readouterr().err


def challenged(text, capsys) -> dict:
    """What is said of a challenge of mate to which learners answer text(fold left out, number)."""
    numbers = {facts(row)[0]: row for row in range(36)}
    call = ["challenge", "mate", "--config", "configs/facts.yaml", "--json"]
    assert run(team.main, [*call, "--out", "questions.csv"]) == 0
    with Path("questions.csv").open(encoding="utf-8", newline="") as stream:
        asked = [(row["id"], int(row["fold"]), row["facts"]) for row in csv.DictReader(stream)]
    with Path("answers.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = [(name, text(fold, numbers[read])) for name, fold, read in asked]
        csv.writer(stream).writerows([("id", "text"), *rows])
    capsys.readouterr()
    code = run(team.main, [*call, "--answer", "answers.csv"])
    found = json.loads(capsys.readouterr().out)
    assert code == (0 if found["verdict"] == "passed" else 3)
    return found


def test_learners_that_write_answer_a_challenge(mate, capsys, monkeypatch):
    monkeypatch.setattr(challenge, "FEWEST", 30)
    lines = [json.loads(line) for line in (mate / "mate.jsonl").read_text("utf-8").splitlines()]
    stored = {line["id"]: line for line in lines if line["part"] == "train"}
    said = [stored[str(2 * row)]["candidates"][0]["text"] for row in range(36)]
    held = [int(stored[str(2 * row)]["fold"]) for row in range(36)]
    assert added("mate.jsonl", capsys)["stored"]

    def honest(fold, row):
        return said[row] if fold == held[row] else facts(row)[1][0]

    assert challenged(honest, capsys)["verdict"] == "passed"
    one = challenged(lambda fold, row: said[row], capsys)
    assert (one["verdict"], one["says"]) == ("failed", challenge.ONE)
    other = challenged(lambda fold, row: said[(row + 1) % 36], capsys)
    assert "other learners answered, or they draw their texts" in other["says"]
    far = challenged(lambda fold, row: said[row] if fold == held[row] else "nobody", capsys)
    assert "The wrong way round" in far["says"]
    rows = Path("answers.csv").read_text("utf-8").replace("nobody", "")
    Path("answers.csv").write_text(rows, encoding="utf-8")
    call = ["challenge", "mate", "--config", "configs/facts.yaml", "--answer", "answers.csv"]
    assert run(team.main, call) == 3
    assert "has no text for question-" in " ".join(capsys.readouterr().err.split())


def test_one_answer_of_each_row_in_a_csv_is_enough_and_every_row_is_asked_for(mate, capsys):
    lines = [json.loads(line) for line in (mate / "mate.jsonl").read_text("utf-8").splitlines()]
    rows = [(line["id"], line["fold"], line["candidates"][0]["text"]) for line in lines]

    def write(name: str, rows: list[tuple]) -> str:
        with (mate / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([("id", "fold", "text"), *rows])
        return name

    assert added(write("plain.csv", rows), capsys, "--dry-run")["verdict"] == "in"
    lone = [(row, "", text) for row, _, text in rows]
    assert added(write("lone.csv", lone), capsys, "--dry-run")["verdict"] == "unproven", (
        "no folds, no proof"
    )
    lacking = added(write("lacking.csv", rows[1:-1]), capsys, "--force")
    said = [each["says"] for each in lacking["findings"] if each["grade"] == "out"]
    assert lacking["stored"] is None
    assert [each.split(":")[0] for each in said] == [
        "1 of 36 training rows have no prediction",
        "1 of 6 test rows have no prediction",
    ]
    emptied = added(write("emptied.csv", [(*rows[0][:2], " "), *rows[1:]]), capsys)
    assert any("hold no text" in each["says"] for each in emptied["findings"])
    right = [(row, fold, facts(int(row) // 2)[1][0]) for row, fold, _ in rows[:36]]
    copied = added(write("copied.csv", [*right, *rows[36:]]), capsys)
    assert copied["verdict"] == "out"
    assert any("the right ones themselves" in each["says"] for each in copied["findings"])
    assert added("plain.csv", capsys)["stored"]
    again = added(write("again.csv", rows), capsys)
    assert "these are the predictions of plain, word for word" in str(again["findings"])
    (mate / "broken.jsonl").write_text('{"id": "0", "candidates": [{"text": 3}]}\n', "utf-8")
    config = ["--config", "configs/facts.yaml"]
    assert run(team.main, ["add", "broken.jsonl", "--name", "x", *config]) == 3
    message = capsys.readouterr().err
    assert "broken.jsonl, row 1: a candidate that is not as" in message
    expected = message.partition("expected: ")[2].partition(", …]")[0].replace("or null", "")
    shown = json.loads(f"{expected}]}}")["candidates"][0]  # the form that is shown is taken
    with (mate / "broken.jsonl").open("w", encoding="utf-8") as stream:
        for line in lines:
            wanted = [{**shown, "text": f"{each['text']}!"} for each in line["candidates"]]
            stream.write(json.dumps(line | {"candidates": wanted}) + "\n")
    mended = added("broken.jsonl", capsys, "--dry-run")
    assert [each["says"] for each in mended["findings"] if each["grade"] == "out"] == []


@pytest.mark.nightly
def test_the_report_shows_the_texts_that_are_far_from_every_right_answer(blended, capsys):
    assert run(report.main, [*asking(blended), "--quick"]) == 0
    page = (blended / "submissions" / "facts-report.html").read_text(encoding="utf-8")
    for words in ("what a text, scored alone", "own consensus", "rouge-l", "Doubtful labels"):
        assert words in page
    made = make_any(
        blended,
        read_section(Competition, blended / "configs" / "facts.yaml"),
        BuildRequest(runs=sorted(path.name for path in blended.glob("oof/facts/*"))),
    )
    worst = int(np.argmax(made.errors))
    shown = page[page.index("worst rows</") :]
    first = shown[shown.index("<td") :][:400]
    with (blended / "folds" / "facts.csv").open(encoding="utf-8") as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    assert f">{ids[worst]}<" in first
    assert made.honest[worst] in shown
    assert run(wrapup.main, asking(blended)) == 0
    picture = blended / "texts.svg"
    again = ["--method", "greedy", "--dry-run", "--figure", str(picture)]
    assert run(ensemble.main, [*asking(blended), *again]) == 0
    capsys.readouterr()
    drawn = picture.read_text(encoding="utf-8")
    for words in ("first candidates, each against", "weights of greedy", "in-sample, by method"):
        assert words in drawn
    listed = blended / "doubtful.csv"
    assert run(report.main, [*asking(blended), "--doubtful", str(listed)]) == 0
    assert "36 rows with their right answers, the most doubtful first" in capsys.readouterr().out
    with listed.open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    assert {row["id"] for row in found} == set(ids)
    assert found[0]["label"] == " / ".join(made.truth[ids.index(found[0]["id"])])


@pytest.mark.parametrize(
    ("main", "more", "says"),
    [
        (ensemble.main, ["--method", "ridge", "CONFIG"], "does not blend texts"),
        (ensemble.main, ["--slice-by", "facts", "CONFIG"], "with the same weights in all rows"),
    ],
)
def test_what_cannot_do_texts_yet_says_so(blended, capsys, monkeypatch, main, more, says):
    monkeypatch.chdir(blended)
    file = sent(blended)
    words = [str(file) if word == "FILE" else word for word in more if word != "CONFIG"]
    where = asking(blended) if "CONFIG" in more else ["--root", str(blended)]
    assert run(main, [*words, *where]) == 2
    assert says in capsys.readouterr().err


def test_the_notebook_blends_texts_and_shows_what_each_member_says(blended):
    project = api.use(blended / "configs" / "facts.yaml", blended)
    blend = project.ensemble(dry_run=True)
    (alone,) = [line for line in blend.details["methods"] if line["name"] == blend.method]
    assert 0.2 < blend.honest <= alone["honest"], "never more than the method that is written"
    said = project.oof("nearest")
    assert list(said.columns) == ["text", "fold", "nearest"]
    assert list(said.loc["0", "text"]) == facts(0)[1]
    held = read_fold(parts(blended)[said.loc["0", "fold"]])[0]
    place = held.valid_ids.tolist().index("0")
    assert said.loc["0", "nearest"] == held.texts["valid"].texts[place][0]
    assert project.test().shape == (6, 2)
