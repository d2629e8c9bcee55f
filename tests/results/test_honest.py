import numpy as np
import pytest

from pipeline.results import honest
from pipeline.results.honest import (
    AUTO,
    METHODS,
    Gain,
    Nest,
    cost_of_leaving_out,
    error_correlation,
    gain_over,
)
from pipeline.results.methods import Method
from tests.results.toys import evidence_of, gather, member, truth_of

CASES = [
    ("regression", "pearson", 1),
    ("regression", "rmse", 2),
    ("regression", "mae", 1),
    ("binary", "auc", 1),
    ("multiclass", "macro-f1", 1),
    ("multiclass", "log-loss", 1),
    ("multilabel", "f1", 2),
]


def changed_labels(evidence, fold):
    """The same evidence, the labels of one fold turned around."""
    truth = evidence.truth.copy()
    rows = evidence.rows(frozenset([fold]))
    truth[rows] = truth[rows][::-1] if evidence.problem != "binary" else 1 - truth[rows]
    assert (truth != evidence.truth).any()
    return gather(evidence.problem, evidence.metric.name, list(evidence.oof), truth)


@pytest.mark.parametrize("method", [*METHODS, AUTO])
@pytest.mark.parametrize(("problem", "metric", "k"), CASES)
def test_labels_of_a_fold_never_touch_the_weights_used_on_it(problem, metric, k, method):
    evidence = evidence_of(problem, metric, noises=(0.9, 1.0, 1.1), k=k, n=96)
    before = Nest(evidence, seed=0).left_out(method, evidence.folds)
    moved = []
    for fold in evidence.folds:
        spied = changed_labels(evidence, fold)
        after = Nest(spied, seed=0).left_out(method, evidence.folds)
        np.testing.assert_array_equal(after[fold].weights, before[fold].weights)
        np.testing.assert_array_equal(after[fold].intercept, before[fold].intercept)
        moved += [
            (after[other].weights != before[other].weights).any()
            or (after[other].intercept != before[other].intercept).any()
            for other in evidence.folds - {fold}
        ]
    assert method in ("best", "mean", AUTO) or any(moved), "the spy sees nothing anywhere"


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize(("problem", "metric", "k"), CASES)
def test_the_honest_gain_is_that_of_a_plain_loop_over_the_folds(problem, metric, k, method):
    evidence = evidence_of(problem, metric, k=k, n=96)
    predicted = np.full((96, evidence.oof[0].shape[1]), np.nan)
    for fold in evidence.folds:
        blend = METHODS[method].fit(evidence, evidence.folds - {fold})
        rows = evidence.fold_of_row == fold
        predicted[rows] = blend.of([each[rows] for each in evidence.oof])
    if problem != "regression" and method == "ridge":
        predicted = np.clip(predicted, 0.001, 0.999)
        predicted /= predicted.sum(axis=1, keepdims=True) if problem == "multiclass" else 1
    expected = evidence.metric.gain(evidence.truth, predicted)
    assert Nest(evidence, seed=0).honest_gain(method) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("method", ["best", "simplex", "greedy", "ridge"])
@pytest.mark.parametrize(
    ("problem", "metric"), [("regression", "pearson"), ("regression", "mae"), ("binary", "auc")]
)
def test_noise_members_raise_the_in_sample_score_and_not_the_honest_one(problem, metric, method):
    """One good member, fifty of noise: whatever they seem to add was fitted, not found."""
    truth = truth_of(problem, 400, 1)
    flat = np.full_like(truth, 2.5 if problem == "regression" else 0.5)
    good = member(problem, truth, 1.0, 1)
    if problem == "regression":  # all there is to know: not even shrinking it helps
        truth, good = good, truth
    noise = [member(problem, flat, 1.0, 10 + seed) for seed in range(50)]
    alone = Nest(gather(problem, metric, [good], truth), seed=0)
    crowd = Nest(gather(problem, metric, [good, *noise], truth), seed=0)
    if method != "best":
        assert crowd.in_sample_gain(method) > alone.in_sample_gain("best") + 1e-3
    assert crowd.honest_gain(method) <= alone.honest_gain("best") + 1e-3
    assert crowd.in_sample_gain(method) >= crowd.honest_gain(method)


def test_the_method_is_chosen_anew_without_each_fold():
    evidence = evidence_of("regression", "rmse", noises=(0.9, 1.0, 1.1), n=96)
    nest = Nest(evidence, seed=0)
    for fold, blend in nest.left_out(AUTO, evidence.folds).items():
        rest = evidence.folds - {fold}
        method = nest.choose(rest).method
        np.testing.assert_array_equal(blend.weights, METHODS[method].fit(evidence, rest).weights)


def test_the_simplest_method_within_a_standard_error_of_the_best_is_chosen():
    evidence = evidence_of("regression", "rmse", n=96)
    choice = Nest(evidence, seed=0).choose(evidence.folds)
    best = max(choice.gains, key=choice.gains.get)
    near = [name for name in METHODS if choice.behind[name] <= choice.spread[name]]
    assert choice.behind[best] == choice.spread[best] == 0
    assert choice.method == near[0]


