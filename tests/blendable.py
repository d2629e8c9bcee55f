"""A small competition on disk with trained runs, made in a moment: for tests of the ensemble.

    toy = make(tmp_path, "regression", "pearson")
    toy.add_run("good", noise=0.5)

Predictions are the truth plus noise; everything else (files, frozen folds, parts and manifests) is
what `pipeline.cv` leaves behind.
"""

import atexit
import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from pipeline.base.config import Competition
from pipeline.base.files import commit_json
from pipeline.base.parser import read_section
from pipeline.base.paths import Paths
from pipeline.data.tables import Tables, load
from pipeline.folds.frozen import Folds, frozen
from pipeline.metrics.metric import get_metric
from pipeline.oof.predictions import FoldPredictions, commit_fold
from tests.ensemble.toys import CLASSES, member, truth_of

WORDS = ["river", "stone", "quiet", "engine", "paper", "window", "garden", "market", "signal"]
WORDS += ["winter", "bridge", "yellow"]
TARGETS = {"multilabel": ["toxic", "insult", "threat"]}


@dataclass
class Toy:
    """One competition under *root*."""

    root: Path
    competition: Competition
    paths: Paths
    tables: Tables
    folds: Folds
    truth: dict[str, np.ndarray]
    """File (train, test, dev) -> targets."""

    def add_run(self, name: str, noise: float, seed: int = 1, **more: Any) -> None:
        """Commit a complete run whose predictions know the truth up to *noise*."""
        parts = {
            f"seed-42/fold-{fold}": self.add_fold(name, fold, noise, seed)
            for fold in range(self.folds.count)
        }
        metric = get_metric(self.competition.task.metric, self.competition.task)
        manifest = {
            "name": name,
            "competition": self.competition.name,
            "passport": self.folds.digest,
            "recipe": {"name": name},
            "outputs": self.competition.outputs,
            "seeds": [42],
            "repeats": 1,
            "folds": self.folds.count,
            "selection": "last-epoch",
            "parts": parts,
            "metric": metric.name,
        }
        commit_json(self.paths.run_manifest(name), manifest | more)

    def add_fold(self, name: str, fold: int, noise: float, seed: int = 1) -> str:
        """Commit one fold of a run; the digest of its predictions."""
        rows = self.folds.fold_of_row[0] == fold
        predicted = {
            file: self._predict(file, noise, [seed, place, fold * (file != "train")])
            for place, file in enumerate(self.truth)
        }
        holdout = self.tables.holdout
        path = self.paths.fold_predictions(name, 42, 0, fold)
        none = np.empty((0, predicted["train"].shape[1]))
        predictions = FoldPredictions(
            valid_ids=self.folds.ids[rows],
            valid=predicted["train"][rows],
            test_ids=self.tables.test.ids,
            test=predicted["test"],
            holdout_ids=self.folds.ids[:0] if holdout is None else holdout.ids,
            holdout=none if holdout is None else predicted["dev"],
            valid_labels=None if self.folds.label_hash is None else self.folds.label_hash[rows],
        )
        commit_fold(path, predictions, {"fold": fold})
        return str(json.loads(path.with_suffix(".json").read_text())["predictions_sha256"])

    def _predict(self, file: str, noise: float, seed: list[int]) -> np.ndarray:
        return member(self.competition.task.problem, self.truth[file], noise, seed)

    def arguments(self, *more: str) -> list[str]:
        """What the command is called with."""
        return ["--root", str(self.root), "--config", "toy", *more]


def make(
    root: Path,
    problem: str,
    metric: str,
    n: int = 120,
    m: int = 30,
    targets: Sequence[str] | None = None,
    sample: tuple[list[str], list[str]] | None = None,
    holdout: bool = False,
    task: str = "",
    texts: int = 1,
    h: int = 40,
    folds: int = 4,
) -> Toy:
    """Write the files of a competition and freeze its folds.

    *sample* gives the columns after the id and what they show; *task* is more YAML for the task.
    A blend fits each method without each fold and without each two: with three *folds*, the fewest
    inside which weights are compared, it takes three quarters of the time.
    """
    names = tuple(targets or TARGETS.get(problem, ["label"]))
    files = {"train": n, "test": m} | ({"dev": h} if holdout else {})
    header, shown = sample or (names, ["0.5"] * len(names))
    form = (*header,), (*shown,)
    made = _made(problem, metric, names, tuple(files.items()), *form, task, texts, folds)
    shutil.copytree(made[0], root, dirs_exist_ok=True)
    competition, tables, dealt = deepcopy(made[1:])
    truth = _truth(problem, files, len(names))
    return Toy(root, competition, Paths(root, "toy"), tables, dealt, truth)


def _truth(problem: str, files: Mapping[str, int], targets: int) -> dict[str, np.ndarray]:
    return {
        file: truth_of(problem, rows, targets, seed)
        for seed, (file, rows) in enumerate(files.items())
    }


@cache
def _made(
    problem: str,
    metric: str,
    names: tuple[str, ...],
    files: tuple[tuple[str, int], ...],
    header: tuple[str, ...],
    shown: tuple[str, ...],
    task: str,
    texts: int,
    folds: int,
) -> tuple[Path, Competition, Tables, Folds]:
    """A folder with these files and their frozen folds, and what is read of it: many tests want
    the same."""
    root = Path(mkdtemp(prefix="toy-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    columns = [f"text{place}" for place in range(texts)]
    for file, values in _truth(problem, dict(files), len(names)).items():
        labels = () if file == "test" else names
        ids = [f"{file}-{row:04d}" for row in range(len(values))]
        rows = [
            _row(row_id, values[row], problem, columns, labels) for row, row_id in enumerate(ids)
        ]
        _write(root / "data" / f"{file}.csv", ["id", *columns, *labels], rows)
    lines = [[f"test-{row:04d}", *shown] for row in range(dict(files)["test"])]
    _write(root / "data" / "sample.csv", ["id", *header], lines)
    _write_config(root, problem, metric, names, columns, "dev" in dict(files), task, folds)
    competition = read_section(Competition, root / "configs" / "toy.yaml")
    tables = load(competition, root)
    return root, competition, tables, frozen(competition, Paths(root, "toy"), tables.train)


def _row(
    row_id: str, values: np.ndarray, problem: str, columns: list[str], labels: Sequence[str]
) -> list[str]:
    random = np.random.default_rng([int(row_id[-4:]), len(row_id)])
    texts = [" ".join(random.choice(WORDS, size=12)) for _ in columns]
    if problem == "multiclass":
        return [row_id, *texts, *(CLASSES[int(values[0])] for _ in labels)]
    number = str if problem == "regression" else lambda value: str(int(value))
    return [row_id, *texts, *(number(float(values[place])) for place in range(len(labels)))]


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def _write_config(
    root: Path,
    problem: str,
    metric: str,
    names: Sequence[str],
    columns: list[str],
    holdout: bool,
    task: str,
    folds: int,
) -> None:
    classes = {"binary": '["0", "1"]', "multiclass": f"[{', '.join(CLASSES)}]"}.get(problem, "[]")
    more = "\n  holdout: [data/dev.csv]" if holdout else ""
    (root / "configs").mkdir()
    (root / "configs" / "toy.yaml").write_text(
        f"""name: toy
data:
  train: data/train.csv
  test: data/test.csv
  sample_submission: data/sample.csv{more}
columns:
  id: id
  texts: [{", ".join(columns)}]
  targets: [{", ".join(names)}]
task:
  problem: {problem}
  metric: {metric}
  classes: {classes}
  {task}
folds:
  count: {folds}
"""
    )
