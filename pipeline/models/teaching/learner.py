"""A learner whose training rows are first shown to a teacher, fold by fold.

    noise     a row whose label looks wrong is left out, counts less, or gets the teacher's answer
    distil    a row's label becomes a mixture of itself and the teacher's answer
    pseudo    rows without labels join, with the answers of the fold's own learner
    first     rows of data.extra_train are learned before the others, not with them

in this order, the last one before all. Each is a function of the rows that the fold trains on; of
the rows that it holds out neither texts nor labels are looked at (`settings.Teacher`). What was
done stands in the fold's manifest, under `taught`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import Competition, read_json
from pipeline.base.config import TaskConfig
from pipeline.base.files import commit_json
from pipeline.base.paths import Workspace
from pipeline.base.seeding import generator
from pipeline.data import Table
from pipeline.data.table import concatenate
from pipeline.metrics.label_doubt import label_doubts
from pipeline.models.learner import Learner, LearnerFactory, Watch, WrappedFactory
from pipeline.models.teaching.settings import Distil, First, Noise, Pseudo, Taught, Teacher
from pipeline.models.teaching.stages import Stages
from pipeline.problems.problem import Problem

KEPT = "taught.json"
NAMED = 20
"""Ids that a manifest names of rows that were changed."""


@dataclass(frozen=True, kw_only=True)
class Help:
    """What the teaching of a run needs beside its own learners."""

    competition: Competition
    recipe: Taught
    hidden: frozenset[str] = frozenset()
    """Further columns of training rows, never shown where a row is answered."""
    factories: Mapping[str, LearnerFactory] = field(default_factory=dict)
    """Of the teachers' recipes, by `Teacher.model`."""
    unlabelled: Table | None = None
    """The rows of `pseudo`."""
    extra: frozenset[str] = frozenset()
    """Ids of the rows of `first`."""


