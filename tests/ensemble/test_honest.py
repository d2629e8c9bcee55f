import numpy as np
import pytest

from pipeline.ensemble import honest
from pipeline.ensemble.honest import (
    AUTO,
    Choice,
    Difference,
    Gain,
    Nest,
    contributions,
    difference,
    gain_over,
    lowest_upper_end,
    rivals,
)
from pipeline.ensemble.methods.registry import METHODS, Method, refusal
from pipeline.ensemble.methods.ridge import UNTUNED, blends, tuned
from pipeline.ensemble.methods.weights import best_single, greedy, simplex
from pipeline.ensemble.predictor import Blend
from tests.ensemble.toys import CASES, CLASSES, evidence_of, gather, member, truth_of
from tests.nightly import often

TRIED = [CASES[place] for place in (0, 5)]
"""A metric of numbers, one of classes: a spy fits every method once more than there are folds."""
SPIED = often(CASES, TRIED.__contains__)


def upset(evidence, fold):
    """The same evidence with other labels and predictions in one fold."""
    rows = evidence.rows(frozenset([fold]))
    truth, oof = evidence.truth.copy(), [each.copy() for each in evidence.oof]
    turned = {"regression": 1 + truth / 2, "multiclass": (truth + 1) % len(CLASSES)}
    truth[rows] = turned.get(evidence.problem, 1 - truth)[rows][::-1]
    for place, each in enumerate(oof):
        each[rows] = np.roll(evidence.oof[place - 1][rows], 5, axis=0)
    return gather(evidence.problem, evidence.metric.name, oof, truth, len(evidence.folds))


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
@pytest.mark.parametrize(("problem", "metric", "k"), SPIED)
def test_a_fold_never_touches_what_is_fitted_or_chosen_for_it(problem, metric, k, method):
    evidence = evidence_of(problem, metric, noises=(0.9, 1.0, 1.1), k=k, n=96, folds=3)
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
    assert any(
        spied(evidence_of("regression", "rmse", (0.98, 1.0, 1.02), n=96, seed=seed), "leaky")[0]
        for seed in range(4)
    )


def test_the_spy_catches_a_method_that_is_chosen_on_all_folds():
    class Leaky(Nest):
        def choose(self, folds):
            return super().choose(self.evidence.folds)

    assert any(
        spied(evidence_of("regression", "rmse", (0.6, 1.0, 1.4), n=96, seed=seed), AUTO, Leaky)[0]
        for seed in range(4)
    )


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize(("problem", "metric", "k"), often(CASES, CASES[::2].__contains__))
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
    near = [
        name
        for name in choice.gains
        if name in choice.spread and choice.behind[name] <= choice.spread[name]
    ]
    assert choice.behind[best] == choice.spread[best] == 0
    assert choice.method == near[0]
    names = list(choice.gains)
    asked = {best, *names[: names.index(choice.method) + 1]}
    assert set(choice.spread) == asked, "of more flexible ones nothing has to be known"


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
    alone = nest.choose(frozenset([0]))
    assert set(alone.gains) == {"best", "mean"}
    assert alone.method == max(alone.gains, key=alone.gains.get)
    assert {alone.behind[name] + gain for name, gain in alone.gains.items()} == {
        alone.gains[alone.method]
    }, "how far each is behind"
    assert set(alone.spread.values()) == {0.0}, "of one fold nothing is known about it"
    assert np.isfinite(nest.honest_gain(AUTO))


def test_each_fit_is_made_once(monkeypatch):
    calls = []

    def counted(evidence, folds):
        calls.append(folds)
        return METHODS["mean"].fit(evidence, folds)

    monkeypatch.setitem(METHODS, "best", Method(function=counted, one_scale=False))
    evidence = evidence_of("regression", "rmse", n=96)
    nest = Nest(evidence, seed=0)
    nest.choose(evidence.folds)
    nest.honest_gain(AUTO)
    nest.in_sample_gain("best")
    assert len(calls) == len(set(calls))


def nest_of(noises, n=400, seed=0, metric="pearson"):
    return Nest(evidence_of("regression", metric, noises=noises, n=n, seed=seed), seed=0)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 0.01, "real"), (-0.001, 0.01, "undecided"), (-0.02, -0.01, "no"), (0, 0, "no")],
)
def test_the_verdict_is_read_from_the_interval(low, high, verdict):
    assert Gain(difference=0.0, error=0.0, low=low, high=high).verdict == verdict


