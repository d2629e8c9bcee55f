"""The linear learner: n-grams with ridge or logistic regression.

No download and seconds per fold; its errors are of another kind than a transformer's, which makes
it a member worth blending. What is learnt comes from the training part alone; the factory's folds
share nothing but n-gram counts. The same rows give the same weights, whatever the seed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.base import Competition, generator
from pipeline.base.config import TaskConfig
from pipeline.base.files import commit_arrays, commit_json
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.models.learner import Engine, LearnerFactory, Watch, read_saved
from pipeline.models.linear.class_fits import answers_of, learn_answers, restored
from pipeline.models.linear.features import Features, chunks, learn_features
from pipeline.models.linear.solver import (
    Design,
    Trial,
    inner_parts,
    kept_rows,
    plainly_lower,
    row_hashes,
    try_strengths,
)
from pipeline.models.linear.targets import Answers
from pipeline.models.linear.text_features import NgramCounter, families_of, ngram_settings, tidy
from pipeline.models.row_transforms.transform import originals
from pipeline.models.settings import LinearRecipe

ONE = 1  # thread for BLAS: small products gain nothing from more, and sums keep their order
BLOCKS, ENOUGH_IN_BLOCK = 20, 5  # of held-out rows, to compare two orders of pairs on
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
        answers_of(task, recipe.class_fit)  # or it is refused
        self.recipe, self.task, self.outputs = recipe, task, outputs
        self.grouped_by = grouped_by
        self.counter = NgramCounter(
            families_of(recipe.char_ngrams, recipe.word_ngrams, recipe.within_words), recipe.buckets
        )

    def facts(self) -> dict[str, Any]:
        """What all folds share."""
        return {"device": "cpu", "precision": "fp32", "ngrams": ngram_settings(self.recipe)}

    def make(self, seed: int) -> "LinearLearner":
        """A fresh learner; *seed* matters only where there are too many rows to learn from all."""
        return LinearLearner(self, seed)

    def seeds_matter(self, train: Table) -> bool:
        """Only where there are too many rows to learn from all."""
        return self.ngrams(train) > MOST_NGRAMS

    def ngrams(self, table: Table) -> int:
        """About how many *table*'s texts hold, or more."""
        return sum(map(len, table.texts.ravel().tolist())) * len(self.counter.families)

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


@dataclass(frozen=True)
class Trained:
    """One way to fit a training part, and how it did on held-out rows of that part."""

    features: Features
    design: Design
    symmetric: bool
    """Whether (a, b) and (b, a) are the same pair."""
    answers: Answers
    trials: list[Trial]
    """Strengths that were tried, the best one first."""

    def block_losses(self) -> np.ndarray:
        """(b,) losses per row of b blocks of the held-out rows; empty where those are few."""
        best = self.trials[0]
        if len(best.scores) < BLOCKS * ENOUGH_IN_BLOCK:
            return np.empty(0)
        blocks = [slice(start, None, BLOCKS) for start in range(BLOCKS)]
        return np.array([self.answers.surprise(best.scores[b], best.answers[b]) for b in blocks])


def in_one_order(table: Table) -> Table:
    """*table* with the shorter text of each pair first, of two equally long ones the lesser."""
    pairs = [
        sorted(row, key=lambda text: (len(tidy(text)), tidy(text), text)) for row in table.texts
    ]
    texts = np.array(pairs, dtype=object).reshape(table.texts.shape)
    return replace(table, texts=texts)


