import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.command import SIGNALS, Stop, Stopped, by_signal, run, seconds_of
from pipeline.base.errors import (
    ArtifactError,
    BusyError,
    DataError,
    DivergedError,
    ResourceError,
    UsageError,
)

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


# A command that ends before its work is done.


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("11h30m", 41_400),
        ("45m", 2_700),
        ("90s", 90),
        ("1d", 86_400),
        ("1d2h3m4s", 93_784),
        ("90", 90),
        ("0.5", 0.5),
        ("0s", 0),
    ],
)
def test_durations_are_read(text, seconds):
    assert seconds_of(text, "--time-limit") == seconds


@pytest.mark.parametrize("text", ["", "soon", "30m11h", "1h 30m", "-5m", "1.5h", "h", "5x", "1e3"])
def test_what_is_no_duration_is_refused_naming_the_option(text):
    with pytest.raises(UsageError, match=f"--time-limit {text}: expected a duration such as 11h30"):
        seconds_of(text, "--time-limit")
    with pytest.raises(UsageError, match="--checkpoint-every"):
        seconds_of(text, "--checkpoint-every")


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (signal.SIGINT, "Ctrl-C", 130),
        (signal.SIGTERM, "SIGTERM", 143),
        (signal.SIGHUP, "SIGHUP", 143),
    ],
)
def test_outside_of_training_a_signal_ends_the_command_at_once(number, reason, code):
    before = signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with pytest.raises(Stopped) as caught, Stop().listening():
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)
    assert (str(caught.value), caught.value.exit_code) == (reason, code)


def test_while_steps_are_taken_the_first_signal_asks_and_the_second_ends(capfd):
    stop = Stop()
    with stop.listening(), stop.at_boundaries():
        assert stop.due() is None
        stop.check()
        os.kill(os.getpid(), signal.SIGTERM)
        asked = stop.due()
        with pytest.raises(Stopped, match="Ctrl-C") as caught:
            os.kill(os.getpid(), signal.SIGINT)
    assert (str(asked), asked.exit_code) == ("SIGTERM", 143)
    assert caught.value.exit_code == 130
    assert "SIGTERM: saving at the next step; once more stops at once" in capfd.readouterr().err
    with pytest.raises(Stopped, match="SIGTERM"):
        stop.check()


def test_a_second_signal_ends_the_command_where_nobody_looks_any_more():
    stop = Stop()
    with stop.listening(), stop.at_boundaries():
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped), stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)


def test_an_error_at_a_boundary_gives_signals_their_force_back():
    stop = Stop()
    with pytest.raises(ValueError, match="oops"), stop.at_boundaries():
        raise ValueError("oops")
    with pytest.raises(Stopped), stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_handlers_from_before_are_put_back():
    def mine(number, frame):
        raise AssertionError

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number, handler in zip(SIGNALS, (signal.SIG_IGN, mine, signal.SIG_DFL), strict=True):
            signal.signal(number, handler)
        stop = Stop()
        with stop.listening():
            assert [signal.getsignal(number) for number in SIGNALS] == [stop.handle] * 3
        assert [signal.getsignal(number) for number in SIGNALS] == [
            signal.SIG_IGN,
            mine,
            signal.SIG_DFL,
        ]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_nohup_keeps_the_command_alive_when_its_terminal_goes_away():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop().listening():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_time_limit_leaves_time_to_save():
    clock = Clock()
    stop = Stop(clock)
    assert stop.due(reserve=1e9) is None
    stop.set_limit("10m")
    clock.now += 539
    assert stop.due() is None
    assert stop.due(reserve=60) is None
    clock.now += 1
    assert stop.due() is None
    ended = stop.due(reserve=60)
    assert (str(ended), ended.exit_code) == ("the time limit of 10m", 75)
    clock.now += 60
    with pytest.raises(Stopped, match="the time limit of 10m"):
        stop.check()


def test_a_signal_outweighs_the_time_limit():
    clock = Clock()
    stop = Stop(clock)
    stop.set_limit("1m")
    clock.now += 100
    stop.asked = by_signal(signal.SIGTERM)
    assert stop.due().exit_code == 143


def test_no_library_takes_a_stop_for_a_failure():
    assert not issubclass(Stopped, Exception)


def test_a_limit_that_is_no_duration_is_refused():
    with pytest.raises(UsageError, match="--time-limit soon"):
        Stop().set_limit("soon")
