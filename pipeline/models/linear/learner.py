"""The linear learner: n-grams with ridge or logistic regression.

No download and seconds per fold; its errors are of another kind than a transformer's, which makes
it a member worth blending. What is learnt comes from the training part alone; the factory's folds
share nothing but n-gram counts. The same rows give the same weights, whatever the seed.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.base.config import Competition, TaskConfig, as_dict
from pipeline.base.errors import ArtifactError
from pipeline.base.files import commit_arrays, commit_json, read_arrays, read_json
from pipeline.base.paths import Workspace
from pipeline.base.seeding import generator
from pipeline.data.table import Table
from pipeline.models.learner import Engine, LearnerFactory, Watch
from pipeline.models.linear.features import Features, chunks, learn_features
from pipeline.models.linear.regularisation import DENSE, STANDARD, row_hashes, try_strengths
from pipeline.models.linear.solver import fit_glm
from pipeline.models.linear.targets import Answers, answers_of, learn_answers
from pipeline.models.linear.text_features import Family, NgramCounter, Unit
from pipeline.models.settings import LinearRecipe

ONE = 1  # thread for BLAS: small products gain nothing from more, and sums keep their order
MOST_NGRAMS = 300_000_000  # in the training part: about 8 GB of inputs


class LinearFactory(LearnerFactory):
    """Nothing is shared but n-gram counts, and nothing is done before the first fold."""

    def __init__(
        self,
        recipe: LinearRecipe,
        task: TaskConfig,
        outputs: int,
        grouped_by: Sequence[str] = (),
    ) -> None:
        """*outputs* is the number of prediction columns, k; folds are *grouped_by* columns."""
        self.recipe, self.task, self.outputs = recipe, task, outputs
        self.grouped_by = grouped_by
        self.counter = NgramCounter(_families(recipe), recipe.buckets)

    def facts(self) -> dict[str, Any]:
        """What all folds share."""
        return {"device": "cpu", "precision": "fp32", "ngrams": _inputs(self.recipe)}

    def make(self, seed: int) -> "LinearLearner":
        """A fresh learner; *seed* matters only where there are too many rows to learn from all."""
        return LinearLearner(self, seed)

    def load(self, folder: Path) -> "LinearLearner":
        """The learner that `LinearLearner.save` wrote."""
        return LinearLearner.restore(self, folder)

    def disk_bytes(self) -> int:
        """A generous estimate: every bucket of every n-gram family in use."""
        return len(self.counter.families) * self.recipe.buckets * (12 + 4 * self.outputs)


def make_factory(recipe: LinearRecipe, competition: Competition, engine: Engine) -> LinearFactory:
    """The factory of a run; it needs nothing of the *engine*."""
    outputs, grouped_by = len(competition.outputs), competition.folds.group_columns
    return LinearFactory(recipe, competition.task, outputs, grouped_by)


class LinearLearner:
    """A `pipeline.models.learner.Learner`."""

    def __init__(self, factory: LinearFactory, seed: int) -> None:
        self.factory, self.seed = factory, seed
        self.facts: dict[str, Any] = {}
        self.features: Features | None = None
        self.answers: Answers | None = None
        self.weights = np.empty((0, 0), dtype=np.float32)

    @threadpool_limits.wrap(limits=ONE)
    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train*; DataError where its targets are all the same."""
        started = time.monotonic()
        train = self._affordable(train, watch)
        answers = learn_answers(train, self.factory.task, self.factory.outputs)
        assert train.targets is not None
        targets, loss = answers.encode(train.targets), answers.loss
        grid = self.factory.recipe.strengths or STANDARD[loss]
        watch.phase("train", 2 + len(grid))
        self.features = learn_features(train, self.factory.counter)
        design = self.features.design(train, self.factory.counter)
        watch.advance()
        hashes = row_hashes(train, self.factory.grouped_by)
        trials = try_strengths(design, targets, loss, hashes, grid, answers.surprise, watch.advance)
        best, tried = trials[0], [trial for trial in trials if len(trial.scores)]
        self.weights = fit_glm(design, targets, loss, DENSE, best.strength)
        self.answers = answers.sharpened(best.scores, best.answers)
        watch.advance(1 + len(grid) - len(trials), rows=len(train))
        self.facts = {
            "strength": best.strength,
            "inner_losses": {f"{trial.strength:g}": round(trial.loss, 6) for trial in tried},
            "rows": len(train),
            "dense_inputs": design.dense.shape[1],
            "ngram_inputs": design.ngrams.shape[1],
            "nonzeros_per_row": round(design.ngrams.nnz / len(train), 1),
            "values": len(self.features.values),
            "fit_seconds": round(time.monotonic() - started, 3),
        }

    @threadpool_limits.wrap(limits=ONE)
    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        assert self.features is not None, "fit or load before predict"
        assert self.answers is not None
        watch.phase("predict", len(table))
        parts = []
        for chunk in chunks(table):
            design = self.features.design(chunk, self.factory.counter)
            parts.append(self.answers.decode(design.times(self.weights)))
            watch.advance(len(chunk), rows=len(chunk))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write linear.npz, then linear.json."""
        assert self.features is not None, "fit before save"
        assert self.answers is not None
        answers = {"center": self.answers.center, "scale": self.answers.scale}
        arrays = {"weights": self.weights, **answers}
        digest = commit_arrays(folder / "linear.npz", {**arrays, **self.features.to_arrays()})
        content = {"inputs": _inputs(self.factory.recipe), "sha256": digest, "facts": self.facts}
        commit_json(folder / "linear.json", content)

    @classmethod
    def restore(cls, factory: LinearFactory, folder: Path) -> "LinearLearner":
        """The learner saved in *folder*; ArtifactError where it is damaged or of another recipe."""
        content = read_json(folder / "linear.json")
        if (found := content.get("inputs")) != (wanted := _inputs(factory.recipe)):
            raise ArtifactError(
                f"{folder} was saved with {found}, but the recipe asks for {wanted}"
            )
        arrays = read_arrays(folder / "linear.npz", expected_sha256=str(content.get("sha256")))
        learner = cls(factory, seed=0)
        learner.weights, learner.facts = arrays["weights"], content["facts"]
        learner.features = Features.from_arrays(arrays)
        kind = answers_of(factory.task)
        learner.answers = kind(center=arrays["center"], scale=arrays["scale"])
        return learner

    def _affordable(self, train: Table, watch: Watch) -> Table:
        """*train*, or as many rows of it, drawn by the seed, as fit into memory."""
        characters = sum(map(len, train.texts.ravel().tolist()))
        ngrams = max(1, characters * len(self.factory.counter.families))
        if ngrams <= MOST_NGRAMS:
            return train
        rows = max(1, len(train) * MOST_NGRAMS // ngrams)
        watch.event(
            "fewer rows",
            f"learns from {rows:,} of {len(train):,} rows; all would not fit into memory",
            rows=rows,
        )
        drawn = generator(self.seed, "linear-rows").permutation(len(train))[:rows]
        return train.rows(np.sort(drawn))


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
