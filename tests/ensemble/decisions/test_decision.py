"""Gains of decided labels while a cut moves, where the metric has to be called."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.ensemble.decisions.decision import TRIED, gains_on_the_way
from pipeline.metrics.metric import get_metric


@pytest.mark.parametrize("count", [3, TRIED, 4 * TRIED])
def test_a_metric_that_is_no_function_of_sums_is_called_from_the_first_place_to_the_last(count):
    metric = get_metric("f1", TaskConfig(problem="binary", metric="f1", classes=["0", "1"]))
    called = get_metric("f1", TaskConfig(problem="binary", metric="f1", classes=["0", "1"]))
    vars(called)["formula"] = replace(metric.formula, label_sums=None)
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, size=(count, 1)).astype(float)
    before, after = np.zeros_like(truth), np.ones_like(truth)
    places = np.arange(1, count + 1)
    expected = gains_on_the_way(metric, truth, before, after, places, classes=2)
    found = gains_on_the_way(called, truth, before, after, places, classes=2)
    tried = np.isfinite(found)
    assert tried.sum() == min(count, TRIED)
    assert tried[0]
    assert tried[-1]
    assert found[tried] == pytest.approx(expected[tried])
    assert np.diff(np.flatnonzero(tried)).max() <= -(-count // TRIED) + 1