class LinearLearner:
    """A `pipeline.models.learner.Learner`."""

    def __init__(self, factory: LinearFactory, seed: int) -> None:
        self.factory, self.seed = factory, seed
        self.facts: dict[str, Any] = {}
        self.features: Features | None = None
        self.answers: Answers | None = None
        self.symmetric = False
        self.weights = np.empty((0, 0), dtype=np.float32)

    @threadpool_limits.wrap(limits=ONE)
    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train*; DataError where its targets are all the same."""
        started = time.monotonic()
        train = self._affordable(train, watch)
        watch.phase("train", len(train))
        found = self._chosen(train)
        best, answers, design = found.trials[0], found.answers, found.design
        assert train.targets is not None
        targets = answers.encode(train.targets)
        self.features, self.symmetric = found.features, found.symmetric
        self.weights = answers.fit(design, targets, best.strength)
        self.answers = answers.sharpened(best.scores, best.answers)
        watch.advance(len(train), rows=len(train))
        tried = [trial for trial in found.trials if len(trial.scores)]
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
        if answers.way:
            self.facts["class_fit"] = answers.way
        if train.texts.shape[1] > 1:
            self.facts["pair_order"] = "symmetric" if self.symmetric else "ordered"

    def _chosen(self, train: Table) -> "Trained":
        """The features, order and answers to fit *train* with, as tried inside of it."""
        asked = self.factory.recipe.pair_order
        if train.texts.shape[1] == 1 or asked == "ordered":
            return self._tried(train, symmetric=False)
        if asked == "symmetric":
            return self._tried(train, symmetric=True)
        kept = kept_rows(row_hashes(train, self.factory.grouped_by))
        rows = train if len(kept) == len(train) else train.rows(kept)
        either, ordered = (self._tried(rows, symmetric) for symmetric in (True, False))
        blocks = [either.block_losses(), ordered.block_losses()]
        chosen = ordered if min(map(len, blocks)) and plainly_lower(*blocks[::-1]) else either
        return chosen if rows is train else self._tried(train, chosen.symmetric)

    def _tried(self, train: Table, symmetric: bool) -> "Trained":
        """*train*'s features, and its trials of the way to fit its targets that suits best."""
        factory, recipe = self.factory, self.factory.recipe
        candidates = learn_answers(train, factory.task, factory.outputs, recipe.class_fit)
        train = in_one_order(train) if symmetric else train
        features = learn_features(train, factory.counter)
        design = features.design(train, factory.counter).weighed(train.weights)
        inner = inner_parts(row_hashes(train, factory.grouped_by), originals(train))
        assert train.targets is not None
        found: list[Trained] = []
        for answers in candidates:
            grid = recipe.strengths or answers.grid(recipe.class_fit != "squares")
            targets = answers.encode(train.targets)
            trials = try_strengths(design, targets, answers.fit, inner, grid, answers.surprise)
            found.append(Trained(features, design, symmetric, answers, trials))
        return min(found, key=lambda each: each.trials[0].loss)  # the first, where none is known

    @threadpool_limits.wrap(limits=ONE)
    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        assert self.features is not None, "fit or load before predict"
        assert self.answers is not None
        watch.phase("predict", len(table))
        parts = []
        for chunk in chunks(table):
            rows = in_one_order(chunk) if self.symmetric else chunk
            design = self.features.design(rows, self.factory.counter)
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
        content = {
            "inputs": ngram_settings(self.factory.recipe),
            "class_fit": self.answers.way,
            "symmetric": self.symmetric,
            "sha256": digest,
            "facts": self.facts,
        }
        commit_json(folder / "linear.json", content)

    @classmethod
    def restore(cls, factory: LinearFactory, folder: Path) -> "LinearLearner":
        """The learner saved in *folder*; ArtifactError where it is damaged or of another recipe."""
        wanted = ngram_settings(factory.recipe)
        content, arrays = read_saved(folder, "linear", "inputs", wanted)
        learner = cls(factory, seed=0)
        learner.weights, learner.facts = arrays["weights"], content["facts"]
        learner.features = Features.from_arrays(arrays)
        # a learner of the first release says neither: it knew one way, and the order of a pair
        learner.symmetric = bool(content.get("symmetric", False))
        class_fit = content.get("class_fit") or "squares"
        learner.answers = restored(factory.task, class_fit, arrays)
        return learner

    def _affordable(self, train: Table, watch: Watch) -> Table:
        """*train*, or as many rows of it, drawn by the seed, as fit into memory."""
        ngrams = self.factory.ngrams(train)
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
