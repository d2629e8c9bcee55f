import numpy as np
import pytest

from pipeline.ensemble.honest import nest as honest
from pipeline.ensemble.honest.gains import gain_over
from pipeline.ensemble.honest.nest import AUTO, METHODS, Nest, error_correlation
from pipeline.ensemble.methods.registry import Method, refusal
from pipeline.ensemble.methods.ridge import UNTUNED, blends, tuned
from pipeline.ensemble.methods.weights import best_single, greedy, simplex
from pipeline.ensemble.predictor import Blend
from tests.ensemble.toys import CLASSES, evidence_of, gather, member, truth_of

CASES = [
    ("regression", "pearson", 1),
    ("regression", "rmse", 2),
    ("regression", "mae", 1),
    ("binary", "auc", 1),
    ("multiclass", "macro-f1", 1),
    ("multiclass", "log-loss", 1),
    ("multilabel", "f1", 2),
]


def upset(evidence, fold):
    """The same evidence with other labels and predictions in one fold."""
    rows = evidence.rows(frozenset([fold]))
    truth, oof = evidence.truth.copy(), [each.copy() for each in evidence.oof]
    turned = {"regression": 1 + truth / 2, "multiclass": (truth + 1) % len(CLASSES)}
    truth[rows] = turned.get(evidence.problem, 1 - truth)[rows][::-1]
    for place, each in enumerate(oof):
        each[rows] = np.roll(evidence.oof[place - 1][rows], 5, axis=0)
    return gather(evidence.problem, evidence.metric.name, oof, truth)


def spied(evidence, method, nest=Nest):
    """Folds whose fit knows something of the fold it will predict, and whether any fit moves."""

    def answers(seen):
        """Fold -> what its fit says of all rows as they were."""
        fits = nest(seen, seed=0).left_out(method, seen.folds)
        every = evidence.given
        return {fold: fit.predict(every, evidence.problem) for fold, fit in fits.items()}

    before, leaks, moves = answers(evidence), [], False
    for fold in sorted(evidence.folds):
        after = answers(upset(evidence, fold))
        if (after[fold] != before[fold]).any():
            leaks.append(fold)
        others = evidence.folds - {fold}
        moves = moves or any((after[other] != before[other]).any() for other in others)
    return leaks, moves


@pytest.mark.parametrize("method", [*METHODS, AUTO])
@pytest.mark.parametrize(("problem", "metric", "k"), CASES)
def test_a_fold_never_touches_what_is_fitted_or_chosen_for_it(problem, metric, k, method):
    evidence = evidence_of(problem, metric, noises=(0.9, 1.0, 1.1), k=k, n=96)
    if refusal(method, evidence):
        pytest.skip("this method does not fit this problem")
    leaks, moves = spied(evidence, method)
    assert not leaks
    assert method in ("best", "mean", AUTO) or moves, "the spy sees nothing anywhere"


def starting_from_the_best_of_all(evidence, folds):
    start, found = best_single(evidence, evidence.folds), greedy(evidence, folds)
    return Blend((start.weights + found.weights) / 2, found.intercept)


def strength_chosen_on_all(evidence, folds):
    seen = tuned("leak", blends, UNTUNED)(evidence, evidence.folds)
    place = [b.weights.tolist() for b in blends(evidence, evidence.folds)].index(
        seen.weights.tolist()
    )
    return blends(evidence, folds)[place]


LEAKS = {
    "members": lambda evidence, folds: best_single(evidence, evidence.folds),
    "start": starting_from_the_best_of_all,
    "weights": lambda evidence, folds: simplex(evidence, evidence.folds),
    "strength": strength_chosen_on_all,
    "intercept": lambda evidence, folds: Blend(
        np.array([1.0, 0.0, 0.0]), evidence.moments(evidence.folds).mean[:, -1]
    ),
}


@pytest.mark.parametrize("stage", LEAKS)
def test_the_spy_catches_a_stage_that_leaks(stage, monkeypatch):
    monkeypatch.setitem(METHODS, "leaky", Method(function=LEAKS[stage], one_scale=False))
    found = [
        spied(evidence_of("regression", "rmse", (0.98, 1.0, 1.02), n=96, seed=seed), "leaky")[0]
        for seed in range(4)
    ]
    assert any(found)


def test_the_spy_catches_a_method_that_is_chosen_on_all_folds():
    class Leaky(Nest):
        def choose(self, folds):
            return super().choose(self.evidence.folds)

    found = [
        spied(evidence_of("regression", "rmse", (0.6, 1.0, 1.4), n=96, seed=seed), AUTO, Leaky)[0]
        for seed in range(4)
    ]
    assert any(found)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize(("problem", "metric", "k"), CASES)
def test_the_honest_gain_is_that_of_a_plain_loop_over_the_folds(problem, metric, k, method):
    evidence = evidence_of(problem, metric, k=k, n=96)
    if refusal(method, evidence):
        pytest.skip("this method does not fit this problem")
    predicted = np.full((96, evidence.oof[0].shape[1]), np.nan)
    for fold in evidence.folds:
        blend = METHODS[method].fit(evidence, evidence.folds - {fold})
        rows = evidence.fold_of_row == fold
        predicted[rows] = blend.predict(evidence.given.take(rows), problem)
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
    near = [name for name in choice.gains if choice.behind[name] <= choice.spread[name]]
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
    assert 1 < (gain.high - gain.low) / (2 * 1.96 * gain.error) < 1.6  # any of them may be the best


def test_two_folds_leave_only_methods_without_weights_to_choose_inside():
    evidence = evidence_of("regression", "rmse", n=96, folds=2)
    nest = Nest(evidence, seed=0)
    assert set(nest.choose(frozenset([0])).gains) == {"best", "mean"}
    assert np.isfinite(nest.honest_gain(AUTO))


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

    monkeypatch.setitem(honest.METHODS, "best", Method(function=counted, one_scale=False))
    evidence = evidence_of("regression", "rmse", n=96)
    nest = Nest(evidence, seed=0)
    nest.choose(evidence.folds)
    nest.honest_gain(AUTO)
    nest.in_sample_gain("best")
    assert len(calls) == len(set(calls))
