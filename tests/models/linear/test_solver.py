"""The solver finds what scikit-learn finds."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from pipeline.models.linear import solver as glm
from pipeline.models.linear.solver import Design, fit_glm, loss_sum, predicted

DENSE, NGRAMS = 5.0, 0.5


def toy(n=150, d=4, p=60, k=1, seed=0):
    random = np.random.default_rng(seed)
    dense = np.hstack([np.ones((n, 1)), random.normal(size=(n, d))]).astype(np.float32)
    ngrams = sparse.random_array((n, p), density=0.1, rng=random, dtype=np.float32, format="csr")
    design = Design(dense, sparse.csr_array(ngrams))
    scores = design.times(random.normal(size=(1 + d + p, k)).astype(np.float32)) + 1
    return design, scores, random


def joined(design):
    """(n, d - 1 + p) so scaled that one penalty of 1 is ours."""
    parts = [design.dense[:, 1:] / np.sqrt(DENSE), design.ngrams.toarray() / np.sqrt(NGRAMS)]
    return np.hstack(parts).astype(np.float64)


@pytest.fixture
def exact(monkeypatch):
    monkeypatch.setattr(glm, "ROUGH", {"squared": 1e-6, "sigmoid": 1e-3})


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("k", [1, 3])
def test_squared_loss_is_ridge(k):
    design, scores, random = toy(k=k)
    targets = scores + random.normal(size=scores.shape)
    weights = fit_glm(design, targets, "squared", DENSE, NGRAMS)
    inputs = joined(design)
    expected = Ridge(alpha=1).fit(inputs, targets).predict(inputs).reshape(len(design), k)
    np.testing.assert_allclose(design.times(weights), expected, atol=2e-3)


def test_the_working_tolerance_is_far_below_the_noise():
    design, scores, random = toy()
    targets = scores + random.normal(size=scores.shape)
    inputs = joined(design)
    expected = Ridge(alpha=1).fit(inputs, targets).predict(inputs).ravel()
    found = design.times(fit_glm(design, targets, "squared", DENSE, NGRAMS)).ravel()
    assert np.std(found - expected) < 0.03  # the noise has 1


@pytest.mark.parametrize("k", [1, 3])
def test_sigmoid_loss_is_logistic_regression_for_each_output(k):
    design, scores, random = toy(k=k)
    targets = (random.random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(float)
    found = predicted(design.times(fit_glm(design, targets, "sigmoid", DENSE, NGRAMS)), "sigmoid")
    inputs = joined(design)
    for column in range(k):
        reference = LogisticRegression(C=1, tol=1e-8, max_iter=1000)
        reference.fit(inputs, targets[:, column])
        expected = reference.predict_proba(inputs)[:, 1]
        np.testing.assert_allclose(found[:, column], expected, atol=0.01)


def test_a_step_that_goes_too_far_is_shortened():
    design, scores, _ = toy()
    problem = glm._Problem(design, (scores > 1).astype(np.float32), "sigmoid", DENSE, NGRAMS)
    weights, there = np.zeros((65, 1), np.float32), np.zeros((150, 1), np.float32)
    step, _ = problem.newton_step(weights, there)
    moved = problem.search(weights, there, 1000 * step)
    assert problem.height(*moved) < problem.height(weights, there)
    np.testing.assert_allclose(moved[1], design.times(moved[0]), rtol=1e-3, atol=1e-3)


def test_classes_that_a_line_parts_do_not_blow_up():
    design, scores, _ = toy()
    targets = (scores > 1).astype(float)
    weights = fit_glm(design, targets, "sigmoid", 1e-4, 1e-4)
    assert np.isfinite(weights).all()
    assert ((design.times(weights) > 0) == (scores > 1)).mean() > 0.95


def test_an_output_that_never_varies_is_predicted_as_it_is():
    design, _, _ = toy()
    weights = fit_glm(design, np.zeros((len(design), 1)), "sigmoid", DENSE, NGRAMS)
    chance = predicted(design.times(weights), "sigmoid")
    assert chance.max() < 0.02


@pytest.mark.usefixtures("exact")
def test_dense_columns_that_repeat_each_other_are_no_obstacle():
    design, scores, _ = toy()
    double = Design(np.hstack([design.dense, design.dense[:, 1:]]), design.ngrams)
    once = design.times(fit_glm(design, scores, "squared", DENSE, NGRAMS))
    twice = double.times(fit_glm(double, scores, "squared", 2 * DENSE, NGRAMS))
    np.testing.assert_allclose(twice, once, atol=2e-3)


def test_losses_are_half_squares_and_negative_log_likelihoods():
    scores, targets = np.array([[0.0], [2.0]]), np.array([[1.0], [0.0]])
    assert loss_sum(scores, targets, "squared") == 2.5
    chance = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(
        loss_sum(scores, targets, "sigmoid"), -np.log(0.5) - np.log(1 - chance)
    )
