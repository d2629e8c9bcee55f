"""A backbone from a stranger: its code is never run, its pickles never loaded, nobody is asked."""

import json
import pickle
from pathlib import Path

import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.errors import ArtifactError, UsageError
from pipeline.models.hub.weights import load_backbone, load_tokenizer, locate
from pipeline.models.transformer_settings import TransformerRecipe
from tests.base.test_untrusted import Evil
from tests.test_bad_files import Folder
from tests.tiny import tiny_backbone

EVIL = "from pathlib import Path\nPath({marker!r}).touch()\nclass Model: pass\nclass Tokens: pass\n"


@pytest.fixture
def tiny(tmp_path) -> Path:
    return tiny_backbone(tmp_path / "tiny", ["a cat sleeps"])


@pytest.fixture
def marker(tmp_path, monkeypatch) -> Path:
    """What must not appear; and whoever asks a question gets no answer."""

    def asked(*args: object) -> str:
        raise AssertionError("a question was asked")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    return tmp_path / "marker"


def recipe(folder: Path) -> TransformerRecipe:
    return TransformerRecipe(name="x", backbone=str(folder))


def change(file: Path, **values: object) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}),
        ("config.json", {"auto_map": {"AutoConfig": "evil.Model"}, "model_type": "evil"}),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": "evil.Model"}}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokens", "evil.Tokens"]}}),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "evil.Tokens"}}),
    ],
)
def test_cv_refuses_code_of_a_model_folder_without_running_it_or_asking(
    tmp_path, tiny, marker, capsys, name, values
):
    (tiny / "evil.py").write_text(EVIL.format(marker=str(marker)))
    change(tiny / name, **values)
    folder = Folder(tmp_path)
    folder.write()
    assert run(cv.main, ["--root", str(tmp_path), "--model", str(tiny)]) == 2
    message = capsys.readouterr().err
    assert f"needs code of its own ({name} has auto_map), which is never run" in message
    assert "choose a backbone that transformers knows by itself" in message
    assert not marker.exists()
    assert not (tmp_path / "oof").exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_a_kernel_from_the_hub_is_code_as_well(tiny, key):
    change(tiny / "config.json", **{key: "somebody/kernel"})
    with pytest.raises(UsageError, match=rf"config\.json has {key}\), which is never run"):
        locate(recipe(tiny))


def test_an_attention_that_transformers_has_is_none(tiny):
    change(tiny / "config.json", attn_implementation="eager")
    assert load_backbone(locate(recipe(tiny))).config._attn_implementation == "eager"


def test_an_adapter_is_refused_because_its_weights_come_from_elsewhere(tiny):
    change(tiny / "adapter_config.json", base_model_name_or_path="somebody/else")
    with pytest.raises(UsageError, match=r"it is an adapter \(adapter_config\.json\); merge it"):
        locate(recipe(tiny))


def test_a_pickle_named_safetensors_is_refused_and_never_run(tiny, marker):
    (tiny / "model.safetensors").write_bytes(pickle.dumps(Evil(marker)))
    with pytest.raises(ArtifactError, match=r"model\.safetensors is damaged .*Get the file again"):
        locate(recipe(tiny))
    assert not marker.exists()


def test_pickles_beside_the_weights_are_never_opened(tiny, marker):
    for name in ("pytorch_model.bin", "tf_model.h5", "optimizer.pt", "vocab.pkl", "scaler.joblib"):
        (tiny / name).write_bytes(pickle.dumps(Evil(marker)))
    weights = locate(recipe(tiny))
    load_tokenizer(weights)
    load_backbone(weights)
    assert not marker.exists()


def test_a_settings_file_nested_without_end_is_damaged_not_a_crash(tiny):
    (tiny / "config.json").write_text('{"a": ' + "[" * 200_000)
    with pytest.raises(ArtifactError, match=r"config\.json is damaged"):
        locate(recipe(tiny))
