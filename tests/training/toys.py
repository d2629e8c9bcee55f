"""A run small enough to see through: learners whose right answers are obvious, and faults in them.

job = make_job(tmp_path)
manifest, told = run(job)
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from sklearn.linear_model import Ridge

from pipeline.base import fault_injection as faults
from pipeline.base.command import Stop
from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.base.files import commit_json, read_json
from pipeline.base.paths import Paths
from pipeline.data.sample import Sample
from pipeline.data.table import Table
from pipeline.data.tables import Tables
from pipeline.folds.frozen import frozen
from pipeline.metrics.metric import get_metric
from pipeline.models.learner import Silent
from pipeline.models.recipes import LinearRecipe
from pipeline.oof.predictions import read_run
from pipeline.training.jobs import Job
from pipeline.training.options import FailurePolicy
from pipeline.training.run import cross_validate

COMPETITION = Competition(
    name="toy",
    data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
    columns=ColumnsConfig(id="id", texts=["text"], targets=["label"]),
    task=TaskConfig(problem="regression", metric="pearson", label_range=(0, 5)),
    folds=FoldsConfig(count=3, bins=2, groups="exact"),
)
METRIC = get_metric("pearson", COMPETITION.task)


def table(n: int, prefix: str, labelled: bool = True) -> Table:
    words = [f"row {number} of {prefix}" + " and more" * (number % 4) for number in range(n)]
    return Table(
        ids=np.array([f"{prefix}{number}" for number in range(n)], dtype=object),
        texts=np.array([[text] for text in words], dtype=object),
        targets=np.array([[float(number % 6)] for number in range(n)]) if labelled else None,
    )


class Eavesdropper:
    """Predicts 1 for a row it was trained on and 0 for any other."""

    facts: ClassVar[dict] = {}

    def fit(self, train, workspace, watch, rate_scale=1.0):
        assert train.targets is not None
        self.heard = set(train.ids)

    def predict(self, table, watch):
        assert table.targets is None, "a learner must not be shown the answers"
        return np.array([[float(row_id in self.heard)] for row_id in table.ids])

    def save(self, folder):
        commit_json(folder / "heard.json", {"ids": sorted(self.heard)})


class LengthRidge(Eavesdropper):
    """Ridge on the length of the text."""

    @staticmethod
    def features(table):
        return np.array([[len(text)] for text in table.texts[:, 0]], dtype=float)

    def fit(self, train, workspace, watch, rate_scale=1.0):
        self.heard = set(train.ids)
        model = Ridge().fit(self.features(train), train.targets)
        self.slope, self.shift = float(model.coef_.item()), float(np.ravel(model.intercept_)[0])

    def predict(self, table, watch):
        return self.features(table) * self.slope + self.shift

    def save(self, folder):
        commit_json(folder / "line.json", {"slope": self.slope, "shift": self.shift})


class Factory:
    """Notes what it is asked for."""

    def __init__(self, kind=LengthRidge):
        self.kind = kind
        self.made: list = []
        self.seeds: list[int] = []
        self.loaded: list[Path] = []
        self.remembered: list[dict] = []

    def make(self, seed):
        self.seeds.append(seed)
        self.made.append(self.kind())
        return self.made[-1]

    def load(self, folder):
        line = read_json(folder / "line.json")
        self.loaded.append(folder)
        learner = LengthRidge()
        learner.slope, learner.shift = line["slope"], line["shift"]
        return learner

    def facts(self):
        return {"device": "cpu"}

    def prepare(self, tables, watch):
        return ""

    def disk_bytes(self):
        return 1000

    def checkpoint_bytes(self):
        return 3000

    def remember(self, facts):
        self.remembered.append(dict(facts))


def make_job(root: Path, kind=LengthRidge, seeds=(42,), extra=None, **changes) -> Job:
    train = table(31, "tr")
    tables = Tables(
        train=train,
        test=table(7, "te", labelled=False),
        extra=extra,
        holdout=table(5, "ho"),
        sample=Sample(
            id_column="id",
            columns=["target"],
            ids=table(7, "te").ids,
            values=np.full((7, 1), "0.0", dtype=object),
        ),
    )
    paths = Paths(root, "toy")
    settings = {
        "run": "spy",
        "competition": COMPETITION,
        "recipe": LinearRecipe(),
        "tables": tables,
        "folds": frozen(COMPETITION, paths, train, extra),
        "factory": Factory(kind),
        "paths": paths,
        "seeds": list(seeds),
        "policy": FailurePolicy(stop=Stop()),
    }
    return Job(**(settings | changes))


def with_policy(job: Job, **changes) -> Job:
    return replace(job, policy=replace(job.policy, **changes))


class Told(Silent):
    """A Watch that keeps the events."""

    def __init__(self):
        self.events: list[tuple[str, dict]] = []

    def event(self, what, message, **facts):
        self.events.append((what, {"message": message, **facts}))

    @property
    def whats(self):
        return [what for what, _ in self.events]


def run(job: Job, watch=Silent, **more):
    """The run's manifest, and the names of the parts that were announced."""
    told: list[str] = []
    manifest = cross_validate(
        job, METRIC, lambda part: watch(), lambda part, _, new: told.append(part.name), **more
    )
    return manifest, told


def read(job: Job):
    tables = job.tables
    return read_run(job.paths.run(job.run), tables.train.ids, tables.test.ids, tables.holdout.ids)


def inject(monkeypatch, text: str) -> None:
    """Faults in this very process, counted from here on; see pipeline.base.fault_injection."""
    monkeypatch.setattr(faults, "_FAULTS", faults._read(text))
    monkeypatch.setattr(faults, "_REACHED", Counter())
