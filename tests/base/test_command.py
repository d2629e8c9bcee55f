import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.command import run
from pipeline.base.errors import (
    ArtifactError,
    BusyError,
    DataError,
    DivergedError,
    ResourceError,
    UsageError,
)
from pipeline.base.stopping import Stopped, by_signal

ROOT = Path(__file__).resolve().parents[2]


def failing(error):
    def main(argv=None):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no such model"), 2),
        (DataError("bad row"), 3),
        (ResourceError("disk"), 4),
        (MemoryError(), 4),
        (OSError(28, "No space left on device"), 4),
        (ArtifactError("folds"), 5),
        (DivergedError("nan"), 6),
        (BusyError("held"), 75),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_no_traceback(error, code, capsys):
    assert run(failing(error)) == code
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "Traceback" not in streams.err
    assert (
        str(error.args[0] if error.args and isinstance(error.args[0], str) else "") in streams.err
    )


@pytest.mark.parametrize(
    ("stopped", "code"),
    [
        (Stopped("the time limit of 11h30m", 75), 75),
        (by_signal(signal.SIGINT), 130),
        (by_signal(signal.SIGTERM), 143),
    ],
)
def test_a_command_that_was_stopped_prints_itself_to_be_typed_again(
    stopped, code, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "argv", ["/x/cv.py", "--model", "a b"])
    assert run(failing(stopped)) == code
    assert capsys.readouterr().err == (
        f"stopped by {stopped}. What is finished or saved is kept; the same command goes on:\n"
        "  python -m pipeline.cv --model 'a b'\n"
    )


def test_a_full_disk_that_a_library_hides_is_no_bug_of_ours(capsys):
    hidden = RuntimeError("unexpected pos")
    hidden.__context__ = OSError(28, "No space left on device")
    assert run(failing(hidden)) == 4
    assert "no space left" in capsys.readouterr().err


def test_a_bug_of_ours_shows_its_traceback(capsys):
    assert run(failing(ZeroDivisionError("oops"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_success_is_zero():
    assert run(lambda argv: 0, []) == 0


def child(body: str, **more):
    script = f"""import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
from pipeline.base.command import run
def main(argv):
{body}
sys.exit(run(main))"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, **more)


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        (signal.SIGTERM, 143, "SIGTERM"),
        (signal.SIGINT, 130, "Ctrl-C"),
        (signal.SIGHUP, 143, "SIGHUP"),
    ],
)
def test_a_signal_has_its_exit_code_and_says_how_to_go_on(number, code, name):
    body = "    import time\n    print('up', flush=True)\n    time.sleep(60)"
    with child(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(number)
        message = process.stderr.read().decode()
    assert process.returncode == code
    assert message.startswith(f"stopped by {name}. ")
    assert "the same command goes on" in message


def test_a_reader_that_has_had_enough_is_no_error():
    body = "    for line in range(100000): print(line)\n    return 0"
    with child(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        message = process.stderr.read().decode()
    assert process.returncode == 0
    assert message == ""
