"""`--track`: a process beside the training, which can neither stop it nor change a byte of it."""

import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import cv
from pipeline.base.errors import DivergedError
from pipeline.experiments import companion
from pipeline.experiments.companion import tracked
from pipeline.track import Heard
from pipeline.training.parallel.workers import of_worker
from tests.test_bad_files import Folder

pytest.importorskip("mlflow", reason='pip install "foldstack[mlflow]"')


@pytest.fixture
def folder(tmp_path) -> Folder:
    found = Folder(tmp_path)
    found.write()
    return found


@pytest.fixture
def silent(monkeypatch) -> Iterator[str]:
    """A server that takes every connection and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri


@pytest.fixture
def gone(monkeypatch) -> str:
    """The address of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def manifests(root: Path) -> dict[str, dict]:
    """Every manifest under oof/, without what differs from one training to the next."""
    found = {}
    for path in sorted(root.glob("oof/**/*.json")):
        facts = json.loads(path.read_text())
        for name in ("seconds", "peak_memory", "events"):
            facts.pop(name)
        facts.get("learner", {}).pop("fit_seconds", None)
        found[str(path.relative_to(root))] = facts
    return found


@pytest.mark.nightly
def test_a_server_that_is_gone_changes_no_byte_and_is_told_in_one_line(
    folder, gone, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(companion, "PATIENCE_SECONDS", 100.0)  # this machine may be busy
    assert folder.call(cv) == 0
    before, facts = folder.predictions(), manifests(tmp_path)
    capsys.readouterr()
    assert folder.call(cv, "--fresh", "--yes", "--track", "mlflow") == 0
    assert folder.predictions() == before
    assert manifests(tmp_path) == facts
    said = [line for line in capsys.readouterr().err.splitlines() if "--track" in line]
    assert len(said) == 1
    assert said[0].startswith("warning: --track mlflow: MlflowException: API request to ")
    again = f"python -m pipeline.track --to mlflow --root {tmp_path} --competition toy"
    assert said[0].endswith(f"To send what is missing: {again}")


def test_a_server_that_never_answers_is_not_waited_for(folder, silent, capsys, monkeypatch):
    monkeypatch.setattr(companion, "PATIENCE_SECONDS", 0.2)
    began: list[float] = []
    end = companion.Companion.end

    def timed(self: companion.Companion, patience: float) -> None:
        began.append(time.monotonic())
        end(self, patience)
        began.append(time.monotonic())
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    monkeypatch.setattr(companion.Companion, "end", timed)
    assert folder.call(cv, "--track", "mlflow") == 0
    assert began[1] - began[0] < 5
    assert "still sending, by process" in capsys.readouterr().err


def lines_of(tmp_path: Path, program: str, monkeypatch, patience: float = 20.0) -> list[str]:
    """What is said where *program* is the process beside an empty command."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(companion.sys, "executable", str(script))
    monkeypatch.setattr(companion, "PATIENCE_SECONDS", patience)
    said: list[str] = []
    with tracked("mlflow", "toy", str(tmp_path), 0.5, said.append) as beside:
        assert beside is not None
        for number in range(3):
            beside.expect(f"run-{number}", {"epochs": number})
    return said


def test_the_process_hears_of_every_run_and_its_answer_is_told(tmp_path, gone, monkeypatch):
    program = "import sys, json; n = len(sys.stdin.read().split())\n"
    program += "print(json.dumps({'records': n, 'link': 'here', 'trouble': ''}))"
    said = lines_of(tmp_path, program, monkeypatch)
    assert said == ["--track mlflow: 3 records brought up to date, here"]
    noted = tmp_path / "runs" / "toy" / ".tracked" / "run-2" / "settings.json"
    assert json.loads(noted.read_text()) == {"epochs": 2}


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('no answer')", "import nothing"])
def test_a_process_that_dies_is_told_of_and_does_no_harm(tmp_path, gone, monkeypatch, program):
    (said,) = lines_of(tmp_path, program, monkeypatch)
    assert said.startswith("warning: --track mlflow: it ended without an answer. To send")


def test_what_cannot_be_started_is_told_of_and_does_no_harm(tmp_path, gone, monkeypatch):
    monkeypatch.setattr(companion.sys, "executable", str(tmp_path / "nothing"))
    said: list[str] = []
    with tracked("mlflow", "toy", str(tmp_path), 0.5, said.append) as beside:
        assert beside is not None
        beside.expect("linear", {})
    assert len(said) == 1
    assert said[0].startswith("warning: --track mlflow: ")


def test_a_full_disk_keeps_no_note_and_stops_nothing(tmp_path, gone, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(companion, "commit_json", full)
    said = lines_of(tmp_path, "raise SystemExit(1)", monkeypatch)
    assert len(said) == 1


def test_a_command_that_fails_ends_as_it_would(tmp_path, gone, monkeypatch):
    monkeypatch.setattr(companion.sys, "executable", "/bin/true")
    with pytest.raises(DivergedError), tracked("mlflow", "toy", str(tmp_path), 0.5, print):
        raise DivergedError("NaN")


def test_no_server_named_and_a_dry_run(folder, monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert folder.call(cv, "--track", "mlflow") == 2
    assert "which MLflow server? Set MLFLOW_TRACKING_URI" in capsys.readouterr().err
    assert not (tmp_path / "oof").exists()
    assert folder.call(cv, "--track", "mlflow", "--dry-run") == 0
    assert not (tmp_path / "runs" / "toy" / ".tracked").exists()
    assert folder.call(cv, "--track", "tensorboard") == 2


def test_a_command_that_was_killed_says_no_farewell():
    for said, farewell in (("linear\nminilm\nlinear\n\n", True), ("linear\nminilm\n", False)):
        heard = Heard()
        heard.listen(io.StringIO(said))
        assert (heard.runs, heard.farewell) == (["linear", "minilm"], farewell)
        assert heard.ended.is_set()


def test_workers_leave_it_to_their_leader():
    assert of_worker(["--model", "linear", "--track", "mlflow"]) == ["--model", "linear"]
