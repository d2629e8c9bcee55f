import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, Ridge

from pipeline.ensemble.methods.ridge import (
    STRENGTHS,
    blends,
    nonnegative_blends,
    nonnegative_ridge,
    ridge,
)
from tests.ensemble.toys import evidence_of, gather, member, truth_of

FOLDS = frozenset([0, 1, 2])


def best_strength(evidence, folds):
    """The strength that ridge took."""
    taken = ridge(evidence, folds).weights
    tried = zip(STRENGTHS, blends(evidence, folds), strict=True)
    return next(strength for strength, blend in tried if (blend.weights == taken).all())


def stacked(evidence, folds):
    """Meta-features (n_S x k, M) and targets, each column centred and brought to one spread."""
    rows = evidence.rows(folds)
    oof = np.stack([each[rows] for each in evidence.oof])
    truth = evidence.truth[rows]
    spread = np.sqrt(((truth - truth.mean(axis=0)) ** 2).sum(axis=0))
    features = (oof - oof.mean(axis=1, keepdims=True)) / spread
    targets = (truth - truth.mean(axis=0)) / spread
    return features.reshape(len(oof), -1).T, targets.ravel()


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("strength", [1e-4, 1e-1, 10.0])
def test_weights_are_scikit_learns_ridge_on_what_the_mean_leaves_over(k, strength):
    evidence = evidence_of("regression", "rmse", k=k)
    features, targets = stacked(evidence, FOLDS)
    unit = (features**2).sum() / features.shape[1]
    reference = Ridge(alpha=strength * unit, fit_intercept=False, tol=1e-12)
    reference.fit(features, targets - features.mean(axis=1))
    found = blends(evidence, FOLDS, [strength])[0]
    np.testing.assert_allclose(found.weights, 0.25 + reference.coef_, rtol=1e-6)


def test_no_strength_is_ordinary_least_squares_with_its_intercept():
    evidence = evidence_of("regression", "rmse")
    rows = evidence.rows(FOLDS)
    features = np.hstack([each[rows] for each in evidence.oof])
    reference = LinearRegression().fit(features, evidence.truth[rows, 0])
    found = blends(evidence, FOLDS, [0.0])[0]
    np.testing.assert_allclose(found.weights, reference.coef_)
    np.testing.assert_allclose(found.intercept, reference.intercept_)


def test_an_endless_strength_is_the_mean_without_its_bias():
    evidence = evidence_of("regression", "rmse", k=2)
    found = blends(evidence, FOLDS, [1e12])[0]
    np.testing.assert_allclose(found.weights, 0.25)
    rows = evidence.rows(FOLDS)
    bias = (evidence.truth[rows] - found.of([each[rows] for each in evidence.oof])).mean(axis=0)
    np.testing.assert_allclose(bias, 0, atol=1e-9)


@pytest.mark.parametrize(("problem", "metric"), [("regression", "rmse"), ("binary", "auc")])
def test_the_strength_is_the_one_with_the_best_gain_on_folds_left_out_in_turn(problem, metric):
    evidence = evidence_of(problem, metric, noises=(0.9, 1.0, 1.1, 1.2))
    gains = [
        evidence.gain({fold: blends(evidence, FOLDS - {fold}, [s])[0] for fold in FOLDS})
        for s in STRENGTHS
    ]
    assert best_strength(evidence, FOLDS) == STRENGTHS[int(np.argmax(gains))]


def test_the_strength_is_strong_for_many_poor_members_and_weak_for_few_unlike_ones():
    truth = truth_of("regression", 60, 1)
    alike = [member("regression", truth, 3.0, seed) for seed in range(20)]
    unlike = [truth + 1e-3 * member("regression", truth, 1.0, 1), 5 - truth]
    strong = best_strength(gather("regression", "rmse", alike, truth), FOLDS)
    weak = best_strength(gather("regression", "rmse", unlike, truth), FOLDS)
    assert strong > 100 * weak


def test_members_on_another_scale_are_brought_to_the_targets_scale():
    truth = truth_of("regression", 300, 1)
    evidence = gather("regression", "rmse", [0.2 * truth + 3, 0.1 * truth - 1], truth)
    blend = ridge(evidence, FOLDS)
    np.testing.assert_allclose(blend.of(evidence.oof), truth, atol=0.02)


def test_a_single_fold_is_fitted_with_the_fixed_strength():
    evidence = evidence_of("regression", "rmse")
    blend = ridge(evidence, frozenset([1]))
    np.testing.assert_array_equal(
        blend.weights, blends(evidence, frozenset([1]), [1e-2])[0].weights
    )


def test_class_probabilities_stay_probabilities():
    evidence = evidence_of("multiclass", "log-loss", noises=(0.3, 2.0, 2.0))
    blend = ridge(evidence, evidence.folds)
    raw = blend.of(evidence.oof)
    _, predicted = evidence.predict(dict.fromkeys(evidence.folds, blend))
    assert raw.min() < 0, "the toy does not leave the range"
    assert predicted.min() > 0
    np.testing.assert_allclose(predicted.sum(axis=1), 1)


@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_nonnegative_weights_are_the_optimum_a_general_solver_finds(strength):
    evidence = evidence_of("regression", "rmse", noises=(0.6, 0.8, 3.0), k=2)
    features, targets = stacked(evidence, FOLDS)
    unit = (features**2).sum() / features.shape[1]

    def loss(weights):
        fit = ((features @ weights - targets) ** 2).sum()
        return fit + strength * unit * ((weights - 1 / 3) ** 2).sum()

    start = np.full(3, 1 / 3)
    wanted = minimize(loss, start, bounds=[(0, None)] * 3, options={"ftol": 1e-15, "gtol": 1e-12})
    found = nonnegative_blends(evidence, FOLDS, [strength])[0]
    np.testing.assert_allclose(found.weights, wanted.x, atol=1e-5)


def test_a_member_that_points_the_wrong_way_gets_a_weight_below_zero_only_where_it_may():
    truth = truth_of("regression", 200, 1)
    shared = np.random.default_rng(5).normal(size=truth.shape)
    evidence = gather("regression", "rmse", [truth + shared, 2.5 + shared], truth)
    assert ridge(evidence, FOLDS).weights[1] < -0.5
    assert nonnegative_ridge(evidence, FOLDS).weights.min() >= 0
