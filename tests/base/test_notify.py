"""`--notify`: a program is told how a command ended, and can do it no harm."""

import json
import sys

import pytest

from pipeline.base import command
from pipeline.base.command import STOP, Stopped, notified, run
from pipeline.base.errors import DivergedError, UsageError
from pipeline.ensemble.__main__ import main as ensemble
from tests.submitted import root, written

__all__ = ["root", "written"]

TOLD = """
import json, os
told = {name: value for name, value in os.environ.items() if name.startswith("FOLDSTACK")}
print(json.dumps(told), file=open("told.json", "w"))
"""


def hook(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hook.py").write_text(TOLD)
    return f"{sys.executable} hook.py 'two words' '; touch harmed' $(touch harmed)"


def told(tmp_path) -> dict[str, str]:
    return json.loads((tmp_path / "told.json").read_text())


def test_a_good_end_is_told_and_no_shell_reads_the_command(tmp_path, monkeypatch):
    with notified(hook(tmp_path, monkeypatch), "cv", "demo", str(tmp_path)) as news:
        news["SCORE"] = "0.5; touch harmed"
    found = told(tmp_path)
    assert found["FOLDSTACK_STATUS"] == "done"
    assert found["FOLDSTACK_EXIT_CODE"] == "0"
    assert found["FOLDSTACK_COMMAND"] == "cv"
    assert found["FOLDSTACK_COMPETITION"] == "demo"
    assert found["FOLDSTACK_SCORE"] == "0.5; touch harmed"
    assert float(found["FOLDSTACK_SECONDS"]) >= 0
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (DivergedError("NaN in\x00 step 3"), 6, "failed"),
        (Stopped("the time limit of 9h", 75), 75, "stopped"),
        (KeyboardInterrupt(), 130, "stopped"),
        (MemoryError(), 4, "failed"),
        (ZeroDivisionError("our bug"), 1, "failed"),
    ],
)
def test_a_bad_end_is_told_with_the_exit_code_that_the_command_has(
    tmp_path, monkeypatch, capsys, error, code, status
):
    words = hook(tmp_path, monkeypatch)

    def main(argv):
        with notified(words, "cv", "demo", "."):
            raise error

    assert run(main, []) == code
    found = told(tmp_path)
    assert (found["FOLDSTACK_STATUS"], found["FOLDSTACK_EXIT_CODE"]) == (status, str(code))
    assert str(error).replace("\x00", "") in found["FOLDSTACK_MESSAGE"]
    assert STOP.asked is None


@pytest.mark.parametrize("script", ["raise SystemExit(3)", "import time; time.sleep(60)"])
def test_a_program_that_fails_or_hangs_is_one_line_and_no_exit_code(
    tmp_path, monkeypatch, capsys, script
):
    monkeypatch.setattr(command, "HOOK_SECONDS", 1.0)
    (tmp_path / "bad.py").write_text(script)

    def main(argv):
        with notified(f"{sys.executable} {tmp_path}/bad.py", "cv", "demo", "."):
            return 0

    assert run(main, []) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("warning: --notify ")


@pytest.mark.parametrize("words", ["", "no-such-program-here x", "echo 'open"])
def test_what_cannot_be_started_is_refused_before_anything_runs(words):
    with pytest.raises(UsageError, match="--notify"), notified(words, "cv", "demo", "."):
        raise AssertionError("it ran")


def test_ensemble_tells_its_runs_score_and_file(root, tmp_path, monkeypatch, capsys):
    words = hook(tmp_path, monkeypatch)
    options = ["--root", str(root), "--config", "toy", "--runs", "m0", "m1", "--json"]
    assert run(ensemble, [*options, "--method", "mean", "--notify", words]) == 0
    answer = json.loads(capsys.readouterr().out)  # what the program prints is not in it
    found = told(tmp_path)
    assert found["FOLDSTACK_RUNS"] == "m0 m1"
    assert float(found["FOLDSTACK_SCORE"]) == pytest.approx(answer["scores"]["honest"], abs=1e-6)
    assert found["FOLDSTACK_FILE"] == answer["submission"]
    assert run(ensemble, [*options, "--runs", "none", "--notify", words]) != 0
    assert told(tmp_path)["FOLDSTACK_STATUS"] == "failed"
    assert "none" in told(tmp_path)["FOLDSTACK_MESSAGE"]
