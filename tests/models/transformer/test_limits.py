"""Where memory or fp16 gives way in one fold, the folds after it start where it ended."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.base.paths import Workspace
from pipeline.models.transformer.heads import Network
from pipeline.models.transformer.memory_limits import LearnedLimits
from tests.fitting import CPU, Listener
from tests.models.transformer.learners import backbone, factory_for, fitted, pairs

HALF = replace(CPU, precision="16-mixed")
TEST = pairs(10, seed=2, labelled=False)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("tiny"), dropout=0.0)


@pytest.fixture
def full_beyond(monkeypatch):
    """Call it with the rows that fit into memory when training, and when predicting."""
    forward = Network.forward

    def install(training, predicting):
        def limited(network, inputs, lengths):
            rows = len(inputs[0]["input_ids"])
            if rows > (training if network.training else predicting):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(network, inputs, lengths)

        monkeypatch.setattr(Network, "forward", limited)

    return install


@pytest.fixture
def overflowing(monkeypatch):
    """A model with activations beyond 65,504, as DeBERTa's may be."""
    forward = Network.forward

    def enlarged(network, inputs, lengths):
        outputs = forward(network, inputs, lengths)
        return functional.linear(outputs, torch.tensor([[1e8]])) / 1e8

    monkeypatch.setattr(Network, "forward", enlarged)


def learn(factory, folder, watch):
    learner = fitted(factory, pairs(40), folder, watch=watch)
    predicted = learner.predict(TEST, watch)
    return learner.facts, predicted


def plain(bert, **changes):
    return factory_for(bert, head_dropout=0.0, length_groups=1, **changes)


def test_sizes_that_did_not_fit_are_not_tried_again_by_later_folds(bert, tmp_path, full_beyond):
    expected_facts, expected = learn(plain(bert), tmp_path, Listener())
    full_beyond(3, 4)
    factory, first, second = plain(bert), Listener(), Listener()
    facts, found = learn(factory, tmp_path, first)
    assert facts["learnt"] == {"micro_rows": 2, "predict_rows": 2, "precision": None}
    assert [told["rows"] for told in first.told("batch halved")] == [4, 2]
    assert [told["rows"] for told in first.told("predict batch halved")] == [5, 2]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    for key in ("steps", "rows", "tokens", "useful_token_share"):
        assert facts[key] == expected_facts[key]
    factory.remember(json.loads(json.dumps(facts)))
    facts, again = learn(factory, tmp_path, second)
    assert not second.events
    np.testing.assert_allclose(again, found, atol=1e-3)


@pytest.mark.parametrize(("bf16", "left"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_model_that_overflows_in_fp16_is_trained_in_what_is_left(
    bert, tmp_path, overflowing, bf16, left
):
    factory, first, second = plain(bert, hardware=replace(HALF, bf16=bf16)), Listener(), Listener()
    facts, found = learn(factory, tmp_path, first)
    assert facts["learnt"]["precision"] == left
    assert len(first.told("precision changed")) == 1
    whole = plain(bert, hardware=replace(CPU, precision=left))
    assert learn(whole, tmp_path, Listener())[1].tobytes() == found.tobytes()
    factory.remember(facts)
    assert learn(factory, tmp_path, second)[1].tobytes() == found.tobytes()
    assert len(second.told("precision changed")) == 1, "each fold finds out by itself"


def test_what_fits_into_fp16_is_trained_in_it_as_well_as_in_fp32(bert, tmp_path):
    watch = Listener()
    facts, found = learn(plain(bert, hardware=HALF), tmp_path, watch)
    exact_facts, exact = learn(plain(bert), tmp_path, Listener())
    assert LearnedLimits.of(facts) == LearnedLimits()
    assert not watch.events
    assert facts["train_loss"] == pytest.approx(exact_facts["train_loss"], rel=0.02)
    assert 0 < np.abs(found - exact).max() < 0.3


def test_what_one_learner_has_learnt_does_not_change_another_that_was_made(bert):
    factory = plain(bert)
    learner = factory.make(1)
    factory.remember({"learnt": {"micro_rows": 3}})
    factory.remember({"learnt": {"micro_rows": 5, "precision": "32-true"}})
    factory.remember({})
    assert learner.shared.learnt == LearnedLimits()
    assert factory.make(1).shared.learnt == LearnedLimits(micro_rows=3)


def test_predictions_that_overflow_in_fp16_are_made_again_in_a_wider_precision(bert, tmp_path):
    watch = Listener()
    learner = factory_for(bert, hardware=HALF).make(1)
    learner.fit(pairs(16), Workspace(tmp_path), watch)
    with torch.no_grad():
        learner.module.network.head.linear.weight *= 1e9
    predicted = learner.predict(pairs(6, labelled=False), watch)
    assert np.isfinite(predicted).all()
    assert learner.facts["learnt"]["precision"] == "32-true"
    assert watch.told("precision changed") == [{"before": "fp16", "precision": "fp32"}]
