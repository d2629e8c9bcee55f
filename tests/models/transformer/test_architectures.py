"""Backbones of other architectures than BERT's are trained right, or refused in a sentence."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import Punctuation, Sequence, Split
from transformers import AutoConfig, AutoModel

from pipeline.base.errors import ArtifactError, DivergedError, UsageError
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.data.tokens.tokenizer import Tokeniser
from pipeline.models.kernels import cpu_kernels
from pipeline.models.kernels.packing import EqualLengths, layers_of, probe
from pipeline.models.transformer import factory as factories
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.architectures import architecture, tokenizer_of
from tests.fitting import CPU, Listener
from tests.models.transformer.learners import SCORES, WATCH, WORDS, factory_for, pairs


def factory_of(tmp_path, kind, tokenizer="types", task=SCORES, settings=None, **changes):
    folder = architecture(tmp_path / "model", kind, tokenizer, [*WORDS, "the"], **settings or {})
    return factory_for(folder, task, **{"max_length": 32, **changes})


def trained(factory, folder, rows=24):
    learner = factory.make(1)
    learner.fit(pairs(rows), Workspace(folder), WATCH)
    return learner, learner.predict(pairs(9, seed=1, labelled=False), WATCH)


@pytest.fixture
def fast_products(monkeypatch):
    """As on an AMD processor, whatever this one is."""
    if not cpu_kernels.has_operator():
        pytest.skip("this torch has no oneDNN operator")
    monkeypatch.setattr(factories, "is_amd", lambda: True)


@pytest.mark.parametrize("kind", ["distilbert", "gpt2", "deberta", "longformer", "mpnet"])
def test_what_ended_in_a_traceback_is_trained(kind, tmp_path, fast_products):
    learner, found = trained(factory_of(tmp_path, kind), tmp_path / "fold")
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0
    assert np.isfinite(learner.facts["train_loss"])


@pytest.mark.parametrize(
    ("kind", "tokenizer", "reads"),
    [
        ("albert", "no-types", True),
        ("rembert", "no-types", True),
        ("xlnet", "at-the-end", True),
        ("bert", "types", True),
        ("bert", "two-separators", False),
        ("gpt2", "types", False),
        ("distilbert", "types", False),
    ],
)
def test_types_are_read_where_the_model_has_them(kind, tokenizer, reads, tmp_path):
    store = factory_of(tmp_path, kind, tokenizer).shared.store
    assert store.uses_type_ids == reads
    rows = store.keep([pairs(3).texts], WATCH)
    assert (store.gather(rows)[1].max() > 0) == reads


def test_a_type_that_the_model_has_not_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"type 2 .* below 2"):
        factory_of(tmp_path, "bert", "at-the-end")


def test_the_first_token_of_a_decoder_is_not_pooled(tmp_path):
    with pytest.raises(UsageError, match=r"pooling cls .*qwen3.* alike.* last or mean"):
        factory_of(tmp_path, "qwen3", "bare", pooling="cls")


def test_a_decoder_is_pooled_at_its_last_token(tmp_path):
    _, found = trained(factory_of(tmp_path, "qwen3", "bare", pooling="last"), tmp_path / "fold")
    assert np.ptp(found) > 1e-3


def test_texts_that_a_tokenizer_would_glue_are_read_with_a_line_break_between(tmp_path):
    folder = architecture(tmp_path / "model", "llama", "bare", [*WORDS, "the", "\n", "query", ":"])
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.pre_tokenizer = Sequence(  # which keeps the line break
        [Split("\n", "isolated"), Punctuation(), Split(" ", "removed")]
    )
    own.save(str(folder / "tokenizer.json"))

    def read(pairing, prefix=""):
        factory = factory_for(folder, pairing=pairing, prefix=prefix, max_length=32)
        one = Table(ids=np.array(["1"]), texts=np.array([["the cat", "dog"]], dtype=object))
        factory.prepare([one], WATCH)
        seen = factory.shared.read(one)
        tokens = factory.shared.store.gather(factory.shared.store.keep([seen.texts], WATCH)[0])
        return " ".join(map(own.id_to_token, tokens[0].tolist())), factory.facts()

    tokens, facts = read("cross")
    assert tokens == "the cat \n dog"
    assert facts["tokenizer_canary"].endswith("+line")
    assert read("cross", "query: ")[0] == "query : the cat \n query : dog"
    assert read("siamese", "query: ")[0] == "query : the cat"  # the first of both


@pytest.mark.parametrize(
    ("tokenizer", "separates"),
    [
        ("types", True),
        ("no-types", True),
        ("two-separators", True),
        ("at-the-end", True),
        ("bare", False),
    ],
)
def test_whether_a_tokenizer_separates_the_texts_of_a_pair_is_tried(tokenizer, separates):
    found = Tokeniser(tokenizer_of(tokenizer, ["a"]), 16)
    assert found.separates == separates


@pytest.mark.parametrize("kind", ["albert", "mpnet"])
def test_checkpointing_that_transformers_has_not_is_refused(kind, tmp_path):
    with pytest.raises(UsageError, match=f"no gradient checkpointing for {kind}.*false"):
        factory_of(tmp_path, kind, gradient_checkpointing=True)


def test_funnel_that_reads_no_short_text_is_refused(tmp_path):
    with pytest.raises(UsageError, match="funnel does not read a text of 1 tokens"):
        factory_of(tmp_path, "funnel")
    _, found = trained(
        factory_of(tmp_path / "other", "funnel", settings={"block_sizes": [3]}), tmp_path / "fold"
    )
    assert np.isfinite(found).all()


def test_mpnet_takes_what_it_has_positions_for(tmp_path):
    with pytest.raises(UsageError, match="at most 64"):
        factory_of(tmp_path / "over", "mpnet", max_length=65)
    _, found = trained(factory_of(tmp_path, "mpnet", max_length=64), tmp_path / "fold")
    assert np.isfinite(found).all()


@pytest.mark.parametrize("kind", ["fnet", "convbert"])
def test_where_padding_is_read_as_text_a_row_is_predicted_by_itself(kind, tmp_path):
    factory = factory_of(tmp_path, kind, packing=kind == "fnet")
    heard, learner = Listener(), factory.make(1)
    learner.fit(pairs(24), Workspace(tmp_path / "fold"), heard)
    assert heard.told("no padding") == [{}]
    assert not learner.facts["packed"]
    test = pairs(9, seed=1, labelled=False)
    together = learner.predict(test, WATCH)
    alone = [learner.predict(test.rows(np.array([row])), WATCH)[0] for row in range(9)]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    learner.module.network.packing = None
    assert np.abs(learner.predict(test, WATCH) - together).max() > 1e-4


def test_texts_of_each_length_by_themselves_are_those_of_a_padded_batch(tmp_path):
    factory = factory_of(tmp_path, "bert", packing=False)
    encoded, lengths = probe(
        factory.shared.pristine.backbone.config, factory.backbone_facts, True, torch.device("cpu")
    )
    model = factory.shared.pristine.backbone.eval()
    with torch.no_grad():
        padded = layers_of(model, encoded, 2)
        apart = EqualLengths().layers(model, encoded, lengths, 2)
    real = encoded["attention_mask"].bool()
    for one, other in zip(apart, padded, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one[real], other[real], rtol=0, atol=1e-5)


def test_what_cannot_be_packed_in_training_is_padded(tmp_path, monkeypatch):
    factory = factory_of(tmp_path, "bert")

    def rehearse(backbone, facts, type_ids, packing):
        if packing is not None:
            raise RuntimeError("a view is modified in place")

    monkeypatch.setattr(factories, "rehearse", rehearse)
    learner, found = trained(factory, tmp_path / "fold")
    assert learner.facts["packed"] is False
    assert np.isfinite(found).all()


def test_what_cannot_be_trained_at_all_is_said_in_a_sentence(tmp_path, monkeypatch):
    factory = factory_of(tmp_path, "bert")

    def rehearse(*_):
        raise RuntimeError("no way back\nat line 3")

    monkeypatch.setattr(factories, "rehearse", rehearse)
    with pytest.raises(UsageError, match=r"\(bert\) cannot be trained here: .*\(no way back\)\. "):
        factory.make(1)


def test_a_checkpoint_with_numbers_that_are_none_is_damaged(tmp_path):
    folder = architecture(tmp_path / "model", "bert", "types", WORDS)
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        model.encoder.layer[1].output.dense.weight[0, 0] = torch.nan
    model.save_pretrained(folder)
    with pytest.raises(ArtifactError, match=r"1 of its weights hold NaN.*layer.1.output.dense"):
        factory_for(folder)


def test_a_training_that_ends_with_all_rows_alike_has_failed(tmp_path):
    factory = factory_of(tmp_path, "bert")

    class Flat(FoldFitter):
        def fit(self, module, *others):
            super().fit(module, *others)
            torch.nn.init.zeros_(module.network.head.linear.weight)

    factory.shared = replace(factory.shared, fitter=Flat(CPU, FailurePolicy()))
    learner = factory.make(1)
    with pytest.raises(DivergedError, match=r"toy predicts all rows alike.*2 training rows.*below"):
        learner.fit(pairs(24), Workspace(tmp_path / "fold"), WATCH)
    assert learner.facts["rate_scale"] == 1.0  # what --on-nan rollback halves
    one = replace(pairs(24), targets=np.full((24, 1), 5.0))  # then there is nothing to tell apart
    factory.make(1).fit(one, Workspace(tmp_path / "other"), WATCH)


def test_words_that_a_backbone_puts_before_every_text_are_trained_with_it(tmp_path):
    """CPM-Ant's prompt is looked up in its table of words, and stands in no text."""
    factory = factory_of(tmp_path, "cpmant")
    own = list(factory.backbone_facts.own_words)
    assert own
    before = factory.shared.pristine.backbone.get_input_embeddings().weight.detach().clone()
    learner, found = trained(factory, tmp_path / "fold")
    assert np.ptp(found) > 0
    after = learner.module.network.backbone.get_input_embeddings().weight.detach()
    assert ((after - before)[own].abs().amax(dim=1) > 1e-6).all()
    assert factory_of(tmp_path / "other", "bert").backbone_facts.own_words == ()


def test_a_tokenizer_that_knows_nothing_of_the_texts_is_refused(tmp_path):
    """Words in a file that its own class reads as pairs of bytes: every text has no token left."""
    folder = architecture(tmp_path / "model", "qwen2", "types", WORDS)
    factory_for(folder).prepare([pairs(8)], WATCH)
    for file in folder.glob("*token*"):
        file.unlink()
    tokenizer_of("types", WORDS).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 40}))
    AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    with pytest.raises(ArtifactError, match=r"reads \d+ different texts as the same tokens"):
        factory_for(folder).prepare([pairs(8)], WATCH)


def test_predictions_that_are_all_alike_are_told(tmp_path):
    learner, _ = trained(factory_of(tmp_path, "bert"), tmp_path / "fold")
    heard = Listener()
    learner.predict(pairs(9, labelled=False), heard)
    assert heard.told("constant predictions") == []
    with torch.no_grad():
        learner.module.network.head.linear.weight.zero_()
    learner.predict(pairs(9, labelled=False), heard)
    assert heard.told("constant predictions") == [{"rows": 9}]
