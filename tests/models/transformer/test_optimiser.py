"""Parameter groups and the learning rate."""

import copy

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from pipeline.models.transformer.heads import Head
from pipeline.models.transformer.optimiser import (
    layer_depths,
    make_optimizer,
    parameter_groups,
    rate_factor,
    set_rates,
)
from pipeline.models.transformer_settings import TransformerRecipe
from tests.architectures import settings_of
from tests.tiny import tiny_backbone


def recipe(**changes):
    return TransformerRecipe(name="t", backbone="t", **changes)


def backbone_of(tmp_path, kind="bert"):
    return AutoModel.from_pretrained(tiny_backbone(tmp_path / kind, ["a b"], kind=kind))


def decay_by_name(groups):
    return {name: group["weight_decay"] for group in groups for name in group["names"]}


def rate_by_name(groups):
    return {name: group["lr"] for group in groups for name in group["names"]}


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "deberta-v2"])
def test_matrices_decay_and_biases_and_norms_do_not(tmp_path, kind):
    groups = parameter_groups(backbone_of(tmp_path, kind), Head(16, 1, 1, 0.1, seed=0), recipe())
    for name, decay in decay_by_name(groups).items():
        frail = name.endswith("bias") or "norm" in name.lower()
        assert decay == (0.0 if frail else 0.01), name


def test_the_groups_hold_the_names_one_expects(tmp_path):
    decay = decay_by_name(
        parameter_groups(backbone_of(tmp_path), Head(16, 1, 1, 0.1, seed=0), recipe())
    )
    expected = {
        "backbone.embeddings.word_embeddings.weight": 0.01,
        "backbone.encoder.layer.0.attention.self.query.weight": 0.01,
        "backbone.encoder.layer.1.output.dense.weight": 0.01,
        "head.linear.weight": 0.01,
        "backbone.embeddings.LayerNorm.weight": 0.0,
        "backbone.encoder.layer.0.attention.self.query.bias": 0.0,
        "backbone.encoder.layer.1.output.LayerNorm.bias": 0.0,
        "head.linear.bias": 0.0,
    }
    assert {name: decay[name] for name in expected} == expected


def test_every_parameter_is_in_exactly_one_group_under_its_own_name(tmp_path):
    backbone, head = backbone_of(tmp_path), Head(16, 1, 1, 0.1, seed=0)
    groups = parameter_groups(backbone, head, recipe(layer_decay=0.9))
    found = [
        (name, id(parameter))
        for group in groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
    ]
    expected = [
        (f"{part}.{name}", id(parameter))
        for part, module in (("backbone", backbone), ("head", head))
        for name, parameter in module.named_parameters()
    ]
    assert sorted(found) == sorted(expected)


def test_a_frozen_parameter_is_in_no_group(tmp_path):
    backbone = backbone_of(tmp_path)
    backbone.embeddings.requires_grad_(False)
    names = rate_by_name(parameter_groups(backbone, Head(16, 1, 1, 0.1, seed=0), recipe()))
    assert not [name for name in names if "embeddings" in name]


def test_the_head_may_have_its_own_rate(tmp_path):
    changes = {"learning_rate": 2e-5, "head_learning_rate": 1e-3}
    rates = rate_by_name(
        parameter_groups(backbone_of(tmp_path), Head(16, 1, 1, 0.1, seed=0), recipe(**changes))
    )
    assert rates["head.linear.weight"] == rates["head.linear.bias"] == 1e-3
    assert {rate for name, rate in rates.items() if name.startswith("backbone")} == {2e-5}


def test_rates_fall_layer_by_layer_down_to_the_embeddings(tmp_path):
    rates = rate_by_name(
        parameter_groups(
            backbone_of(tmp_path),
            Head(16, 1, 1, 0.1, seed=0),
            recipe(learning_rate=1.0, layer_decay=0.5),
        )
    )
    assert rates["backbone.encoder.layer.1.output.dense.weight"] == 1.0
    assert rates["backbone.encoder.layer.0.output.dense.bias"] == 0.5
    assert rates["backbone.embeddings.word_embeddings.weight"] == 0.25
    assert rates["head.linear.weight"] == 1.0


