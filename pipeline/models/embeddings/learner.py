"""The learner `embeddings`: a small model on the vectors of a backbone that stays as it is.

A text becomes its unit vector. A pair becomes [u, v, |u-v|, u*v] (Reimers and Gurevych,
"Sentence-BERT", 2019) and its cosine. How strongly the small model is held back is chosen on
held-out rows of the training part, copies of a text and groups kept on one side. Every draw is
fixed, so the seed does not matter.

Notation: n rows, s texts per row, W numbers of a vector, d inputs, k outputs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy import sparse
from scipy.special import logit
from threadpoolctl import threadpool_limits

from pipeline.base import Competition, UsageError
from pipeline.base.config import TaskConfig
from pipeline.base.files import commit_arrays, commit_json
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.models.learner import Engine, LearnerFactory, Watch, read_saved
from pipeline.models.linear.class_fits import learn_answers, restored
from pipeline.models.linear.solver import Design, fit_glm, inner_parts, row_hashes
from pipeline.models.linear.targets import Answers
from pipeline.models.row_transforms.transform import originals
from pipeline.models.settings import EmbeddingsRecipe

if TYPE_CHECKING:
    from pipeline.models.embeddings.vectors import Vectors

ONE = 1  # thread for BLAS, so sums keep their order
LIMIT = 8.0  # standard deviations
PLAIN = 10.0
"""What the cosine of a pair is multiplied by: one good number among hundreds of weak ones is held
back a hundred times less."""


def features_of(vectors: np.ndarray) -> np.ndarray:
    """(n, d) float32 of vectors (n, s, W): u; or u, v, |u-v|, u*v, the cosine and its square."""
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    if unit.shape[1] == 1:
        return np.asarray(unit[:, 0], dtype=np.float32)
    u, v = unit[:, 0], unit[:, 1]
    cosine = (u * v).sum(axis=1, keepdims=True)
    blocks = [u, v, abs(u - v), u * v, cosine, cosine**2]
    return np.hstack(blocks).astype(np.float32)


@dataclass(frozen=True)
class Scaling:
    """Mean and spread of the inputs in one training part, (d,) float32 each."""

    mean: np.ndarray
    spread: np.ndarray
    pairs: bool

    @classmethod
    def learn(cls, inputs: np.ndarray, pairs: bool) -> "Scaling":
        """Of *inputs* (n, d)."""
        spread = inputs.std(axis=0, dtype=np.float64)
        mean = inputs.mean(axis=0, dtype=np.float64)
        wide = np.where(spread > 1e-8, spread, 1.0)
        return cls(mean.astype(np.float32), wide.astype(np.float32), pairs)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """(n, d) float32: of spread 1, the cosine and its square of spread PLAIN."""
        scaled = np.clip((inputs - self.mean) / self.spread, -LIMIT, LIMIT)
        if self.pairs:
            scaled[:, -2:] *= PLAIN
        return np.asarray(scaled, dtype=np.float32)


# The small models: fitted to encoded targets, saved as arrays.

Arrays = dict[str, np.ndarray]


class Head(Protocol):
    """One kind of small model."""

    @property
    def grid(self) -> tuple[float, ...]:
        """Strengths that are tried, from strong to weak, until the held-out loss rises."""

    def fit(
        self, inputs: np.ndarray, targets: np.ndarray, kind: Answers, strength: float
    ) -> Arrays:
        """What is learnt of (n, d) *inputs* and (n, k) targets as *kind* encodes them."""

    def scores(self, learnt: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """(n, k) what *kind* decodes."""


class Ridge:
    """Ridge, or logistic regression of yes or no and of each class against the rest."""

    grid = (30_000.0, 10_000.0, 3_000.0, 1_000.0, 300.0, 100.0, 30.0, 10.0)

    def fit(
        self, inputs: np.ndarray, targets: np.ndarray, kind: Answers, strength: float
    ) -> Arrays:
        """See `Head.fit`."""
        return {"weights": fit_glm(_design(inputs), targets, kind.loss, strength, 1.0)}

    def scores(self, learnt: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """See `Head.scores`."""
        return _design(inputs).times(learnt["weights"])


class Svr:
    """Support vector regression with a Gaussian kernel, output by output."""

    grid = (0.1, 0.3, 1.0, 3.0, 10.0)

    def fit(
        self, inputs: np.ndarray, targets: np.ndarray, kind: Answers, strength: float
    ) -> Arrays:
        """See `Head.fit`."""
        from sklearn.svm import SVR

        gamma = 1 / (inputs.shape[1] * max(float(inputs.var()), 1e-12))
        found: Arrays = {"gamma": np.array(gamma), "outputs": np.array(targets.shape[1])}
        for number, column in enumerate(targets.T):
            fitted = SVR(C=strength, gamma=gamma).fit(inputs, column)
            found[f"support{number}"] = np.asarray(inputs[fitted.support_])
            found[f"dual{number}"] = fitted.dual_coef_[0]
            found[f"height{number}"] = fitted.intercept_
        return found

    def scores(self, learnt: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """See `Head.scores`."""
        from sklearn.metrics.pairwise import rbf_kernel

        columns = []
        for number in range(int(learnt["outputs"])):
            near = rbf_kernel(inputs, learnt[f"support{number}"], float(learnt["gamma"]))
            columns.append(near @ learnt[f"dual{number}"] + learnt[f"height{number}"])
        return np.stack(columns, axis=1)


class Neighbours:
    """The mean of the nearest training rows by cosine, one row of the mean target added."""

    grid = (100.0, 50.0, 25.0, 12.0, 6.0)

    def fit(
        self, inputs: np.ndarray, targets: np.ndarray, kind: Answers, strength: float
    ) -> Arrays:
        """See `Head.fit`."""
        way = 2 if kind.way else 1 if kind.loss == "sigmoid" else 0
        count = max(1, min(round(strength), len(inputs)))
        return {
            "rows": _unit(inputs),
            "targets": targets.astype(np.float32),
            "count": np.array(count),
            "way": np.array(way),
        }

    def scores(self, learnt: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """See `Head.scores`."""
        targets, count, way = learnt["targets"], int(learnt["count"]), int(learnt["way"])
        usual = targets.mean(axis=0)
        parts = []
        for at in range(0, max(1, len(inputs)), 1_000):
            alike = _unit(inputs[at : at + 1_000]) @ learnt["rows"].T
            nearest = np.argsort(-alike, axis=1, kind="stable")[:, :count]
            parts.append((targets[nearest].sum(axis=1) + usual) / (count + 1))
        mean = np.concatenate(parts)
        if not way:
            return np.asarray(mean)
        mean = np.clip(mean, 1e-6, 1 - 1e-6)
        return np.asarray(logit(mean) if way == 1 else np.log(mean))


HEADS: dict[str, Head] = {"ridge": Ridge(), "svr": Svr(), "knn": Neighbours()}


def _design(inputs: np.ndarray) -> Design:
    dense = np.hstack([np.ones((len(inputs), 1), np.float32), inputs])
    return Design(dense, sparse.csr_array((len(inputs), 0), dtype=np.float32))


def _unit(inputs: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(inputs, axis=1, keepdims=True)
    return np.asarray(inputs / np.maximum(lengths, 1e-12), dtype=np.float32)


class EmbeddingsFactory(LearnerFactory):
    """Its learners share the vectors, made once."""

    def __init__(
        self,
        recipe: EmbeddingsRecipe,
        task: TaskConfig,
        outputs: int,
        vectors: "Vectors",
        grouped_by: Sequence[str] = (),
    ) -> None:
        """*outputs* is the number of prediction columns, k; folds are *grouped_by* columns."""
        if recipe.head == "svr" and not task.problem_type.numeric:
            raise UsageError(
                f"head svr is for numbers, and this is a {task.problem} problem. Set head: ridge "
                f"(logistic regression there) or knn in {recipe.name}."
            )
        self.recipe, self.task, self.outputs = recipe, task, outputs
        self.vectors, self.grouped_by = vectors, grouped_by

    def facts(self) -> dict[str, Any]:
        """Those of the backbone."""
        return self.vectors.factory.facts()

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Tokenise every text once; the vectors follow when the first fold needs them."""
        return self.vectors.expect(tables, watch)

    def make(self, seed: int) -> "EmbeddingsLearner":
        """A fresh learner."""
        return EmbeddingsLearner(self)

    def load(self, folder: Path) -> "EmbeddingsLearner":
        """The learner that `EmbeddingsLearner.save` wrote."""
        return EmbeddingsLearner.restore(self, folder)

    def separator(self) -> str:
        """The tokenizer's."""
        return self.vectors.factory.separator()

    def mask(self) -> str:
        """The tokenizer's."""
        return self.vectors.factory.mask()

    def seeds_matter(self, train: Table) -> bool:
        """Nothing is drawn."""
        return False

    def forget(self) -> None:
        """Drop vectors and tokens."""
        self.vectors.found.clear()
        self.vectors.factory.forget()

    def close(self) -> None:
        """Drop the backbone and the vectors."""
        self.vectors.found.clear()
        self.vectors.factory.close()


