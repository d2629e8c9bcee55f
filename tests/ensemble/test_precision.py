"""Fits and scores from moments against the same ones row by row, for members of any scale.

The rows are taken in the longest floating-point numbers there are: a blend of members at 1e6 with a
spread of 1e-6 loses ten digits in float64 when it is added up row by row.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from pipeline.ensemble.methods.ridge import STRENGTHS, blends
from pipeline.ensemble.methods.weights import ROUNDS, greedy, simplex
from pipeline.metrics.registry import METRICS as KNOWN
from tests.ensemble.toys import gather, truth_of

LONG = np.longdouble
pytestmark = pytest.mark.skipif(
    np.finfo(LONG).eps > 1e-18, reason="this machine has no numbers longer than float64"
)
METRICS = sorted(
    name
    for name, record in KNOWN.items()
    if "regression" in record.formulas and record.formulas["regression"].from_moments
)
powers = st.integers(-6, 6)
badly = st.lists(st.tuples(powers, powers), min_size=3, max_size=5)


def members_of(truth, scales):
    """A member per (power of its offset, power of its spread)."""
    random = np.random.default_rng(1)
    return [
        10.0**offset + 10.0**spread * (truth + random.normal(size=truth.shape))
        for offset, spread in scales
    ]


def evidence_of(metric, scales, k=1):
    truth = truth_of("regression", 96, k)
    return gather("regression", metric, members_of(truth, scales), truth, folds=3)


def long_gain(evidence, rows, predicted):
    score = evidence.metric.formula.score(evidence.truth[rows].astype(LONG), predicted)
    return float(evidence.metric.as_gain(score))


def blended(evidence, rows, blend):
    parts = zip(blend.weights, evidence.oof, strict=True)
    return sum(LONG(w) * each[rows].astype(LONG) for w, each in parts) + blend.intercept


def long_honest_gain(evidence, blends_):
    rows = np.concatenate([evidence.rows(frozenset([fold])) for fold in blends_])
    parts = [
        blended(evidence, evidence.rows(frozenset([fold])), blend)
        for fold, blend in blends_.items()
    ]
    return long_gain(evidence, rows, np.concatenate(parts))


def close(value):
    return pytest.approx(value, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("metric", METRICS)
@given(scales=badly, seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_step_and_a_blend_per_fold_score_as_row_by_row(metric, scales, seed):
    evidence = evidence_of(metric, scales, k=2)
    random = np.random.default_rng(seed)
    counts = random.integers(0, 3, len(scales)).astype(float)
    folds = frozenset([0, 2])
    rows = evidence.rows(folds)
    total = sum(c * each[rows].astype(LONG) for c, each in zip(counts, evidence.oof, strict=True))
    expected = [
        long_gain(evidence, rows, (total + each[rows]) / LONG(counts.sum() + 1))
        for each in evidence.oof
    ]
    assert evidence.steps(folds, counts).tolist() == [close(value) for value in expected]
    own = {fold: greedy(evidence, evidence.folds - {fold}) for fold in evidence.folds}
    assert evidence.gain(own) == close(long_honest_gain(evidence, own))


@pytest.mark.parametrize("metric", METRICS)
@given(scales=badly)
@settings(max_examples=15, deadline=None)
def test_every_pick_of_greedy_is_the_best_by_the_rows(metric, scales):
    evidence = evidence_of(metric, scales)
    folds = frozenset([0, 1])
    rows, counts = evidence.rows(folds), np.zeros(len(scales))
    oof = [each[rows].astype(LONG) for each in evidence.oof]
    total, reached = LONG(0), []
    for size in range(1, ROUNDS + 1):
        scores = [long_gain(evidence, rows, (total + each) / LONG(size)) for each in oof]
        winner = int(np.argmax(evidence.steps(folds, counts)))
        assert scores[winner] == close(max(scores))
        counts[winner] += 1
        total = total + oof[winner]
        reached.append(scores[winner])
    found = evidence.gain(dict.fromkeys(folds, greedy(evidence, folds)))
    assert found >= reached[0] - 1e-8 * max(1, abs(reached[0]))  # no worse than the best single


def long_simplex(evidence, folds):
    """The best convex weights from the rows; for pearson of any sum."""
    rows = evidence.rows(folds)
    oof = np.hstack([each[rows].astype(LONG) for each in evidence.oof])
    truth = evidence.truth[rows].astype(LONG)
    if evidence.metric.name == "pearson":
        oof, truth = oof - oof.mean(axis=0), truth - truth.mean(axis=0)
        scale = np.sqrt((oof**2).sum(axis=0))
        return nnls((oof / scale).astype(float), truth[:, 0].astype(float))[0] / scale
    errors = oof - truth
    scale = np.sqrt((errors**2).sum(axis=0))
    # the rows' own squares, and a row that keeps the weights from all being zero
    table = np.vstack([errors / scale, (1 / scale / (1 / scale).max())[None]])
    return nnls(table.astype(float), np.append(np.zeros(len(rows)), 1.0))[0] / scale


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "mcrmse"])
@given(scales=badly)
@settings(max_examples=25, deadline=None)
def test_simplex_reaches_what_least_squares_over_the_rows_reaches(metric, scales):
    evidence = evidence_of(metric, scales)
    folds = frozenset([1, 2])
    weights = long_simplex(evidence, folds)
    rows = evidence.rows(folds)
    oof = [each[rows].astype(LONG) for each in evidence.oof]
    total = sum(w * each for w, each in zip(weights / weights.sum(), oof, strict=True))
    found = evidence.gain(dict.fromkeys(folds, simplex(evidence, folds)))
    assert found == close(long_gain(evidence, rows, total))


def long_ridge(evidence, folds, strength):
    """The ridge weights from the rows: least squares with a row per penalty."""
    rows = evidence.rows(folds)
    oof = np.hstack([each[rows].astype(LONG) for each in evidence.oof])
    truth = evidence.truth[rows, 0].astype(LONG)
    away, wanted = oof - oof.mean(axis=0), truth - truth.mean()
    count = oof.shape[1]
    pull = np.sqrt(LONG(strength) * (away**2).sum() / count) * np.eye(count, dtype=LONG)
    table = np.vstack([away, pull])
    size = np.sqrt((table**2).sum(axis=0))
    target = np.concatenate([wanted, pull.sum(axis=0) / count])
    weights = np.linalg.lstsq((table / size).astype(float), target.astype(float), rcond=None)[0]
    weights = weights / size
    return weights, truth.mean() - oof.mean(axis=0) @ weights


@pytest.mark.parametrize("metric", ["pearson", "rmse"])
@given(scales=badly)
@example(scales=[(6, -6), (6, -6), (0, -6)])
@settings(max_examples=25, deadline=None)
def test_ridge_of_every_strength_scores_as_least_squares_over_the_rows(metric, scales):
    evidence = evidence_of(metric, scales)
    folds = frozenset([0, 1])
    rows = evidence.rows(folds)
    oof = np.hstack([each[rows].astype(LONG) for each in evidence.oof])
    for strength, blend in zip(STRENGTHS, blends(evidence, folds), strict=True):
        weights, intercept = long_ridge(evidence, folds, strength)
        predicted = (oof @ weights + intercept)[:, None]
        found = evidence.gain(dict.fromkeys(folds, blend))
        # a blend is kept in float64, in which an intercept of 1e12 has steps of 1e-4
        steps = 1e-8 + 4 * float(np.spacing(abs(float(intercept)))) ** 2
        assert found == pytest.approx(long_gain(evidence, rows, predicted), rel=1e-8, abs=steps)


@pytest.mark.parametrize("fit", [greedy, simplex])
@given(scales=badly)
@settings(max_examples=15, deadline=None)
def test_leaving_a_member_out_costs_what_it_costs_row_by_row(fit, scales):
    evidence = evidence_of("rmse", scales)
    for member in range(len(scales)):
        cut = evidence.without(member)
        own = {fold: fit(cut, cut.folds - {fold}) for fold in cut.folds}
        assert cut.gain(own) == close(long_honest_gain(cut, own))


def test_an_error_a_thousandth_of_the_spread_is_still_exact():
    truth = truth_of("regression", 200, 1)
    oof = [truth + 1e-3 * np.random.default_rng(seed).normal(size=truth.shape) for seed in (1, 2)]
    evidence = gather("regression", "rmse", oof, truth)
    rows = evidence.rows(evidence.folds)
    expected = [long_gain(evidence, rows, each.astype(LONG)) for each in oof]
    found = evidence.steps(evidence.folds, np.zeros(2))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, 1e-9])
def test_a_member_that_is_constant_but_for_nothing_has_no_correlation(value):
    truth = truth_of("regression", 60, 1)
    evidence = gather("regression", "pearson", [np.full_like(truth, value), truth], truth)
    assert np.isneginf(evidence.steps(evidence.folds, np.zeros(2))[0])
    for fold in evidence.folds:
        assert np.isneginf(evidence.steps(frozenset([fold]), np.zeros(2))[0])


def test_folds_of_a_member_far_from_zero_add_up_to_the_whole():
    truth = truth_of("regression", 120, 1)
    far = 1e6 + 1e-6 * np.random.default_rng(2).normal(size=truth.shape)
    evidence = gather("regression", "rmse", [far], truth, folds=3)
    centred = far.astype(LONG) - far.astype(LONG).mean()
    found = evidence.moments(evidence.folds).scatter[0, 0, 0]
    assert found == pytest.approx(float((centred**2).sum()), rel=1e-10, abs=0)
