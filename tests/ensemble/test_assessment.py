import numpy as np
import pytest

from pipeline.ensemble.assessment import assess, error_correlation, shown_weights, weight_spread
from pipeline.ensemble.methods.registry import METHODS
from pipeline.metrics.metric import get_metric
from pipeline.metrics.own import CALLS
from tests.ensemble.toys import CASES, evidence_of, gather, member, task_of, truth_of


@pytest.mark.parametrize("method", ["simplex", "ridge", "slices", "layers"])
def test_refitted_weights_lie_around_the_fitted_ones(method):
    evidence = evidence_of("regression", "rmse", n=600)
    drawn = weight_spread(evidence, method, seed=1, draws=40)
    assert drawn.shape == (40, 4)
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    fitted = METHODS[method].fit(evidence, evidence.folds).weights
    assert ((low - 1e-9 <= fitted) & (fitted <= high + 1e-9)).all()
    assert (low < high).all()


def test_members_that_cannot_be_told_apart_have_weights_that_swing_more():
    truth = truth_of("regression", 400, 1)
    one, noise = (
        member("regression", truth, 1.0, 1),
        np.random.default_rng(0).normal(size=truth.shape),
    )
    alike = gather("regression", "rmse", [one, one + 0.05 * noise], truth)
    unlike = evidence_of("regression", "rmse", noises=(1.0, 1.0), n=400)
    spreads = [weight_spread(each, "simplex", 1, 40).std(axis=0)[0] for each in (alike, unlike)]
    assert spreads[0] > 3 * spreads[1]


def test_rows_of_a_group_are_drawn_together():
    """Groups of two copies of a row: the spread is that of half as many rows."""
    truth = np.repeat(truth_of("regression", 100, 1), 2, axis=0)
    noises = [
        np.repeat(member("regression", np.zeros((100, 1)), 1.0, s), 2, axis=0) for s in (1, 2)
    ]
    evidence = gather("regression", "rmse", [truth + noise for noise in noises], truth)
    grouped = weight_spread(evidence, "simplex", 1, 200).std()
    object.__setattr__(evidence, "group_of_row", np.arange(200))
    assert grouped > 1.2 * weight_spread(evidence, "simplex", 1, 200).std()


def test_weights_are_shown_as_those_of_members_on_one_scale():
    truth = truth_of("regression", 400, 1)
    one, other = (member("regression", truth, 0.5, seed) for seed in (1, 2))
    evidence = gather("regression", "rmse", [one, other / 5], truth)
    weights = METHODS["simplex"].fit(evidence, evidence.folds).weights
    assert weights[1] > 2
    shown = shown_weights(evidence, weights)
    assert shown.sum() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(shown, 0.5, atol=0.1)


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


class Counted:
    """The calls of a metric of one's own: as many as were announced, and as were made."""

    def __init__(self):
        self.ahead, self.made = 0, 0

    def expect(self, calls):
        self.ahead = calls

    def one_more(self):
        self.made += 1


@pytest.mark.parametrize(("members", "folds"), [(1, 3), (2, 5)])
def test_how_often_a_metric_of_ones_own_is_called_is_announced_within_a_fifth(
    members, folds, tmp_path
):
    (tmp_path / "own_root.py").write_text(
        "def score(y_true, y_pred):\n    return -abs(y_true - y_pred).mean() ** 0.7\n"
    )
    metric = get_metric("own_root:score", task_of("regression", "rmse"), tmp_path)
    evidence = evidence_of("regression", "rmse", (0.6, 0.8)[:members], n=60, folds=folds)
    counted = Counted()
    token = CALLS.set(counted)
    assess(evidence.judged_by(metric), "auto", 0).complete()
    CALLS.reset(token)
    assert counted.made == pytest.approx(counted.ahead, rel=0.2)