def test_a_gain_over_a_method_is_the_loss_of_that_method():
    nest = nest_of((0.9, 1.0, 1.1))
    for method in ("mean", "simplex"):
        for other in ("best", "ridge"):
            one, turned = gain_over(nest, method, other), gain_over(nest, other, method)
            assert one.difference == pytest.approx(-turned.difference)
            assert (one.low, one.high) == pytest.approx((-turned.high, -turned.low))
            assert one.low < one.difference < one.high


def test_a_method_gains_nothing_over_itself():
    nest = nest_of((0.9, 1.0, 1.1))
    for method in ("best", "mean", "greedy", AUTO):
        assert gain_over(nest, method, method) == Gain(0.0, 0.0, 0.0, 0.0)


def test_fits_that_do_not_differ_add_nothing_to_the_error():
    """Between two fixed blends only rows are uncertain."""
    nest = nest_of((0.9, 1.0, 1.1))
    single = nest.beside(nest.evidence.keep([0]))
    apart = difference(nest, "mean", single, "mean")
    assert apart.of_fits == pytest.approx(0.0, abs=1e-15)
    assert apart.error == pytest.approx(np.std(apart.draws))
    assert apart.reach == pytest.approx(1.972, abs=0.001)  # t with 199 degrees of freedom


def test_of_two_methods_that_differ_by_noise_half_the_variance_is_the_fits():
    """Equal members: weights that are not equal follow the noise of the rows they saw."""
    shares = []
    for seed in range(12):
        truth = truth_of("regression", 400, 1, seed)
        equal = [member("regression", truth, 1.0, 10 * seed + place) for place in range(3)]
        nest = Nest(gather("regression", "rmse", equal, truth, folds=5), seed=0)
        apart = difference(nest, "simplex", nest, "mean")
        shares.append(apart.of_fits / apart.error**2)
    assert 0.3 < np.mean(shares) < 0.6


def test_against_a_clear_difference_the_fits_are_nothing():
    nest = nest_of((0.5, 1.5, 1.5))
    apart = difference(nest, "simplex", nest, "mean")
    assert 0 < apart.of_fits < 0.05 * apart.error**2


def test_every_member_that_may_be_the_best_is_a_rival_and_no_other():
    truth = truth_of("regression", 400, 1)
    members = [member("regression", truth, noise, 1 + i) for i, noise in enumerate((1, 1, 3))]
    nest = Nest(gather("regression", "pearson", members, truth), seed=0)
    assert sorted(each.evidence.names[0] for each in rivals(nest)) == ["m0", "m1"]
    assert rivals(nest) is rivals(nest)  # found once, for all methods
    assert [each.evidence.names for each in rivals(nest_of((0.5, 1.5, 1.5)))] == [["m0"]]


def test_between_equal_members_the_interval_reaches_over_both():
    truth = truth_of("regression", 400, 1)
    equal = [member("regression", truth, 1.0, seed) for seed in (1, 2)]
    nest = Nest(gather("regression", "pearson", equal, truth), seed=0)
    gain = gain_over(nest, "mean", "best")
    assert len(rivals(nest)) == 2
    for single in rivals(nest):
        apart = difference(nest, "mean", single, "best").gain()
        assert gain.low <= apart.low
    plain = difference(nest, "mean", nest, "best").gain()
    assert gain.low <= plain.low
    assert gain.high >= plain.high
    assert gain.error == plain.error


def test_where_one_member_is_clearly_best_the_interval_is_that_of_the_rows():
    nest = nest_of((0.5, 1.5, 1.5))
    gain, plain = gain_over(nest, "simplex", "best"), difference(nest, "simplex", nest, "best")
    assert gain.high - gain.low == pytest.approx(2 * plain.reach * plain.error, rel=0.1)


def test_the_upper_end_over_several_is_as_wide_as_their_number_asks_for():
    """Four independent differences: the largest of four falls short further than one."""
    random = np.random.default_rng(0)
    one = [Difference(0.0, random.normal(size=20_000), 0.0, 1.96)]
    four = [Difference(0.0, random.normal(size=20_000), 0.0, 1.96) for _ in range(4)]
    assert lowest_upper_end(one) == pytest.approx(1.96, abs=0.05)
    assert lowest_upper_end(four) == pytest.approx(2.49, abs=0.06)  # 0.975 ** (1 / 4) of a normal