def make_factory(
    recipe: EmbeddingsRecipe, competition: Competition, engine: Engine
) -> EmbeddingsFactory:
    """The factory of a run on this machine's hardware."""
    from pipeline.models.embeddings.vectors import Vectors, backbone_of

    backbone = backbone_of(recipe, competition, engine)
    outputs, grouped_by = len(competition.outputs), competition.folds.group_columns
    return EmbeddingsFactory(recipe, competition.task, outputs, Vectors(backbone), grouped_by)


class EmbeddingsLearner:
    """A `pipeline.models.learner.Learner`."""

    def __init__(self, factory: EmbeddingsFactory) -> None:
        self.factory = factory
        self.facts: dict[str, Any] = {}
        self.scaling: Scaling | None = None
        self.answers: Answers | None = None
        self.learnt: Arrays = {}

    @property
    def head(self) -> Head:
        """The recipe's small model."""
        return HEADS[self.factory.recipe.head]

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train*; DataError where its targets are all the same."""
        started, factory = time.monotonic(), self.factory
        (answers,) = learn_answers(train, factory.task, factory.outputs, "logistic")
        raw = features_of(factory.vectors.of(train, watch))
        embedded = time.monotonic()
        watch.phase("train", len(train))
        with threadpool_limits(ONE):
            self.scaling = Scaling.learn(raw, pairs=train.texts.shape[1] > 1)
            inputs = self.scaling(raw)
            assert train.targets is not None
            targets = answers.encode(train.targets)
            strength, losses, held_out = self._tried(inputs, targets, answers, train)
            self.learnt = self.head.fit(inputs, targets, answers, strength)
            self.answers = answers.sharpened(*held_out)
        watch.advance(len(train), rows=len(train))
        self.facts = {
            "strength": strength,
            "inner_losses": {f"{tried:g}": round(loss, 6) for tried, loss in losses.items()},
            "rows": len(train),
            "inputs": inputs.shape[1],
            "embed_seconds": round(embedded - started, 3),
            "fit_seconds": round(time.monotonic() - embedded, 3),
        }

    def _tried(
        self, inputs: np.ndarray, targets: np.ndarray, answers: Answers, train: Table
    ) -> tuple[float, dict[float, float], tuple[np.ndarray, np.ndarray]]:
        """The best strength, the losses of all tried, and its scores of held-out rows and their
        targets."""
        grid = sorted(self.factory.recipe.strengths or self.head.grid, reverse=True)
        parts = inner_parts(row_hashes(train, self.factory.grouped_by), originals(train))
        if not parts:
            return grid[len(grid) // 2], {}, (targets[:0], targets[:0])
        truth = np.concatenate([targets[held_out] for _, held_out in parts])
        losses: dict[float, float] = {}
        best = np.empty(0)
        for strength in grid:
            scores = np.concatenate(
                [
                    self.head.scores(
                        self.head.fit(inputs[fit], targets[fit], answers, strength),
                        inputs[held_out],
                    )
                    for fit, held_out in parts
                ]
            )
            losses[strength] = answers.surprise(scores, truth)
            if losses[strength] > min(losses.values()):
                break
            best = scores
        return min(losses, key=lambda each: losses[each]), losses, (best, truth)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        assert self.scaling is not None, "fit or load before predict"
        assert self.answers is not None
        raw = features_of(self.factory.vectors.of(table, watch))
        watch.phase("predict", len(table))
        with threadpool_limits(ONE):
            found = self.answers.decode(self.head.scores(self.learnt, self.scaling(raw)))
        watch.advance(len(table), rows=len(table))
        return found

    def save(self, folder: Path) -> None:
        """Write embeddings.npz, then embeddings.json."""
        assert self.scaling is not None, "fit before save"
        assert self.answers is not None
        arrays = {
            "center": self.answers.center,
            "scale": self.answers.scale,
            "mean": self.scaling.mean,
            "spread": self.scaling.spread,
            **{f"head-{name}": array for name, array in self.learnt.items()},
        }
        content = {
            "made_of": self._made_of(),
            "pairs": self.scaling.pairs,
            "sha256": commit_arrays(folder / "embeddings.npz", arrays),
            "facts": self.facts,
        }
        commit_json(folder / "embeddings.json", content)

    @classmethod
    def restore(cls, factory: EmbeddingsFactory, folder: Path) -> "EmbeddingsLearner":
        """The learner saved in *folder*; ArtifactError where it is damaged or of another recipe."""
        learner = cls(factory)
        content, arrays = read_saved(folder, "embeddings", "made_of", learner._made_of())
        learner.facts = content["facts"]
        learner.scaling = Scaling(arrays["mean"], arrays["spread"], bool(content["pairs"]))
        learner.answers = restored(factory.task, "logistic", arrays)
        learner.learnt = {
            name.removeprefix("head-"): array
            for name, array in arrays.items()
            if name.startswith("head-")
        }
        return learner

    def _made_of(self) -> dict[str, Any]:
        """What the saved numbers belong to."""
        recipe, facts = self.factory.recipe, self.factory.facts()
        return {
            "backbone": facts["backbone_sha256"],
            "tokenizer": facts["tokenizer_canary"],
            "pooling": recipe.pooling,
            "max_length": recipe.max_length,
            "head": recipe.head,
        }
