import numpy as np
import pytest

from pipeline.ensemble.outcome import redundant
from tests.ensemble.toys import evidence_of, gather, member, truth_of


def test_a_copy_is_redundant_and_names_what_it_repeats():
    truth = truth_of("regression", 200, 1)
    one, other = (member("regression", truth, 1.0, seed) for seed in (1, 2))
    evidence = gather("regression", "rmse", [one, other, 2 * one + 1], truth)
    (found,) = redundant(evidence, [one, other, one])
    assert (found.member, found.kept) == (2, 0)
    assert found.correlation == pytest.approx(1)


def test_equal_out_of_fold_rows_with_other_test_rows_are_two_members():
    truth = truth_of("regression", 200, 1)
    one, other = (member("regression", truth, 1.0, seed) for seed in (1, 2))
    evidence = gather("regression", "rmse", [one, one], truth)
    assert not redundant(evidence, [one, other])


def test_of_three_copies_one_is_kept():
    truth = truth_of("regression", 200, 1)
    one = member("regression", truth, 1.0, 1)
    found = redundant(gather("regression", "rmse", [one] * 3, truth), [one] * 3)
    assert [(each.member, each.kept) for each in found] == [(1, 0), (2, 0)]


@pytest.mark.parametrize(("problem", "metric"), [("regression", "rmse"), ("multiclass", "auc")])
def test_members_that_differ_are_kept(problem, metric):
    evidence = evidence_of(problem, metric, noises=(0.6, 0.6, 0.6))
    assert not redundant(evidence, evidence.oof)


def test_constant_members_are_no_copies():
    truth = truth_of("regression", 200, 1)
    flat = np.ones_like(truth)
    assert not redundant(gather("regression", "rmse", [flat, 2 * flat], truth), [flat, flat])
