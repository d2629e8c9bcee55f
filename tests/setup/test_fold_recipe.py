"""Which folds `init` proposes."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, TaskConfig
from pipeline.data.table import Table
from pipeline.metrics import get_metric
from pipeline.setup.fold_recipe import propose


def rows_of(sources, seed):
    random = np.random.default_rng(seed)
    texts = [[f"{source} {random.integers(10**9)} seen"] for source in sources]
    return Table(
        ids=np.array([f"{seed}-{row}" for row in range(len(texts))], dtype=object),
        texts=np.array(texts, dtype=object),
        features={"source": np.array(sources, dtype=object)},
        targets=random.normal(size=(len(texts), 1)),
    )


@pytest.mark.parametrize(
    ("known", "whole"), [(100, None), (50, 0.5), (0, 1.0)], ids=["known", "half", "new"]
)
def test_sources_that_test_has_and_train_has_not_are_held_out_by_as_large_a_share(known, whole):
    """Seven sources of 60 rows in train; of test so many rows are from those, the others not."""
    random = np.random.default_rng(0)
    train = rows_of([f"s{row % 7}" for row in range(420)], 1)
    sources = [f"s{random.integers(7)}" for _ in range(known)]
    sources += [f"new{row % 3}" for row in range(100 - known)]
    columns = ColumnsConfig(id="id", texts=["text"], targets=["y"], features=["source"])
    task = TaskConfig(problem="regression", metric="rmse")
    files = DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv")
    competition = Competition(name="toy", data=files, columns=columns, task=task)
    test = replace(rows_of(sources, 2), targets=None)
    found = propose(competition, train, test, get_metric("rmse", task))
    folds = found.competition.folds
    assert folds.group_columns == ([] if whole is None else ["source"])
    assert folds.whole == pytest.approx(1.0 if whole is None else whole, abs=0.15)
    assert found.fits
    assert not found.unseen
