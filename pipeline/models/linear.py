"""The linear learner: n-grams with ridge for numbers, logistic regression for classes.

No download and seconds per fold; its errors are of another kind than a transformer's, which makes
it a member worth blending. What is learnt comes from the training part alone; the factory's folds
share nothing but n-gram counts. The same rows give the same weights, whatever the seed.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import TaskConfig, as_dict
from pipeline.data.table import Table
from pipeline.errors import ArtifactError, DataError
from pipeline.files import commit_arrays, commit_json, read_arrays, read_json
from pipeline.models.glm import Loss, fit_glm, predicted
from pipeline.models.learner import Watch
from pipeline.models.linear_features import Features, chunks, learn_features
from pipeline.models.ngrams import Family, NgramCounter, Unit
from pipeline.models.settings import LinearRecipe
from pipeline.models.strength import (
    DENSE,
    STANDARD,
    row_hashes,
    softmax,
    softmax_slope,
    try_strengths,
)
from pipeline.seeding import generator

LOSS: dict[str, Loss] = {
    "regression": "squared",
    "binary": "sigmoid",
    "multilabel": "sigmoid",
    "multiclass": "squared",
}
"""One of several classes: least squares per class, then one softmax. On short texts it is as good
as a softmax fitted throughout, or better, at half the time."""
MOST_NGRAMS = 400_000_000  # in the training part: about 6 GB of inputs


class LinearFactory:
    """A `pipeline.models.learner.LearnerFactory`."""

    def __init__(self, recipe: LinearRecipe, task: TaskConfig, outputs: int) -> None:
        """*outputs* is the number of prediction columns, k."""
        self.recipe, self.task, self.outputs = recipe, task, outputs
        self.counter = NgramCounter(_families(recipe), recipe.buckets)

    def facts(self) -> dict[str, Any]:
        """What all folds share."""
        return {"device": "cpu", "precision": "fp32", "ngrams": _inputs(self.recipe)}

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Nothing to do before the first fold; the line says how much text there is."""
        characters = sum(len(text) for table in tables for text in table.texts.ravel().tolist())
        rows = sum(map(len, tables))
        return f"{characters:,} characters, {characters / max(rows, 1):.0f} per row on average"

    def make(self, seed: int) -> "LinearLearner":
        """A fresh learner; *seed* matters only where there are too many rows to learn from all."""
        return LinearLearner(self, seed)

    def load(self, folder: Path) -> "LinearLearner":
        """The learner that `LinearLearner.save` wrote."""
        return LinearLearner.restore(self, folder)

    def disk_bytes(self) -> int:
        """A generous estimate: every bucket of every n-gram family in use."""
        return len(self.counter.families) * self.recipe.buckets * (12 + 4 * self.outputs)


