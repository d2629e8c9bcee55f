import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from pipeline.ensemble.methods.logistic import Task, fit, probabilities_of, scores_of


def task(exclusive, n=60, k=3, d=4):
    random = np.random.default_rng(1)
    truth = np.eye(k)[random.integers(k, size=n)] if exclusive else random.integers(2, size=(n, k))
    return Task(
        random.normal(size=(n, k)),
        random.normal(size=(n, k, d)),
        truth.astype(float),
        [slice(0, k)] if exclusive else [],
    )


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_slopes_are_those_of_the_loss(exclusive):
    toy, at = task(exclusive), np.array([0.3, -0.2, 0.5, 0.1])
    gradient, curved = toy.slopes(at)
    np.testing.assert_allclose(gradient, approx_fprime(at, toy.loss, 1e-7), atol=1e-5)
    numeric = approx_fprime(at, lambda x: toy.slopes(x)[0], 1e-7)
    np.testing.assert_allclose(curved, numeric, atol=1e-5)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_the_fit_is_the_optimum_that_a_general_solver_finds(exclusive, strength):
    toy = task(exclusive)
    unit = np.trace(toy.slopes(np.zeros(4))[1]) / 4

    def whole(x):
        return toy.loss(x) + strength * unit / 2 * (x @ x)

    wanted = minimize(whole, np.zeros(4), options={"gtol": 1e-9})
    np.testing.assert_allclose(fit(toy, strength), wanted.x, atol=1e-5)


def test_rows_that_are_told_apart_completely_still_have_a_finite_fit():
    truth = np.array([[0.0], [0.0], [1.0], [1.0]])
    toy = Task(np.zeros((4, 1)), (truth - 0.5)[:, :, None] * 100, truth, blocks=[])
    assert np.isfinite(fit(toy, 1e-3)).all()


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_scores_and_probabilities_are_each_others_inverse(problem):
    chance = np.random.default_rng(0).dirichlet(np.ones(3), size=20)
    np.testing.assert_allclose(probabilities_of(scores_of(chance, problem), problem), chance)


def test_a_probability_of_nought_or_one_has_a_finite_score():
    assert np.isfinite(scores_of(np.array([[0.0, 1.0]]), "binary")).all()
