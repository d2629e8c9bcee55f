"""`pipeline.tune` on the toy competition: trials on frozen folds, the optimism, the recipe; killed
and gone on with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from pipeline import init
from pipeline.api import called
from pipeline.base import UsageError
from pipeline.base.command import run as called_with
from pipeline.cv import main as cv
from pipeline.doctor.__main__ import main as doctor
from pipeline.models.recipes import find
from pipeline.tune import bench
from pipeline.tune.__main__ import main
from tests.nightly import nightly
from tests.test_texts import competition as facts
from tests.toy import command, toy_files

POOR = """
learner: linear
buckets: 8
char_ngrams: [1, 2]
pair_order: symmetric
strengths: [1]
"""
SPACE = """
buckets: {type: int, low: 8, high: 600, log: true}
word_ngrams: {type: categorical, choices: [[1, 1], [1, 2]]}
"""
ASKED = ["--model", "poor", "--space", "space.yaml", "--set", "char_ngrams=[1, 1]"]
ASKED += ["--confirm", "1"]
TRIALS = 3


def competition(root: Path) -> Path:
    (toy_files(root) / "poor.yaml").write_text(POOR)
    (root / "space.yaml").write_text(SPACE)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return competition(tmp_path_factory.mktemp("tuned"))


@pytest.fixture(scope="module")
def told_tracker() -> list[tuple[str, dict[str, Any], str]]:
    """What --track hears of: run, settings, folder."""
    return []


@pytest.fixture(scope="module")
def answer(root, told_tracker) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "tracked", lambda *asked: listening(told_tracker, *asked))
        return tuned(root, "--track", "mlflow")


def tuned(root: Path, *more: str) -> dict[str, Any]:
    words = ["--root", str(root), *ASKED, "--trials", str(TRIALS), *more]
    return called(main, words)


@contextmanager
def listening(heard: list, service: str | None, *_: Any) -> Iterator[Any]:
    """In place of the process beside the command."""
    assert service == "mlflow"
    yield SimpleNamespace(expect=lambda *told: heard.append(told))


def test_a_tracker_hears_of_every_trial_and_of_what_is_confirmed(root, answer, told_tracker):
    trials = {run for run, _, into in told_tracker if into.startswith("runs/tune/toy-")}
    whole = {run for run, _, into in told_tracker if into == "."}
    assert trials == {path.name for path in root.glob("runs/tune/*/oof/toy/*")}
    assert whole == {each["run"] for each in answer["confirmed"]}
    for run, settings, _ in told_tracker:
        assert settings["recipe"]["name"] == run


def trials_of(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(each["number"], each["settings"], each["score"]) for each in answer["trials"]]


def test_the_search_shows_what_holds_on_folds_it_never_saw(root, answer):
    assert answer["folds"] == 2
    assert len(answer["trials"]) >= TRIALS
    # the default is the first trial: its settings are those of --set alone
    assert answer["trials"][0]["settings"] == ["char_ngrams=[1, 1]"]
    complete = [each for each in answer["trials"] if each["state"] == "complete"]
    best = max(complete[1:], key=lambda each: each["score"])
    default, found = answer["confirmed"]
    assert (found["run"], found["trial"]) == (best["run"], best["number"])
    # what it was chosen by is the mean of its two folds, as they lie on the disk
    folds = [manifest(root, found["run"], fold)["score"] for fold in range(3)]
    assert best["score"] == pytest.approx(sum(folds[:2]) / 2)
    # the third fold, which the search has not seen, alone decides about the honest gain
    before = manifest(root, default["run"], 2)["score"]
    assert found["others"] == pytest.approx(folds[2])
    assert found["gain"]["difference"] == pytest.approx(folds[2] - before)
    assert found["gain"]["low"] < found["gain"]["difference"] < found["gain"]["high"]
    optimism = found["searched_gain"]["difference"] - found["gain"]["difference"]
    assert answer["optimism"] == pytest.approx(optimism)


def manifest(root: Path, run: str, fold: int) -> dict[str, Any]:
    return json.loads((root / f"oof/toy/{run}/seed-42/fold-{fold}.json").read_text())


def test_the_confirmed_are_complete_runs_and_trials_stay_out_of_oof(root, answer):
    confirmed = {line["run"] for line in answer["confirmed"]}
    assert {path.parent.name for path in root.glob("oof/toy/*/run.json")} == confirmed
    assert {path.name for path in root.glob("oof/toy/*")} == confirmed
    for run in confirmed:  # weights too: pipeline.predict needs them
        assert len(list(root.glob(f"runs/toy/{run}/seed-42/fold-*/weights"))) == 3


def test_the_winner_is_a_recipe_whose_folds_are_trained(root, answer, capsys):
    run = answer["winner"]
    if answer["recipe"] is None:  # the default is better on all folds
        pytest.fail("choose another space for this test: nothing beats the default")
    assert find(run, root).name == run
    times = {path: path.stat().st_mtime_ns for path in root.glob("oof/**/*.npz")}
    assert cv(["--root", str(root), "--model", run]) == 0
    assert "3 of 3 finished before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in root.glob("oof/**/*.npz")} == times


def test_a_recipe_of_that_name_is_not_overwritten(root, answer, capsys):
    path = Path(answer["recipe"])
    written, other = path.read_text(), "learner: linear\nbuckets: 4096\n"
    for content, said in ((written, "is there already"), (other, "stays as it is; rename it")):
        path.write_text(content)
        tuned(root)
        assert said in capsys.readouterr().out
        assert path.read_text() == content
    path.write_text(written)


def test_the_doctor_takes_trials_for_what_they_are(root, answer, capsys):
    doctor(["--root", str(root), "--quick"])
    assert "tune" not in capsys.readouterr().out


def test_the_study_is_one_that_optuna_dashboard_opens(root, answer, monkeypatch):
    monkeypatch.chdir(root)
    study = optuna.load_study(study_name=answer["study"], storage=answer["storage"])
    assert [each.number for each in study.trials] == [each["number"] for each in answer["trials"]]
    values = {each.number: each.value for each in study.trials if each.value is not None}
    assert values == {
        each["number"]: each["score"] for each in answer["trials"] if each["number"] in values
    }
    assert set(study.trials[0].params) == {"buckets", "word_ngrams"}


NIGHTLY = ["trial:1:kill9", "trial:2:kill9", "trial:3:kill9", "commit-replace:7:kill9"]


@pytest.mark.parametrize(
    "fault",
    ["fold:3:kill9", *(nightly(each) for each in NIGHTLY)],
)
def test_a_search_that_is_killed_comes_to_the_same_trials(tmp_path, root, answer, fault):
    """Killed after a fold's commit, before the study hears of it; when a trial is begun or ends."""
    again = competition(tmp_path)
    words = [*ASKED, "--trials", str(TRIALS)]
    done = command(again, "tune", *words, fault=fault)
    assert done.returncode == -9
    times = {path: path.stat().st_mtime_ns for path in again.glob("runs/tune/*/oof/**/*.npz")}
    assert len(times) == 3 or not fault.startswith("fold")
    found = tuned(again)
    assert trials_of(found) == trials_of(answer)
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--search-folds", "3"], "expected 1 to 2"),
        (["--trials", "0"], "--trials 0"),
        (["--confirm", "0"], "--confirm 0"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_read(tmp_path, words, said):
    competition(tmp_path)
    with pytest.raises(UsageError, match=said):
        main(["--root", str(tmp_path), *ASKED, *words])


def test_the_model_is_asked_for(tmp_path):
    competition(tmp_path)
    with pytest.raises(UsageError, match="--model is missing: the recipe whose settings are"):
        main(["--root", str(tmp_path), "--trials", "2"])


def test_without_optuna_there_is_a_line_that_installs_it(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    competition(tmp_path)
    with pytest.raises(UsageError, match=r'pip install "foldstack\[tune\]"'):
        main(["--root", str(tmp_path), *ASKED])


def test_a_search_of_texts_takes_its_folds_over_and_compares_first_candidates(tmp_path, capsys):
    facts(tmp_path)
    named = ["--root", str(tmp_path), "--name", "facts", "--metric", "chrf", "--folds", "3"]
    assert called_with(init.main, [*named, str(tmp_path)]) == 0
    (tmp_path / "space.yaml").write_text("inputs: {type: int, low: 1, high: 9}\n")
    words = ["--root", str(tmp_path), "--config", str(tmp_path / "configs/facts.yaml")]
    words += ["--model", "nearest", "--trials", "3", "--confirm", "1", "--space", "space.yaml"]
    found = called(main, words)
    default, other = found["confirmed"]
    for each in (default, other):
        manifest = json.loads((tmp_path / f"oof/facts/{each['run']}/run.json").read_text())
        assert each["score"] == pytest.approx(manifest["oof_score"]), "of first candidates"
    assert default["run"] == "nearest"
    assert other["gain"] != 0
    assert called_with(doctor, words[:4]) == 0
