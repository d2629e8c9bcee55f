"""The learner `boosting`: numbers counted of a row, and trees that split on them.

A fold takes seconds to minutes on a CPU. How deep trees are and how many is chosen on held-out rows
of the training part, copies of a text and groups kept on one side (`linear.solver`).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.base import Competition
from pipeline.base.config import TaskConfig
from pipeline.base.files import commit_arrays, commit_json
from pipeline.base.paths import Workspace
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.models.boosting.features import Features, RowNumbers, learn_features
from pipeline.models.boosting.trees import Answer, Growing
from pipeline.models.learner import Engine, LearnerFactory, Watch, read_saved
from pipeline.models.linear.features import chunks
from pipeline.models.linear.solver import inner_parts, row_hashes
from pipeline.models.linear.targets import check_varied
from pipeline.models.linear.text_features import NgramCounter, families_of, ngram_settings
from pipeline.models.row_transforms.transform import originals
from pipeline.models.settings import BoostingRecipe

FLOOR = 1e-6  # lowest share of a class
LEADING = 5
"""Inputs that the facts name, by how much their splits gained."""
ONE = 1  # thread for BLAS, so sums keep their order; trees give the same bits on any number
MANY_ROWS = 20_000
"""Below, one thread grows trees: several would wait for each other longer than they work."""


class BoostingFactory(LearnerFactory):
    """Its learners share what is counted of a row without anything fitted."""

    def __init__(
        self,
        recipe: BoostingRecipe,
        task: TaskConfig,
        outputs: int,
        grouped_by: Sequence[str] = (),
    ) -> None:
        """*outputs* is the number of prediction columns, k; folds are *grouped_by* columns."""
        self.recipe, self.task, self.outputs = recipe, task, outputs
        self.grouped_by = grouped_by
        families = families_of(recipe.char_ngrams, recipe.word_ngrams)
        self.counter = NgramCounter(families, recipe.buckets)
        self.rows = RowNumbers()

    def facts(self) -> dict[str, Any]:
        """What all folds share."""
        return {"device": "cpu", "precision": "fp32", "inputs": ngram_settings(self.recipe)}

    def make(self, seed: int) -> "BoostingLearner":
        """A fresh learner; *seed* draws the inputs that a split may look at."""
        return BoostingLearner(self, seed)

    def load(self, folder: Path) -> "BoostingLearner":
        """The learner that `BoostingLearner.save` wrote."""
        return BoostingLearner.restore(self, folder)

    def seeds_matter(self, train: Table) -> bool:
        """Not where a split may look at all inputs."""
        return self.recipe.feature_share < 1

    def disk_bytes(self) -> int:
        """A generous estimate: trees of the greatest depth, and the components."""
        nodes = 2 ** (max(self.recipe.depths) + 1)
        trees = self.recipe.most_trees * self.outputs
        ngrams = len(self.counter.families) * min(self.recipe.buckets, 5_000)
        return 33 * min(nodes, 128) * trees + 4 * self.recipe.components * ngrams


def make_factory(
    recipe: BoostingRecipe, competition: Competition, engine: Engine
) -> BoostingFactory:
    """The factory of a run; it needs nothing of the *engine*."""
    outputs, grouped_by = len(competition.outputs), competition.folds.group_columns
    return BoostingFactory(recipe, competition.task, outputs, grouped_by)


class BoostingLearner:
    """A `pipeline.models.learner.Learner`."""

    def __init__(self, factory: BoostingFactory, seed: int) -> None:
        self.factory, self.seed = factory, seed
        self.facts: dict[str, Any] = {}
        self.features: Features | None = None
        self.answers: list[Answer] = []

    @threadpool_limits.wrap(limits=ONE, user_api="blas")
    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train*; DataError where its targets are all the same."""
        started = time.monotonic()
        factory, recipe = self.factory, self.factory.recipe
        targets = check_varied(train, factory.task)
        questions = _questions(targets, factory)
        watch.phase("train", 1 + len(questions))
        features = learn_features(train, factory.counter, recipe.components, factory.grouped_by)
        inputs = features.inputs(train, factory.counter, factory.rows)
        watch.advance()
        parts = inner_parts(row_hashes(train, factory.grouped_by), originals(train))
        gained = np.zeros(inputs.shape[1])
        choices = []
        self.answers = []
        for number, (column, classes) in enumerate(questions):
            seed = derive_seed(self.seed, "trees", number)
            growing = Growing(recipe, inputs, column, classes, seed, train.weights)
            with threadpool_limits(None if len(train) > MANY_ROWS else ONE, user_api="openmp"):
                choices.append(growing.chosen(parts))
                answer, gains = growing.grown(choices[-1])
            self.answers.append(answer)
            np.add.at(gained, gains[:, 0].astype(np.int64), gains[:, 1])
            watch.advance(rows=len(train) if number == len(questions) - 1 else 0)
        self.features = features
        names = features.names(factory.counter.families, train.texts.shape[1])
        leading = np.argsort(-gained, kind="stable")[:LEADING]
        self.facts = {
            "rows": len(train),
            "inputs": inputs.shape[1],
            "depths": [choice.depth for choice in choices],
            "trees": [choice.trees for choice in choices],
            "inner_losses": [
                {str(depth): round(loss, 6) for depth, loss in choice.losses.items()}
                for choice in choices
            ],
            "leading_inputs": [names[place] for place in leading if gained[place] > 0],
            "numeric_columns": features.numeric,
            "values": len(features.values),
            "fit_seconds": round(time.monotonic() - started, 3),
        }

    @threadpool_limits.wrap(limits=ONE, user_api="blas")
    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        assert self.features is not None, "fit or load before predict"
        watch.phase("predict", len(table))
        parts = []
        for chunk in chunks(table):
            inputs = self.features.inputs(chunk, self.factory.counter, self.factory.rows)
            parts.append(_predicted(self.answers, inputs, self.factory))
            watch.advance(len(chunk), rows=len(chunk))
        return np.concatenate(parts).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write boosting.npz, then boosting.json."""
        assert self.features is not None, "fit before save"
        arrays = self.features.to_arrays()
        for number, answer in enumerate(self.answers):
            arrays |= answer.to_arrays(f"answer{number}-")
        content = {
            "inputs": ngram_settings(self.factory.recipe),
            "answers": len(self.answers),
            "sha256": commit_arrays(folder / "boosting.npz", arrays),
            "facts": self.facts,
        }
        commit_json(folder / "boosting.json", content)

    @classmethod
    def restore(cls, factory: BoostingFactory, folder: Path) -> "BoostingLearner":
        """The learner saved in *folder*; ArtifactError where it is damaged or of another recipe."""
        wanted = ngram_settings(factory.recipe)
        content, arrays = read_saved(folder, "boosting", "inputs", wanted)
        learner = cls(factory, seed=0)
        learner.facts = content["facts"]
        learner.features = Features.from_arrays(arrays)
        learner.answers = [
            Answer.from_arrays(arrays, f"answer{number}-") for number in range(content["answers"])
        ]
        return learner


def _questions(targets: np.ndarray, factory: BoostingFactory) -> list[tuple[np.ndarray, int]]:
    """What is asked of the trees: a column of targets (n,) and its number of classes, 0 for
    numbers."""
    kind = factory.task.problem_type.target_kind
    if kind == "classes":
        return [(targets[:, 0], factory.outputs)]
    if kind == "blocks":
        blocks = factory.task.problem_type.blocks(factory.outputs)
        return [(targets[:, own].argmax(axis=1), own.stop - own.start) for own in blocks]
    return [(column, 2 if kind == "flags" else 0) for column in targets.T]


def _predicted(answers: list[Answer], inputs: np.ndarray, factory: BoostingFactory) -> np.ndarray:
    """(n, k); shares, each fitted alone, are brought to rows that sum to one."""
    problem = factory.task.problem_type
    found = [answer.predict(inputs) for answer in answers]
    if problem.target_kind == "flags":
        found = [shares[:, 1:] for shares in found]
    values = np.hstack(found)
    return problem.within_range(values, FLOOR) if problem.target_kind == "shares" else values
