"""Toy tables for the tests of the first look at the data."""

import numpy as np

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.data.table import Table

WORDS = ["sun", "rain", "tree", "house", "river", "stone", "bread", "cloud", "horse", "light"]


def table(texts, targets=None, features=None, ids=None):
    cells = np.array(texts, dtype=object).reshape(len(texts), -1)
    return Table(
        ids=np.array(ids or [f"r{place}" for place in range(len(cells))], dtype=object),
        texts=cells,
        targets=None if targets is None else np.array(targets, float).reshape(len(cells), -1),
        features={k: np.array(v, dtype=object) for k, v in (features or {}).items()},
    )


def sentences(rng, count, words=WORDS, length=8):
    return [" ".join(rng.choice(words, length)) for _ in range(count)]


def competition(problem="regression", targets=("label",), classes=(), texts=("text",), **folds):
    return Competition(
        name="toy",
        data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
        columns=ColumnsConfig(id="id", texts=list(texts), targets=list(targets)),
        task=TaskConfig(problem=problem, metric="pearson", classes=list(classes)),
        folds=FoldsConfig(**folds),
    )
