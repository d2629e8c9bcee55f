"""A transformer learner that was saved: its bytes, its refusals, its precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.base.errors import ArtifactError
from pipeline.models.transformer.memory_limits import LearnedLimits
from tests.fitting import CPU
from tests.models.transformer.learners import WATCH, backbone, factory_for, fitted, pairs


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("pairing", ["cross", "siamese"])
def test_a_saved_learner_predicts_the_same_bytes(bert, tmp_path, pairing):
    test = pairs(20, seed=2, labelled=False)
    learner = fitted(factory_for(bert, pairing=pairing), pairs(40), tmp_path)
    before = learner.predict(test, WATCH)
    learner.save(tmp_path / "weights")
    elsewhere = factory_for(bert, pairing=pairing)
    fitted(elsewhere, pairs(40, seed=5), tmp_path)
    again = elsewhere.load(tmp_path / "weights")
    assert again.predict(test, WATCH).tobytes() == before.tobytes()
    assert again.facts == learner.facts


def test_saved_weights_that_changed_are_refused(bert, tmp_path):
    factory = factory_for(bert)
    fitted(factory, pairs(16), tmp_path).save(tmp_path)
    path = tmp_path / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"weights.safetensors has changed since.*Train the"):
        factory.load(tmp_path)


def test_saved_weights_of_another_model_are_refused(bert, tmp_path):
    fitted(factory_for(bert), pairs(16), tmp_path).save(tmp_path)
    with pytest.raises(ArtifactError, match="holds another model than toy"):
        factory_for(backbone(tmp_path, layers=1)).load(tmp_path)


def test_weights_that_were_trained_on_other_tokens_are_refused(bert, tmp_path):
    fitted(factory_for(bert), pairs(16), tmp_path).save(tmp_path)
    with pytest.raises(ArtifactError, match="the tokenizer output changed"):
        factory_for(backbone(tmp_path, "roberta")).load(tmp_path)


def test_saved_weights_take_about_the_bytes_that_were_announced(bert, tmp_path):
    factory = factory_for(bert)
    fitted(factory, pairs(16), tmp_path).save(tmp_path / "w")
    size = (tmp_path / "w" / "weights.safetensors").stat().st_size
    assert size == pytest.approx(factory.disk_bytes(), rel=0.15)


def test_half_precision_is_of_the_forward_pass_only(bert, tmp_path):
    half = factory_for(bert, batch_size=4, hardware=replace(CPU, precision="bf16-mixed"))
    learner = fitted(half, pairs(16), tmp_path)
    predicted = learner.predict(pairs(5), WATCH)
    assert predicted.dtype == np.float32
    learner.save(tmp_path)
    saved = load_file(tmp_path / "weights.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}
    exact = factory_for(bert, batch_size=4).load(tmp_path)
    difference = np.abs(exact.predict(pairs(5), WATCH) - predicted).max()
    assert 0 < difference < 0.2


def test_any_safetensors_reader_finds_the_weights_by_their_names(bert, tmp_path):
    learner = fitted(factory_for(bert), pairs(16), tmp_path)
    learner.save(tmp_path)
    saved, own = load_file(tmp_path / "weights.safetensors"), learner.module.network.state_dict()
    assert set(saved) == set(own)
    assert all(torch.equal(saved[name], own[name]) for name in own)


def test_a_saved_learner_knows_what_it_had_learnt_about_the_machine(bert, tmp_path):
    first = factory_for(bert)
    first.shared = replace(
        first.shared, learnt=LearnedLimits(predict_rows=2, precision="bf16-mixed")
    )
    learner = fitted(first, pairs(16), tmp_path)
    predicted = learner.predict(pairs(5), WATCH)
    learner.save(tmp_path)
    again = factory_for(bert).load(tmp_path)
    assert LearnedLimits.of(again.facts) == LearnedLimits(predict_rows=2, precision="bf16-mixed")
    assert again.predict(pairs(5), WATCH).tobytes() == predicted.tobytes()
