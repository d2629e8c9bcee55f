import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.ensemble.methods import logistic as room
from pipeline.ensemble.methods.logistic import logistic, pools, probabilities_of, scores_of
from tests.ensemble.toys import evidence_of, gather

FOLDS = frozenset([0, 1, 2])


def test_of_two_classes_and_almost_no_pull_it_is_scikit_learns_logistic_regression():
    evidence = evidence_of("binary", "log-loss")
    rows = evidence.rows(FOLDS)
    scores = np.hstack([scores_of(each[rows], "binary") for each in evidence.oof])
    reference = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000)
    reference.fit(scores, evidence.truth[rows, 0])
    found = pools(evidence, FOLDS, [1e-10])[0]
    np.testing.assert_allclose(found.weights, reference.coef_[0], atol=1e-4)
    np.testing.assert_allclose(found.bias, reference.intercept_, atol=1e-4)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_an_endless_pull_gives_the_mean_of_the_logarithms(problem):
    evidence = evidence_of(problem, "log-loss", k=3 if problem == "multilabel" else 1)
    found = pools(evidence, FOLDS, [1e9])[0].predict(evidence.given, problem)
    mean = np.mean([scores_of(each, problem) for each in evidence.oof], axis=0)
    np.testing.assert_allclose(found, probabilities_of(mean, problem), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_members_that_are_too_sure_or_not_sure_enough_are_mended(temperature):
    random = np.random.default_rng(4)
    chance = random.dirichlet(np.ones(4), size=4000)
    truth = (chance.cumsum(axis=1) > random.random((4000, 1))).argmax(axis=1)[:, None].astype(float)
    bent = probabilities_of(np.log(chance) / temperature, "multiclass")
    found = logistic(gather("multiclass", "log-loss", [bent], truth), FOLDS)
    assert found.weights[0] == pytest.approx(temperature, rel=0.1)


def test_the_bias_mends_classes_that_are_predicted_too_often():
    random = np.random.default_rng(4)
    chance = random.dirichlet(np.ones(3), size=4000)
    truth = (chance.cumsum(axis=1) > random.random((4000, 1))).argmax(axis=1)[:, None].astype(float)
    tilted = probabilities_of(np.log(chance) + np.eye(3)[0], "multiclass")
    bias = logistic(gather("multiclass", "log-loss", [tilted], truth), FOLDS).bias
    np.testing.assert_allclose(bias - bias[1], [-1.0, 0, 0], atol=0.2)


def test_of_very_many_rows_evenly_spaced_ones_are_fitted(monkeypatch):
    evidence = evidence_of("binary", "log-loss", n=2000)
    whole = pools(evidence, FOLDS, [0.1])[0]
    monkeypatch.setattr(room, "LARGEST", 2000)
    part = pools(evidence, FOLDS, [0.1])[0]
    assert (part.weights != whole.weights).any()
    np.testing.assert_allclose(part.weights, whole.weights, rtol=0.5)