class LinearLearner:
    """A `pipeline.models.learner.Learner`."""

    def __init__(self, factory: LinearFactory, seed: int) -> None:
        self.factory, self.seed = factory, seed
        self.loss = LOSS[factory.task.problem]
        self.facts: dict[str, Any] = {}
        self.features: Features | None = None
        self.weights = self.center = self.scale = np.empty(0, dtype=np.float32)

    def fit(self, train: Table, logs: Path, watch: Watch) -> None:
        """Learn from *train*; DataError where its targets are all the same."""
        started = time.monotonic()
        recipe = self.factory.recipe
        grid = recipe.strengths or STANDARD[self.loss]
        watch.phase("train", 2 + len(grid))
        train = self._affordable(train, watch)
        targets = self._prepared(train)
        self.features = learn_features(train, self.factory.counter)
        design = self.features.design(train, self.factory.counter)
        watch.advance()
        trials = try_strengths(
            design, targets, self.loss, row_hashes(train), recipe.strengths, tell=watch.advance
        )
        best = trials[0]
        self.weights = fit_glm(design, targets, self.loss, DENSE, best.strength)
        if self.factory.task.problem == "multiclass":
            self.scale *= softmax_slope(best.scores, self.center, best.answers > 0)
        watch.advance(1 + len(grid) - len(trials), rows=len(train))
        self.facts = {
            "strength": best.strength,
            "inner_losses": {str(trial.strength): round(trial.loss, 6) for trial in trials},
            "rows": len(train),
            "dense_inputs": design.dense.shape[1],
            "ngram_inputs": design.ngrams.shape[1],
            "nonzeros_per_row": round(design.ngrams.nnz / len(train), 1),
            "values": len(self.features.values),
            "fit_seconds": round(time.monotonic() - started, 3),
        }

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        assert self.features is not None, "fit or load before predict"
        watch.phase("predict", len(table))
        parts = []
        for chunk in chunks(table):
            design = self.features.design(chunk, self.factory.counter)
            parts.append(self._said(design.times(self.weights)))
            watch.advance(len(chunk), rows=len(chunk))
        return np.concatenate(parts).astype(np.float32)

    def _said(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) predictions from *scores*."""
        scores = predicted(scores, self.loss) * self.scale + self.center
        return softmax(scores) if self.factory.task.problem == "multiclass" else scores

    def save(self, folder: Path) -> None:
        """Write linear.npz, then linear.json."""
        assert self.features is not None, "fit before save"
        arrays = {"weights": self.weights, "center": self.center, "scale": self.scale}
        digest = commit_arrays(folder / "linear.npz", {**arrays, **self.features.to_arrays()})
        content = {"inputs": _inputs(self.factory.recipe), "sha256": digest, "facts": self.facts}
        commit_json(folder / "linear.json", content)

    @classmethod
    def restore(cls, factory: LinearFactory, folder: Path) -> "LinearLearner":
        """The learner saved in *folder*; ArtifactError where it is damaged or of another recipe."""
        content = read_json(folder / "linear.json")
        if content["inputs"] != (wanted := _inputs(factory.recipe)):
            raise ArtifactError(
                f"{folder} was saved with {content['inputs']}, but the recipe asks for {wanted}"
            )
        arrays = read_arrays(folder / "linear.npz", expected_sha256=content["sha256"])
        learner = cls(factory, seed=0)
        learner.weights, learner.center, learner.scale = (
            arrays.pop(name) for name in ("weights", "center", "scale")
        )
        learner.features, learner.facts = Features.from_arrays(arrays), content["facts"]
        return learner

    def _affordable(self, train: Table, watch: Watch) -> Table:
        """*train*, or as many rows of it, drawn by the seed, as fit into memory."""
        characters = sum(map(len, train.texts.ravel().tolist()))
        ngrams = max(1, characters * len(self.factory.counter.families))
        if ngrams <= MOST_NGRAMS:
            return train
        rows = max(1, len(train) * MOST_NGRAMS // ngrams)
        watch.say(f"learns from {rows:,} of {len(train):,} rows; all would not fit into memory")
        drawn = generator(self.seed, "linear-rows").permutation(len(train))[:rows]
        return train.rows(np.sort(drawn))

    def _prepared(self, train: Table) -> np.ndarray:
        """(n, k) targets as the loss wants them; sets how predictions are scaled back."""
        assert train.targets is not None
        targets, problem = train.targets, self.factory.task.problem
        k = self.factory.outputs
        self.center, self.scale = np.zeros(k, np.float32), np.ones(k, np.float32)
        constant = targets.max(axis=0) == targets.min(axis=0)
        if constant.all() or (constant.any() and problem == "regression"):
            value = targets[0, int(np.flatnonzero(constant)[0])]
            name = self.factory.task.classes[int(value)] if self.factory.task.classes else value
            raise DataError(
                f"all {len(train)} rows of the training part have the same target, {name}: there "
                "is nothing to learn. Look at the target column, or use fewer folds."
            )
        if problem == "multiclass":
            is_class = targets == np.arange(k)
            share = (is_class.sum(axis=0) + 0.5) / (len(train) + 0.5 * k)
            self.center = np.log(share).astype(np.float32)
            return (is_class - is_class.mean(axis=0)).astype(np.float32)
        if problem == "regression":
            self.center = targets.mean(axis=0).astype(np.float32)
            self.scale = targets.std(axis=0).astype(np.float32)
        return ((targets - self.center) / self.scale).astype(np.float32)


def _families(recipe: LinearRecipe) -> list[Family]:
    spans: list[tuple[Unit, tuple[int, int]]] = [
        ("char", recipe.char_ngrams),
        ("word", recipe.word_ngrams),
    ]
    return [(unit, size) for unit, (low, high) in spans for size in range(low, high + 1)]


def _inputs(recipe: LinearRecipe) -> dict[str, Any]:
    """The part of the recipe that says what weights belong to."""
    settings = as_dict(recipe)
    return {name: settings[name] for name in ("char_ngrams", "word_ngrams", "buckets")}
