"""A greedy step over rows says of every member what the metric says of the mean it would make."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.config import TaskConfig
from pipeline.metrics.greedy import likely_classes, log_sum, ordered_pairs
from pipeline.metrics.metric import MetricError, climb, fitting, get_metric, of_a_function

PROBLEMS = ["regression", "binary", "multiclass", "multilabel"]
COLUMNS = {"regression": 2, "binary": 1, "multiclass": 4, "multilabel": 3}
CASES = [(problem, name) for problem in PROBLEMS for name in fitting(problem)]
ROUGHNESS = st.sampled_from([1, 4, 10, 1000])
"""Predictions are multiples of one over it: the coarser, the more ties."""


def metric_of(problem, name, label_range=None):
    classes = {"binary": ["0", "1"], "multiclass": ["a", "b", "c", "d"]}.get(problem, [])
    return get_metric(
        name, TaskConfig(problem=problem, metric=name, classes=classes, label_range=label_range)
    )


def table_of(problem, rows, seed, roughness, knowing=1.0, members=4, dtype=np.float32):
    random = np.random.default_rng(seed)
    k = COLUMNS[problem]
    if problem == "multiclass":
        truth = random.integers(0, k, size=(rows, 1)).astype(float)
        known = (truth == np.arange(k)).astype(float)
    elif problem == "regression":
        truth = known = random.integers(0, 4, size=(rows, k)).astype(float)
    else:
        truth = known = (random.random((rows, k)) < 0.4).astype(float)
    oof = []
    for _ in range(members):
        values = (knowing * known + random.random(known.shape)) / (1 + knowing)
        oof.append((np.round(values * roughness) / roughness).astype(dtype))
    return truth, oof


def plain_steps(metric, truth, oof, counts):
    total = sum(count * each.astype(float) for count, each in zip(counts, oof, strict=True))
    gains = []
    for each in oof:
        try:
            gains.append(metric.gain(truth, (total + each) / (counts.sum() + 1)))
        except MetricError:
            gains.append(-np.inf)
    return gains


@pytest.mark.parametrize(("problem", "name"), CASES)
@given(
    rows=st.integers(1, 60),
    seed=st.integers(0, 2**20),
    roughness=ROUGHNESS,
    knowing=st.sampled_from([0.0, 0.3, 3.0]),
    picks=st.lists(st.integers(0, 3), max_size=6),
)
@settings(max_examples=15, deadline=None)
def test_each_step_on_the_way_equals_the_metric_of_the_mean(
    problem, name, rows, seed, roughness, knowing, picks
):
    metric = metric_of(problem, name)
    truth, oof = table_of(problem, rows, seed, roughness, knowing)
    steps, counts = climb(metric, truth, oof), np.zeros(4)
    for pick in [*picks, None]:
        expected = plain_steps(metric, truth, oof, counts)
        np.testing.assert_allclose(steps.steps(counts), expected, rtol=1e-12, atol=1e-12)
        if pick is not None:
            counts[pick] += 1


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_a_climb_can_begin_anew(problem, name):
    metric = metric_of(problem, name)
    truth, oof = table_of(problem, 50, 1, 1000)
    steps = climb(metric, truth, oof)
    first = steps.steps(np.zeros(4))
    steps.steps(np.array([2.0, 1.0, 0.0, 3.0]))
    np.testing.assert_array_equal(steps.steps(np.zeros(4)), first)


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_members_that_are_not_asked_for_are_not_scored(problem, name):
    metric = metric_of(problem, name)
    truth, oof = table_of(problem, 50, 1, 1000)
    steps, counts = climb(metric, truth, oof), np.array([0.0, 1.0, 0.0, 0.0])
    found, every = steps.steps(counts, [1, 3]), steps.steps(counts)
    np.testing.assert_array_equal(found, [-np.inf, every[1], -np.inf, every[3]])


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_predictions_that_are_no_probabilities_are_scored_all_the_same(problem, name):
    truth, oof = table_of(problem, 50, 3, 1000, dtype=np.float64)
    oof[1] = 4 * oof[1] - 2
    metric, counts = metric_of(problem, name), np.array([1.0, 0.0, 2.0, 0.0])
    found = climb(metric, truth, oof).steps(counts)
    np.testing.assert_allclose(found, plain_steps(metric, truth, oof, counts), rtol=1e-12)


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_a_member_with_a_prediction_that_is_not_finite_is_worse_than_any_other(problem, name):
    truth, oof = table_of(problem, 50, 3, 1000)
    oof[2][7, 0] = np.nan
    gains = climb(metric_of(problem, name), truth, oof).steps(np.zeros(4))
    assert np.isneginf(gains[2])
    assert np.isfinite(gains[[0, 1, 3]]).all()


def test_a_metric_of_ones_own_is_called_with_the_mean():
    truth, oof = table_of("regression", 30, 5, 1000)
    own = of_a_function("m:worst", lambda y, p: -float(np.abs(y - p).max()), "regression")
    counts = np.array([1.0, 0.0, 0.0, 1.0])
    found = climb(own, truth, oof).steps(counts)
    np.testing.assert_allclose(found, plain_steps(own, truth, oof, counts), rtol=1e-12)


@pytest.mark.parametrize("label_range", [None, (1.0, 2.0), (0.0, 9.0)])
def test_kappa_of_a_regression_is_rounded_within_the_range_of_the_labels(label_range):
    truth, oof = table_of("regression", 80, 6, 1000)
    oof = [4 * each - 1 for each in oof]
    metric, counts = metric_of("regression", "qwk", label_range), np.array([1.0, 0.0, 2.0, 0.0])
    found = climb(metric, truth, oof).steps(counts)
    np.testing.assert_allclose(found, plain_steps(metric, truth, oof, counts), rtol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_ordered_pairs_are_those_of_a_loop_over_all_pairs(rows):
    keys = np.array([2 * value + label for value, label in rows], dtype=np.uint64)
    low, high = ([value for value, label in rows if label == kind] for kind in (False, True))
    expected = sum((a < b) + 0.5 * (a == b) for a in low for b in high)
    assert ordered_pairs(keys) == expected


@given(st.lists(st.floats(2.3e-16, 1e4), max_size=70))
def test_the_logarithm_of_a_product_is_the_sum_of_logarithms(values):
    values = np.array(values)
    assert log_sum(values) == pytest.approx(float(np.log(values).sum()), rel=1e-12, abs=1e-10)


def test_probabilities_of_classes_have_a_fast_way_and_other_numbers_have_none():
    truth, oof = table_of("multiclass", 40, 0, 1000)
    chances = [each / each.sum(axis=1, keepdims=True) for each in oof]
    assert likely_classes(truth, chances) is not None
    assert likely_classes(truth, [3 * each for each in chances]) is None
    assert likely_classes(truth, [each / 3 for each in chances]) is None


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_one_member_alone_is_scored_too(problem, name):
    metric = metric_of(problem, name)
    truth, oof = table_of(problem, 40, 0, 1000, members=1)
    found = climb(metric, truth, oof).steps(np.zeros(1))
    np.testing.assert_allclose(found, plain_steps(metric, truth, oof, np.zeros(1)), rtol=1e-6)
