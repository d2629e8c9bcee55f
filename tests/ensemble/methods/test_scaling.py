import numpy as np
import pytest

from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.methods.registry import METHODS
from pipeline.ensemble.methods.scaling import find_scale, on_one_scale
from pipeline.ensemble.methods.weights import mean, simplex
from tests.ensemble.toys import evidence_of, gather, member, truth_of

FOLDS = frozenset([0, 1, 2])


def off_scale(metric="rmse"):
    """Two good members, one of them from 0 to 1 beside targets from 0 to 5."""
    truth = truth_of("regression", 400, 1)
    one, other = (member("regression", truth, 0.5, seed) for seed in (1, 2))
    return gather("regression", metric, [one, other / 5], truth), [one, other]


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_the_mean_of_members_on_two_scales_is_that_of_members_on_one(metric):
    evidence, plain = off_scale(metric)
    found = METHODS["mean"].fit(evidence, FOLDS).predict(evidence.given, "regression")
    np.testing.assert_allclose(found, (plain[0] + plain[1]) / 2, atol=0.4)
    naive = mean(evidence, FOLDS).predict(evidence.given, "regression")
    assert np.abs(naive - evidence.truth).mean() > 2 * np.abs(found - evidence.truth).mean()


def test_the_line_is_least_squares_on_the_folds_asked_for():
    evidence, _ = off_scale()
    rows, scale = evidence.rows(FOLDS), find_scale(evidence, FOLDS)
    slope, offset = np.polyfit(evidence.oof[1][rows, 0], evidence.truth[rows, 0], 1)
    np.testing.assert_allclose(scale.slope, [1, slope])
    np.testing.assert_allclose(scale.offset, [[0, offset]], atol=1e-12)


@pytest.mark.parametrize("turned", [1, -1])
def test_one_member_alone_has_one_line_where_the_metric_sees_none(turned):
    """A line for each fold would be told as a fault of the member: folds of unlike sources."""
    truth = truth_of("regression", 300, 1)
    own = turned * member("regression", truth, 0.5, 1) / 5
    for metric, same in (("pearson", turned > 0), ("rmse", False)):
        evidence = gather("regression", metric, [own], truth)
        lines = [find_scale(evidence, evidence.folds - {fold}) for fold in sorted(evidence.folds)]
        assert (len({float(each.slope[0]) for each in lines}) == 1) == same
        if same:
            assert lines[0].slope[0] == find_scale(evidence, evidence.folds).slope[0] != 1


@pytest.mark.parametrize(
    ("problem", "metric"), [("regression", "rmse"), ("binary", "auc"), ("multiclass", "log-loss")]
)
def test_members_on_the_targets_scale_are_left_as_they_are(problem, metric):
    evidence = evidence_of(problem, metric)
    plain = simplex(evidence, FOLDS)
    found = on_one_scale(simplex)(evidence, FOLDS)
    np.testing.assert_array_equal(found.weights, plain.weights)
    np.testing.assert_array_equal(found.intercept, plain.intercept)


def test_a_weak_member_that_stays_near_the_mean_is_left_alone_and_a_narrow_one_is_not():
    truth = truth_of("regression", 400, 1)
    noise = np.random.default_rng(1).normal(size=truth.shape)
    weak = truth.mean() + 0.02 * (truth - truth.mean()) + 0.2 * noise
    narrow = truth.mean() + 0.1 * (truth - truth.mean()) + 0.02 * noise
    evidence = gather("regression", "rmse", [weak, narrow], truth)
    assert find_scale(evidence, FOLDS).moved.tolist() == [False, True]


@pytest.mark.parametrize(("far", "moved"), [(0.7, False), (1.4, True)])
def test_a_member_a_standard_deviation_away_is_on_another_scale(far, moved):
    truth = truth_of("regression", 400, 1)
    one, other = (member("regression", truth, 0.5, seed) for seed in (1, 2))
    away = other - other.mean() + truth.mean() + far * truth.std()
    evidence = gather("regression", "rmse", [one, away], truth)
    assert find_scale(evidence, FOLDS).moved.tolist() == [False, moved]


def test_a_constant_member_is_left_alone():
    evidence, _ = off_scale()
    constant = gather(
        "regression", "rmse", [evidence.oof[0], np.full((400, 1), 99.0)], evidence.truth
    )
    assert not find_scale(constant, FOLDS).moved.any()


@pytest.mark.parametrize("name", ["simplex", "greedy", "ridge", "slices", "layers"])
def test_every_kind_of_blend_takes_members_as_they_are(name):
    evidence, plain = off_scale()
    found = METHODS[name].fit(evidence, FOLDS).predict(evidence.given, "regression")
    wanted = METHODS[name].fit(gather("regression", "rmse", plain, evidence.truth), FOLDS)
    reference = wanted.predict(Evidence.given.fget(evidence), "regression")
    assert np.abs(reference - evidence.truth).mean() > 0.5, "the toy needs no scaling"
    assert np.abs(found - evidence.truth).mean() < 0.5
