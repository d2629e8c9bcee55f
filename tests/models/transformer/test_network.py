"""The network, and the backbone that every fold starts from."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pipeline.models.kernels.backbone_facts import Pristine
from pipeline.models.transformer.heads import Head, Network, join, pooling_named
from tests.tiny import tiny_backbone

TEXTS = ["a cat sleeps", "the dog barks at a cat", "rain"]
OTHERS = ["a dog sleeps", "rain", "the cat barks"]
KINDS = ["bert", "roberta", "electra", "deberta-v2"]


def loaded(tmp_path, kind="bert"):
    folder = tiny_backbone(tmp_path / kind, TEXTS + OTHERS, kind=kind)
    backbone = (
        AutoModel.from_pretrained(folder, add_pooling_layer=False)
        if kind in ("bert", "roberta")
        else AutoModel.from_pretrained(folder)
    )
    return backbone, AutoTokenizer.from_pretrained(folder)


def encoded(tokenizer, *columns, **options):
    return dict(tokenizer(*columns, padding=True, return_tensors="pt", **options))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "gem", "attention", "layer-mix", "lstm"])
def test_a_rows_outputs_do_not_depend_on_the_rows_it_is_padded_with(tmp_path, kind, pooling):
    backbone, tokenizer = loaded(tmp_path, kind)
    pooled = pooling_named(pooling, 16, 3, seed=0)
    network = Network(backbone, Head(pooled.width, 1, 2, 0.1, seed=0), pooled).eval()
    with torch.inference_mode():
        together = network([encoded(tokenizer, TEXTS, OTHERS)])
        alone = [
            network([encoded(tokenizer, [a], [b])]) for a, b in zip(TEXTS, OTHERS, strict=True)
        ]
    assert together.shape == (3, 2)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_two_inputs_are_read_apart_by_the_same_backbone(tmp_path):
    backbone, tokenizer = loaded(tmp_path)
    pooling = pooling_named("mean", 16, 1, seed=0)
    network = Network(backbone, Head(16, 2, 1, 0.1, seed=0), pooling).eval()
    first, second = encoded(tokenizer, TEXTS), encoded(tokenizer, OTHERS)
    with torch.inference_mode():
        u, v = network.vector(first), network.vector(second)
        expected = network.head.linear(join([u, v]))
        torch.testing.assert_close(network([first, second]), expected)


def test_restoring_brings_back_every_bit_and_leaves_no_gradient(tmp_path):
    backbone, tokenizer = loaded(tmp_path)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    pristine = Pristine(backbone.eval())
    backbone(**encoded(tokenizer, TEXTS)).last_hidden_state.sum().backward()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(parameter.grad)
    assert not torch.equal(backbone.embeddings.LayerNorm.bias, before["embeddings.LayerNorm.bias"])
    pristine.restore()
    after = backbone.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert all(module.training for module in backbone.modules())


def test_each_borrower_has_its_own_number(tmp_path):
    pristine = Pristine(loaded(tmp_path)[0])
    assert [pristine.restore(), pristine.restore(), pristine.lent] == [1, 2, 2]
