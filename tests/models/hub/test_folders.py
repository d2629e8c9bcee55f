"""Folders that are almost a backbone say what they are, and what to do."""

import json

import pytest
import safetensors.torch
import torch
from transformers import AutoConfig, AutoModel, T5Config, T5EncoderModel, T5Model

from pipeline.base.errors import ArtifactError, UsageError
from pipeline.models.hub.download import sentence_settings
from pipeline.models.hub.weights import backbone_facts, load_backbone, load_tokenizer, locate
from pipeline.models.transformer_settings import TransformerRecipe
from tests.architectures import settings_of, tokenizer_of
from tests.fitting import Listener
from tests.models.transformer.learners import backbone, factory_for, fitted, pairs
from tests.tiny import tiny_backbone

TEXTS = ["a cat sleeps", "a dog barks"]


@pytest.fixture
def tiny(tmp_path):
    return tiny_backbone(tmp_path / "tiny", TEXTS)


def found(folder):
    return locate(TransformerRecipe(name="t", backbone=str(folder)))


def test_a_folder_of_adapters_names_the_backbone_they_belong_to(tiny):
    (tiny / "model.safetensors").rename(tiny / "adapter_model.safetensors")
    base = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}
    (tiny / "adapter_config.json").write_text(json.dumps(base))
    with pytest.raises(UsageError, match=r"adapters only .*org/base.*merge_and_unload"):
        found(tiny)


def test_a_missing_part_of_the_weights_is_named(tiny):
    model = AutoModel.from_pretrained(tiny)
    (tiny / "model.safetensors").unlink()
    model.save_pretrained(tiny, max_shard_size="5KB")
    parts = sorted(tiny.glob("model-*.safetensors"))
    parts[1].unlink()
    with pytest.raises(UsageError, match=rf"{parts[1].name} of its weights is missing.*again"):
        found(tiny)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs_says_how_to_get_the_file(name, tiny):
    (tiny / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ArtifactError, match=rf"{name} .*only a pointer .*lfs pull"):
        found(tiny)


def test_weights_of_a_parallel_wrapper_come_with_the_command_that_renames_them(tiny):
    before = load_backbone(found(tiny)).state_dict()
    saved = safetensors.torch.load_file(tiny / "model.safetensors")
    wrapped = {f"module.{name}": value for name, value in saved.items()}
    safetensors.torch.save_file(wrapped, tiny / "model.safetensors", {"format": "pt"})
    with pytest.raises(ArtifactError, match=r"named module\..*DataParallel.*rename them") as caught:
        found(tiny)
    command = str(caught.value).partition("python - <<'END'\n")[2].partition("\nEND")[0]
    exec(compile(command, "rename", "exec"), {})
    after = load_backbone(found(tiny)).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_folder_of_checkpoints_names_them(tiny):
    outer = tiny.parent / "outer"
    outer.mkdir()
    tiny.rename(outer / "checkpoint-500")
    with pytest.raises(UsageError, match=r"\(checkpoint-500\)\. Set backbone: .*checkpoint-500"):
        found(outer)


@pytest.mark.parametrize("alone", [True, False], ids=["encoder saved alone", "whole model"])
def test_the_encoder_of_t5_is_a_backbone(alone, tmp_path):
    config = T5Config(vocab_size=20, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
    whole = T5Model(config)
    (T5EncoderModel(config) if alone else whole).save_pretrained(tmp_path)
    tokenizer_of("two-separators", ["cat"]).save_pretrained(tmp_path)
    model = load_backbone(found(tmp_path))
    assert not any("decoder" in name for name, _ in model.named_parameters())
    if not alone:
        names = "encoder.block.0.layer.0.SelfAttention.q.weight"
        assert torch.equal(model.state_dict()[names], whole.state_dict()[names])
    facts = backbone_facts(model)
    assert facts.sees_later
    assert load_tokenizer(found(tmp_path), facts)("cat")["input_ids"]


def test_an_encoder_that_has_no_class_of_its_own_is_refused(tiny):
    kept = json.loads((tiny / "config.json").read_text())
    kept |= {"model_type": "bart", "is_encoder_decoder": True}
    (tiny / "config.json").write_text(json.dumps(kept))
    with pytest.raises(UsageError, match="encoder with a decoder"):
        found(tiny)


def test_of_gemma_3_with_images_the_part_that_reads_texts_is_taken(tmp_path):
    text = settings_of("gemma3_text") | {"vocab_size": 20}
    images = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    images |= {"intermediate_size": 16, "image_size": 28, "patch_size": 14}
    config = AutoConfig.for_model(
        "gemma3", text_config=text, vision_config=images, mm_tokens_per_image=4
    )
    AutoModel.from_config(config).save_pretrained(tmp_path)
    tokenizer_of("bare", ["cat", "dog"]).save_pretrained(tmp_path)
    model = load_backbone(found(tmp_path))
    assert not any("vision" in name for name, _ in model.named_parameters())
    facts = backbone_facts(model)
    assert (facts.hidden, facts.words, facts.sees_later) == (32, 20, False)


@pytest.mark.parametrize(
    ("said", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, None),
        ({}, None),
    ],
)
def test_what_sentence_transformers_says_is_read(said, pooling, tmp_path):
    of_sentences(tmp_path, said, 64)
    assert sentence_settings(tmp_path) == (pooling, 64)


def test_a_recipe_that_reads_otherwise_than_it_was_trained_is_told(tmp_path):
    folder, heard = backbone(tmp_path), Listener()
    of_sentences(folder, {"pooling_mode_cls_token": True}, 12)
    fitted(factory_for(folder), pairs(8), tmp_path / "fold", watch=heard)
    told = {what: message for what, message, _ in heard.events}
    assert "pooling cls, toy has mean. Set pooling: cls" in told["other pooling"]
    assert "at most 12 tokens, toy has max_length 16" in told["longer texts"]
    silent = Listener()
    factory = factory_for(folder, pooling="cls", max_length=12)
    fitted(factory, pairs(8), tmp_path / "other", watch=silent)
    assert not {"other pooling", "longer texts"} & {what for what, *_ in silent.events}


def of_sentences(folder, pooling, longest):
    modules = [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "1_Pooling").mkdir()
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest}))
