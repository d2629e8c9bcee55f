"""Strata: what every fold should have the same share of, by problem type."""

import numpy as np

from pipeline.problems.multilabel import set_strata
from pipeline.problems.regression import number_strata


def test_equal_numbers_share_a_stratum_and_bins_hold_equal_shares():
    values = np.concatenate([np.zeros(300), np.linspace(1, 5, 700)])
    stratum = number_strata(values[:, None], bins=10)
    assert len(set(stratum[:300])) == 1
    assert not set(stratum[:300]) & set(stratum[300:])
    assert np.bincount(stratum)[stratum[300:]].max() <= 101


def test_few_distinct_numbers_are_strata_themselves():
    values = np.array([1.0] * 50 + [2] * 45 + [3] * 3 + [6] * 2)[:, None]
    np.testing.assert_array_equal(np.bincount(number_strata(values, bins=4)), [50, 45, 3, 2])


def test_several_numbers_are_binned_along_the_direction_in_which_they_move_together():
    level = np.random.default_rng(0).normal(size=500)
    noise = np.random.default_rng(1).normal(size=(500, 3)) / 5
    targets = level[:, None] * [1.0, -2.0, 30.0] + noise
    stratum = number_strata(targets, bins=5)
    means = np.array([level[stratum == number].mean() for number in range(5)])
    assert (np.abs(np.diff(means)) > 0.3).all()
    assert len(set(np.sign(np.diff(means)))) == 1


def test_rare_label_sets_are_joined_by_their_rarest_label():
    rows = [[1, 0, 0]] * 6 + [[1, 1, 0]] * 2 + [[0, 1, 1]] + [[1, 1, 1]] + [[0, 0, 0]] * 5
    stratum = set_strata(np.array(rows, dtype=float), least=3)
    assert len(set(stratum[6:8])) == 1  # both by the second label
    assert stratum[8] == stratum[9]  # by the third, the rarest
    assert len(set(stratum)) == 4
