"""How many cores a process may use, from affinity and cgroups of both versions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base import cores
from pipeline.base.cores import cpu_quota, usable_cores
from tests.blendable import make
from tests.tiny import tiny_backbone


def machine(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A /sys/fs/cgroup and a /proc/self/cgroup with that content."""
    groups, cgroup = folder / "groups", folder / "cgroup"
    cgroup.write_text(own)
    for name, text in files.items():
        path = groups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return groups, cgroup


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        # the group above is the narrower one
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "200000 100000\n"}, 2.0),
        # inside a container the path of the host is not there
        ("0::/docker/abc\n", {"cpu.max": "300000 100000\n"}, 3.0),
        (
            "4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        (
            "4:cpu,cpuacct:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "400000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
            4.0,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("0::/../above\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("nonsense\n", {"cpu.max": "also nonsense\n"}, None),
        ("", {}, None),
    ],
)
def test_the_share_of_a_container_is_found_in_both_versions(tmp_path, own, files, expected):
    assert cpu_quota(*machine(tmp_path, own, files)) == expected


@pytest.mark.parametrize(("quota", "expected"), [(None, 3), (1.5, 2), (0.1, 1), (64.0, 3)])
def test_a_process_uses_no_more_cores_than_it_may_run_on(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 4, 5}, raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert usable_cores() == expected


@pytest.mark.parametrize(
    ("known", "running", "expected"),
    [
        ({}, 1, None),  # the one that asks
        ({}, 2, "2000"),
        ({"OMP_NUM_THREADS": "5"}, 4, None),
        ({"OMP_NUM_THREADS": "5"}, 5, "2000"),
        ({"OMP_NUM_THREADS": "9"}, 1, "2000"),
        ({"OMP_NUM_THREADS": "4,2"}, 1, None),
        ({"GOMP_SPINCOUNT": "7"}, 9, "7"),
        ({"OMP_WAIT_POLICY": "active"}, 9, None),
    ],
)
def test_threads_sleep_soon_where_others_use_the_cores(
    tmp_path, monkeypatch, known, running, expected
):
    load = tmp_path / "loadavg"
    load.write_text(f"0.46 1.55 1.88 {running}/95 3141\n", encoding="utf-8")
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cores.os, "environ", dict(known))
    cores.wait_asleep(load)
    assert cores.os.environ.get("GOMP_SPINCOUNT") == expected
    assert {k: v for k, v in cores.os.environ.items() if k != "GOMP_SPINCOUNT"} == {
        k: v for k, v in known.items() if k != "GOMP_SPINCOUNT"
    }


def test_what_comes_and_goes_is_nobody_to_wait_for(monkeypatch):
    texts = [f"0 0 0 {running}/9 1" for running in (1, 6, 1, 1, 7, 1, 1, 5, 1, 6)]
    seen = iter(texts)
    monkeypatch.setattr(cores, "_text", lambda path: next(seen))
    assert cores.others_running() == 0
    assert next(seen, None) is None


def test_a_system_that_does_not_say_has_no_others(tmp_path):
    assert cores.others_running(tmp_path / "missing") == 0


WATCHED = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("spins", os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
from pipeline.cv import main
main(sys.argv[1:])
print("torch was never loaded")
"""


def test_it_is_said_before_torch_is_loaded(tmp_path):
    """Later it would change nothing: the library reads it when it is loaded."""
    toy = make(tmp_path, "regression", "pearson")
    model = tiny_backbone(tmp_path / "tiny", ["a cat", "a dog"])
    words = [*toy.arguments(), "--model", str(model)]
    environment = {name: value for name, value in os.environ.items() if "OMP" not in name}
    environment["OMP_NUM_THREADS"] = "9999"  # more than any machine has
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED, *words], env=environment, capture_output=True, text=True
    )
    assert ended.stdout.splitlines()[-1:] == ["spins 2000"], ended.stderr
