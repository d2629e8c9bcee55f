import numpy as np
import pytest
from scipy.stats import rankdata

from pipeline.ensemble.methods.rank_mean import rank_mean
from pipeline.ensemble.predictor import Rows
from tests.ensemble.toys import evidence_of, gather

FOLDS = frozenset([0, 1, 2])


def test_fitted_rows_get_the_mean_of_their_ranks():
    evidence = evidence_of("binary", "auc")
    rows = evidence.rows(FOLDS)
    given = evidence.given.take(rows)
    found = rank_mean(evidence, FOLDS).predict(given, "regression")  # not brought off 0 and 1
    ranks = [(rankdata(each[:, 0]) - 0.5) / len(rows) for each in given.members]
    np.testing.assert_allclose(found[:, 0], np.mean(ranks, axis=0))


def test_how_a_member_is_scaled_changes_nothing():
    evidence = evidence_of("binary", "auc")
    squeezed = [each**3 if place else each for place, each in enumerate(evidence.oof)]
    other = gather("binary", "auc", squeezed, evidence.truth)
    first, second = (
        rank_mean(each, FOLDS).predict(each.given, "binary") for each in (evidence, other)
    )
    np.testing.assert_allclose(first, second)


def test_a_row_beyond_all_others_is_ranked_first_or_last():
    evidence = evidence_of("regression", "spearman")
    blend = rank_mean(evidence, FOLDS)
    ends = Rows([np.array([[-1e9], [1e9]])] * 4)
    low, high = blend.predict(ends, "regression")[:, 0]
    assert low == pytest.approx(blend.offset[0])
    assert high == pytest.approx(blend.offset[0] + blend.slope[0])


def test_numbers_are_brought_to_the_targets_scale_by_least_squares():
    evidence = evidence_of("regression", "rmse")
    blend, rows = rank_mean(evidence, FOLDS), evidence.rows(FOLDS)
    found, truth = blend.predict(evidence.given.take(rows), "regression"), evidence.truth[rows]
    slope = np.polyfit(found[:, 0], truth[:, 0], 1)
    np.testing.assert_allclose(slope, [1, 0], atol=1e-9)


def test_where_only_order_counts_they_are_brought_to_the_members_scale_which_no_label_moves():
    evidence = evidence_of("regression", "spearman")
    given = evidence.given.take(evidence.rows(FOLDS))
    found = rank_mean(evidence, FOLDS).predict(given, "regression")
    slope = np.polyfit(found[:, 0], np.mean(given.members, axis=0)[:, 0], 1)
    np.testing.assert_allclose(slope, [1, 0], atol=1e-6)
