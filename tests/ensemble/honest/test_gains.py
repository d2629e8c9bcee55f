import numpy as np
import pytest

from pipeline.ensemble.honest import gains
from pipeline.ensemble.honest.gains import (
    Difference,
    Gain,
    contributions,
    difference,
    gain_over,
    lowest_upper_end,
    rivals,
)
from pipeline.ensemble.honest.nest import AUTO, METHODS, Nest
from tests.ensemble.toys import evidence_of, gather, member, truth_of


def nest_of(noises, n=400, seed=0, metric="pearson"):
    return Nest(evidence_of("regression", metric, noises=noises, n=n, seed=seed), seed=0)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 0.01, "real"), (-0.001, 0.01, "undecided"), (-0.02, -0.01, "no"), (0, 0, "no")],
)
def test_the_verdict_is_read_from_the_interval(low, high, verdict):
    assert Gain(difference=0.0, error=0.0, low=low, high=high).verdict == verdict


def test_a_gain_over_a_method_is_the_loss_of_that_method():
    nest = nest_of((0.9, 1.0, 1.1))
    for method in ("mean", "simplex"):
        for other in ("best", "ridge"):
            one, turned = gain_over(nest, method, other), gain_over(nest, other, method)
            assert one.difference == pytest.approx(-turned.difference)
            assert (one.low, one.high) == pytest.approx((-turned.high, -turned.low))
            assert one.low < one.difference < one.high


def test_a_method_gains_nothing_over_itself():
    nest = nest_of((0.9, 1.0, 1.1))
    for method in ("best", "mean", "greedy", AUTO):
        assert gain_over(nest, method, method) == Gain(0.0, 0.0, 0.0, 0.0)


def test_fits_that_do_not_differ_add_nothing_to_the_error():
    """Between two fixed blends only rows are uncertain."""
    nest = nest_of((0.9, 1.0, 1.1))
    single = nest.beside(nest.evidence.keep([0]))
    apart = difference(nest, "mean", single, "mean")
    assert apart.of_fits == pytest.approx(0.0, abs=1e-15)
    assert apart.error == pytest.approx(np.std(apart.draws))
    assert apart.reach == pytest.approx(1.972, abs=0.001)  # t with 199 degrees of freedom


def test_of_two_methods_that_differ_by_noise_half_the_variance_is_the_fits():
    """Equal members: weights that are not equal follow the noise of the rows they saw."""
    shares = []
    for seed in range(12):
        truth = truth_of("regression", 400, 1, seed)
        equal = [member("regression", truth, 1.0, 10 * seed + place) for place in range(3)]
        nest = Nest(gather("regression", "rmse", equal, truth, folds=5), seed=0)
        apart = difference(nest, "simplex", nest, "mean")
        shares.append(apart.of_fits / apart.error**2)
    assert 0.3 < np.mean(shares) < 0.6


def test_against_a_clear_difference_the_fits_are_nothing():
    nest = nest_of((0.5, 1.5, 1.5))
    apart = difference(nest, "simplex", nest, "mean")
    assert 0 < apart.of_fits < 0.05 * apart.error**2


def test_every_member_that_may_be_the_best_is_a_rival_and_no_other():
    truth = truth_of("regression", 400, 1)
    members = [member("regression", truth, noise, 1 + i) for i, noise in enumerate((1, 1, 3))]
    nest = Nest(gather("regression", "pearson", members, truth), seed=0)
    assert sorted(each.evidence.names[0] for each in rivals(nest)) == ["m0", "m1"]
    assert [each.evidence.names for each in rivals(nest_of((0.5, 1.5, 1.5)))] == [["m0"]]


def test_between_equal_members_the_interval_reaches_over_both():
    truth = truth_of("regression", 400, 1)
    equal = [member("regression", truth, 1.0, seed) for seed in (1, 2)]
    nest = Nest(gather("regression", "pearson", equal, truth), seed=0)
    gain = gain_over(nest, "mean", "best")
    assert len(rivals(nest)) == 2
    for single in rivals(nest):
        apart = difference(nest, "mean", single, "best").gain()
        assert gain.low <= apart.low
    plain = difference(nest, "mean", nest, "best").gain()
    assert gain.low <= plain.low
    assert gain.high >= plain.high
    assert gain.error == plain.error


def test_where_one_member_is_clearly_best_the_interval_is_that_of_the_rows():
    nest = nest_of((0.5, 1.5, 1.5))
    gain, plain = gain_over(nest, "simplex", "best"), difference(nest, "simplex", nest, "best")
    assert gain.high - gain.low == pytest.approx(2 * plain.reach * plain.error, rel=0.1)


