import dataclasses

import numpy as np
import pytest

from pipeline.ensemble.honest import Nest
from pipeline.ensemble.methods.layers import layers, raw_features
from pipeline.ensemble.methods.logistic import probabilities_of, scores_of
from tests.ensemble.toys import evidence_of, gather, member, truth_of

FOLDS = frozenset([0, 1, 2])


def biased_by_length(problem, metric, n=600):
    """Evidence of members that are wrong in one direction for long texts."""
    truth = truth_of(problem, n, 1)
    plain = gather(problem, metric, [member(problem, truth, 0.5, 1)], truth)
    length = plain.facts.values[:, :1]
    tilt = (length - length.mean()) / length.std()
    oof = [member(problem, truth, 0.7, seed) for seed in (1, 2)]
    if problem == "regression":
        return gather(problem, metric, [each + tilt for each in oof], truth)
    bent = [probabilities_of(scores_of(each, problem) + 1.5 * tilt, problem) for each in oof]
    return gather(problem, metric, bent, truth)


@pytest.mark.parametrize(
    ("problem", "metric", "gained"), [("regression", "rmse", 0.3), ("binary", "log-loss", 0.02)]
)
def test_a_bias_that_goes_with_the_length_is_corrected(problem, metric, gained):
    nest = Nest(biased_by_length(problem, metric), seed=0)
    first = "simplex" if problem == "regression" else "logistic"
    assert nest.honest_gain("layers") > nest.honest_gain(first) + gained


def test_where_there_is_nothing_to_correct_the_first_layer_stands():
    truth = truth_of("regression", 600, 1)
    noise = [member("regression", np.zeros_like(truth), 1.0, seed) for seed in (1, 2)]
    seen = (truth + noise[0]) * 0.6 + 1.0  # shrunk as least squares would: no line improves it
    evidence = gather("regression", "pearson", [seen, seen + 1e-3 * noise[1]], truth)
    found = layers(evidence, FOLDS)
    without = dataclasses.replace(found, coefficients=np.zeros_like(found.coefficients))
    one, other = (each.predict(evidence.given, "regression") for each in (found, without))
    assert np.corrcoef(one[:, 0], other[:, 0])[0, 1] > 0.995


def test_one_fold_is_not_enough_for_a_second_layer():
    evidence = biased_by_length("regression", "rmse")
    found = layers(evidence, frozenset([1]))
    assert not found.coefficients.any()
    base = found.base.predict(evidence.given, "regression")
    np.testing.assert_array_equal(found.predict(evidence.given, "regression"), base)


@pytest.mark.parametrize(
    ("problem", "k"), [("regression", 2), ("multiclass", 1), ("multilabel", 3)]
)
def test_the_features_have_names_and_the_coefficients_a_place_each(problem, k):
    evidence = evidence_of(problem, "rmse" if problem == "regression" else "log-loss", k=k)
    found = layers(evidence, FOLDS)
    q, columns = len(found.names), evidence.given.columns
    assert len(found.view.mean) == q
    shared = 0 if problem == "multiclass" else q
    assert len(found.coefficients) == 1 + q + columns + shared


@pytest.mark.parametrize(
    ("problem", "k"), [("regression", 2), ("binary", 1), ("multiclass", 1), ("multilabel", 3)]
)
def test_coefficients_mean_what_they_mean_in_a_bundle_that_was_packed_before(problem, k):
    """One design with all columns: the scores, a 1 for each column's bias, the features."""
    evidence = evidence_of(problem, "rmse" if problem == "regression" else "log-loss", k=k, n=60)
    found = layers(evidence, FOLDS)
    random, given = np.random.default_rng(0), evidence.given
    found = dataclasses.replace(found, coefficients=random.normal(size=len(found.coefficients)))
    first, columns = found.base.predict(given, problem), given.columns
    features = (raw_features(given) - found.view.mean) / found.view.spread
    n, q = features.shape
    scores = scores_of(first, problem)
    stretched = (scores - found.view.centre)[:, :, None] * np.hstack([np.ones((n, 1)), features])[
        :, None
    ]
    parts = [stretched, np.broadcast_to(np.eye(columns), (n, columns, columns))]
    if problem != "multiclass":
        parts.append(np.broadcast_to(features[:, None], (n, columns, q)))
    wanted = scores + np.concatenate(parts, axis=-1) @ found.coefficients
    said = found.predict(given, problem)
    np.testing.assert_allclose(said, probabilities_of(wanted, problem), rtol=1e-9, atol=1e-12)
