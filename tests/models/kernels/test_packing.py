"""A batch run as one packed row gives what the padded batch gives: outputs and gradients."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from pipeline.models.hub.weights import recompute_activations
from pipeline.models.kernels import packing as packing_file
from pipeline.models.kernels.packing import NAME, pack, packable
from pipeline.models.transformer.heads import Head, Network, pooling_named
from tests.tiny import tiny_backbone

TEXTS = ["a cat", "a cat sleeps while dogs bark", "birds", "a mat", "on the small mat"]


def load(folder, kind="bert", **changes):
    tiny_backbone(folder / kind, TEXTS, kind=kind, **{"dropout": 0.0, **changes})
    backbone = AutoModel.from_pretrained(folder / kind)
    backbone.pooler = None  # it stands beside what is run
    return backbone.train()


def batch(backbone, rows=9, longest=20, seed=0, types=True):
    """Random rows of unlike lengths, in no order, padded."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest, (rows,), generator=draw)
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    config = backbone.config
    ids = torch.randint(5, config.vocab_size, mask.shape, generator=draw)
    encoded = {"input_ids": ids.where(mask.bool(), config.pad_token_id), "attention_mask": mask}
    if types and config.type_vocab_size > 1:
        encoded["token_type_ids"] = torch.randint(2, mask.shape, generator=draw) * mask
    return encoded, lengths.numpy()


def network(backbone, packed, pooling="mean", inputs=1):
    found = packable(backbone) if packed else None
    assert (found is not None) == packed
    config = backbone.config
    pooled = pooling_named(pooling, config.hidden_size, config.num_hidden_layers + 1, seed=0)
    head = Head(pooled.width, inputs, 1, 0.0, seed=0)
    return Network(backbone, head, pooled, found).train()


def gradient(module, inputs, lengths):
    module.zero_grad(set_to_none=True)
    outputs = module(inputs, lengths)
    targets = torch.linspace(-1, 1, len(outputs))[:, None]
    (outputs - targets).square().mean().backward()
    return outputs.detach(), torch.cat([w.grad.flatten() for w in module.parameters()])


@pytest.mark.parametrize("pooling", ["mean", "cls", "layer-mix", "attention"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_the_gradient_of_packed_rows_is_that_of_the_padded_batch(tmp_path, kind, pooling):
    encoded, lengths = batch(load(tmp_path, kind))
    outputs, expected = gradient(
        network(load(tmp_path, kind), False, pooling), [encoded], lengths[None]
    )
    found, packed = gradient(network(load(tmp_path, kind), True, pooling), [encoded], lengths[None])
    torch.testing.assert_close(found, outputs, atol=1e-6, rtol=0)
    torch.testing.assert_close(packed, expected, atol=1e-6, rtol=0)


def test_two_inputs_are_packed_each_by_itself(tmp_path):
    (u, m), (v, n) = (batch(load(tmp_path), seed=seed) for seed in (1, 2))
    lengths = np.stack([m, n])
    outputs, expected = gradient(network(load(tmp_path), False, inputs=2), [u, v], lengths)
    found, packed = gradient(network(load(tmp_path), True, inputs=2), [u, v], lengths)
    torch.testing.assert_close(found, outputs, atol=1e-6, rtol=0)
    torch.testing.assert_close(packed, expected, atol=1e-6, rtol=0)


def test_recomputed_activations_change_nothing(tmp_path):
    encoded, lengths = batch(load(tmp_path))
    plain, recomputed = (network(load(tmp_path), True) for _ in range(2))
    recompute_activations(recomputed.backbone)
    expected = gradient(plain, [encoded], lengths[None])[1]
    found = gradient(recomputed, [encoded], lengths[None])[1]
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_attention_of_a_gpu_gives_the_same(tmp_path, monkeypatch):
    encoded, lengths = batch(load(tmp_path))
    module = network(load(tmp_path), True)
    outputs, expected = gradient(module, [encoded], lengths[None])
    monkeypatch.setattr(packing_file, "_in_squares", packing_file._jagged)
    monkeypatch.setattr(packing_file, "filled", lambda tokens: tokens)  # as it is there
    found, jagged = gradient(module, [encoded], lengths[None])
    torch.testing.assert_close(found, outputs, atol=1e-6, rtol=0)
    torch.testing.assert_close(jagged, expected, atol=1e-6, rtol=0)


def test_lengths_are_read_off_the_masks_where_they_are_not_given(tmp_path):
    module = network(load(tmp_path), True)
    encoded, lengths = batch(module.backbone)
    assert torch.equal(module([encoded]), module([encoded], lengths[None]))


def test_dropout_falls_on_packed_rows_too(tmp_path):
    module = network(load(tmp_path, dropout=0.5), True)
    encoded, lengths = batch(module.backbone)
    first, second = (module([encoded], lengths[None]) for _ in range(2))
    assert not torch.allclose(first, second)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout) and part is not module.head.dropout:
            part.p = 0.0
    third, fourth = (module([encoded], lengths[None]) for _ in range(2))
    assert torch.equal(third, fourth), "attention takes its dropout from its module, as others do"


def test_packing_puts_the_longest_first_and_forgets_no_token():
    packed = pack(np.array([2, 4, 1, 4]), 5, torch.device("cpu"))
    assert packed.lengths == [4, 4, 2, 1]
    assert packed.places.tolist() == [5, 6, 7, 8, 15, 16, 17, 18, 0, 1, 10]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0]]
    assert packed.offsets.tolist() == [0, 4, 8, 10, 11]


def test_a_backbone_with_an_attention_of_its_own_is_left_as_it_was(tmp_path):
    backbone = load(tmp_path, "deberta-v2")
    before = backbone.config._attn_implementation
    assert packable(backbone) is None
    assert backbone.config._attn_implementation == before
    assert backbone.training


def small(kind, **changes):
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    return AutoModel.from_config(
        AutoConfig.for_model(kind, vocab_size=60, num_hidden_layers=2, **sizes, **changes)
    )


def test_an_attention_that_looks_around_a_token_only_is_not_packed():
    backbone = small("modernbert", pad_token_id=0, local_attention=8)
    assert packable(backbone) is None
    assert backbone.config._attn_implementation != NAME


def test_an_attention_that_looks_back_only_is_not_packed():
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "pad_token_id": 0}
    backbone = AutoModel.from_config(AutoConfig.for_model("gpt2", vocab_size=60, **sizes))
    assert packable(backbone) is None


def test_a_backbone_that_is_not_told_apart_by_names_is_tried(tmp_path, monkeypatch):
    """Were the packed states others, the backbone would be run padded."""
    backbone = load(tmp_path)
    wrong = lambda *args: packing_file.functional.dropout(args[2], 0.5)  # noqa: E731
    monkeypatch.setattr(packing_file, "_in_squares", wrong)
    assert packable(backbone) is None
    assert backbone.config._attn_implementation != NAME


def test_being_tried_changes_no_setting_that_predictions_depend_on(tmp_path):
    backbone = load(tmp_path)
    before = backbone.config.to_diff_dict()
    assert packable(backbone) is not None
    assert backbone.config.to_diff_dict() == before
    assert backbone.training
    assert all(weight.grad is None for weight in backbone.parameters())
