"""Tricks of training as settings: exact under kill and resume, and bytes as before where off."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.base import fault_injection
from pipeline.base.errors import UsageError
from pipeline.base.paths import Workspace
from pipeline.models.transformer.factory import TransformerFactory
from pipeline.training.job import FailurePolicy
from pipeline.training.lightning.trainer import FoldFitter
from tests.fitting import CPU
from tests.models.transformer.learners import SCORES, WATCH, backbone, factory_for, fitted, pairs

TRICKS = {
    "layer-mix": {"pooling": "layer-mix"},
    "attention": {"pooling": "attention", "pairing": "siamese"},
    "lstm": {"pooling": "lstm"},
}
"""What each case sets."""
TRAIN, TEST = pairs(30), pairs(12, seed=2, labelled=False)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def plain(bert, tmp_path_factory):
    """What is predicted without any trick."""
    learner = fitted(often_saved(bert), TRAIN, tmp_path_factory.mktemp("plain"))
    return learner.predict(TEST, WATCH)


def often_saved(bert, task=SCORES, outputs=1, **changes) -> TransformerFactory:
    """Of a recipe that is cut into micro-batches, with a checkpoint after every step."""
    settings = {"epochs": 2, "micro_batch_size": 4, "packing": True, **changes}
    factory = factory_for(bert, task, outputs, **settings)
    policy = FailurePolicy(checkpoint_seconds=0.0)
    factory.shared = replace(factory.shared, fitter=FoldFitter(CPU, policy))
    return factory


@pytest.mark.parametrize("trick", TRICKS)
def test_a_training_killed_within_a_step_ends_in_the_same_bytes(
    bert, plain, tmp_path, monkeypatch, trick
):
    changes = TRICKS[trick]
    whole = fitted(often_saved(bert, **changes), TRAIN, tmp_path / "whole")
    expected = whole.predict(TEST, WATCH)
    assert not np.array_equal(expected, plain), "the trick does nothing"
    whole.save(tmp_path / "weights")
    assert whole.facts["packed"]
    monkeypatch.setattr(fault_injection, "_FAULTS", {("micro-batch", 11): "raise"})
    fault_injection._REACHED.clear()
    with pytest.raises(fault_injection.Injected):
        fitted(often_saved(bert, **changes), TRAIN, tmp_path / "killed")
    monkeypatch.setattr(fault_injection, "_FAULTS", {})
    assert list(Workspace(tmp_path / "killed").checkpoints.glob("step-*.json"))
    again = fitted(often_saved(bert, **changes), TRAIN, tmp_path / "killed")
    assert again.predict(TEST, WATCH).tobytes() == expected.tobytes()
    elsewhere = often_saved(bert, **changes).load(tmp_path / "weights")
    assert elsewhere.predict(TEST, WATCH).tobytes() == expected.tobytes()


def test_a_pooling_of_more_layers_than_there_are_is_refused(bert):
    with pytest.raises(UsageError, match=r"last 4 layers, and bert gives those of 3.*mean in toy"):
        factory_for(bert, pooling="last-4")


def test_what_a_pooling_learns_moves_at_the_heads_rate(bert, tmp_path):
    factory = factory_for(bert, pooling="layer-mix", head_learning_rate=0.5)
    learner = fitted(factory, TRAIN, tmp_path)
    assert (
        float(learner.module.network.pooling.weights.detach().abs().max()) > 0.03
    )  # the backbone's is 0.003
