import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from pipeline.setup.inspection.row_properties import auc, mean_auc, pearson, sample


@pytest.mark.parametrize("ties", [False, True])
def test_auc_agrees_with_scikit_learn_and_its_variance_with_resampling(ties):
    rng = np.random.default_rng(1)
    truth = rng.random(300) < 0.3
    score = truth + rng.normal(size=300)
    score = np.round(score) if ties else score
    value, variance = auc(truth, score)
    assert value == pytest.approx(roc_auc_score(truth, score))
    draws = []
    for _ in range(500):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(truth == kind), (truth == kind).sum()) for kind in (0, 1)]
        )
        draws.append(auc(truth[rows], score[rows])[0])
    assert np.var(draws) == pytest.approx(variance, rel=0.25)


def test_measures_of_nothing_say_nothing():
    assert auc(np.zeros(3), np.arange(3)) == (0.5, 0.0)
    assert pearson(np.ones(3), np.arange(3.0)) == 0
    assert mean_auc([(0.9, 1.0)])[2] == 1.0
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    assert pearson(first, second) == pytest.approx(pearsonr(first, second)[0])


def test_a_sample_has_no_row_twice_and_is_the_same_every_time():
    rows = sample(1000, 100, "test")
    assert len(set(rows.tolist())) == 100
    np.testing.assert_array_equal(rows, sample(1000, 100, "test"))
    np.testing.assert_array_equal(sample(5, 100, "test"), np.arange(5))