def test_the_upper_end_over_several_is_as_wide_as_their_number_asks_for():
    """Four independent differences: the largest of four falls short further than one."""
    random = np.random.default_rng(0)
    one = [Difference(0.0, random.normal(size=20_000), 0.0, 1.96)]
    four = [Difference(0.0, random.normal(size=20_000), 0.0, 1.96) for _ in range(4)]
    assert lowest_upper_end(one) == pytest.approx(1.96, abs=0.05)
    assert lowest_upper_end(four) == pytest.approx(2.49, abs=0.06)  # 0.975 ** (1 / 4) of a normal


def test_few_groups_make_the_interval_wider_than_many():
    truth = truth_of("regression", 240, 1)
    members = [member("regression", truth, noise, seed) for seed, noise in enumerate((1, 2))]
    reach = []
    for size in (2, 24):
        evidence = gather("regression", "rmse", members, truth)
        object.__setattr__(evidence, "group_of_row", np.arange(240) // size)
        nest = Nest(evidence, seed=0)
        reach.append(difference(nest, "mean", nest, "best").reach)
    assert reach == pytest.approx([1.980, 2.262], abs=0.001)  # t with 119 and 9


def test_without_a_single_draw_that_has_a_score_nothing_is_decided():
    truth = np.zeros((40, 1))
    flat = [np.full((40, 1), value) for value in (1.0, 2.0)]
    nest = Nest(gather("regression", "pearson", flat, truth), seed=0)
    gain = gain_over(nest, "mean", "best")
    assert (gain.low, gain.high, gain.verdict) == (-np.inf, np.inf, "undecided")


def test_what_a_member_is_worth_is_the_honest_gain_lost_when_all_is_fitted_without_it():
    evidence = evidence_of("regression", "rmse", noises=(0.8, 1.0, 1.2), n=96)
    nest = Nest(evidence, seed=0)
    truth = np.asarray(evidence.truth)
    for place, worth in enumerate(contributions(nest, "simplex")):
        rest = [each for i, each in enumerate(evidence.oof) if i != place]
        without = Nest(gather("regression", "rmse", rest, truth), seed=0)
        expected = nest.honest_gain("simplex") - without.honest_gain("simplex")
        assert worth.difference == pytest.approx(expected)
        rows = nest.resampled("simplex", evidence.folds) - without.resampled(
            "simplex", evidence.folds
        )
        assert worth.error >= np.std(rows) * (1 - 1e-9)
        assert worth.low < worth.difference < worth.high


def test_a_single_member_has_no_worth_of_its_own():
    assert contributions(nest_of((1.0,)), "best") == [None]


@pytest.mark.parametrize("method", gains.SPARSE)
def test_a_member_that_is_never_used_is_worth_nothing_and_that_is_so(method):
    truth = truth_of("regression", 400, 1)
    members = [member("regression", truth, 1.0, seed) for seed in range(3)]
    members.append(2 * members[0] - truth)  # errs as m0 does, but twice as much
    nest = Nest(gather("regression", "rmse", members, truth), seed=0)
    assert contributions(nest, method)[3] == Gain(0.0, 0.0, 0.0, 0.0)
    without = nest.beside(nest.evidence.without(3))
    assert nest.honest_gain(method) == pytest.approx(without.honest_gain(method), abs=1e-9)


@pytest.mark.parametrize(
    ("metric", "limit"), [("pearson", "LEFT_OUT"), ("mae", "LEFT_OUT_BY_ROWS")]
)
def test_of_many_members_only_the_heaviest_are_left_out_in_turn(metric, limit, monkeypatch):
    monkeypatch.setattr(gains, limit, 2)
    nest = nest_of((0.5, 1.5, 1.0), metric=metric)
    weights = np.abs(nest.fit("ridge", nest.evidence.folds).weights)
    found = contributions(nest, "ridge")
    assert [each is None for each in found] == (weights == weights.min()).tolist()


@pytest.mark.parametrize("method", [*METHODS, AUTO])
@pytest.mark.parametrize(
    ("problem", "metric", "k"),
    [("regression", "spearman", 1), ("multiclass", "macro-f1", 1), ("multilabel", "f1", 2)],
)
def test_every_method_has_a_gain_for_every_kind_of_problem(problem, metric, k, method):
    nest = Nest(evidence_of(problem, metric, noises=(0.9, 1.0), k=k, n=96), seed=0)
    if method not in nest.methods and method != AUTO:
        pytest.skip("this method does not suit this problem")
    gain = gain_over(nest, method, "best")
    assert gain.low <= gain.difference <= gain.high
