"""A Ray cluster of several nodes on this machine, in a process of its own.

    with Nodes(2) as nodes:
        nodes.address            # "192.0.2.2:6379"
        nodes.remove(pid)        # kill the node that the process pid belongs to
        nodes.add()
        nodes.behead()           # kill the head

Everything Ray writes goes to a short folder below /tmp (names of sockets may not be long), which is
deleted in the end. It ends with the test, also when that is killed.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.toy import PROJECT, environment

START_SECONDS = 120
STORE_BYTES = 80 * 2**20
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}


class Nodes:
    """A head that trains nothing, and nodes of one CPU."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
        self.environment = environment(**QUIET, RAY_TMPDIR=str(self.folder))

    def __enter__(self) -> "Nodes":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.parallel.nodes", str(self.count)],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            self.address = self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.left = self._left()
        for pid in self.left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self) -> None:
        """One more node."""
        self._ask("add")

    def remove(self, pid: int) -> None:
        """Kill the node that runs the process *pid*, as a power cut would."""
        assert self._ask(f"remove {pid}") == "removed"

    def behead(self) -> None:
        """Kill the head and all it knows."""
        self._ask("behead")

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:  # Ray may say things of its own before
            if line.startswith("answer "):
                return str(json.loads(line.removeprefix("answer ")))
            seen.append(line)
        raise RuntimeError(f"the cluster could not start: {''.join(seen)[-1500:]}")

    def _left(self) -> list[int]:
        """Processes of the cluster that still run."""
        mark = str(self.folder).encode()
        until = time.monotonic() + 10
        while True:
            found = []
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if mark in path.read_bytes():
                        found.append(int(path.parent.name))
            if not found or time.monotonic() > until:
                return found
            time.sleep(0.2)


def why_not() -> str:
    """Why there can be no cluster here; empty where there can."""
    if importlib.util.find_spec("ray") is None:
        return 'ray is not installed: pip install -e ".[ray]"'
    return "" if Path("/proc/self/cmdline").exists() else "needs /proc"


def parents(pid: int) -> list[int]:
    """*pid* and all the processes above it."""
    found = [pid]
    while found[-1] > 1:
        status = Path(f"/proc/{found[-1]}/status").read_text()
        found.append(int(status.partition("PPid:")[2].split()[0]))
    return found


def answer(value: str) -> None:
    print("answer " + json.dumps(value), flush=True)


def main(count: int) -> None:
    """Serve the requests that come by standard input, until it is closed."""
    from ray.cluster_utils import Cluster

    Path(os.environ["RAY_TMPDIR"]).mkdir(exist_ok=True)
    common: dict[str, Any] = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **common})
    try:
        nodes = [cluster.add_node(num_cpus=1, **common) for _ in range(count)]
        answer(cluster.address)
        for line in sys.stdin:
            match line.split():
                case ["add"]:
                    nodes.append(cluster.add_node(num_cpus=1, **common))
                    answer("added")
                case ["remove", pid]:
                    above = parents(int(pid))
                    for node in list(nodes):
                        (raylet,) = node.all_processes["raylet"]
                        if raylet.process.pid in above:
                            nodes.remove(node)
                            cluster.remove_node(node, allow_graceful=False)
                            answer("removed")
                            break
                    else:
                        answer("no such node")
                case ["behead"]:
                    cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
                    answer("beheaded")
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
