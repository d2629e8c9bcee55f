import numpy as np
import pytest

from pipeline.ensemble.decisions.decision import Labelled
from pipeline.ensemble.decisions.threshold import best_level, thresholds_for
from pipeline.metrics.metric import MetricError, get_metric
from tests.ensemble.toys import member, task_of, truth_of

LABELLED = ["f1", "macro-f1", "accuracy", "qwk", "auc"]
"""Metrics that 0/1 classes are fitted to."""


def known(metric, problem="binary"):
    return get_metric(metric, task_of(problem, metric))


def level_of(metric, truth, values):
    found = np.zeros((len(truth), 1))
    return best_level(known(metric), truth[:, None].astype(float), found, values, 0)


def scored(metric, truth, values, level):
    """The metric's own score of the classes that *level* makes."""
    try:
        return known(metric).gain(
            truth[:, None].astype(float), (values >= level)[:, None].astype(float)
        )
    except MetricError:
        return -np.inf


@pytest.mark.parametrize("metric", LABELLED)
@pytest.mark.parametrize("seed", range(6))
def test_the_best_threshold_is_that_of_trying_all(metric, seed):
    random = np.random.default_rng(seed)
    truth = random.random(60) < 0.25
    values = np.clip(0.3 * truth + random.random(60) * 0.6, 0, 1).round(2)  # with ties
    best = level_of(metric, truth, values)
    tried = [0.0, *(np.unique(values) - 0.001), 2.0]
    expected = max(scored(metric, truth, values, level) for level in tried)
    assert scored(metric, truth, values, best) == pytest.approx(expected)


def test_of_equally_good_thresholds_the_one_nearest_one_half_is_taken():
    truth = np.array([False, True])
    assert level_of("f1", truth, np.array([0.1, 0.2])) == pytest.approx(0.15)
    truth = np.array([True, False, True, False])
    values = np.array([0.9, 0.7, 0.4, 0.1])
    assert level_of("accuracy", truth, values) == pytest.approx(0.25)
    constant = level_of("f1", np.array([True, False]), np.array([0.5, 0.5]))
    assert constant <= 0.5


def test_no_row_lies_on_the_wrong_side_where_no_float_fits_between_two_values():
    low = 0.5
    high = np.nextafter(low, 1)
    level = level_of("f1", np.array([False, True]), np.array([low, high]))
    assert low < level <= high


def rows_of(truth, predicted):
    return Labelled(truth, predicted, np.arange(len(truth)) // 2)


def test_calibrated_probabilities_are_cut_at_half_the_f1_they_reach():
    """Lipton et al. 2014: what the fit must come near on many rows."""
    random = np.random.default_rng(0)
    chance = random.beta(0.5, 3, size=(200_000, 1))
    truth = (random.random(chance.shape) < chance).astype(float)
    fitted = thresholds_for(known("f1"))(rows_of(truth, chance))
    reached = scored("f1", truth[:, 0] > 0, chance[:, 0], fitted.levels[0])
    assert fitted.levels[0] == pytest.approx(reached / 2, abs=0.01)


def test_each_label_has_its_own_threshold_and_leaves_one_half_only_beyond_noise():
    truth = np.array([1.0, 1, 0, 0, 0, 0])
    values = np.array([0.9, 0.45, 0.42, 0.3, 0.2, 0.1])  # 0.44 is better by one row
    few = np.concatenate([np.zeros(594), truth])
    few_values = np.concatenate([np.full(594, 0.01), values])
    many, many_values = np.tile(truth, 100), np.tile(values, 100)
    rows = rows_of(np.stack([many, few], axis=1), np.stack([many_values, few_values], axis=1))
    fitted = thresholds_for(known("macro-f1", "multilabel"))(rows)
    assert fitted.levels.tolist() == [pytest.approx(0.435), 0.5]
    assert fitted.says(["a", "b"]) == "positive from a 0.435, b 0.500 on"


def test_thresholds_for_rows_that_must_be_right_in_every_label_are_never_worse_than_one_half():
    truth = truth_of("multilabel", 2000, 3)
    predicted = member("multilabel", truth, 0.8, seed=3) ** 4  # too low: 0.5 finds too few
    fitted = thresholds_for(known("accuracy", "multilabel"))(rows_of(truth, predicted))
    metric = known("accuracy", "multilabel")
    assert (fitted.levels < 0.3).all()
    assert metric.score(truth, fitted.apply(predicted)) > metric.score(truth, predicted) + 0.05
