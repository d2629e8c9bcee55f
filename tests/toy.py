"""A small competition of pairs on disk, and commands on it as processes of their own.

root = toy_competition(tmp_path)
done = command(root, "cv", "--model", "tiny", fault="step:7:kill9")
"""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.base.files import sha256
from pipeline.base.seeding import generator
from tests.quick import quick
from tests.tiny import tiny_backbone

PROJECT = Path(__file__).resolve().parents[1]
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
RECIPE = """
learner: transformer
backbone: {backbone}
epochs: 2
batch_size: 8
length_groups: 2
max_length: 32
learning_rate: 0.001
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


def toy_competition(root: Path) -> Path:
    """60 training rows, 12 test rows, three folds, and a recipe `tiny` of 2 × 5 steps per fold."""
    models = toy_files(root)
    words = [" ".join([*SUBJECTS, *VERBS, *PLACES, "a in the"])]
    backbone = tiny_backbone(root / "backbone", words)
    (models / "tiny.yaml").write_text(RECIPE.format(backbone=backbone))
    return root


def toy_files(root: Path) -> Path:
    """The competition and a quick recipe `linear` alone; the folder of its recipes."""
    columns = ["id", "sentence_1", "sentence_2", "label"]
    write(root / "train.csv", columns, pairs(60, "train"))
    test = pairs(12, "test")
    write(root / "test.csv", columns[:3], [row[:3] for row in test])
    write(root / "sample.csv", ["id", "target"], [(row[0], "0.0") for row in test])
    models = quick(root)
    (root / "configs" / "default.yaml").write_text(CONFIG)
    return models


def untrained(toy: Path, root: Path) -> Path:
    """A copy of the competition *toy* in *root*, its folds frozen and nothing trained."""
    shutil.copytree(toy, root, dirs_exist_ok=True)
    shutil.rmtree(root / "oof")
    shutil.rmtree(root / "runs")
    return root


def environment(**more: str) -> dict[str, str]:
    """Of a child: one thread, this project's package, and *more*."""
    plain = {key: value for key, value in os.environ.items() if key != "PIPELINE_FAULT"}
    return {**plain, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **more}


def command(
    root: Path, name: str, *argv: str, fault: str = "", timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipeline.NAME` on *root* to its end."""
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{name}", "--root", str(root), *argv],
        env=environment(**({"PIPELINE_FAULT": fault} if fault else {})),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def predictions(root: Path) -> dict[str, str]:
    """SHA-256 of every file of predictions and every submission, by its path below *root*."""
    found = [*root.glob("oof/**/*.npz"), *root.glob("submissions/*.csv")]
    return {str(path.relative_to(root)): sha256(path) for path in sorted(found)}
