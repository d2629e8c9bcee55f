"""Learners that write: the same bytes for a seed, killed or not."""

import pytest

from pipeline.base.errors import UsageError
from pipeline.base.fault_injection import Injected
from pipeline.base.paths import Workspace
from pipeline.models.generation.learner import WritingLearner
from pipeline.models.generator_settings import GeneratorRecipe
from pipeline.models.learner import Resuming
from pipeline.models.recipes import as_values
from pipeline.models.transformer_settings import Lora
from pipeline.training.options import FailurePolicy
from tests.fitting import Listener
from tests.models.generation.writers import factory_for, saved, sentences

NEW = sentences(11, labelled=False, seed=5)


def fitted(factory, folder, count=24):
    learner = factory.make(3)
    learner.fit(sentences(count), Workspace(folder), Listener())
    return learner


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A factory, and where a learner of it was saved."""
    folder = tmp_path_factory.mktemp("trained")
    factory = factory_for()
    fitted(factory, folder / "work").save(folder / "saved")
    return folder / "saved"


def test_a_writer_learns_to_write_what_it_has_read(tmp_path):
    factory = factory_for(epochs=6)
    learner = fitted(factory, tmp_path, 60)
    found = learner.predict(NEW, Listener())
    expected = [f"a {text.split()[1]} lives in the {text.split()[3]}" for text in NEW.texts[:, 0]]
    right = sum(one == other for one, other in zip(found.best, expected, strict=True))
    assert right >= 8
    assert learner.facts["references"] == 90
    assert all(log < 0 for logs in found.log_probabilities for log in logs)


@pytest.mark.nightly
def test_networks_side_by_side_say_the_same_once_saved(tmp_path):
    factory = factory_for(networks=2)
    learner = fitted(factory, tmp_path / "work")
    said = learner.predict(NEW, Listener())
    learner.save(tmp_path / "saved")
    assert factory.load(tmp_path / "saved").predict(NEW, Listener()) == said
    alone = factory_for()
    assert factory.facts()["parameters"] == 2 * alone.facts()["parameters"]
    assert "networks" not in as_values(alone.own), "runs of before go on"
    assert as_values(factory.own)["networks"] == 2
    with pytest.raises(UsageError, match="pretrained backbone begins with the same weights"):
        GeneratorRecipe(name="x", backbone="some/where", networks=2)


def test_a_training_that_was_killed_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    changes = {"average": {"ema": 0.9}, "networks": 2}
    factory = factory_for(policy=FailurePolicy(checkpoint_seconds=0.0), **changes)
    whole = fitted(factory, tmp_path / "whole").digest()
    _strike_at(monkeypatch, 4, "step")
    with pytest.raises(Injected):
        fitted(factory, tmp_path / "killed")
    monkeypatch.undo()
    listener, learner = Listener(), factory.make(3)
    learner.fit(sentences(24), Workspace(tmp_path / "killed"), listener)
    assert listener.told("resumed") == [{"step": 3}]
    assert learner.digest() == whole


@pytest.mark.parametrize("way", ["greedy", "beam", "sample"])
def test_every_way_of_decoding_gives_the_same_bytes_again(trained, way):
    factory = factory_for(decode=way)
    first = factory.load(trained).predict(NEW, Listener())
    assert factory.load(trained).predict(NEW, Listener()) == first
    assert max(map(len, first.texts)) == (1 if way == "greedy" else 2)
    assert all(len(set(texts)) == len(texts) for texts in first.texts)


@pytest.mark.nightly
def test_drawn_answers_stand_behind_those_of_beams(trained):
    factory = factory_for(samples=5)
    found = factory.load(trained).predict(NEW, Listener())
    beams = factory_for().load(trained).predict(NEW, Listener())
    assert [texts[: len(own)] for texts, own in zip(found.texts, beams.texts, strict=True)] == [
        *beams.texts
    ]
    assert max(map(len, found.texts)) > 2
    assert all(len(set(texts)) == len(texts) for texts in found.texts)
    behind = [
        logs[len(own) :] for logs, own in zip(found.log_probabilities, beams.texts, strict=True)
    ]
    assert all(list(logs) == sorted(logs, reverse=True) for logs in behind)
    assert factory.load(trained).predict(NEW, Listener()) == found
    assert "samples" not in as_values(factory_for().own), "runs of before go on"
    with pytest.raises(UsageError, match="samples are drawn beside greedy or beam"):
        GeneratorRecipe(name="x", decode="sample", samples=3)


def test_answers_that_were_killed_go_on_to_the_same_bytes(trained, tmp_path, monkeypatch):
    factory = factory_for(decode="sample")
    whole = factory.load(trained).predict(NEW, Listener())
    learner = factory.load(trained)
    assert isinstance(learner, Resuming)
    learner.keep_below(tmp_path)
    _strike_at(monkeypatch, 2)
    with pytest.raises(Injected):
        learner.predict(NEW, Listener())
    monkeypatch.undo()
    listener = Listener()
    learner.keep_below(tmp_path)
    assert learner.predict(NEW, listener) == whole
    assert listener.told("resumed") == [{"rows": 4}]
    assert listener.phases[-1][:3] == ("predict", 3, 1)
    other = factory.load(trained)
    other.keep_below(tmp_path)
    listener = Listener()
    other.predict(sentences(11, labelled=False, seed=6), listener)
    assert not listener.told("resumed"), "answers to other rows were taken up"


def _strike_at(monkeypatch, count, where="predict"):
    """Have the batch (or the step) number *count* fail before it is answered (after it is
    taken)."""
    calls = []

    def reach(point):
        calls.append(point)
        if calls.count(where) == count and point == where:
            raise Injected(point)
        return False

    monkeypatch.setattr("pipeline.models.transformer.module.reach", reach)
    monkeypatch.setattr("pipeline.models.transformer.step.reach", reach)


@pytest.mark.parametrize("kind", ["bart", "gpt2"])
def test_pretrained_backbones_are_trained_saved_and_loaded(tmp_path, kind):
    lora = Lora(rank=2) if kind == "gpt2" else None
    factory = factory_for(backbone=saved(tmp_path, kind), prompt="{} :", lora=lora, epochs=1)
    learner = fitted(factory, tmp_path / "work")
    found = learner.predict(NEW, Listener())
    learner.save(tmp_path / "saved")
    again = factory.load(tmp_path / "saved")
    assert isinstance(again, WritingLearner)
    assert again.predict(NEW, Listener()) == found
    assert ("lora_A" in str(learner.module.network.own_state().keys())) is (lora is not None)


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="at least as many beams as it gives candidates"):
        GeneratorRecipe(name="x", candidates=5, beams=4)
    with pytest.raises(UsageError, match="must be a multiple of attention_heads"):
        GeneratorRecipe(name="x", width=30, attention_heads=4)
    with pytest.raises(UsageError, match=r"a text that has \{\} once"):
        GeneratorRecipe(name="x", prompt="summarize")
    with pytest.raises(UsageError, match="learning_rate"):
        GeneratorRecipe(name="x", learning_rate=-1.0)
    with pytest.raises(UsageError, match="backbone is null: from nothing"):
        GeneratorRecipe(name="x", lora=Lora())
