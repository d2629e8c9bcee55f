import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from pipeline.ensemble.methods.logistic import (
    Task,
    _task,
    fit,
    pools,
    probabilities_of,
    scores_of,
)
from tests.ensemble.toys import evidence_of


def task(exclusive, n=60, k=3, d=4):
    random = np.random.default_rng(1)
    truth = np.eye(k)[random.integers(k, size=n)] if exclusive else random.integers(2, size=(n, k))
    return Task(
        random.normal(size=(n, k)),
        random.normal(size=(n, k, d)),
        truth.astype(float),
        [slice(0, k)] if exclusive else [],
    )


def loss(toy, at):
    return toy.explain(at)[0]


def slopes(toy, at):
    return toy.slopes(toy.explain(at)[1])


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_slopes_are_those_of_the_loss(exclusive):
    toy, at = task(exclusive), np.array([0.3, -0.2, 0.5, 0.1])
    gradient, curved = slopes(toy, at)
    np.testing.assert_allclose(gradient, approx_fprime(at, lambda x: loss(toy, x), 1e-7), atol=1e-5)
    numeric = approx_fprime(at, lambda x: slopes(toy, x)[0], 1e-7)
    np.testing.assert_allclose(curved, numeric, atol=1e-5)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_the_fit_is_the_optimum_that_a_general_solver_finds(exclusive, strength):
    toy = task(exclusive)
    unit = np.trace(slopes(toy, np.zeros(4))[1]) / 4

    def whole(x):
        return loss(toy, x) + strength * unit / 2 * (x @ x)

    wanted = minimize(whole, np.zeros(4), options={"gtol": 1e-9})
    np.testing.assert_allclose(fit(toy, strength), wanted.x, atol=1e-5)


def test_rows_that_are_told_apart_completely_still_have_a_finite_fit():
    truth = np.array([[0.0], [0.0], [1.0], [1.0]])
    toy = Task(np.zeros((4, 1)), (truth - 0.5)[:, :, None] * 100, truth, blocks=[])
    assert np.isfinite(fit(toy, 1e-3)).all()


def blocks(kind):
    return {"softmax": [slice(0, 5)], "heads": [slice(0, 2), slice(2, 5)], "sigmoid": []}[kind]


@pytest.mark.parametrize("kind", ["softmax", "heads", "sigmoid"])
def test_biases_are_columns_of_the_design_that_hold_a_single_1(kind):
    own, random = blocks(kind), np.random.default_rng(3)
    offset, design = random.normal(size=(40, 5)), random.normal(size=(40, 5, 2))
    truth = random.integers(2, size=(40, 5)).astype(float)
    for each in own:
        size = each.stop - each.start
        truth[:, each] = np.eye(size)[random.integers(size, size=40)]
    biased = Task(offset, design, truth, own, biased=True)
    wide = np.concatenate([design, np.broadcast_to(np.eye(5), (40, 5, 5))], axis=-1)
    plain, at = Task(offset, wide, truth, own), random.normal(size=7)
    assert biased.size == plain.size == 7
    np.testing.assert_allclose(biased.scores(at), plain.scores(at))
    assert loss(biased, at) == pytest.approx(loss(plain, at))
    for one, other in zip(slopes(biased, at), slopes(plain, at), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    part = np.arange(40) % 3 > 0
    np.testing.assert_allclose(fit(biased.take(part), 0.1), fit(plain.take(part), 0.1), atol=1e-9)


def test_a_stacker_of_many_classes_holds_no_column_for_each_bias():
    evidence = evidence_of("multiclass", "log-loss")
    columns, members = evidence.given.columns, len(evidence.names)
    assert _task(evidence, evidence.folds).design.shape[2] == members
    assert len(pools(evidence, evidence.folds)[0].bias) == columns


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_scores_and_probabilities_are_each_others_inverse(problem):
    chance = np.random.default_rng(0).dirichlet(np.ones(3), size=20)
    np.testing.assert_allclose(probabilities_of(scores_of(chance, problem), problem), chance)


def test_a_probability_of_nought_or_one_has_a_finite_score():
    assert np.isfinite(scores_of(np.array([[0.0, 1.0]]), "binary")).all()
