import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.ensemble.methods.weights import PATIENCE, ROUNDS, best_single, greedy, mean, simplex
from tests.ensemble.toys import evidence_of, gather, member, truth_of

PROBLEMS = [
    ("regression", "pearson", 1),
    ("regression", "pearson", 3),
    ("regression", "rmse", 1),
    ("regression", "mcrmse", 3),
    ("regression", "mae", 1),
    ("regression", "spearman", 1),
    ("binary", "auc", 1),
    ("binary", "f1", 1),
    ("binary", "log-loss", 1),
    ("multiclass", "macro-f1", 1),
    ("multiclass", "log-loss", 1),
    ("multilabel", "auc", 3),
    ("multilabel", "log-loss", 3),
]


def gain_of(evidence, blend, folds):
    return evidence.gain(dict.fromkeys(folds, blend))


@pytest.mark.parametrize(("problem", "metric", "k"), PROBLEMS)
@pytest.mark.parametrize("fit", [best_single, mean, greedy, simplex])
def test_weights_are_not_negative_and_sum_to_one(problem, metric, k, fit):
    evidence = evidence_of(problem, metric, k=k)
    blend = fit(evidence, frozenset([0, 2]))
    assert blend.weights.shape == (4,)
    assert (blend.weights >= 0).all()
    assert blend.weights.sum() == pytest.approx(1)
    assert not blend.intercept.any()


@pytest.mark.parametrize(("problem", "metric", "k"), PROBLEMS)
def test_greedy_is_never_worse_than_the_best_member_on_the_rows_it_was_fitted_on(
    problem, metric, k
):
    evidence = evidence_of(problem, metric, k=k)
    folds = frozenset([0, 1, 3])
    alone = gain_of(evidence, best_single(evidence, folds), folds)
    assert gain_of(evidence, greedy(evidence, folds), folds) >= alone - 1e-12


@pytest.mark.parametrize("fit", [best_single, mean, greedy, simplex])
@pytest.mark.parametrize(("problem", "metric", "k"), PROBLEMS)
def test_a_blend_of_copies_is_the_copy(problem, metric, k, fit):
    evidence = evidence_of(problem, metric, k=k)
    copies = gather(problem, metric, [evidence.oof[0]] * 3, evidence.truth)
    blend = fit(copies, copies.folds)
    np.testing.assert_allclose(blend.of(copies.oof), evidence.oof[0], rtol=1e-6)


def test_of_equally_good_members_the_first_is_the_best_single_and_the_first_pick():
    truth = truth_of("regression", 60, 1)
    good, bad = member("regression", truth, 0.5, 1), member("regression", truth, 2.0, 2)
    evidence = gather("regression", "rmse", [bad, good, good], truth)
    assert best_single(evidence, evidence.folds).weights.tolist() == [0, 1, 0]
    assert greedy(evidence, evidence.folds).weights[2] == 0


def test_members_that_err_in_opposite_directions_are_blended_half_and_half():
    truth = np.tile([[1.0], [3.0]], (8, 1))
    oof = [np.tile([[0.0], [4.0]], (8, 1)), np.tile([[2.0], [2.0]], (8, 1))]
    evidence = gather("regression", "mae", oof, truth)
    for fit in (greedy, simplex):
        np.testing.assert_allclose(fit(evidence, evidence.folds).weights, [0.5, 0.5])


def naive_greedy(oof, truth, gain, patience):
    total, picks, trajectory = np.zeros_like(oof[0]), [], []
    for size in range(1, ROUNDS + 1):
        scores = [gain(truth, (total + candidate) / size) for candidate in oof]
        winner = int(np.argmax(scores))
        total = total + oof[winner]
        picks.append(winner)
        trajectory.append(scores[winner])
        if size - 1 - int(np.argmax(trajectory)) >= patience:
            break
    length = 1 + int(np.argmax(trajectory))
    return np.bincount(picks[:length], minlength=len(oof)) / length


