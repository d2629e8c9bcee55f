"""Competitions drawn from populations in which the true score of every blend is known.

A world is a population of groups of rows. A row has a target and M predictions of it; the errors of
a group's rows, and of the members, are related. `draw` takes a train file from it, cut into folds
that keep groups whole; `population` is a sample so large that a score on it is the truth. For
numbers (of one kind) its moments are moreover brought to exactly those of the world, fold by fold,
so that Pearson, RMSE and the like of any weighted sum are known without error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.base.seeding import generator
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.honest import Difference, Gain, Nest, difference, gain_over, spread_of
from pipeline.ensemble.predictor import RowFeatures
from pipeline.metrics.metric import get_metric

POPULATION = 100_000  # rows
ROUNDING = 1e-7  # of solvers: two fits that are one may differ by this much


@dataclass(frozen=True, kw_only=True)
class World:
    """A population and how a competition is cut from it."""

    name: str
    metric: str
    errors: Sequence[float]
    """(M,) size of each member's own error; the signal has size 1."""
    strangers: int = 0
    """How many members there are besides, which know nothing at all."""
    problem: str = "regression"
    labels: Sequence[float] = (0.0, 0.0)
    """Per class how much it is favoured; ignored for numbers."""
    groups: int = 200
    size: float = 2.0
    """Mean number of rows in a group; sizes are geometric, 1 and up."""
    folds: int = 5
    common: float = 0.4
    """Size of the error that all members share."""
    noise: float = 0.3
    """Size of what no member can know."""
    grouped: float = 0.5
    """Share of every variance that the rows of a group have in common."""
    kinds: int = 1
    """Kinds of groups; in each the sizes of the members' errors are dealt anew. With several the
    kind is known, as are texts whose length tells a little of what no member knows."""

    def draw(self, seed: int) -> Evidence:
        """A train file with its out-of-fold predictions."""
        random = generator(seed, f"train of {self.name}")
        sizes = random.geometric(1 / self.size, size=self.groups)
        group_of_row = np.repeat(np.arange(self.groups), sizes)
        fold_of_group = np.argsort(np.argsort(-sizes, kind="stable")) % self.folds
        between = random.normal(size=(self.groups, self._variables))[group_of_row]
        within = random.normal(size=(len(group_of_row), self._variables))
        latent = np.sqrt(self.grouped) * between + np.sqrt(1 - self.grouped) * within
        return self._evidence(latent, random, fold_of_group[group_of_row], group_of_row)

    def population(self, seed: int, rows: int = POPULATION) -> Evidence:
        """So many rows that a score on them is the truth, dealt evenly to the folds."""
        random = generator(seed, f"population of {self.name}")
        parts = []
        for _ in range(self.folds):
            part = random.normal(size=(rows // self.folds, self._variables))
            part -= part.mean(axis=0)
            root = np.linalg.cholesky(part.T @ part / len(part))
            parts.append(np.linalg.solve(root, part.T).T)
        fold_of_row = np.repeat(np.arange(self.folds), rows // self.folds)
        return self._evidence(np.vstack(parts), random, fold_of_row, np.arange(len(fold_of_row)))

    @property
    def _columns(self) -> int:
        return 1 if self.problem == "regression" else len(self.labels)

    @property
    def _variables(self) -> int:
        """Signal, what no member knows, common error and own errors, for each column."""
        return (3 + len(self.errors)) * self._columns

    def _evidence(
        self,
        latent: np.ndarray,
        random: np.random.Generator,
        fold_of_row: np.ndarray,
        group_of_row: np.ndarray,
    ) -> Evidence:
        """Standard normal *latent* (n, _variables) made into targets and predictions."""
        signal, unknown, common, *own = np.split(latent, 3 + len(self.errors), axis=1)
        heard = signal + self.common * common
        kind = group_of_row[:, None] % self.kinds
        places = np.arange(len(own))
        sizes = [np.array(self.errors)[(place + kind) % len(own)] for place in places]
        seen = [heard + size * error for size, error in zip(sizes, own, strict=True)]
        truth = signal + self.noise * unknown
        if self.problem != "regression":
            chance = softmax(2 * truth + np.array(self.labels))
            told = random.random((len(chance), 1))
            truth = (chance.cumsum(axis=1)[:, :-1] < told).sum(axis=1)[:, None].astype(float)
        oof = seen + [random.normal(size=signal.shape) for _ in range(self.strangers)]
        if self.problem != "regression":
            oof = [softmax(1.5 * each + np.array(self.labels)) for each in oof]
        if self.problem == "binary":
            oof = [each[:, 1:] for each in oof]
        classes = [] if self.problem == "regression" else [str(c) for c in range(self._columns)]
        task = TaskConfig(problem=self.problem, metric=self.metric, classes=classes)
        return Evidence.gather(
            [f"m{place}" for place in range(len(oof))],
            oof,
            truth,
            fold_of_row,
            group_of_row,
            get_metric(self.metric, task),
            self.problem,
            self._facts(kind[:, 0], unknown[:, 0]),
        )

    def _facts(self, kind: np.ndarray, unknown: np.ndarray) -> RowFeatures | None:
        if self.kinds == 1:
            return None
        lengths = np.exp(3 + 0.3 * unknown).astype(int)
        texts = np.array(["a" * length for length in lengths], dtype=object)[:, None]
        return RowFeatures(texts, kind, [f"kind {place}" for place in range(self.kinds)], "kind")


def softmax(values: np.ndarray) -> np.ndarray:
    """(n, c) probabilities."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Answer:
    """One question put to one simulated competition."""

    question: str
    gain: Gain
    """What the nest says."""
    plain: tuple[float, float]
    """The interval that knows nothing but the rows: 1.96 standard errors, the fits held fixed."""
    true: float
    """The gain, on the population, of the K fits that were scored: what is estimated."""
    sent: float
    """The gain, on the population, of the fits on all rows: what is submitted."""

    @property
    def covered(self) -> bool:
        """Whether the interval holds the true gain."""
        return self.gain.low - ROUNDING <= self.true <= self.gain.high + ROUNDING


@dataclass(frozen=True)
class Competition:
    """A train file, its nest, and the population it came from."""

    nest: Nest
    population: Evidence

    def over(self, method: str, other: str) -> Answer:
        """By how much one method beats another."""
        plain = difference(self.nest, method, self.nest, other)
        ahead, behind = self.truth(method), self.truth(other)
        gain = gain_over(self.nest, method, other)
        return _answer(f"{method} - {other}", gain, plain, ahead, behind)

    def worth(self, method: str, member: int) -> Answer:
        """What one member adds to a method."""
        beside = self.nest.beside(self.nest.evidence.without(member))
        without = Competition(beside, self.population.without(member))
        apart = difference(self.nest, method, beside, method)
        ahead, behind = self.truth(method), without.truth(method)
        return _answer(f"{method}, member {member + 1}", apart.gain(), apart, ahead, behind)

    def truth(self, method: str) -> tuple[float, float]:
        """The population's gain of the K fits, and of the fit on all rows."""
        folds = self.nest.evidence.folds
        last = dict.fromkeys(folds, self.nest.fit(method, folds))
        return self.population.gain(self.nest.left_out(method, folds)), self.population.gain(last)


def _answer(
    question: str,
    gain: Gain,
    plain: Difference,
    ahead: tuple[float, float],
    behind: tuple[float, float],
) -> Answer:
    apart = 1.96 * spread_of(plain.draws)
    low, high = plain.value - apart, plain.value + apart
    return Answer(question, gain, (low, high), ahead[0] - behind[0], ahead[1] - behind[1])
