"""What a backbone takes is found by asking the model itself."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from pipeline.base.errors import UsageError
from pipeline.models.hub.weights import backbone_facts
from pipeline.models.kernels.backbone_facts import NO_LIMIT
from tests.architectures import HIDDEN, settings_of

TYPES = ("bert", "electra", "albert", "rembert", "big_bird", "roformer", "xlnet", "funnel")
NO_TYPES = ("gpt2", "xlm", "distilbert", "mpnet", "qwen3", "gemma3_text", "modernbert")


def facts_of(kind, **settings):
    settings = settings_of(kind) | {"vocab_size": 40} | settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return backbone_facts(AutoModel.from_config(AutoConfig.for_model(kind, **settings)))


@pytest.mark.parametrize("kind", TYPES)
def test_these_read_segment_types(kind):
    found = facts_of(kind, **({"block_sizes": [2]} if kind == "funnel" else {}))
    assert found.types >= 2
    assert found.hidden == HIDDEN
    assert found.words == 40


@pytest.mark.parametrize("kind", NO_TYPES)
def test_these_do_not_though_gpt_2_and_xlm_take_the_argument(kind):
    assert facts_of(kind).types == 0


def test_one_type_is_none():
    assert facts_of("roberta", type_vocab_size=1).types == 0
    assert facts_of("roberta", type_vocab_size=2).types == 2
    assert facts_of("deberta-v2", type_vocab_size=0).types == 0


@pytest.mark.parametrize(
    ("kind", "settings", "longest"),
    [
        ("bert", {}, 66),
        ("roberta", {"pad_token_id": 1}, 64),
        ("camembert", {"pad_token_id": 0}, 65),
        ("mpnet", {"pad_token_id": 1}, 64),
        ("esm", {"pad_token_id": 1}, 64),
        ("opt", {"word_embed_proj_dim": 32}, 66),
        ("deberta-v2", {"position_biased_input": False, "relative_attention": True}, NO_LIMIT),
        ("xlnet", {}, NO_LIMIT),
    ],
)
def test_the_longest_text_is_what_the_table_of_positions_holds(kind, settings, longest):
    assert facts_of(kind, **settings).longest == longest


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "qwen3", "gpt2", "big_bird", "modernbert"])
def test_these_leave_padding_alone(kind):
    assert facts_of(kind).masks_padding


@pytest.mark.parametrize("kind", ["fnet", "convbert", "nystromformer", "yoso"])
def test_these_read_padding_as_text(kind):
    assert not facts_of(kind).masks_padding


@pytest.mark.parametrize(
    ("kind", "sees"),
    [("bert", True), ("xlnet", True), ("gpt2", False), ("qwen3", False), ("mamba", False)],
)
def test_the_first_token_of_a_decoder_sees_no_other(kind, sees):
    assert facts_of(kind).sees_later == sees


@pytest.mark.parametrize(
    ("kind", "can"), [("bert", True), ("qwen3", True), ("albert", False), ("mpnet", False)]
)
def test_whether_activations_can_be_recomputed(kind, can):
    assert facts_of(kind).can_recompute == can


def test_asking_changes_nothing():
    model = AutoModel.from_config(AutoConfig.for_model("bert", **settings_of("bert"))).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draws = torch.get_rng_state()
    backbone_facts(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), draws)
    assert not any(module._forward_pre_hooks for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_model_that_reads_no_texts_is_refused():
    config = AutoConfig.for_model("vit", hidden_size=32, num_hidden_layers=1, intermediate_size=32)
    config.num_attention_heads, config.image_size, config.patch_size = 2, 8, 4
    with pytest.raises(UsageError, match="vit"):
        backbone_facts(AutoModel.from_config(config))
