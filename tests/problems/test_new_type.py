"""A new problem type goes the whole way: one file and one line of the registry are enough."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.folds import __main__ as folds
from tests.quick import quick

PROJECT = Path(__file__).resolve().parents[2]
WORDS = {"good": 0.9, "fine": 0.7, "plain": 0.5, "dull": 0.3, "bad": 0.1}
CONFIG = """
name: toy
data: {train: train.csv, test: test.csv, sample_submission: sample.csv}
columns: {id: id, texts: [text], targets: [liked]}
task: {problem: share, metric: "own:closeness"}
folds: {count: 3, groups: none}
"""
OWN_METRIC = """
def closeness(y_true, y_pred):
    return 1 - abs(y_true - y_pred).mean()
"""
RECIPE = "learner: linear\nchar_ngrams: [2, 2]\nword_ngrams: [1, 1]\nbuckets: 4096\n"
REGISTERED = """
import sys
from typing import Literal
from pipeline.problems import registry
from tests.problems.share import SHARE
registry.TYPES["share"] = SHARE  # the one line
registry.ProblemName = Literal[tuple(registry.TYPES)]
import importlib, json
from pipeline.base.command import run
for root, name, *argv in json.loads(sys.argv[1]):
    status = run(importlib.import_module(f"pipeline.{name}").main, [*argv, "--root", root])
    print(f"== {name}: {status}", flush=True)
"""


def written(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A competition whose labels are shares, told by the words of a text."""
    root = tmp_path_factory.mktemp("share")
    random = np.random.default_rng(0)
    rows = []
    for number in range(120):
        words = random.choice(list(WORDS), size=4)
        share = np.clip(np.mean([WORDS[word] for word in words]) + random.normal(0, 0.05), 0, 1)
        rows.append([f"r{number:03}", f"{' '.join(words)} day {number}", f"{share:.3f}"])
    written(root / "train.csv", ["id", "text", "liked"], rows[:90])
    written(root / "test.csv", ["id", "text"], [row[:2] for row in rows[90:]])
    written(root / "sample.csv", ["id", "liked"], [[row[0], "0.5"] for row in rows[90:]])
    written(root / "answers.csv", ["id", "liked"], [[row[0], row[2]] for row in rows[90:]])
    (quick(root) / "short.yaml").write_text(RECIPE)
    (root / "configs" / "default.yaml").write_text(CONFIG)
    (root / "own.py").write_text(OWN_METRIC)
    return root


@pytest.fixture(scope="module")
def no_shares(root, tmp_path_factory):
    """The same with a label that is no share."""
    other = tmp_path_factory.mktemp("no-share")
    rows = read(root / "train.csv")
    rows[3]["liked"] = "1.2"
    written(other / "train.csv", list(rows[0]), [list(row.values()) for row in rows])
    for name in ("test.csv", "sample.csv", "own.py"):
        (other / name).write_bytes((root / name).read_bytes())
    (other / "configs").mkdir()
    (other / "configs" / "default.yaml").write_text(CONFIG)
    return other


@pytest.fixture(scope="module")
def done(root, no_shares) -> subprocess.CompletedProcess[str]:
    """Commands, one after the other, of a program that has the new type in its registry."""
    calls = [
        [root, "cv", "--model", "linear"],
        [root, "cv", "--model", "short"],
        [root, "ensemble.__main__", "--method", "logistic"],
        [root, "team.__main__", "export", "short", "--out", root / "mine.csv"],
        [root, "team.__main__", "add", root / "mine.csv", "--name", "mate"],
        [no_shares, "folds.__main__"],
    ]
    return subprocess.run(
        [sys.executable, "-c", REGISTERED, json.dumps(calls, default=str)],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_new_problem_type_goes_the_whole_way(root, done):
    codes = re.findall("^== .*: (.*)$", done.stdout, re.M)
    assert codes == ["0", "0", "0", "0", "3", "3"], done.stderr  # a copy is refused, and no shares
    assert "written  shares in liked" in done.stdout
    (file,) = (root / "submissions").glob("*.csv")
    found = np.array([float(row["liked"]) for row in read(file)])
    truth = np.array([float(row["liked"]) for row in read(root / "answers.csv")])
    assert found.min() > 0
    assert found.max() < 1
    assert np.corrcoef(found, truth)[0, 1] > 0.8


def test_labels_that_are_no_shares_are_refused_by_the_new_type(done):
    assert "== folds.__main__: 3" in done.stdout
    assert "outside task.label_range [0.0, 1.0]" in done.stderr
    assert "r003" in done.stderr


def test_without_its_line_the_config_is_refused_with_the_types_there_are(root, capsys):
    assert run(folds.main, ["--root", str(root)]) == 2
    assert "one of 'regression', 'binary', 'multiclass', 'multilabel'" in capsys.readouterr().err
