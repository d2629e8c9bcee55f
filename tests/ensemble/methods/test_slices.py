import dataclasses

import numpy as np

from pipeline.ensemble.honest import Nest
from pipeline.ensemble.methods.slices import sliced, slices
from pipeline.ensemble.methods.weights import simplex
from pipeline.ensemble.predictor import REST
from tests.ensemble.toys import evidence_of, gather, member, truth_of

FOLDS = frozenset([0, 1, 2])


def two_experts(n=600):
    """Evidence of two members, each good on one slice."""
    truth = truth_of("regression", n, 1)
    evidence = gather("regression", "rmse", [truth, truth], truth)
    here = evidence.facts.slices[:, None] == 0
    noise = [member("regression", np.zeros_like(truth), 1.5, seed) for seed in (1, 2)]
    oof = [truth + np.where(here, 0.2, 1.0) * noise[0], truth + np.where(here, 1.0, 0.2) * noise[1]]
    return gather("regression", "rmse", oof, truth)


def test_each_slice_trusts_its_own_expert():
    found = slices(two_experts(), FOLDS)
    assert found.own[0].weights[0] > 0.8
    assert found.own[1].weights[1] > 0.8


def test_weights_per_slice_pay_where_members_are_experts_and_cost_nothing_where_not():
    nest = Nest(two_experts(), seed=0)
    assert nest.honest_gain("slices") > nest.honest_gain("simplex") + 0.05
    same = Nest(evidence_of("regression", "rmse", n=600), seed=0)
    assert same.honest_gain("slices") > same.honest_gain("simplex") - 5e-3


def test_the_strongest_pull_gives_the_common_weights():
    evidence = two_experts()
    common = simplex(evidence, FOLDS).weights
    for blend in sliced(evidence, FOLDS)[0].own.values():
        np.testing.assert_allclose(blend.weights, common, atol=2e-3)


def test_with_little_pull_a_slice_has_the_level_of_its_truth():
    evidence = two_experts()
    high = gather("regression", "rmse", [each + 0.9 for each in evidence.oof], evidence.truth)
    rows, free = high.rows(FOLDS), sliced(high, FOLDS)[-1]
    for place, blend in free.own.items():
        here = rows[high.facts.slices[rows] == place]
        found = blend.of([each[here] for each in high.oof])
        np.testing.assert_allclose(found.mean(), high.truth[here].mean(), atol=0.05)


def test_rows_of_no_slice_get_the_common_weights():
    evidence = two_experts()
    blend = slices(evidence, FOLDS)
    facts = dataclasses.replace(evidence.facts, slices=np.full(600, REST))
    rows = dataclasses.replace(evidence.given, facts=facts)
    predicted = blend.predict(rows, "regression")
    np.testing.assert_allclose(predicted, blend.common.of(evidence.oof))


def test_the_weights_shown_are_the_mean_over_the_rows():
    blend = slices(two_experts(), FOLDS)
    assert sum(blend.shares.values()) < 1, "some rows are of no slice"
    mean = sum(share * blend.own[place].weights for place, share in blend.shares.items())
    mean += (1 - sum(blend.shares.values())) * blend.common.weights
    np.testing.assert_allclose(blend.weights, mean)
