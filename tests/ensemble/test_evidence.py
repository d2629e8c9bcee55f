import numpy as np
import pytest

from pipeline.ensemble.predictor import Blend
from tests.ensemble.toys import evidence_of

FIRST, SECOND = frozenset([0, 1]), frozenset([2])


@pytest.mark.parametrize(
    ("problem", "metric"), [("regression", "mae"), ("regression", "rmse"), ("binary", "auc")]
)
def test_what_is_asked_about_some_folds_is_answered_from_their_rows_alone(problem, metric):
    evidence = evidence_of(problem, metric)
    counts = np.array([1.0, 0.0, 2.0, 0.0])
    for folds in (FIRST, SECOND, FIRST):
        rows = evidence.rows(folds)
        assert set(evidence.fold_of_row[rows]) == folds
        members = [each[rows] for each in evidence.oof]
        expected = [
            evidence.metric.gain(
                evidence.truth[rows], Blend((counts + np.eye(4)[j]) / 4, np.zeros(1)).of(members)
            )
            for j in range(4)
        ]
        np.testing.assert_allclose(evidence.steps(folds, counts), expected)


def test_each_fold_is_predicted_by_its_own_blend():
    evidence = evidence_of("regression", "mae")
    blends = {fold: Blend(np.eye(4)[fold], np.zeros(1)) for fold in (0, 2)}
    rows, predicted = evidence.predict(blends)
    for row, value in zip(rows, predicted, strict=True):
        assert value == evidence.oof[evidence.fold_of_row[row]][row]


def test_without_a_member_nothing_of_it_is_left():
    evidence = evidence_of("binary", "auc")
    evidence.steps(FIRST, np.zeros(4))
    cut = evidence.without(0)
    np.testing.assert_array_equal(
        cut.steps(FIRST, np.zeros(3)), evidence.steps(FIRST, np.zeros(4))[1:]
    )


@pytest.mark.parametrize(
    ("problem", "metric", "k", "expected"),
    [
        ("regression", "rmse", 2, "inverse"),
        ("multilabel", "auc", 2, "inverse"),
        ("multiclass", "accuracy", 1, "even"),
    ],
)
def test_columns_count_alike_but_classes_by_their_rows(problem, metric, k, expected):
    evidence = evidence_of(problem, metric, k=k)
    spread = evidence.moments(FIRST).scatter[:, -1, -1]
    wanted = 1 / spread if expected == "inverse" else np.ones(len(spread))
    np.testing.assert_allclose(evidence.column_weights(FIRST), wanted)


def test_a_label_that_never_occurs_in_the_folds_counts_for_nothing():
    evidence = evidence_of("multilabel", "accuracy", k=2)
    evidence.truth[evidence.rows(SECOND), 1] = 0
    again = type(evidence).gather(
        evidence.names,
        evidence.oof,
        evidence.truth,
        evidence.fold_of_row,
        evidence.group_of_row,
        evidence.metric,
        evidence.problem,
    )
    assert again.column_weights(SECOND)[1] == 0
    assert again.column_weights(SECOND)[0] > 0


@pytest.mark.parametrize(("problem", "metric"), [("regression", "rmse"), ("binary", "auc")])
def test_members_that_are_not_asked_for_have_no_gain(problem, metric):
    evidence, counts = evidence_of(problem, metric), np.array([1.0, 0.0, 0.0, 0.0])
    every, some = evidence.steps(FIRST, counts), evidence.steps(FIRST, counts, [2, 0])
    np.testing.assert_array_equal(some, [every[0], -np.inf, every[2], -np.inf])