@pytest.mark.parametrize(
    ("kind", "depths"),
    [
        ("bert", {"embeddings.LayerNorm.bias": 0, "encoder.layer.1.output.dense.weight": 2}),
        ("electra", {"embeddings_project.weight": 0, "encoder.layer.0.output.dense.bias": 1}),
        (
            "deberta-v2",
            {
                "embeddings.word_embeddings.weight": 0,
                "encoder.rel_embeddings.weight": 2,
                "encoder.LayerNorm.weight": 2,
            },
        ),
        ("qwen3", {"embed_tokens.weight": 0, "layers.0.mlp.up_proj.weight": 1, "norm.weight": 2}),
        ("gpt2", {"wte.weight": 0, "wpe.weight": 0, "h.1.mlp.c_fc.weight": 2, "ln_f.bias": 2}),
        ("xlnet", {"word_embedding.weight": 0, "layer.1.ff.layer_1.weight": 2}),
        ("distilbert", {"transformer.layer.0.ffn.lin1.weight": 1}),
        ("albert", {"encoder.embedding_hidden_mapping_in.weight": 0}),
        (
            "xlm",
            {
                "position_embeddings.weight": 0,
                "attentions.0.q_lin.weight": 1,
                "ffns.1.lin1.bias": 2,
            },
        ),
        (
            "funnel",
            {
                "embeddings.word_embeddings.weight": 0,
                "encoder.blocks.0.0.ffn.linear_1.weight": 1,
                "encoder.blocks.2.0.ffn.linear_1.weight": 3,
            },
        ),
    ],
)
def test_depths_are_read_from_the_modules(kind, depths):
    more = {
        "deberta-v2": {"relative_attention": True, "norm_rel_ebd": "layer_norm"},
        "electra": {"embedding_size": 8},
    }.get(kind, {})
    config = AutoConfig.for_model(kind, **settings_of(kind), **more, vocab_size=40)
    found = layer_depths(AutoModel.from_config(config))
    assert {name: found[name] for name in depths} == depths
    assert set(found.values()) == set(range(max(found.values()) + 1))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("warmup_fraction", [0.0, 0.1, 0.5, 0.99])
def test_every_step_that_is_taken_moves_the_weights(schedule, steps, warmup_fraction):
    asked = recipe(learning_rate=0.1, schedule=schedule, warmup_fraction=warmup_fraction)
    optimizer = make_optimizer(nn.Linear(2, 1), nn.Linear(1, 1), asked)
    rates = [set_rates(optimizer, asked, step, steps) for step in range(steps)]
    assert min(rates) > 0
    assert max(rates) == pytest.approx(0.1)


def test_the_rates_are_a_function_of_the_step_whatever_was_set_before(tmp_path):
    asked = recipe(learning_rate=0.1, head_learning_rate=0.3, layer_decay=0.5, warmup_fraction=0.2)
    optimizer = make_optimizer(backbone_of(tmp_path), Head(16, 1, 1, 0.1, seed=0), asked)
    peaks = [group["lr"] for group in optimizer.param_groups]
    assert len(set(peaks)) == 4

    def rates(step, scale=1.0):
        highest = set_rates(optimizer, asked, step, 10, scale)
        found = [group["lr"] for group in optimizer.param_groups]
        assert highest == max(found)
        return found

    for step in (7, 0, 2, 7, 9):
        share = rate_factor(step, 10, 2, "linear")
        assert rates(step) == pytest.approx([share * peak for peak in peaks])
        assert rates(step, 0.25) == pytest.approx([0.25 * share * peak for peak in peaks])


def test_the_rate_climbs_then_falls_to_nothing():
    linear = [rate_factor(step, 10, 2, "linear") for step in range(11)]
    assert linear[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert linear[2:] == pytest.approx([1.0 - step / 8 for step in range(9)])
    cosine = [rate_factor(step, 10, 2, "cosine") for step in range(11)]
    assert cosine[6] == pytest.approx(0.5)
    assert cosine[-1] == pytest.approx(0.0)
    assert [rate_factor(step, 10, 0, "constant") for step in range(10)] == [1.0] * 10


def test_the_fused_kernel_takes_the_steps_of_the_plain_one():
    torch.manual_seed(0)
    asked, first = recipe(learning_rate=0.1), nn.Linear(4, 3)
    second, head = copy.deepcopy(first), nn.Linear(1, 1)
    fused = make_optimizer(first, head, asked)
    assert fused.defaults["fused"]
    plain = torch.optim.AdamW(parameter_groups(second, head, asked), fused=False)
    for step in range(5):
        for module, optimizer in ((first, fused), (second, plain)):
            optimizer.zero_grad()
            (module(torch.ones(2, 4)) - step).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(first.weight, second.weight)