class TaughtFactory(WrappedFactory):
    """A `LearnerFactory` whose learners are fitted on rows that were taught; all else is that of
    *inner*."""

    def __init__(self, inner: LearnerFactory, help_: Help) -> None:
        super().__init__(inner)
        self.help = help_

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Prepare the texts for the learners and for their teachers."""
        more = self.help.unlabelled
        known = more is None or any(more.texts is table.texts for table in tables)
        unlabelled = [] if more is None or known else [more]
        for factory in self.help.factories.values():
            factory.prepare(tables, watch)
        return self.inner.prepare([*tables, *unlabelled], watch)

    def make(self, seed: int) -> "TaughtLearner":
        """A fresh learner."""
        return TaughtLearner(self, seed)

    def load(self, folder: Path) -> "TaughtLearner":
        """The learner that `save` wrote."""
        learner = TaughtLearner(self, 0)
        learner.inner = self.inner.load(folder)
        learner.taught = read_json(folder / KEPT) if (folder / KEPT).exists() else {}
        return learner

    def seeds_matter(self, train: Table) -> bool:
        """Inner folds are drawn."""
        return True

    def close(self) -> None:
        """Close the factory within, and those of the teachers."""
        for factory in (self.inner, *self.help.factories.values()):
            factory.close()


class TaughtLearner:
    """A `Learner` that is fitted on rows that were taught."""

    def __init__(self, factory: TaughtFactory, seed: int) -> None:
        self.factory, self.seed = factory, seed
        self.inner: Learner | None = None
        self.taught: dict[str, Any] = {}

    @property
    def facts(self) -> dict[str, Any]:
        """Those of the learner within, and what was taught."""
        own = {} if self.inner is None else self.inner.facts
        return {**own, "taught": self.taught} if self.taught else own

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Teach the rows of *train*, then learn from them."""
        help_, recipe = self.factory.help, self.factory.help.recipe
        stages = Stages(
            competition=help_.competition,
            hidden=help_.hidden,
            seed=self.seed,
            workspace=workspace,
            watch=watch,
            rate_scale=rate_scale,
        )
        self.taught, start = {}, None
        if recipe.first is not None:
            train, start = self._first(recipe.first, train, stages)
        answers = {each: self._answers(each, train, stages) for each in recipe.teachers}
        kept, rows = np.ones(len(train), dtype=bool), train
        if recipe.noise is not None:
            kept, rows = self._without_noise(recipe.noise, train, answers, watch)
        if recipe.distil is not None:
            own = answers[recipe.distil.teacher][kept]
            rows = self._softened(recipe.distil, rows, own, watch)
        if recipe.pseudo is not None:
            rows = self._with_pseudo(recipe.pseudo, rows, stages)
        self.inner = self.factory.inner.make(self.seed)
        if start is not None:
            self.inner.start_from(start)  # type: ignore[attr-defined]
        self.inner.fit(rows, workspace, watch, rate_scale)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        assert self.inner is not None, "fit or load before predict"
        return self.inner.predict(table, watch)

    def save(self, folder: Path) -> None:
        """Save the learner within, and what was taught."""
        assert self.inner is not None, "fit before save"
        self.inner.save(folder)
        commit_json(folder / KEPT, self.taught)

    def _first(self, first: First, train: Table, stages: Stages) -> tuple[Table, Path | None]:
        """The rows of the second stage, and where the learner of the first is saved."""
        extra = np.isin(train.ids.astype(str), list(self.factory.help.extra))
        rows = train.rows(extra)
        if not extra.any():
            self._tell(stages.watch, "first", "no extra row is left for a first stage", rows=0)
            return train, None
        asked = {"epochs": first.epochs, "learning_rate": first.learning_rate}
        changes = {name: value for name, value in asked.items() if value is not None}
        inner: Any = self.factory.inner
        where = stages.saved("first", inner.changed(**changes), rows)
        self._tell(
            stages.watch,
            "first",
            f"starts from a first stage on {len(rows):,} extra rows",
            rows=len(rows),
            **changes,
            **_named(rows.ids),
        )
        return train.rows(~extra), where

    def _answers(self, teacher: Teacher, train: Table, stages: Stages) -> np.ndarray:
        """(n, k) what *teacher* says of *train*."""
        if teacher.model is None:
            factory, name = self.factory.inner, "teacher"
        else:
            factory, name = self.factory.help.factories[teacher.model], f"teacher-{teacher.model}"
        return self._within(stages.out_of_fold(name, factory, train, teacher.folds))

    def _within(self, answers: np.ndarray) -> np.ndarray:
        return within(self.factory.help.competition.task, answers)

    def _without_noise(
        self, noise: Noise, train: Table, answers: Mapping[Teacher, np.ndarray], watch: Watch
    ) -> tuple[np.ndarray, Table]:
        """Which rows (n,) of *train* are kept, and these as they are learned."""
        problem, given = self.factory.help.competition.task.problem_type, answers[noise.teacher]
        assert train.targets is not None
        found = label_doubts(problem, train.targets, given)
        wrong = found.chosen(noise.share)
        did = {
            "drop": "left out",
            "down-weight": f"count {noise.weight:g}",
            "relabel": "relabelled",
        }
        self._tell(
            watch,
            "noise",
            f"{wrong.sum():,} of {len(train):,} labels look wrong: they are {did[noise.action]}",
            action=noise.action,
            judged=int(np.isfinite(found.score).sum()),
            flagged=int(found.flagged.sum()),
            rows=int(wrong.sum()),
            **_named(train.ids[wrong]),
            **_whose(noise.teacher),
        )
        if noise.action == "drop":
            return ~wrong, train.rows(~wrong)
        kept = np.ones(len(train), dtype=bool)
        if noise.action == "down-weight":
            return kept, train.weighed(np.where(wrong, noise.weight, 1.0))
        targets = np.array(train.targets)
        targets[wrong] = problem.as_targets(given[wrong])
        return kept, replace(train, targets=targets)

    def _softened(self, distil: Distil, train: Table, answers: np.ndarray, watch: Watch) -> Table:
        """*train* with mixtures of its labels and these *answers* (n, k)."""
        problem = self.factory.help.competition.task.problem_type
        mixed = softened(problem, train, answers, distil.weight)
        self._tell(
            watch,
            "distil",
            f"{len(train):,} labels are mixed with a teacher's answers, {distil.weight:g} of each",
            rows=len(train),
            weight=distil.weight,
            **_whose(distil.teacher),
        )
        return mixed

    def _with_pseudo(self, pseudo: Pseudo, train: Table, stages: Stages) -> Table:
        """*train* and the surest rows without labels, labelled by the fold's own learners."""
        problem, rows = self.factory.help.competition.task.problem_type, train
        unlabelled = self.factory.help.unlabelled
        assert unlabelled is not None
        told = []
        for turn in range(pseudo.rounds):
            name = f"round-{turn + 1}-of-{pseudo.rounds}"
            given = stages.ask(name, self.factory.inner, rows, unlabelled, 1000 + turn)
            answers = self._within(given)
            sure = certainty(problem.blocks(answers.shape[1]), answers, problem.numeric)
            random = generator(self.seed, "pseudo", turn)
            labels = problem.as_targets(answers)
            kinds = np.zeros((len(labels), 1)) if problem.numeric else labels
            chosen = surest(sure, kinds, pseudo.share, random)
            soft = pseudo.labels == "soft"
            targets = answers.astype(float) if soft else labels
            joined = replace(unlabelled, targets=targets).rows(chosen)
            rows = joined_rows(train, joined, problem.expand)
            digest = hashlib.sha256(np.ascontiguousarray(targets[chosen]).tobytes()).hexdigest()
            told.append(
                {
                    "rows": int(chosen.sum()),
                    "least_sure": None if problem.numeric else float(sure[chosen].min()),
                    "labels_sha256": digest,
                    **_named(unlabelled.ids[chosen]),
                }
            )
        self._tell(
            stages.watch,
            "pseudo",
            f"{told[-1]['rows']:,} rows of {unlabelled.source} join {len(train):,} training rows "
            f"with {pseudo.labels} labels of this fold's own learner",
            of=len(unlabelled),
            source=unlabelled.source,
            rounds=told,
        )
        return rows

    def _tell(self, watch: Watch, what: str, message: str, **facts: Any) -> None:
        watch.event(what, message)
        self.taught[what] = facts


