"""The hub as it is on a bad day, answered by a server of our own on this machine."""

import hashlib
import http.server
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.base.command import run
from pipeline.base.errors import ArtifactError, BusyError, ResourceError, UsageError
from pipeline.cv import main
from pipeline.models.hub.weights import fetch, locate
from pipeline.models.transformer_settings import TransformerRecipe
from tests.test_bad_files import Folder, sentence
from tests.tiny import tiny_backbone

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PRE_DOWNLOAD = "\n  hf download org/tiny --include '*.json'"


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one repository; *mood* says how it misbehaves."""

    folder: Path
    mood: str
    over: threading.Event

    def do_GET(self) -> None:
        if self.mood == "hang":
            self.over.wait(20)
        elif self.mood.isdigit():
            self.send_response(int(self.mood))
            self.send_header("Content-Length", "0")
            if self.mood == "404":
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
        elif "/resolve/" in self.path:
            self.serve(self.path.rpartition("/")[2])
        else:
            self.describe()

    do_HEAD = do_GET

    def describe(self) -> None:
        files = [
            {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": sha1(file)}
            for file in sorted(self.folder.iterdir())
        ]
        about = {
            "id": "org/tiny",
            "sha": COMMIT,
            "siblings": [{"rfilename": file["path"], "size": file["size"]} for file in files],
            "tags": [],
        }
        self.answer(json.dumps(files if "/tree/" in self.path else about).encode(), {})

    def serve(self, name: str) -> None:
        file = self.folder / name
        self.answer(file.read_bytes(), {"X-Repo-Commit": COMMIT, "ETag": f'"{sha1(file)}"'})

    def answer(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        broken = self.mood == "half" and self.path.endswith("model.safetensors")
        self.wfile.write(content[: len(content) // 2] if broken else content)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def sha1(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def hub(folder: Path, mood: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    over = threading.Event()
    handler = type("MoodyHub", (Hub,), {"folder": folder, "mood": mood, "over": over})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        template = here + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", here)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield
        over.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def hurried(tmp_path, monkeypatch) -> None:
    """An empty cache, short timeouts, and no waiting between tries."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.2)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def tiny(tmp_path) -> Path:
    return tiny_backbone(tmp_path / "tiny", ["a cat sleeps", *map(sentence, range(3))])


def recipe(**more) -> TransformerRecipe:
    return TransformerRecipe(name="x", backbone="org/tiny", **more)


def test_a_cache_that_is_too_full_is_refused_before_anything_is_downloaded(
    tiny, monkeypatch, tmp_path
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=10_000))
    with (
        hub(tiny, "good", monkeypatch),
        pytest.raises(
            ResourceError, match=r"org/tiny takes \d+\.\d kB in .*cache, 10\.0 kB are free"
        ),
    ):
        fetch(locate(recipe()))
    assert not list(tmp_path.glob("cache/**/*.safetensors"))


@pytest.mark.parametrize(
    ("mood", "kind", "message"),
    [
        (
            "401",
            UsageError,
            "refuses org/tiny (HTTP 401): the token it was asked with is not valid",
        ),
        ("403", UsageError, "refuses org/tiny (HTTP 403)"),
        ("404", UsageError, "the hub has no org/tiny"),
        ("429", BusyError, "429"),
        ("503", BusyError, "503"),
        ("half", BusyError, "cannot download org/tiny"),
        ("hang", BusyError, "cannot download org/tiny"),
    ],
)
def test_a_hub_that_misbehaves_ends_in_advice_and_soon(tiny, monkeypatch, mood, kind, message):
    began = time.monotonic()
    with hub(tiny, mood, monkeypatch), pytest.raises(kind, match=re.escape(message)) as caught:
        fetch(locate(recipe()))
    assert time.monotonic() - began < 10
    if kind is BusyError:
        assert PRE_DOWNLOAD in str(caught.value)
    assert locate(recipe()).digest is None, "half a download counts as none"


def test_what_was_downloaded_is_not_what_the_recipe_names(tiny, monkeypatch):
    with hub(tiny, "well", monkeypatch), pytest.raises(ArtifactError, match="does not hold the"):
        fetch(locate(recipe(sha256="0" * 64)))


def test_a_download_that_broke_off_is_completed_by_the_same_command(tiny, monkeypatch):
    with hub(tiny, "half", monkeypatch), pytest.raises(BusyError):
        fetch(locate(recipe()))
    with hub(tiny, "well", monkeypatch):
        assert fetch(locate(recipe())).digest is not None


def test_a_cached_model_trains_offline_without_asking_anyone(tmp_path, tiny, monkeypatch):
    home = tmp_path / "cache" / "models--org--tiny"
    shutil.copytree(tiny, home / "snapshots" / COMMIT)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)

    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    folder = Folder(tmp_path)
    folder.write()
    settings = [word for each in ("epochs=1", "max_length=16") for word in ("--set", each)]
    options = ["--model", "org/tiny", *settings, "--only-fold", "0", "--no-weights"]
    assert run(main, ["--root", str(tmp_path), *options]) == 0
    assert list(tmp_path.glob("oof/toy/*/seed-42/fold-0.npz"))


def test_offline_a_model_that_is_not_there_ends_at_once_with_the_command(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = Folder(tmp_path)
    folder.write()
    began = time.monotonic()
    assert run(main, ["--root", str(tmp_path), "--model", "org/tiny"]) == 2
    assert time.monotonic() - began < 10
    message = capsys.readouterr().err
    assert "HF_HUB_OFFLINE is set" in message
    assert PRE_DOWNLOAD in message
    assert not (tmp_path / "oof").exists()
