"""One writer at a time, on this machine and others."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from pipeline.base import leases
from pipeline.base.errors import BusyError, ResourceError
from pipeline.base.leases import holder_pid, lease
from tests.toy import environment

SHORT = 1.0
HOLD = """
import socket, sys, time
from pathlib import Path
from pipeline.base import leases
path, seconds, host = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
leases.LEASE_SECONDS = seconds
if host:
    socket.gethostname = lambda: host
with leases.lease(path, "fold 0"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder_process(path, seconds=leases.LEASE_SECONDS, host=""):
    """A process that holds *path* until it is killed; *host*: what it calls its machine."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds), host],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def kill(child):
    child.kill()
    child.wait()
    child.stdout.close()


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", SHORT)
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.05)


@pytest.fixture
def foreign(tmp_path, short):
    """The marker that a holder on another machine left when it was killed."""
    path = tmp_path / "fold.lease"
    kill(holder_process(path, SHORT, "elsewhere"))
    return path


def took(path):
    began = time.monotonic()
    with lease(path, "fold 0") as held:
        held.check()
        return time.monotonic() - began


def test_a_living_holder_is_named_and_a_dead_one_is_followed_at_once(tmp_path):
    path = tmp_path / "runs" / "fold.lease"
    child = holder_process(path)
    try:
        for moment in (978307200, None, 4070908800):  # 2001, as it is, 2099
            if moment is not None:
                os.utime(path, (moment, moment))
            with pytest.raises(BusyError) as caught, lease(path, "fold 0"):
                pass
            told = str(caught.value)
            assert f"fold 0 is being written by process {child.pid} on " in told
            assert socket.gethostname() in told
            assert "last sign of life" in told
            assert "s ago" in told
            assert "-" not in told.partition("life ")[2]
    finally:
        kill(child)
    assert holder_pid(path) == child.pid
    assert took(path) < 0.5


def test_a_dead_holder_is_followed_where_two_names_cannot_be_exchanged(tmp_path, monkeypatch):
    monkeypatch.setattr("filelock._soft.exchange_supported", lambda: False)
    path = tmp_path / "fold.lease"
    kill(holder_process(path))
    assert took(path) < 0.5


def test_the_same_process_does_not_get_it_twice(tmp_path):
    path = tmp_path / "fold.lease"
    with (
        lease(path, "fold 0"),
        pytest.raises(BusyError, match=f"process {os.getpid()}"),
        lease(path, "fold 0"),
    ):
        pass
    assert not path.exists()
    assert took(path) < 0.5


@pytest.mark.parametrize("moment", [978307200, 4070908800])  # 2001 and 2099
def test_a_marker_of_another_machine_that_stands_still_is_taken_over_after_the_lease_time(
    foreign, moment
):
    os.utime(foreign, (moment, moment))
    assert SHORT <= took(foreign) < 2 * SHORT


def test_a_marker_of_another_machine_that_is_refreshed_is_busy_and_soon_found_so(foreign):
    refreshing = threading.Timer(0.3, os.utime, [foreign])
    refreshing.start()
    began = time.monotonic()
    with pytest.raises(BusyError, match="on elsewhere"), lease(foreign, "fold 0"):
        pass
    assert 0.2 < time.monotonic() - began < SHORT
    refreshing.join()
    assert foreign.exists()


def test_a_holder_on_another_machine_that_lives_is_busy(tmp_path, short):
    path = tmp_path / "fold.lease"
    child = holder_process(path, SHORT, "elsewhere")
    try:
        with (
            pytest.raises(BusyError, match=f"process {child.pid} on elsewhere"),
            lease(path, "it"),
        ):
            pass
    finally:
        kill(child)


def until_lost(held):
    """What `check` says in the end."""
    for _ in range(100):
        try:
            held.check()
        except BusyError as error:
            return str(error)
        time.sleep(0.05)
    raise AssertionError("the loss was not noticed")


def test_a_claim_whose_marker_is_gone_is_lost(tmp_path, short):
    path = tmp_path / "fold.lease"
    with lease(path, "fold 0") as held:
        held.check()
        path.unlink()
        told = until_lost(held)
    assert told.startswith("the claim on fold 0 was lost")
    assert "nothing more is written here" in told


def test_a_claim_that_another_has_taken_over_is_lost_and_stays_the_others(tmp_path, short):
    path = tmp_path / "fold.lease"
    with lease(path, "fold 0") as held:
        path.unlink()
        child = holder_process(path, SHORT)
        try:
            until_lost(held)
        except BaseException:
            kill(child)
            raise
    try:
        assert holder_pid(path) == child.pid
    finally:
        kill(child)


@pytest.mark.nightly
def test_a_process_asleep_for_too_long_learns_that_it_lost_its_claim(tmp_path, short):
    path = tmp_path / "fold.lease"
    child = holder_process(path, SHORT, "elsewhere")
    try:
        os.kill(child.pid, signal.SIGSTOP)
        with lease(path, "fold 0") as held:
            os.kill(child.pid, signal.SIGCONT)
            time.sleep(SHORT)
            held.check()
            assert holder_pid(path) == os.getpid()
    finally:
        kill(child)


def test_a_folder_that_cannot_be_made_is_a_resource_error(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(ResourceError, match="cannot write"), lease(tmp_path / "runs" / "l", "it"):
        pass
