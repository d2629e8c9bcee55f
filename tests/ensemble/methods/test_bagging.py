import numpy as np
import pytest

from pipeline.ensemble.methods.weights import greedy, greedy_bag, select
from tests.ensemble.toys import evidence_of, gather, member, truth_of

FOLDS = frozenset([0, 1, 2])
NOISES = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05)


@pytest.mark.parametrize(
    ("problem", "metric"), [("regression", "rmse"), ("binary", "auc"), ("multiclass", "macro-f1")]
)
def test_weights_are_not_negative_and_sum_to_one(problem, metric):
    blend = greedy_bag(evidence_of(problem, metric, NOISES), FOLDS)
    assert (blend.weights >= 0).all()
    assert blend.weights.sum() == pytest.approx(1)
    assert not blend.intercept.any()


def test_a_selection_stays_among_its_members():
    weights = select(evidence_of("regression", "rmse", NOISES), FOLDS, [1, 4])
    assert np.flatnonzero(weights).tolist() == [1, 4]


def test_the_same_seed_gives_the_same_bags_and_another_one_others():
    evidence = evidence_of("regression", "rmse", NOISES)
    first = greedy_bag(evidence, FOLDS).weights
    np.testing.assert_array_equal(greedy_bag(evidence, FOLDS).weights, first)
    assert (greedy_bag(evidence, FOLDS, seed=1).weights != first).any()


def test_a_single_member_is_the_only_bag():
    assert greedy_bag(evidence_of("regression", "rmse", (1.0,)), FOLDS).weights.tolist() == [1.0]


def test_only_the_folds_that_are_given_are_looked_at():
    evidence = evidence_of("regression", "rmse", NOISES)
    changed = evidence.truth.copy()
    changed[evidence.rows(frozenset([3]))] += 5
    again = gather("regression", "rmse", list(evidence.oof), changed)
    np.testing.assert_array_equal(
        greedy_bag(again, FOLDS).weights, greedy_bag(evidence, FOLDS).weights
    )


def test_bags_spread_the_weights_among_many_alike_members():
    """On new rows the mean of alike members is best; one selection on few rows misses it by more.

    The members' own errors are independent, so the error of a blend falls with the sum of squared
    weights.
    """
    truth = truth_of("regression", 120, 1)
    alike = [member("regression", truth, 1.0, seed) for seed in range(20)]
    evidence = gather("regression", "rmse", alike, truth)
    bagged, alone = greedy_bag(evidence, FOLDS).weights, greedy(evidence, FOLDS).weights
    assert (bagged**2).sum() < 0.95 * (alone**2).sum()