@pytest.mark.parametrize(("problem", "metric", "k"), PROBLEMS)
def test_greedy_picks_what_a_plain_hill_climb_over_the_rows_picks(problem, metric, k):
    evidence = evidence_of(problem, metric, noises=(0.9, 1.0, 1.1, 1.2, 1.3), k=k)
    folds = frozenset([1, 2, 3])
    rows = evidence.rows(folds)
    expected = naive_greedy(
        [each[rows] for each in evidence.oof],
        evidence.truth[rows],
        evidence.metric.gain,
        ROUNDS if evidence.uses_moments else PATIENCE,
    )
    np.testing.assert_allclose(greedy(evidence, folds).weights, expected)
    assert len(np.flatnonzero(expected)) > 1, "the toy is too easy to tell"


def by_solver(evidence, folds):
    """Simplex weights from a general solver on the metric itself."""
    members = len(evidence.names)
    rows = evidence.rows(folds)
    oof, truth = [each[rows] for each in evidence.oof], evidence.truth[rows]
    found = minimize(
        lambda w: -evidence.metric.gain(truth, sum(a * b for a, b in zip(w, oof, strict=True))),
        np.full(members, 1 / members),
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"maxiter": 500, "ftol": 1e-13},
    )
    return found.x


@pytest.mark.parametrize(
    ("problem", "metric", "k"),
    [
        ("regression", "pearson", 1),
        ("regression", "rmse", 1),
        ("regression", "r2", 1),
        ("regression", "r2", 3),
        ("binary", "log-loss", 1),
        ("multiclass", "log-loss", 1),
        ("multilabel", "log-loss", 3),
    ],
)
def test_simplex_weights_are_the_optimum_that_a_general_solver_finds(problem, metric, k):
    evidence = evidence_of(problem, metric, noises=(0.8, 0.9, 1.0, 3.0), k=k)
    folds = frozenset([0, 1])
    found = simplex(evidence, folds)
    np.testing.assert_allclose(found.weights, by_solver(evidence, folds), atol=2e-3)
    assert (found.weights > 0).sum() > 1, "the toy is too easy to tell"


@pytest.mark.parametrize(("problem", "k"), [("binary", 1), ("multiclass", 1), ("multilabel", 3)])
def test_of_the_likeliest_weights_no_member_would_do_better_with_more(problem, k):
    """At the optimum every member that counts explains a row as well as the blend, on average."""
    evidence = evidence_of(problem, "log-loss", noises=(0.8, 0.9, 1.0, 3.0), k=k)
    weights = simplex(evidence, evidence.folds).weights
    truth = evidence.truth
    if problem == "multiclass":
        given = [np.take_along_axis(p, truth.astype(int), axis=1) for p in evidence.oof]
    else:
        given = [np.where(truth == 1, p, 1 - p) for p in evidence.oof]
    given = np.array([each.ravel() for each in given]).T
    worth = (given / (given @ weights)[:, None]).mean(axis=0)
    np.testing.assert_allclose(worth[weights > 0], 1, atol=2e-4)
    assert (worth < 1 + 2e-4).all()
    assert (weights > 0.1).sum() > 1, "the toy is too easy to tell"


def test_simplex_leaves_out_a_member_that_only_adds_noise():
    truth = truth_of("regression", 400, 1)
    oof = [member("regression", truth, 0.3, 1), member("regression", truth * 0, 5.0, 2)]
    weights = simplex(gather("regression", "rmse", oof, truth), frozenset([0, 1, 2])).weights
    assert weights[0] > 0.98


def test_simplex_is_even_where_no_member_points_the_right_way():
    truth = truth_of("regression", 40, 1)
    evidence = gather("regression", "pearson", [-truth, -2 * truth], truth)
    np.testing.assert_allclose(simplex(evidence, evidence.folds).weights, [0.5, 0.5])


def test_simplex_is_even_where_every_member_is_perfect():
    truth = truth_of("regression", 40, 1)
    evidence = gather("regression", "rmse", [truth, truth.copy()], truth)
    np.testing.assert_allclose(simplex(evidence, evidence.folds).weights, [0.5, 0.5])
