"""One writer at a time: a lease that ends with its holder, on whatever machine that was.

The holder refreshes a small file; who finds it unchanged for LEASE_SECONDS, by its own clock, takes
it over. A holder of the same machine that is dead is found out at once. Clocks of different
machines are never compared. (filelock's SoftFileLease; unlike a lock of the kernel it works on
shared disks.)
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from pipeline.base.errors import BusyError
from pipeline.base.files import raise_resource_error

LEASE_SECONDS = 60.0
POLL_SECONDS = 0.5
LOOKS = 5


class Lease:
    """A claim that may be lost: by a machine asleep for too long, or a disk that went away."""

    def __init__(self, lock: SoftFileLease, what: str) -> None:
        self._lock, self._what = lock, what
        self._mine = _inode(Path(lock.lock_file))

    def check(self) -> None:
        """Raise BusyError where somebody else has taken the claim over: nothing may be written."""
        if self._lock.compromise is not None or self._is_anothers():
            raise BusyError(
                f"the claim on {self._what} was lost: this process did not refresh "
                f"{self._lock.lock_file} for {LEASE_SECONDS:.0f} s, or somebody deleted it. "
                "Another may have taken it over, so nothing more is written here. "
                "Start the same command again."
            )

    def _is_anothers(self) -> bool:
        """Whether the marker is not the one of this claim; a contender's look at it takes a moment.

        The heartbeat finds out as well, but only when it beats: too late for who has just slept.
        """
        path = Path(self._lock.lock_file)
        for _ in range(LOOKS):
            if _inode(path) == self._mine:
                return False
            time.sleep(POLL_SECONDS / LOOKS)
        return True


@contextmanager
def lease(path: Path, what: str, patience: float = 0.0) -> Iterator[Lease]:
    """Hold *path* while *what* is written; BusyError where a living process holds it, and goes on
    to hold it for *patience* seconds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = SoftFileLease(path, lease_duration=LEASE_SECONDS, thread_local=False)
        _acquire_within(patience, lock, path)
    except (Timeout, LeaseSettingsMismatch):
        raise BusyError(
            f"{what} is being written by {holder(path)}. Wait for it, or stop it and start again."
        ) from None
    except OSError as error:
        raise_resource_error(error, path)
        raise
    try:
        yield Lease(lock, what)
    finally:
        lock.release()


def _acquire_within(patience: float, lock: SoftFileLease, path: Path) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            _acquire(lock, path)
            return
        except Timeout:
            if time.monotonic() >= until:
                raise
            time.sleep(POLL_SECONDS / LOOKS)


def _acquire(lock: SoftFileLease, path: Path) -> None:
    """Take the claim at once; from a holder on another machine, or one that a power cut left
    without a name, once it has stood still."""
    seen = _marker(path)
    owner = lock.owner
    if owner is None and seen is not None and _stands_still(path, seen):
        lock.force_break()  # filelock itself would wait for an empty one for ever
    if owner is None or owner.hostname == this_machine():
        _acquire_here(lock, path)
        return
    lock.acquire(
        timeout=2 * LEASE_SECONDS,
        poll_interval=POLL_SECONDS,
        cancel_check=lambda: _marker(path) not in (None, seen),  # refreshed: its holder lives
    )


def _stands_still(path: Path, seen: tuple[int, int]) -> bool:
    """Whether the marker stays as it was *seen* for the time of a lease."""
    until = time.monotonic() + LEASE_SECONDS
    while time.monotonic() < until:
        time.sleep(min(POLL_SECONDS, LEASE_SECONDS))
        if _marker(path) != seen:
            return False
    return True


def _acquire_here(lock: SoftFileLease, path: Path) -> None:
    """Take the claim or not: a dead holder of this machine is found out at once."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if _marker(path) is not None:
            raise
        # a disk that cannot exchange two names (NFS): the dead holder's file was only deleted
        lock.acquire(timeout=0)


@cache
def this_machine() -> str:
    """What filelock calls this machine: its name and, where there are any, its container's."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SoftFileLease(Path(folder) / "lease", thread_local=False) as lock,
    ):
        return "" if lock.owner is None else lock.owner.hostname


def _inode(path: Path) -> tuple[int, int] | None:
    """Which file a marker is."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _marker(path: Path) -> tuple[int, int] | None:
    """What changes when a lease is refreshed or taken over."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def holder_pid(path: Path) -> int | None:
    """The process that holds, or held when it died, the lease at *path*."""
    return SoftFileLease(path, lease_duration=LEASE_SECONDS, thread_local=False).pid


def holder(path: Path) -> str:
    """Who holds the lease at *path*, for people."""
    owner = SoftFileLease(path, lease_duration=LEASE_SECONDS, thread_local=False).owner
    if owner is None:
        return f"another process ({path} does not say which)"
    try:
        age = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        age = 0.0
    return f"process {owner.pid} on {owner.hostname} (last sign of life {age:.0f} s ago)"
