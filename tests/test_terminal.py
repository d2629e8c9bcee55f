"""Whatever the terminal is, and whether anybody reads: the work is done and nothing crashes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.ensemble import __main__ as ensemble
from tests.test_bad_files import Folder

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["fold-0.npz", "fold-1.npz", "fold-2.npz"]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def folder(tmp_path) -> Folder:
    made = Folder(tmp_path)
    made.classes, made.train[0][2], made.sample[0][1] = ["나쁨", "좋음"], "label", "예측"
    for n, row in enumerate(made.train[1:]):
        row[2] = made.classes[n % 2]
    for row in made.sample[1:]:
        row[1] = "나쁨"
    made.write()
    return made


def start(folder: Folder, command: str, *more: str, env: dict[str, str] | None = None, **pipes):
    words = [sys.executable, "-m", f"pipeline.{command}", "--root", str(folder.root), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.Popen(words, env=environment, **pipes)


def finished(folder: Folder) -> list[str]:
    return sorted(path.name for path in folder.root.glob("oof/toy/linear/seed-42/*.npz"))


def test_a_terminal_that_knows_ascii_only_gets_ascii(folder):
    root = str(folder.root)
    script = (
        "from pipeline import cv\n"
        "from pipeline.ensemble import __main__ as ensemble\n"
        "from pipeline.base.command import run\n"
        f"codes = [run(cv.main, ['--root', {root!r}, '--model', 'linear'])]\n"
        "for more in ([], ['--json', '--message', '\\uac00']):\n"
        f"    codes.append(run(ensemble.main, ['--root', {root!r}, *more]))\n"
        "exit(max(codes))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **ASCII}
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout.isascii()
    assert len(folder.submission()) == 7
    assert {row[1] for row in folder.submission()[1:]} <= {"나쁨", "좋음"}


@pytest.mark.nightly
def test_training_goes_on_when_nobody_reads_any_more(folder):
    """`python -m pipeline.cv … 2>&1 | head -1`: the reader is gone before the first fold ends."""
    reader, writer = os.pipe()
    process = start(folder, "cv", "--model", "linear", stdout=writer, stderr=writer)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    assert process.wait(60) == 0
    assert finished(folder) == NAMES
    assert (folder.root / "oof" / "toy" / "linear" / "run.json").exists()


@pytest.mark.nightly
def test_the_submission_is_written_though_nobody_reads_the_page(folder):
    folder.call(cv)
    reader, writer = os.pipe()
    os.close(reader)
    with start(folder, "ensemble", stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        _, error = process.communicate()
    assert (process.returncode, error) == (0, b"")
    assert len(folder.submission()) == 7


@pytest.mark.nightly
def test_a_dumb_terminal_sees_no_control_sequences(folder):
    ours, theirs = pty.openpty()
    env = {"TERM": "dumb", "NO_COLOR": "1"}
    process = start(folder, "cv", "--model", "linear", env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # the other end of a pty was closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    assert b"\x1b" not in seen
    assert b"seed-42/fold-2" in seen
    assert finished(folder) == NAMES


def test_a_log_that_cannot_be_written_costs_no_fold(folder, capsys):
    for fold in range(3):
        logs = folder.root / "runs" / "toy" / "linear" / "seed-42" / f"fold-{fold}" / "logs"
        logs.parent.mkdir(parents=True)
        logs.write_text("a file where the folder should be")
    assert folder.call(cv) == 0
    assert finished(folder) == NAMES
    streams = capsys.readouterr()
    assert "no TensorBoard log" in streams.out + streams.err
    assert "Traceback" not in streams.err


def test_a_full_disk_under_the_logs_costs_no_fold(folder, monkeypatch):
    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.training.tracking.EventFileWriter.add_event", full)
    assert folder.call(cv) == 0
    assert finished(folder) == NAMES


@pytest.mark.parametrize("command", [cv, ensemble])
def test_a_closed_standard_output_is_no_error(folder, monkeypatch, command):
    """As under a service manager, or with `>&-`."""
    folder.call(cv)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    model = ["--model", "linear"] if command is cv else []
    assert run(command.main, ["--root", str(folder.root), *model]) == 0
