import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.command import run
from pipeline.errors import (
    ArtifactError,
    BusyError,
    DataError,
    DivergedError,
    ResourceError,
    UsageError,
)

ROOT = Path(__file__).resolve().parents[1]


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


def test_a_bug_of_ours_shows_its_traceback(capsys):
    assert run(failing(ZeroDivisionError("oops"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_success_is_zero():
    assert run(lambda argv: 0, []) == 0


def child(body: str, **more):
    script = f"""import sys
from pipeline.command import run
def main(argv):
{body}
sys.exit(run(main))"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, **more)


def test_sigterm_exits_143_and_says_how_to_go_on():
    body = "    import time\n    print('up', flush=True)\n    time.sleep(60)"
    with child(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        message = process.stderr.read().decode()
    assert process.returncode == 143
    assert "the same command goes on" in message


def test_a_reader_that_has_had_enough_is_no_error():
    body = "    for line in range(100000): print(line)\n    return 0"
    with child(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        message = process.stderr.read().decode()
    assert process.returncode == 0
    assert message == ""
