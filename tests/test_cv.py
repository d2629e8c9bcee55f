"""`python -m pipeline.cv` as a person runs it, on a small competition of pairs."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.files import read_json
from pipeline.base.leases import lease
from pipeline.base.parser import read_section
from pipeline.cv import main
from pipeline.data.tables import load
from pipeline.data.tokens.tokenizer import Tokeniser
from pipeline.models.learner import Silent
from pipeline.models.recipes import find
from pipeline.oof.predictions import read_fold
from pipeline.training.jobs import make_factory
from pipeline.training.options import FailurePolicy
from tests.toy import command, predictions, toy_competition


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return toy_competition(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def root(toy, tmp_path) -> Path:
    shutil.copytree(toy, tmp_path, dirs_exist_ok=True)
    return tmp_path


def cv(root: Path, *argv: str) -> int:
    return run(main, ["--root", str(root), *argv])


def test_linear_goes_the_whole_way_and_says_what_comes_next(root, capsys):
    assert cv(root, "--model", "linear") == 0
    out = capsys.readouterr().out
    for expected in (
        "linear on toy",
        "60 train, 12 test",
        "passport",
        "free",
        "seed-42/fold-2  pearson 0.",
        "mean ± sd",
        "pooled",
        f"next: python -m pipeline.ensemble --root {root}",
    ):
        assert expected in out
    manifest = json.loads((root / "oof" / "toy" / "linear" / "run.json").read_text())
    assert len(manifest["fold_scores"]) == 3
    assert manifest["oof_score"] > 0.5
    logged = list(root.glob("runs/toy/linear/seed-42/fold-0/logs/events.out.tfevents.*"))
    assert any(b"_hparams_/session_start_info" in path.read_bytes() for path in logged)


def test_the_same_command_again_trains_nothing(root, capsys):
    cv(root, "--model", "linear")
    before = {path: path.stat().st_mtime_ns for path in root.glob("oof/**/*.npz")}
    assert cv(root, "--model", "linear") == 0
    assert {path: path.stat().st_mtime_ns for path in root.glob("oof/**/*.npz")} == before
    assert "3 of 3 finished before" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(root, capsys):
    before = sorted(root.rglob("*"))
    assert cv(root, "--model", "linear", "--dry-run") == 0
    assert sorted(root.rglob("*")) == before
    out = capsys.readouterr().out
    assert "would train seed-42/fold-0, seed-42/fold-1, seed-42/fold-2" in out


def test_what_the_folds_cannot_do_is_told_before_training(root, capsys):
    path = next(root.rglob("train.csv"))
    lines = path.read_text().splitlines()
    first = lines[1].split(",")
    same = [",".join([line.split(",")[0], *first[1:-1], line.split(",")[-1]]) for line in lines[1:]]
    path.write_text("\n".join([lines[0], *same[:45], *lines[46:]]) + "\n")
    assert cv(root, "--model", "linear", "--dry-run") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "note the largest group of rows that stay together has 4" in told


@pytest.mark.nightly
def test_texts_are_tokenised_once_for_all_seeds_and_later_commands(root, capsys, monkeypatch):
    asked = []
    encode = Tokeniser.encode
    monkeypatch.setattr(
        Tokeniser, "encode", lambda self, inputs: asked.append(len(inputs)) or encode(self, inputs)
    )
    assert cv(root, "--model", "tiny", "--dry-run") == 0
    assert not (root / "runs").exists()
    asked.clear()
    assert cv(root, "--model", "tiny", "--only-fold", "0") == 0
    assert asked == [60 + 12]  # train and test, no two alike
    assert cv(root, "--model", "tiny", "--seed", "1", "2", "--only-fold", "1") == 0
    assert asked == [72]
    (store,) = (root / "runs" / "tokens").iterdir()
    (store / "tokens.npy").write_bytes(b"")
    capsys.readouterr()
    assert cv(root, "--model", "tiny", "--only-fold", "2") == 0
    assert asked == [72, 72]
    assert "is cut off: tokens.npy has 0 bytes" in capsys.readouterr().err


def test_json_is_one_object_on_stdout_and_words_go_to_stderr(root, capsys):
    assert cv(root, "--model", "linear", "--json") == 0
    streams = capsys.readouterr()
    answer = json.loads(streams.out)
    assert answer["runs"]["linear"]["metric"] == "pearson"
    assert "linear on toy" in streams.err


def test_one_fold_only_leaves_the_run_open(root, capsys):
    assert cv(root, "--model", "linear", "--only-fold", "1") == 0
    assert "no run is complete yet" in capsys.readouterr().out
    assert list(predictions(root)) == ["oof/toy/linear/seed-42/fold-1.npz"]
    assert not (root / "oof" / "toy" / "linear" / "run.json").exists()


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ([], 2, "--model is missing: which model? Recipes: "),
        (["--model", "linaer"], 2, "did you mean linear"),
        (["--model", "linear", "--only-fold", "3"], 2, "the folds are 0 to 2"),
        (["--model", "linear", "--set", "bukets=3"], 2, "did you mean 'buckets'?"),
        (["--model", "linear", "--task.metric", "pearsn"], 2, "pearson"),
        (["--model", "linear", "--data.train", "nope.csv"], 3, "nope.csv"),
        (["--model", "linear", "--time-limit", "soon"], 2, "--time-limit soon: expected a dur"),
        (["--model", "linear", "--checkpoint-every", "1x"], 2, "--checkpoint-every 1x"),
        (["--model", "linear", "--workers", "0"], 2, "--workers 0: expected 1 or more"),
        (["--model", "linear", "--workers-per-gpu", "0"], 2, "--workers-per-gpu 0: expected 1"),
        (["--model", "linear", "--cluster", "auto", "--workers", "2"], 2, "exclude each other"),
        (["--model", "linear", "--cluster-cpus", "0"], 2, "--cluster-cpus 0: expected more than"),
        (["--model", "linear", "--cluster-gpus", "-1"], 2, "--cluster-gpus -1: expected 0 or more"),
        (["--model", "linear", "--min-free-gb", "1e9"], 4, "are to stay free (--min-free-gb)"),
    ],
)
def test_a_mistake_gets_a_sentence_and_its_exit_code(root, capsys, argv, code, message):
    assert cv(root, *argv) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert predictions(root) == {}


def test_more_workers_than_gpus_are_refused_where_the_model_uses_them(root, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert cv(root, "--model", "tiny", "--workers", "2") == 2
    assert "this machine shows 1 GPU, for 1 worker each" in capsys.readouterr().err
    assert predictions(root) == {}


def test_fresh_deletes_only_when_told_to(root, capsys, monkeypatch):
    cv(root, "--model", "linear")
    before = predictions(root)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115 not a terminal
    assert cv(root, "--model", "linear", "--fresh") == 2
    assert "add --yes" in capsys.readouterr().err
    assert predictions(root) == before
    sys.stdin.close()
    assert cv(root, "--model", "linear", "--fresh", "--yes") == 0
    assert predictions(root) == before  # trained anew, to the same bytes
    assert "none finished" in capsys.readouterr().out


def test_other_settings_are_another_run(root):
    cv(root, "--model", "linear", "--set", "word_ngrams=[1, 2]")
    (name,) = [path.name for path in (root / "oof" / "toy").iterdir()]
    assert name.startswith("linear-")


def test_changed_labels_are_refused_naming_the_row(root, capsys):
    cv(root, "--model", "linear", "--only-fold", "0")
    rows = (root / "train.csv").read_text().splitlines()
    rows[3] = rows[3].rsplit(",", 1)[0] + ",4.9"
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    assert cv(root, "--model", "linear") == 5
    assert "train-002" in capsys.readouterr().err


def test_kill_9_and_the_same_command_again_give_the_same_bytes(root):
    cv(root, "--model", "linear")
    golden = predictions(root)
    shutil.rmtree(root / "oof")
    shutil.rmtree(root / "runs")
    killed = command(root, "cv", "--model", "linear", fault="trained:2:kill9")
    assert killed.returncode == -9
    assert list(predictions(root)) == ["oof/toy/linear/seed-42/fold-0.npz"]
    first = (root / "oof/toy/linear/seed-42/fold-0.npz").stat().st_mtime_ns
    assert cv(root, "--model", "linear") == 0
    assert predictions(root) == golden
    assert (root / "oof/toy/linear/seed-42/fold-0.npz").stat().st_mtime_ns == first
    events = read_json(root / "oof/toy/linear/run.json")["events"]["seed-42/fold-1"]
    assert [event["what"] for event in events] == ["started", "started", "resumed"]
    assert not list(root.rglob(".tmp-*"))


def test_a_fold_that_another_process_holds_is_left_to_it(root, capsys):
    (root / "configs" / "models" / "words.yaml").write_text("learner: linear\nbuckets: 1024\n")
    held = root / "runs" / "toy" / "linear" / "seed-42" / "fold-1" / "fold.lease"
    with lease(held, "it"):
        assert cv(root, "--model", "linear", "--model", "words") == 75
    assert f"being written by process {os.getpid()}" in capsys.readouterr().err
    assert [path.split("/")[2:] for path in predictions(root)] == [
        ["linear", "seed-42", "fold-0.npz"],
        ["linear", "seed-42", "fold-2.npz"],
        *(["words", "seed-42", f"fold-{fold}.npz"] for fold in range(3)),
    ]
    assert cv(root, "--model", "linear") == 0


def test_the_time_limit_ends_with_75_and_the_command_to_go_on_with(root, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.base.command.STOP.deadline", None)
    monkeypatch.setattr("pipeline.base.command.STOP.limit", "")
    assert cv(root, "--model", "linear", "--time-limit", "0s") == 75
    error = capsys.readouterr().err
    assert "stopped by the time limit of 0s" in error
    assert "the same command goes on" in error
    assert predictions(root) == {}


@pytest.mark.parametrize("kind", ["linear", "transformer"])
def test_predicting_again_from_the_saved_weights_gives_the_saved_predictions(root, kind):
    model = "linear" if kind == "linear" else "tiny"
    cv(root, "--model", model, "--only-fold", "1")
    competition = read_section(Competition, root / "configs" / "default.yaml")
    factory = make_factory(find(model, root), competition, FailurePolicy())
    tables = load(competition, root)
    (path,) = root.glob("oof/toy/*/seed-42/fold-1.npz")
    saved, _ = read_fold(path)
    learner = factory.load(
        root / "runs" / path.relative_to(root / "oof").with_suffix("") / "weights"
    )
    held_out = tables.train.rows(np.isin(tables.train.ids, saved.valid_ids))
    np.testing.assert_array_equal(held_out.ids, saved.valid_ids)
    again = learner.predict(replace(held_out, targets=None), Silent())
    np.testing.assert_array_equal(again, saved.valid)
    np.testing.assert_array_equal(learner.predict(tables.test, Silent()), saved.test)


def test_a_local_backbone_is_fine_tuned_per_fold_with_several_seeds(root, capsys):
    backbone = root / "backbone"
    settings = ["--set", "epochs=1", "--set", "batch_size=8", "--seed", "1", "2"]
    assert cv(root, "--model", str(backbone), *settings, "--json") == 0
    (manifest,) = json.loads(capsys.readouterr().out)["runs"].values()
    assert manifest["seeds"] == [1, 2]
    assert len(manifest["parts"]) == 6
    assert len(predictions(root)) == 6
