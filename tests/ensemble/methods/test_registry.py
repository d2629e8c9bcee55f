import numpy as np
import pytest

from pipeline.base.errors import UsageError
from pipeline.ensemble.__main__ import parser
from pipeline.ensemble.assessment import assess
from pipeline.ensemble.honest import AUTO
from pipeline.ensemble.methods.registry import METHODS, OF_TEXTS, methods_for, refusal
from tests.ensemble.toys import evidence_of, facts, gather, member, truth_of

PROBLEMS = [
    ("regression", "pearson", 1),
    ("regression", "rmse", 2),
    ("binary", "auc", 1),
    ("multiclass", "macro-f1", 1),
    ("multilabel", "log-loss", 3),
]
FOLDS = frozenset([0, 1, 2])


def fitted(problem, metric, k, name):
    evidence = evidence_of(problem, metric, k=k, n=200)
    if refusal(name, evidence):
        pytest.skip(f"{name} does not fit a {problem}")
    return evidence, METHODS[name].fit(evidence, FOLDS)


def test_the_command_offers_every_method():
    (method,) = [action for action in parser()._actions if action.dest == "method"]
    assert list(method.choices) == [AUTO, *METHODS, *OF_TEXTS]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("problem", "metric", "k"), PROBLEMS)
def test_what_a_method_predicts_is_finite_and_stays_a_probability(problem, metric, k, name):
    evidence, blend = fitted(problem, metric, k, name)
    predicted = blend.predict(evidence.given, problem)
    assert predicted.shape == evidence.oof[0].shape
    assert np.isfinite(predicted).all()
    assert np.isfinite(blend.weights).all()
    if problem != "regression":
        assert predicted.min() >= 0
        assert predicted.max() <= 1
    if problem == "multiclass":
        np.testing.assert_allclose(predicted.sum(axis=1), 1)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("problem", "metric", "k"), PROBLEMS)
def test_a_row_is_predicted_alike_alone_and_among_others(problem, metric, k, name):
    evidence, blend = fitted(problem, metric, k, name)
    together = blend.predict(evidence.given, problem)[[7]]
    alone = blend.predict(evidence.given.take(np.array([7])), problem)
    np.testing.assert_allclose(alone, together, rtol=1e-12)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("problem", "metric", "k"), PROBLEMS)
def test_a_method_beats_a_poor_single_model_on_rows_it_has_not_seen(problem, metric, k, name):
    evidence, blend = fitted(problem, metric, k, name)
    rows = evidence.rows(frozenset([3]))
    poor = np.zeros(4)
    poor[3] = 1.0
    worst = evidence.oof[3][rows]
    assert evidence.gain({3: blend}) > evidence.metric.gain(evidence.truth[rows], worst)


@pytest.mark.parametrize("other_scale", [False, True])
@pytest.mark.parametrize("name", [name for name in METHODS if name != "logistic"])
def test_under_a_metric_without_a_level_labels_move_no_methods_predictions_up(name, other_scale):
    """Else those of all folds, pooled, would fall where the labels of the fold are high."""
    truth = truth_of("regression", 300, 1)
    length = facts(300).values[:, :1]  # so that layers have something to correct
    tilt = 0.5 * (length - length.mean()) / length.std()
    oof = [member("regression", truth, 0.7, seed) + tilt for seed in range(3)]
    if other_scale:
        oof[1] = oof[1] * 10 + 50
    low, high = (gather("regression", "pearson", oof, truth + level) for level in (0.0, 0.4))
    first, second = (METHODS[name].fit(each, FOLDS) for each in (low, high))
    np.testing.assert_allclose(
        first.predict(low.given, "regression"), second.predict(low.given, "regression"), atol=1e-7
    )


def test_auto_chooses_among_methods_that_suit_the_problem():
    ordered = methods_for(evidence_of("binary", "auc"))
    assert {"rank-mean", "logistic", "slices", "layers"} < set(ordered)
    numbers = methods_for(evidence_of("regression", "pearson"))
    assert "logistic" not in numbers
    assert "rank-mean" not in numbers
    assert ordered == [name for name in METHODS if name in ordered], "from simple to flexible"


def test_methods_that_are_scored_row_by_row_are_left_to_small_problems(monkeypatch):
    monkeypatch.setattr("pipeline.ensemble.methods.registry.MOST_CELLS", 200)
    found = methods_for(evidence_of("binary", "auc"))
    assert not {"logistic", "slices", "layers"} & set(found)
    assert "ridge" in found


@pytest.mark.parametrize(("members", "bags"), [(14, False), (15, True)])
def test_greedy_is_tried_in_bags_from_fifteen_members_on(members, bags):
    evidence = evidence_of("regression", "rmse", [1.0] * members, n=16)
    assert ("greedy-bag" in methods_for(evidence)) == bags


@pytest.mark.parametrize(
    ("name", "says"), [("logistic", "this is a regression"), ("slices", "columns.features")]
)
def test_a_method_that_cannot_be_fitted_is_refused_with_the_reason(name, says):
    truth = truth_of("regression", 80, 1)
    members = [member("regression", truth, 1.0, seed) for seed in range(2)]
    evidence = gather("regression", "rmse", members, truth)
    object.__setattr__(evidence, "facts", None)
    with pytest.raises(UsageError, match=says):
        assess(evidence, name, seed=0)
