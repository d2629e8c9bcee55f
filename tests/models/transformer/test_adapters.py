"""Adapters: only they and the head are trained and saved, and every fold starts from one base."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.paths import Workspace
from pipeline.models.hub.weights import locate
from pipeline.models.transformer.craft import draw_adapters
from pipeline.models.transformer_settings import Lora, TransformerRecipe
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.architectures import architecture
from tests.fitting import CPU
from tests.models.transformer.learners import WATCH, WORDS, factory_for, fitted, pairs
from tests.nightly import every

TRAIN, TEST = pairs(24), pairs(9, seed=1, labelled=False)


def factory_of(tmp_path, kind, lora=None, **changes):
    folder = architecture(tmp_path / kind, kind, "bare", [*WORDS, "the"])
    settings = {"pooling": "last", "max_length": 24, "lora": lora or Lora(rank=4), **changes}
    return factory_for(folder, **settings)


@pytest.mark.parametrize(
    "kind", every(3, ["qwen3", "gemma3_text", "llama", "t5", "gpt2", "modernbert"])
)
def test_a_backbone_with_adapters_learns_and_only_they_and_the_head_are_saved(kind, tmp_path):
    factory = factory_of(tmp_path, kind, gradient_checkpointing=True)
    base = {name: w.clone() for name, w in factory.shared.pristine.backbone.named_parameters()}
    learner = fitted(factory, TRAIN, tmp_path / "fold")
    before = learner.predict(TEST, WATCH)
    assert np.ptp(before) > 1e-3
    now = dict(factory.shared.pristine.backbone.named_parameters())
    moved = {name for name in base if not torch.equal(base[name], now[name])}
    assert moved == set(factory.shared.pristine.adapters)
    learner.save(tmp_path / "weights")
    saved = load_file(tmp_path / "weights" / "weights.safetensors")
    assert {name.partition(".")[0] for name in saved} == {"backbone", "head"}
    assert {n for n in saved if "backbone" in n} == {f"backbone.{name}" for name in moved}
    size = (tmp_path / "weights" / "weights.safetensors").stat().st_size
    assert 0 < size - factory.disk_bytes() < 16_000  # a head, and names
    fitted(factory, pairs(24, seed=5), tmp_path / "other", seed=2)
    again = factory.load(tmp_path / "weights")
    assert again.predict(TEST, WATCH).tobytes() == before.tobytes()


def test_every_fold_starts_from_the_same_base_and_draws_by_its_own_seed(tmp_path):
    factory = factory_of(tmp_path, "qwen3")
    first = fitted(factory, TRAIN, tmp_path / "a", seed=1).predict(TEST, WATCH)
    second = fitted(factory, TRAIN, tmp_path / "b", seed=2).predict(TEST, WATCH)
    again = fitted(factory, TRAIN, tmp_path / "c", seed=1).predict(TEST, WATCH)
    assert again.tobytes() == first.tobytes()
    assert second.tobytes() != first.tobytes()


def test_adapters_add_nothing_at_first_and_are_drawn_by_the_seed_alone(tmp_path):
    pristine = factory_of(tmp_path, "qwen3").shared.pristine

    def drawn(seed):
        pristine.restore()
        state = torch.get_rng_state()
        draw_adapters(pristine, seed)
        assert torch.equal(torch.get_rng_state(), state)
        named = pristine.backbone.named_parameters()
        return {name: w.detach().clone() for name, w in named if name in pristine.adapters}

    first, second = drawn(1), drawn(2)
    assert all(torch.equal(w, first[name]) for name, w in drawn(1).items())
    assert {name for name, w in second.items() if torch.equal(w, first[name])} == {
        name for name, w in first.items() if ".lora_B." in name and not w.any()
    }


def test_a_checkpoint_holds_what_is_trained_and_nothing_of_the_base(tmp_path):
    factory = factory_of(tmp_path, "qwen3", average={"ema": 0.9})
    factory.shared = replace(
        factory.shared, fitter=FoldFitter(CPU, FailurePolicy(checkpoint_seconds=0.0))
    )
    fitted(factory, TRAIN, tmp_path / "fold")
    (file, *_) = Workspace(tmp_path / "fold").checkpoints.glob("*.safetensors")
    names = [name for name in load_file(file) if name.startswith(("state_dict/", "training/av"))]
    assert any(".lora_A." in name for name in names)
    assert not [name for name in names if "base_layer" in name or "embed_tokens" in name]
    assert len([name for name in names if name.startswith("training/av")]) == len(
        [name for name in names if name.startswith("state_dict/")]
    )
    assert file.stat().st_size < 1.2 * factory.checkpoint_bytes() + 50_000


def test_the_side_on_which_a_tokenizer_pads_changes_nothing(tmp_path):
    factory = factory_of(tmp_path, "llama")
    right = fitted(factory, TRAIN, tmp_path / "right").predict(TEST, WATCH)
    factory.shared.store.tokenizer.padding_side = "left"
    left = fitted(factory, TRAIN, tmp_path / "left").predict(TEST, WATCH)
    assert left.tobytes() == right.tobytes()


def test_names_that_no_layer_has_are_refused_with_those_there_are(tmp_path):
    with pytest.raises(UsageError, match=r"qwen3: targets are query, .*down_proj.*q_proj"):
        factory_of(tmp_path, "qwen3", Lora(targets=["query"]))


def test_saved_adapters_of_another_rank_are_refused(tmp_path):
    fitted(factory_of(tmp_path, "llama"), TRAIN, tmp_path / "fold").save(tmp_path / "weights")
    with pytest.raises(ArtifactError, match="holds another model than toy"):
        factory_of(tmp_path, "llama", Lora(rank=2)).load(tmp_path / "weights")
    with pytest.raises(ArtifactError, match="holds another model than toy"):
        factory_of(tmp_path, "llama", Lora(rank=4, targets=["q_proj"])).load(tmp_path / "weights")


@pytest.mark.parametrize(
    ("missing", "lora", "extra"),
    [("peft", Lora(), "lora"), ("bitsandbytes", Lora(four_bit=True), "four-bit")],
)
def test_a_library_that_is_not_there_is_asked_for_before_anything_else(
    missing, lora, extra, monkeypatch
):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else there("yaml")
    )
    recipe = TransformerRecipe(name="toy", backbone="nobody/nothing", lora=lora)
    with pytest.raises(
        UsageError, match=rf'needs .*{missing} is not installed.*pip install "foldstack\[{extra}\]"'
    ):
        locate(recipe)


def test_four_bits_without_a_gpu_are_refused_before_the_backbone_is_looked_for(tmp_path):
    with pytest.raises(UsageError, match=r"lora.four_bit, which needs an NVIDIA GPU.*cpu \("):
        factory_for(tmp_path / "nowhere", lora=Lora(four_bit=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora": Lora(rank=0)}, "lora.rank is 0; it must be at least 1"),
        ({"lora": Lora(alpha=0)}, "lora.alpha is 0; it must be above 0"),
        ({"lora": Lora(dropout=1)}, "lora.dropout is 1; it must be a share"),
        ({"lora": Lora(), "fgm": 1.0}, "and fgm is about them"),
        ({"lora": Lora(), "reinit_layers": 1}, "and reinit_layers is about them"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        TransformerRecipe(name="toy", backbone="a/b", **settings)