def test_few_groups_make_the_interval_wider_than_many():
    truth = truth_of("regression", 240, 1)
    members = [member("regression", truth, noise, seed) for seed, noise in enumerate((1, 2))]
    reach = []
    for size in (2, 24):
        evidence = gather("regression", "rmse", members, truth)
        object.__setattr__(evidence, "group_of_row", np.arange(240) // size)
        nest = Nest(evidence, seed=0)
        reach.append(difference(nest, "mean", nest, "best").reach)
    assert reach == pytest.approx([1.980, 2.262], abs=0.001)  # t with 119 and 9


def test_without_a_single_draw_that_has_a_score_nothing_is_decided():
    truth = np.zeros((40, 1))
    flat = [np.full((40, 1), value) for value in (1.0, 2.0)]
    nest = Nest(gather("regression", "pearson", flat, truth), seed=0)
    gain = gain_over(nest, "mean", "best")
    assert (gain.low, gain.high, gain.verdict) == (-np.inf, np.inf, "undecided")


def test_what_a_member_is_worth_is_the_honest_gain_lost_when_all_is_fitted_without_it():
    evidence = evidence_of("regression", "rmse", noises=(0.8, 1.0, 1.2), n=96)
    nest = Nest(evidence, seed=0)
    truth = np.asarray(evidence.truth)
    for place, worth in enumerate(contributions(nest, "simplex")):
        rest = [each for i, each in enumerate(evidence.oof) if i != place]
        without = Nest(gather("regression", "rmse", rest, truth), seed=0)
        expected = nest.honest_gain("simplex") - without.honest_gain("simplex")
        assert worth.difference == pytest.approx(expected)
        rows = nest.resampled("simplex", evidence.folds) - without.resampled(
            "simplex", evidence.folds
        )
        assert worth.error >= np.std(rows) * (1 - 1e-9)
        assert worth.low < worth.difference < worth.high


def test_a_single_member_has_no_worth_of_its_own():
    assert contributions(nest_of((1.0,)), "best") == [None]


@pytest.mark.parametrize("method", honest.SPARSE)
def test_a_member_that_is_never_used_is_worth_nothing_and_that_is_so(method):
    truth = truth_of("regression", 400, 1)
    members = [member("regression", truth, 1.0, seed) for seed in range(3)]
    members.append(2 * members[0] - truth)  # errs as m0 does, but twice as much
    nest = Nest(gather("regression", "rmse", members, truth), seed=0)
    assert contributions(nest, method)[3] == Gain(0.0, 0.0, 0.0, 0.0)
    without = nest.beside(nest.evidence.without(3))
    assert nest.honest_gain(method) == pytest.approx(without.honest_gain(method), abs=1e-9)


@pytest.mark.parametrize(
    ("metric", "limit"), [("pearson", "LEFT_OUT"), ("mae", "LEFT_OUT_BY_ROWS")]
)
def test_of_many_members_only_the_heaviest_are_left_out_in_turn(metric, limit, monkeypatch):
    monkeypatch.setattr(honest, limit, 2)
    nest = nest_of((0.5, 1.5, 1.0), metric=metric)
    weights = np.abs(nest.fit("ridge", nest.evidence.folds).weights)
    found = contributions(nest, "ridge")
    assert [each is None for each in found] == (weights == weights.min()).tolist()


@pytest.mark.parametrize("method", [*METHODS, AUTO])
@pytest.mark.parametrize(
    ("problem", "metric", "k"),
    [("regression", "spearman", 1), ("multiclass", "macro-f1", 1), ("multilabel", "f1", 2)],
)
def test_every_method_has_a_gain_for_every_kind_of_problem(problem, metric, k, method):
    nest = Nest(evidence_of(problem, metric, noises=(0.9, 1.0), k=k, n=96), seed=0)
    if method not in nest.methods and method != AUTO:
        pytest.skip("this method does not suit this problem")
    gain = gain_over(nest, method, "best")
    assert gain.low <= gain.difference <= gain.high


def test_the_reason_has_the_figures_that_the_choice_was_made_by():
    gains = {"best": 0.9, "mean": 0.95, "simplex": 0.96, "layers": 0.955}
    behind = {name: 0.96 - gain for name, gain in gains.items()}
    spread = {"best": 0.02, "mean": 0.004, "simplex": 0.0}
    told = Choice("simplex", gains, behind, spread).reason
    assert "mean, the nearest that is simpler, is 0.01000 behind" in told
    assert "(0.00400)" in told
    assert "nothing simpler" in Choice("best", {"best": 0.9}, {"best": 0.0}, {"best": 0.0}).reason
