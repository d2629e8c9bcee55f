import numpy as np
import pytest
from scipy.stats import t as student

from pipeline.metrics.bootstrap import BLOCKS, Draws, freedom, resampled_gains
from pipeline.metrics.metric import MetricError, fitting, get_metric, of_a_function
from tests.ensemble.toys import CLASSES, member, task_of, truth_of
from tests.nightly import nightly

PROJECTED = ("auc", "spearman")
"""Of these the sums are exact only where every row counts once."""
CALLED = [
    (problem, name)
    for problem in ("binary", "multiclass", "multilabel")
    for name in ("average-precision", "pr-auc")
]
CALLED += [("regression", "qwk")]
"""Of these the formula is called without one bundle of groups at a time."""
EVERY = [
    (problem, metric)
    for problem in ("regression", "binary", "multiclass", "multilabel")
    for metric in fitting(problem)
]
N = 40


def toy(problem, metric):
    k = 3 if problem == "multilabel" else 1
    truth = truth_of(problem, N, k)
    if metric == "qwk" and problem == "regression":
        truth = np.rint(truth)
    return truth, member(problem, truth, 1.0, 3)


@pytest.mark.parametrize(
    ("problem", "metric"),
    [each for each in EVERY if each[1] not in PROJECTED and each not in CALLED],
)
def test_a_draw_scores_as_if_its_rows_stood_there_that_often(problem, metric):
    truth, predicted = toy(problem, metric)
    groups = np.arange(N) // 3
    draws = Draws.over(groups, seed=1, resamples=12)
    known = get_metric(metric, task_of(problem, metric))
    expected = []
    for counts in draws.counts.astype(int):
        rows = np.repeat(np.arange(N), counts[draws.block_of_row])
        expected.append(known.gain(truth[rows], predicted[rows]))
    found = resampled_gains(known, truth, predicted, draws)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert len(set(np.round(expected, 6))) > 6, "the toy hardly varies"


def test_every_known_metric_but_a_few_has_a_quick_way():
    slow = [
        (problem, metric)
        for problem, metric in EVERY
        if get_metric(metric, task_of(problem, metric)).row_sums is None
    ]
    assert sorted(slow) == sorted(CALLED)


