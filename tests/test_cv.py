"""`python -m pipeline.cv` as a person runs it, on a small competition of pairs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.command import run
from pipeline.config import Competition, read_section
from pipeline.cv import main
from pipeline.data.tables import load
from pipeline.files import sha256
from pipeline.models.learner import Silent
from pipeline.models.recipes import find
from pipeline.results.oof import read_fold
from pipeline.seeding import generator
from pipeline.training.factories import make_factory
from tests.tiny import tiny_backbone

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS = ["cat", "dog", "bird", "horse", "fish", "child", "nurse", "pilot"]
VERBS = ["sleeps", "runs", "sings", "waits", "reads", "falls"]
PLACES = ["garden", "kitchen", "river", "station", "market", "forest"]
CONFIG = """
name: toy
data: {train: train.csv, test: test.csv, sample_submission: sample.csv}
columns: {id: id, texts: [sentence_1, sentence_2], targets: [label]}
task: {problem: regression, metric: pearson, label_range: [0, 5]}
folds: {count: 3, bins: 3, groups: exact}
"""


def sentence(random) -> str:
    return f"a {random.choice(SUBJECTS)} {random.choice(VERBS)} in the {random.choice(PLACES)}"


def pairs(n: int, name: str) -> list[tuple[str, str, str, str]]:
    """The label is how many of the three words the sentences share, from 0 to 5."""
    random, rows = generator(0, name), []
    for number in range(n):
        first, second = sentence(random), sentence(random)
        if random.random() < 0.5:
            second = first.rsplit(" ", 1)[0] + f" {random.choice(PLACES)}"
        shared = len(set(first.split()) & set(second.split())) - 3
        label = str(max(0, shared) * 5 / 3)
        rows.append((f"{name}-{number:03}", f"{first} {number}", f"{second} {number}", label))
    return rows


def write(path: Path, header: list[str], rows: list[tuple]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    columns = ["id", "sentence_1", "sentence_2", "label"]
    write(tmp_path / "train.csv", columns, pairs(60, "train"))
    test = pairs(12, "test")
    write(tmp_path / "test.csv", columns[:3], [row[:3] for row in test])
    write(tmp_path / "sample.csv", ["id", "target"], [(row[0], "0.0") for row in test])
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.yaml").write_text(CONFIG)
    return tmp_path


def predictions(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): sha256(path) for path in sorted(root.glob("oof/**/*.npz"))}


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
    assert list(root.glob("runs/toy/linear/seed-42/fold-0/logs/events.out.tfevents.*"))


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
    ],
)
def test_a_mistake_gets_a_sentence_and_its_exit_code(root, capsys, argv, code, message):
    assert cv(root, *argv) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
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
    cv(root, "--model", "linear", "--set", "word_ngrams=[1, 1]")
    (name,) = [path.name for path in (root / "oof" / "toy").iterdir()]
    assert name.startswith("linear-")


def test_changed_labels_are_refused_naming_the_row(root, capsys):
    cv(root, "--model", "linear", "--only-fold", "0")
    rows = (root / "train.csv").read_text().splitlines()
    rows[3] = rows[3].rsplit(",", 1)[0] + ",4.9"
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    assert cv(root, "--model", "linear") == 5
    assert "train-002" in capsys.readouterr().err


def test_kill_9_and_the_same_command_again_give_the_same_bytes(root, tmp_path_factory):
    cv(root, "--model", "linear")
    golden = predictions(root)
    for path in golden:
        (root / path).unlink()
        (root / path).with_suffix(".json").unlink()
    (root / "oof" / "toy" / "linear" / "run.json").unlink()
    command = [sys.executable, "-m", "pipeline.cv", "--root", str(root), "--model", "linear"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as child:
        first = root / "oof" / "toy" / "linear" / "seed-42" / "fold-0.json"
        while not first.exists() and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert cv(root, "--model", "linear") == 0
    assert predictions(root) == golden


@pytest.mark.parametrize("kind", ["linear", "transformer"])
def test_predicting_again_from_the_saved_weights_gives_the_saved_predictions(root, kind):
    texts = [text for row in pairs(60, "train") for text in row[1:3]]
    model = "linear" if kind == "linear" else str(tiny_backbone(root / "tiny", texts))
    cv(root, "--model", model, "--only-fold", "1")
    competition = read_section(Competition, root / "configs" / "default.yaml")
    factory = make_factory(find(model, root), competition)
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
    texts = [text for row in pairs(60, "train") for text in row[1:3]]
    backbone = tiny_backbone(root / "tiny", texts)
    settings = ["--set", "epochs=1", "--set", "batch_size=8", "--seed", "1", "2"]
    assert cv(root, "--model", str(backbone), *settings, "--json") == 0
    (manifest,) = json.loads(capsys.readouterr().out)["runs"].values()
    assert manifest["seeds"] == [1, 2]
    assert len(manifest["parts"]) == 6
    assert len(predictions(root)) == 6
