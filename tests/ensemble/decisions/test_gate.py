import numpy as np
import pytest

from pipeline.ensemble.decisions.decision import beyond_noise, influence
from pipeline.metrics.bootstrap import Draws, resampled_gains
from pipeline.metrics.metric import get_metric
from tests.ensemble.toys import task_of

CASES = [
    ("binary", "f1"),
    ("binary", "macro-f1"),
    ("binary", "accuracy"),
    ("binary", "qwk"),
    ("binary", "auc"),
    ("multiclass", "macro-f1"),
    ("multiclass", "accuracy"),
    ("multiclass", "qwk"),
]


def classes_of(problem, n, seed):
    """Truth and three unequal guesses of it, as class numbers."""
    random = np.random.default_rng(seed)
    c = 2 if problem == "binary" else 4
    truth = random.choice(c, size=n, p=np.arange(1, c + 1)[::-1] / (c * (c + 1) / 2))
    return truth, [np.where(random.random(n) < p, truth, random.choice(c, n)) for p in (0.5, 0.7)]


def known(problem, metric):
    return get_metric(metric, task_of(problem, metric))


def column(classes):
    return classes[:, None].astype(float)


def beyond(metric, truth, one, other, groups):
    metric = known("multiclass", metric)
    return beyond_noise(metric, column(truth), column(one), column(other), groups, classes=4)


def predictions(problem, found):
    return np.eye(4)[found] if problem == "multiclass" else found[:, None].astype(float)


@pytest.mark.parametrize(("problem", "metric"), CASES)
def test_influence_gives_the_metric_and_the_spread_of_its_bootstrap(problem, metric):
    truth, (one, other) = classes_of(problem, 3000, 0)
    score = known(problem, metric)
    gains, drawn = [], []
    draws = Draws.over(np.arange(3000), seed=0)
    for found in (one, other):
        gain, adds = influence(score, column(truth), column(found), 2 if problem == "binary" else 4)
        assert gain == pytest.approx(score.gain(column(truth), predictions(problem, found)))
        assert adds.sum() == pytest.approx(0, abs=1e-9)
        gains.append(adds)
        drawn.append(resampled_gains(
            score, column(truth), predictions(problem, found), draws
        ))  # fmt: skip
    expected = np.std(drawn[0] - drawn[1])
    assert np.sqrt(((gains[0] - gains[1]) ** 2).sum()) == pytest.approx(expected, rel=0.1)


def test_a_better_guess_is_beyond_noise_on_many_rows_and_not_on_few():
    for n, expected in ((3000, True), (12, False)):
        truth, (one, other) = classes_of("multiclass", n, 1)
        assert beyond("macro-f1", truth, one, other, np.arange(n)) is expected
    assert not beyond("macro-f1", truth, one, one, np.arange(n))


def test_a_few_rows_more_right_than_wrong_are_noise():
    truth = np.zeros(300, dtype=int)
    truth[150:] = 1
    one, other, better = truth.copy(), truth.copy(), truth.copy()
    one[:11] = 1  # other is right in 11 rows more and wrong in 9 more, better is wrong in none
    other[290:299] = 0
    assert not beyond("accuracy", truth, one, other, np.arange(300))
    assert beyond("accuracy", truth, one, better, np.arange(300))


def test_rows_of_one_group_count_as_one():
    truth = np.zeros(200, dtype=int)
    truth[100:] = 1
    one, other = truth.copy(), truth.copy()
    one[:12] = 1  # other is right in twelve rows more, all of one group or each of its own
    assert beyond("accuracy", truth, one, other, np.arange(200))
    together = np.concatenate([np.zeros(12, dtype=int), np.arange(1, 189)])
    assert not beyond("accuracy", truth, one, other, together)