@pytest.mark.parametrize(
    ("problem", "metric"),
    [("binary", "auc"), ("multiclass", "auc"), ("multilabel", "auc"), ("regression", "spearman")],
)
@pytest.mark.parametrize("digits", [1, 9])
def test_rank_metrics_spread_over_draws_as_if_every_draw_were_ranked(problem, metric, digits):
    """One digit makes many ties."""
    n = 800
    truth = np.round(truth_of(problem, n, 3 if problem == "multilabel" else 1), digits)
    members = [np.round(member(problem, truth, noise, 3), digits) for noise in (1.0, 1.2)]
    draws = Draws.over(np.arange(n) // 2, seed=1, resamples=150)
    known = get_metric(metric, task_of(problem, metric))
    rows = [np.repeat(np.arange(n), c[draws.block_of_row].astype(int)) for c in draws.counts]
    ranked = np.array([[known.gain(truth[each], p[each]) for each in rows] for p in members])
    summed = np.array([resampled_gains(known, truth, p, draws) for p in members])
    apart = [np.diff(gains, axis=0)[0] for gains in (ranked, summed)]
    for one, other in ((ranked[0], summed[0]), apart):
        assert np.corrcoef(one, other)[0, 1] > 0.95
        assert np.std(other) == pytest.approx(np.std(one), rel=0.1)
        assert np.mean(other) == pytest.approx(np.mean(one), abs=0.2 * np.std(one))


@pytest.mark.parametrize(("problem", "metric"), EVERY)
def test_where_every_row_counts_once_the_sums_give_the_score(problem, metric):
    truth, predicted = toy(problem, metric)
    draws = Draws(np.arange(N), np.ones((1, N)))
    known = get_metric(metric, task_of(problem, metric))
    found = resampled_gains(known, truth, predicted, draws)
    assert found[0] == pytest.approx(known.gain(truth, predicted), rel=1e-9)


def test_a_group_is_drawn_whole():
    draws = Draws.over(np.array(["a", "b", "a", "c", "b"]), seed=0, resamples=50)
    assert draws.block_of_row.tolist() == [0, 1, 0, 2, 1]
    assert draws.counts.shape == (50, 3)
    assert (draws.counts.sum(axis=1) == 3).all()


def test_uneven_groups_tell_as_much_as_fewer_even_ones():
    even, uneven = np.repeat([0, 1, 2], 4), np.repeat([0, 1, 2], [6, 1, 1])
    assert Draws.over(even, seed=0, resamples=2).groups == pytest.approx(3)
    assert Draws.over(uneven, seed=0, resamples=2).groups == pytest.approx(64 / 38)


def test_the_same_seed_draws_the_same_and_another_does_not():
    groups = np.arange(30)
    first, again, other = (Draws.over(groups, seed, 20).counts for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_more_groups_than_blocks_are_drawn_in_even_bundles_that_keep_groups_whole():
    groups = np.repeat(np.arange(3 * BLOCKS), 2)
    draws = Draws.over(groups, seed=0, resamples=3)
    assert draws.counts.shape == (3, BLOCKS)
    np.testing.assert_array_equal(draws.block_of_row[::2], draws.block_of_row[1::2])
    assert set(np.bincount(draws.block_of_row)) == {6}


def test_the_spread_over_draws_is_the_standard_error_of_a_mean():
    truth = truth_of("regression", 2000, 1)
    predicted = member("regression", truth, 1.0, 1)
    errors = np.abs(truth - predicted)
    draws = Draws.over(np.arange(2000), seed=0)
    metric = get_metric("mae", task_of("regression", "mae"))
    spread = np.std(resampled_gains(metric, truth, predicted, draws))
    assert spread == pytest.approx(errors.std() / np.sqrt(2000), rel=0.08)


def test_rows_that_always_come_together_give_the_error_of_their_groups():
    truth = np.repeat(truth_of("regression", 500, 1), 4, axis=0)
    predicted = np.repeat(member("regression", truth[::4], 1.0, 1), 4, axis=0)
    metric = get_metric("mae", task_of("regression", "mae"))
    by_row, by_group = (
        np.std(resampled_gains(metric, truth, predicted, Draws.over(groups, 0)))
        for groups in (np.arange(2000), np.arange(2000) // 4)
    )
    assert by_group == pytest.approx(2 * by_row, rel=0.1)


def matthews(truth, predicted):
    """By hand: thousands of calls in a second."""
    found, wanted = predicted.ravel() >= 0.5, truth.ravel() > 0.5
    both, ones, others = float((found & wanted).sum()), float(found.sum()), float(wanted.sum())
    spread = ones * (len(truth) - ones) * others * (len(truth) - others)
    return (both * len(truth) - ones * others) / np.sqrt(spread) if spread else 0.0


def median_error(truth, predicted):
    return -float(np.median(np.abs(truth - predicted)))


OWN = {"binary": matthews, "regression": median_error}


@pytest.mark.parametrize("problem", OWN)
@pytest.mark.parametrize("rows", [0, 90])
def test_a_metric_of_ones_own_spreads_as_over_draws_by_calls_without_one_bundle_each(problem, rows):
    """Also in draws of fewer *rows* than there are."""
    n, groups, calls = 900, np.arange(900) // 3, []
    truth = truth_of(problem, n, 1)
    members = [member(problem, truth, noise, 3) for noise in (1.0, 1.3)]
    draws = Draws.over(groups, seed=1, resamples=400)
    if rows:
        chosen = np.random.default_rng(0).multinomial(rows // 3, np.full(300, 1 / 300), size=400)
        draws = Draws(draws.block_of_row, chosen.astype(float))

    def called(y, p):
        calls.append(len(y))
        return OWN[problem](y, p)

    metric = of_a_function("mine:own", called, problem)
    found = [resampled_gains(metric, truth, each, draws) for each in members]
    assert len(calls) == 2 * (1 + 17), "the root of 300 groups"
    drawn = [np.repeat(np.arange(n), c[draws.block_of_row].astype(int)) for c in draws.counts]
    expected = [[metric.gain(truth[each], p[each]) for each in drawn] for p in members]
    for ours, theirs in ((found[0], expected[0]), (np.subtract(*found), np.subtract(*expected))):
        assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.3)
        assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.35 * np.std(theirs))


@pytest.mark.parametrize(("groups", "bundles"), [(6, 6), (60, 10), (300, 17), (4000, 40)])
def test_the_root_of_the_groups_is_left_out_in_turn_but_ten_to_forty_times(groups, bundles):
    calls = []
    metric = of_a_function("mine:own", lambda y, p: calls.append(len(y)) or p.mean(), "regression")
    draws = Draws.over(np.arange(groups), seed=0, resamples=20)
    resampled_gains(metric, np.zeros((groups, 1)), np.arange(groups * 1.0)[:, None], draws)
    assert len(calls) == 1 + bundles
    assert freedom(metric, draws) == pytest.approx(bundles - 1)


@pytest.mark.parametrize(
    ("problem", "n", "per_group"),
    [
        ("binary", 600, 3),
        ("regression", 160, 1),
        nightly("binary", 160, 1),
        nightly("regression", 600, 3),
    ],
)
def test_intervals_of_a_metric_of_ones_own_hold(problem, n, per_group):
    """200 worlds: the binomial error of 95 % is 1.5 %."""
    metric = of_a_function("mine:own", OWN[problem], problem)

    def world(seed, n, per_group):
        random, group = np.random.default_rng(seed), np.arange(n) // per_group
        noise = 0.6 * random.normal(size=(n, 3))[group] + 0.8 * random.normal(size=(n, 3))
        truth = (random.random(n) < 0.3) * 1.0 if problem == "binary" else random.normal(size=n)
        guesses = [truth + 0.7 * noise[:, place] + 0.3 * noise[:, 2] for place in (0, 1)]
        return truth[:, None], [each[:, None] for each in guesses], group

    truth, guesses, _ = world(7, 100_000, 1)
    true = np.subtract(*[metric.gain(truth, each) for each in guesses])
    held = []
    for seed in range(200):
        truth, guesses, group = world(seed, n, per_group)
        draws = Draws.over(group, seed, resamples=300)
        drawn = np.subtract(*[resampled_gains(metric, truth, each, draws) for each in guesses])
        found = np.subtract(*[metric.gain(truth, each) for each in guesses])
        reach = student.ppf(0.975, freedom(metric, draws)) * np.std(drawn)
        held.append(abs(found - true) <= reach)
    assert 0.91 <= np.mean(held) <= 0.99


def test_calls_without_each_of_four_groups_give_the_unbiased_error_of_their_mean():
    predicted = np.repeat([0.0, 1.0, 3.0, 6.0], 5)[:, None]
    metric = of_a_function("mine:own", lambda y, p: float(np.mean(p - y)), "regression")
    draws = Draws.over(np.arange(20) // 5, seed=0, resamples=2000)
    spread = np.std(resampled_gains(metric, np.zeros((20, 1)), predicted, draws))
    assert spread == pytest.approx(np.std([0, 1, 3, 6], ddof=1) / 2, rel=0.05)


def test_what_cannot_be_scored_without_a_bundle_tells_nothing():
    draws = Draws.over(np.arange(40), seed=0, resamples=30)
    truth = np.zeros((40, 1))
    truth[:2] = 1  # without one of two bundles, one class is left
    metric = get_metric("average-precision", task_of("binary", "average-precision"))
    found = resampled_gains(metric, truth, truth * 0.9, draws)
    assert np.isfinite(found).all()

    def whole_or_nothing(truth, predicted):
        if len(truth) < 40:
            raise MetricError("too few rows")
        return 1.0

    nothing = of_a_function("mine:own", whole_or_nothing, "binary")
    assert np.isnan(resampled_gains(nothing, truth, truth, draws)).all()


@pytest.mark.parametrize(
    ("problem", "metric"), [("binary", "auc"), ("binary", "f1"), ("regression", "pearson")]
)
def test_a_draw_without_a_score_is_nan_and_says_nothing(problem, metric):
    truth = np.zeros((6, 1))
    truth[0] = 1
    predicted = truth.copy()
    draws = Draws.over(np.arange(6), seed=0, resamples=60)
    known = get_metric(metric, task_of(problem, metric))
    found = resampled_gains(known, truth, predicted, draws)
    np.testing.assert_array_equal(np.isnan(found), draws.counts[:, 0] == 0)


def test_toy_classes_are_enough_for_macro_scores():
    assert len(CLASSES) > 2