def within(task: TaskConfig, answers: np.ndarray) -> np.ndarray:
    """(n, k) *answers*; numbers where labels can be."""
    if task.label_range is None or not task.problem_type.numeric:
        return answers
    low, high = task.label_range
    return np.clip(answers, low, high)


def softened(problem: Problem, train: Table, answers: np.ndarray, weight: float) -> Table:
    """*train* with mixtures of its labels and *answers* (n, k), which have a share of *weight*;
    rows without an answer, NaN, keep their labels."""
    assert train.targets is not None
    labels = problem.expand(np.asarray(train.targets), answers.shape[1]).astype(float)
    known = np.isfinite(answers)
    mixed = (1 - weight) * labels + weight * np.where(known, answers, 0.0)
    return replace(train, targets=np.where(known, mixed, labels))


def certainty(blocks: Sequence[slice], answers: np.ndarray, numeric: bool) -> np.ndarray:
    """(n,) how sure *answers* (n, k) are, the mean over questions: the share of the likeliest class
    of each block, or of yes or no; numbers are all equally sure.

    >>> certainty([], np.array([[0.9], [0.2]]), numeric=False).tolist()
    [0.9, 0.8]
    """
    if numeric:
        return np.ones(len(answers))
    if not blocks:
        return np.asarray(np.maximum(answers, 1 - answers).mean(axis=1))
    return np.asarray(np.mean([answers[:, own].max(axis=1) for own in blocks], axis=0))


def surest(
    sure: np.ndarray, labels: np.ndarray, share: float, random: np.random.Generator
) -> np.ndarray:
    """(n,) bool: of the rows of each label, the *share* that is the surest; equals are drawn.

    Label by label, so that the classes that are told easily do not crowd out the others (Zou et
    al., "Unsupervised Domain Adaptation via Class-Balanced Self-Training", 2018). Where there are
    nearly as many labels as rows, all are taken together.
    """
    drawn = random.permutation(len(sure))
    _, kind = np.unique(labels, axis=0, return_inverse=True)
    if kind.max(initial=0) + 1 > len(sure) / 2:
        kind = np.zeros(len(sure), dtype=int)
    chosen = np.zeros(len(sure), dtype=bool)
    for each in np.unique(kind):
        rows = drawn[kind.ravel()[drawn] == each]
        best = rows[np.argsort(-sure[rows], kind="stable")]
        chosen[best[: max(1, round(share * len(best)))]] = True
    return chosen


def joined_rows(train: Table, more: Table, expand: Any) -> Table:
    """*train*, and *more* below it with targets in the same shape: classes as shares where one of
    them has shares."""
    assert train.targets is not None
    assert more.targets is not None
    k = max(train.targets.shape[1], more.targets.shape[1])
    first, second = (replace(each, targets=expand(each.targets, k)) for each in (train, more))
    return concatenate(first if k > 1 else train, second if k > 1 else more)


def _named(ids: np.ndarray) -> dict[str, Any]:
    """Ids for a manifest: their digest, and the first of them."""
    content = json.dumps(ids.tolist(), ensure_ascii=True).encode()
    return {"ids_sha256": hashlib.sha256(content).hexdigest(), "ids": ids[:NAMED].tolist()}


def _whose(teacher: Teacher) -> dict[str, Any]:
    """Who judged, for a manifest."""
    return {"teacher": teacher.model or "the recipe itself", "inner_folds": teacher.folds}
