"""`pipeline.race` on the toy competition: what it trains, what it says that this bought, and how it
ends in time."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline import init
from pipeline.api import called
from pipeline.base import UsageError
from pipeline.base.command import Stopped, run
from pipeline.doctor.__main__ import main as doctor
from pipeline.race.__main__ import main
from pipeline.race.gain import MEASURED, PARTS, parts_by_group
from pipeline.race.race import Race
from pipeline.tune import bench
from tests.test_texts import competition as facts
from tests.toy import toy_files

ALIKE = "learner: linear\npair_order: symmetric\nstrengths: [1]\nword_ngrams: [1, 1]\n"
RECIPES = {
    "poor": f"{ALIKE}buckets: 4\nchar_ngrams: [1, 1]\n",
    "good": f"{ALIKE}buckets: 1024\nchar_ngrams: [1, 3]\n",
}
ASKED = ["--model", "poor", "--model", "good", "--hours", "1"]


def competition(root: Path) -> Path:
    models = toy_files(root)
    for name, text in RECIPES.items():
        (models / f"{name}.yaml").write_text(text)
    return root


def raced(root: Path, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = called(main, ["--root", str(root), *(words or ASKED)])
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return competition(tmp_path_factory.mktemp("race"))


@pytest.fixture(scope="module")
def first(root) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """What the race answers, and the folds in the order in which they were trained."""
    trained, real = [], bench.cross_validate

    def noted(job, metric, watch, announce, folds=()):
        trained.extend((job.run, fold) for fold in folds)
        return real(job, metric, watch, announce, folds)

    done = Race._done

    def clocked(race, recipe):  # the machine may be busy: what a fold takes decides who is next
        return dict.fromkeys(done(race, recipe), 1.0 if recipe.name == "poor" else 2.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "cross_validate", noted)
        patch.setattr(Race, "_done", clocked)
        return raced(root), trained


def test_the_first_fold_of_everything_then_one_run_is_completed(root, first):
    answer, trained = first
    assert set(trained[:2]) == {("poor", 0), ("good", 0)}
    assert {run for run, _ in trained[2:4]} in ({"poor"}, {"good"})  # a submission in hand
    assert sorted(trained) == [(run, fold) for run in ("good", "poor") for fold in range(3)]
    assert [each["stands"] for each in answer["runs"]] == ["complete", "complete"]


def test_a_submission_is_written_and_scored_honestly(root, first):
    answer, _ = first
    path = Path(answer["submission"])
    told = json.loads(path.with_suffix(".json").read_text())
    assert told["scores"]["honest"] == pytest.approx(answer["honest"])
    assert len(path.read_text().splitlines()) == 13


def test_the_same_command_goes_on_and_trains_nothing_twice(root, first):
    times = {path: path.stat().st_mtime_ns for path in root.glob("oof/**/*.npz")}
    again = raced(root)
    assert {path: path.stat().st_mtime_ns for path in root.glob("oof/**/*.npz")} == times
    assert again["honest"] == pytest.approx(first[0]["honest"])
    assert again["bought"] == {"gain": 0.0, "runs": []}
    assert again["submission"] == first[0]["submission"]  # the same bytes are one file


def test_the_doctor_knows_the_account(root, first, capsys):
    doctor(["--root", str(root), "--quick"])
    assert "race.jsonl" not in capsys.readouterr().out


def test_a_run_that_costs_is_left_out_of_the_ensemble(root, first):
    lines = [json.loads(line) for line in (root / "runs/toy/race.jsonl").read_text().splitlines()]
    scores = [each["honest"] for each in lines if each["what"] == "score"]
    assert scores == sorted(scores)  # never falls
    out = {each["run"] for each in lines if each["what"] == "left out"}
    assert out.isdisjoint(lines[-1]["runs"])
    assert {*out, *lines[-1]["runs"]} == {"poor", "good"}


def test_when_the_time_is_up_what_was_begun_is_saved_and_a_submission_written(
    tmp_path, monkeypatch, capsys
):
    competition(tmp_path)
    real = bench.cross_validate

    def late(job, metric, watch, announce, folds=()):
        if job.run == "good" and list(folds) != []:
            raise Stopped("the time limit of --hours", 75)
        return real(job, metric, watch, announce, folds)

    monkeypatch.setattr(bench, "cross_validate", late)
    answer = raced(tmp_path)
    stands = {each["run"]: (each["folds"], each["stands"]) for each in answer["runs"]}
    assert stands["poor"] == (3, "complete")
    assert stands["good"] == (0, "out: the time for it is up; what it has is saved")
    assert Path(answer["submission"]).exists()


def test_a_tracker_hears_of_every_run(root, first, monkeypatch):
    heard: list[tuple[Any, ...]] = []
    beside = SimpleNamespace(expect=lambda *told: heard.append(told))
    monkeypatch.setattr(bench, "tracked", lambda service, *_: nullcontext(service and beside))
    raced(root, *ASKED, "--track", "mlflow")
    last = (root / "runs/toy/race.jsonl").read_text().splitlines()[-1]
    assert {name for name, *_ in heard} == set(json.loads(last)["runs"])
    heard.clear()
    raced(root, *ASKED)
    assert heard == []


def test_a_signal_ends_the_race_at_once(tmp_path, monkeypatch):
    competition(tmp_path)

    def interrupted(*_: Any) -> None:
        raise Stopped("Ctrl-C", 130)

    monkeypatch.setattr(bench, "cross_validate", interrupted)
    with pytest.raises(Stopped):
        raced(tmp_path)
    assert not list(tmp_path.glob("submissions/*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "good"], "--hours is missing: expected the time there is"),
        (["--hours", "1"], "--model is missing"),
        (["--model", "good", "--hours", "-1"], "--hours -1"),
        (
            ["--model", "good", "--hours", "1", "--time-limit", "1h"],
            "a race ends; leave --time-limit out",
        ),
    ],
)
def test_what_cannot_be_raced_is_refused(root, words, said):
    with pytest.raises(UsageError, match=said):
        main(["--root", str(root), *words])


def test_the_rows_of_a_group_stay_in_one_part():
    groups = np.repeat(np.arange(10), 3)
    parts = parts_by_group(groups, 0)
    assert sorted(set(parts.tolist())) == list(range(PARTS))
    assert all(len(set(parts[groups == each].tolist())) == 1 for each in range(10))


def test_runs_whose_answers_are_texts_race_too(tmp_path, monkeypatch):
    """A second member is begun, measured on its own fold, completed and blended."""
    told, real = [], MEASURED["texts"]
    monkeypatch.setitem(
        MEASURED, "texts", lambda *args: told.append((args[2], real(*args))) or told[-1][1]
    )
    facts(tmp_path)
    named = ["--root", str(tmp_path), "--name", "facts", "--metric", "chrf", "--folds", "3"]
    assert run(init.main, [*named, str(tmp_path)]) == 0
    (tmp_path / "configs/models").mkdir()
    far = "learner: nearest\ninputs: 6\ntemperature: 0.5\n"
    (tmp_path / "configs/models/far.yaml").write_text(far)
    config = ["--config", str(tmp_path / "configs/facts.yaml")]
    answer = raced(tmp_path, *config, "--model", "nearest", "--model", "far", "--hours", "1")
    assert "complete" in [each["stands"] for each in answer["runs"]]
    done, gain = told[0]
    assert done == [0], "of the fold that is finished"
    assert 0 < gain.error < 0.2
    assert gain.difference != 0
    path = Path(answer["submission"])
    scores = json.loads(path.with_suffix(".json").read_text())["scores"]
    assert scores["honest"] == pytest.approx(answer["honest"])
    assert path.read_text().startswith("id,text\n")
