"""`pipeline.pretrain`: found by content, the same bytes when killed, a backbone like any other."""

import json

import pytest
from transformers import LlamaConfig, LlamaModel

from pipeline.base.command import run as guarded
from pipeline.base.errors import UsageError
from pipeline.base.fault_injection import Injected
from pipeline.base.paths import Paths
from pipeline.models.learner import Silent
from pipeline.models.recipes import LinearRecipe, find
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.pretrain.__main__ import main
from pipeline.training.options import FailurePolicy
from pipeline.training.pretraining import Pretraining, pretrain
from tests.models.transformer.learners import WORDS, backbone, factory_for, fitted, pairs
from tests.tiny import tiny_tokenizer
from tests.toy import toy_competition
from tests.training.toys import inject

TEXTS = [f"{one} the {other}" for one in WORDS for other in WORDS]
SETTINGS = Pretraining(epochs=2, batch_size=12, learning_rate=0.001)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("tiny"))


def made(root, where, texts=TEXTS, settings=SETTINGS, recipe=None):
    recipe = recipe or TransformerRecipe(name="toy", backbone=str(where), max_length=16)
    policy = FailurePolicy(checkpoint_seconds=0.0)
    return pretrain(recipe, texts, settings, Paths(root, "toy"), policy, Silent())


def test_a_killed_pretraining_ends_in_the_same_bytes_and_is_found_by_what_it_was_made_of(
    bert, tmp_path, monkeypatch
):
    whole = made(tmp_path / "whole", bert)
    assert whole.record["objective"] == "masked"
    assert (whole.record["texts"], whole.record["steps"]) == (36, 6)
    inject(monkeypatch, "step:4:raise")
    with pytest.raises(Injected):
        made(tmp_path, bert)
    inject(monkeypatch, "")
    assert list(tmp_path.glob("runs/pretrained/*/checkpoints/step-00000003.safetensors"))
    again = made(tmp_path, bert)
    assert again.record == whole.record
    assert not list(again.folder.parent.glob("checkpoints"))
    inject(monkeypatch, "step:1:raise")  # nothing is trained any more
    assert not made(tmp_path, bert).new
    with pytest.raises(Injected):
        made(tmp_path, bert, texts=TEXTS[1:])
    (again.folder / "model.safetensors").write_bytes(b"x")
    inject(monkeypatch, "step:1:raise")
    with pytest.raises(Injected):
        made(tmp_path, bert)


def test_what_comes_out_is_a_backbone_that_has_learned(bert, tmp_path):
    found = made(tmp_path, bert, settings=Pretraining(epochs=8, batch_size=12, learning_rate=0.01))
    losses = found.record["losses"]
    assert losses[-1] < losses[0] - 0.3
    train = pairs(16)
    learner = fitted(factory_for(found.folder), train, tmp_path / "fold")
    assert learner.predict(train, Silent()).shape == (16, 1)


def test_a_tokenizer_is_learned_from_the_texts_for_a_model_from_nothing(bert, tmp_path):
    texts = [f"{word}{number}" for word in ("새싹", "나무", "꽃잎") for number in range(30)]
    anew = Pretraining(epochs=1, batch_size=64, new_vocabulary=200)
    found = made(tmp_path, bert, texts, anew)
    factory = factory_for(found.folder)
    tokenizer = factory.shared.store.tokenizer
    assert len(tokenizer) == 95
    assert tokenizer.unk_token_id not in tokenizer("새싹7 꽃잎3")["input_ids"]
    assert factory.backbone_facts.words == len(tokenizer)


def test_a_decoder_learns_the_next_word(tmp_path):
    tokenizer = tiny_tokenizer(TEXTS)
    tokenizer.save_pretrained(tmp_path / "llama")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), pad_token_id=0, **sizes, **heads)
    LlamaModel(config).save_pretrained(tmp_path / "llama")
    found = made(tmp_path, tmp_path / "llama")
    assert found.record["objective"] == "causal"
    assert factory_for(found.folder, pooling="last").backbone_facts.kind == "llama"


def test_what_cannot_be_pretrained_is_refused(bert, tmp_path):
    with pytest.raises(UsageError, match="linear has no backbone"):
        made(tmp_path, bert, recipe=LinearRecipe())
    with pytest.raises(UsageError, match=r"--mask is 1\.5"):
        Pretraining(mask=1.5)


def test_the_command_writes_a_recipe_and_says_whose_texts_were_read(tmp_path, capsys):
    root = toy_competition(tmp_path)
    asked = ["--root", str(root), "--model", "tiny", "--epochs", "1", "--batch-size", "64"]
    counts = []
    for more in ([], ["--with-test-texts"]):
        assert guarded(main, [*asked, *more, "--json"]) == 0
        out = capsys.readouterr()
        found = json.loads(out.out)
        counts.append(found["texts"])
        name = found["recipe"].rpartition("/")[2].removesuffix(".yaml")
        recipe = find(name, root)
        assert (recipe.backbone, recipe.sha256) == (found["folder"], found["sha256"])
        assert recipe.epochs == find("tiny", root).epochs
    own = {*texts_in(root / "train.csv")}
    assert counts == [len(own), len(own | {*texts_in(root / "test.csv")})]


def texts_in(path):
    lines = path.read_text().splitlines()[1:]
    return [text for line in lines for text in line.split(",")[1:3]]
