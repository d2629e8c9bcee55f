"""How many CPU cores this process may use: its affinity, and its container's share of time.

A machine of 64 cores may give a container the time of two; more threads than that are put to sleep
in the middle of every step.
"""

import math
import os
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

SPINS = "2000"
"""Rounds that a thread of GNU's OpenMP, which torch's CPU builds use, waits awake: microseconds."""
LOAD = Path("/proc/loadavg")
LOOKS = 10
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def wait_asleep(load: Path = LOAD) -> None:
    """Where others use the cores too, have threads that wait for each other sleep soon.

    Call it before torch is loaded. By default they wait awake for milliseconds, which is best where
    every thread has a core. Where another process wants it, the thread that all wait for is kept
    from running: the sooner they sleep the better. What the environment says already holds.
    """
    crowded = threads() + others_running(load) > (os.cpu_count() or 1)
    if crowded and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def others_running(load: Path = LOAD) -> int:
    """Threads of this machine that run or want to, beside the one that asks; 0 if unknown.

    The median of a tenth of a second: what comes and goes does not count.
    """
    counts = []
    for _ in range(LOOKS):
        found = re.search(r" (\d+)/\d+ ", _text(load))
        if found is None:
            return 0
        counts.append(int(found[1]) - 1)
        time.sleep(0.1 / LOOKS)
    return statistics.median_low(counts)


def threads() -> int:
    """How many threads one process takes: as many as OMP_NUM_THREADS says, else a core each."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked)) if asked.isdigit() else usable_cores()


def usable_cores() -> int:
    """Cores that this process may run on, no more than its share of time is worth; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cpu_quota(groups: Path = CGROUPS, own: Path = OWN_CGROUP) -> float | None:
    """The CPU time that this process's cgroup may take, in cores (1.5: three halves); None: all.

    The smallest of the group it is in and of all groups above, of cgroups of version 2 and 1.
    """
    found = [*_second(groups, own), *_first(groups, own)]
    return min(found, default=None)


def _second(groups: Path, own: Path) -> Iterator[float]:
    """Quotas of version 2: cpu.max holds microseconds, or "max", per period of so many."""
    for folder in _folders(groups, own, controller=""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        yield from _cores(quota, period)


def _first(groups: Path, own: Path) -> Iterator[float]:
    """Quotas of version 1: two files, and -1 for all."""
    for name in ("cpu", "cpu,cpuacct"):
        for folder in _folders(groups / name, own, controller="cpu"):
            quota = _text(folder / "cpu.cfs_quota_us")
            yield from _cores(quota, _text(folder / "cpu.cfs_period_us"))


def _folders(base: Path, own: Path, controller: str) -> Iterator[Path]:
    """The folder of this process's group and of those above; inside a container, *base* alone may
    be there."""
    for line in _text(own).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            place = base / path.strip("/")
            if ".." not in place.parts:
                yield place
                yield from (above for above in place.parents if above.is_relative_to(base))
    yield base


def _cores(quota: str, period: str) -> Iterator[float]:
    if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0:
        yield int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