def test_of_two_copies_blending_is_not_worth_more_than_the_best_single():
    truth = truth_of("regression", 100, 1)
    one = member("regression", truth, 1.0, 1)
    evidence = gather("regression", "rmse", [one, one.copy()], truth)
    assert (
        Nest(evidence, seed=0, methods=["best", "mean", "greedy"]).choose(evidence.folds).method
        == "best"
    )


def test_equal_members_with_independent_errors_are_averaged():
    truth = truth_of("regression", 800, 1)
    evidence = gather(
        "regression", "pearson", [member("regression", truth, 1.0, s) for s in range(4)], truth
    )
    nest = Nest(evidence, seed=0)
    assert nest.choose(evidence.folds).method == "mean"
    gain = gain_over(nest, AUTO, "best")
    assert gain.verdict == "real"
    spread = truth.std()
    expected = spread / np.sqrt(spread**2 + 1 / 4) - spread / np.sqrt(spread**2 + 1)
    assert gain.difference == pytest.approx(expected, rel=0.1)
    assert gain.low < gain.difference < gain.high
    assert gain.high - gain.low == pytest.approx(2 * 1.96 * gain.error, rel=0.1)


def test_the_interval_covers_the_true_gain_about_as_often_as_it_says():
    """Eighty small competitions whose best single model is beyond doubt; truth from many rows."""

    def world(seed, n):
        random = np.random.default_rng([seed, n])
        signal = random.normal(size=(n, 1))
        oof = [signal + noise * random.normal(size=(n, 1)) for noise in (0.4, 0.9, 1.0)]
        return signal + 0.5 * random.normal(size=(n, 1)), oof

    truth, oof = world(0, 200_000)
    blend, best = np.mean(oof, axis=0)[:, 0], oof[0][:, 0]
    true_gain = np.corrcoef(blend, truth[:, 0])[0, 1] - np.corrcoef(best, truth[:, 0])[0, 1]
    found = []
    for seed in range(80):
        truth, oof = world(seed, 300)
        evidence = gather("regression", "pearson", oof, truth)
        found.append(gain_over(Nest(evidence, seed), "mean", "best"))
    covered = np.mean([gain.low <= true_gain <= gain.high for gain in found])
    spread = np.std([gain.difference for gain in found])
    assert 0.88 <= covered <= 1
    assert np.mean([gain.error for gain in found]) == pytest.approx(spread, rel=0.25)


def test_two_folds_leave_only_methods_without_weights_to_choose_inside():
    evidence = evidence_of("regression", "rmse", n=96, folds=2)
    nest = Nest(evidence, seed=0)
    assert set(nest.choose(frozenset([0])).gains) == {"best", "mean"}
    assert np.isfinite(nest.honest_gain(AUTO))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 0.01, "real"), (-0.001, 0.01, "undecided"), (-0.02, -0.01, "no"), (0, 0, "no")],
)
def test_the_verdict_is_read_from_the_interval(low, high, verdict):
    assert Gain(difference=0.0, error=0.0, low=low, high=high).verdict == verdict


def test_what_a_member_is_worth_is_the_honest_gain_lost_when_all_is_fitted_without_it():
    evidence = evidence_of("regression", "rmse", noises=(0.8, 1.0, 1.2), n=96)
    nest = Nest(evidence, seed=0)
    truth = np.asarray(evidence.truth)
    for place, cost in enumerate(cost_of_leaving_out(nest, "simplex")):
        rest = [each for i, each in enumerate(evidence.oof) if i != place]
        without = Nest(gather("regression", "rmse", rest, truth), seed=0)
        expected = nest.honest_gain("simplex") - without.honest_gain("simplex")
        assert cost == pytest.approx(expected)
    assert cost_of_leaving_out(Nest(evidence.without(0).without(0), seed=0), "best") == [None]


@pytest.mark.parametrize(("problem", "metric", "k"), CASES)
def test_error_correlation_is_numpys_on_prediction_minus_target(problem, metric, k):
    evidence = evidence_of(problem, metric, k=k)
    truth = np.asarray(evidence.truth)
    if problem == "multiclass":
        truth = np.eye(4)[truth[:, 0].astype(int)]
    spread = 1.0 if problem == "multiclass" or k == 1 else truth.std(axis=0)
    errors = np.stack([((each - truth) / spread) for each in evidence.oof])
    errors -= errors.mean(axis=1, keepdims=True)
    flat = errors.reshape(len(errors), -1)
    expected = flat @ flat.T / np.outer(*[np.sqrt((flat**2).sum(axis=1))] * 2)
    np.testing.assert_allclose(error_correlation(evidence), expected, atol=1e-9)


def test_each_fit_is_made_once(monkeypatch):
    calls = []

    def counted(evidence, folds):
        calls.append(folds)
        return METHODS["mean"].fit(evidence, folds)

    monkeypatch.setitem(honest.METHODS, "best", Method(counted))
    evidence = evidence_of("regression", "rmse", n=96)
    nest = Nest(evidence, seed=0)
    nest.choose(evidence.folds)
    nest.honest_gain(AUTO)
    nest.in_sample_gain("best")
    assert len(calls) == len(set(calls))
