"""Folds on a real Ray cluster of several nodes, all of them on this machine."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.base.files import sha256
from tests.toy import (
    PROJECT,
    command,
    environment,
    predictions,
    toy_competition,
    untrained,
)
from tests.training.parallel.nodes import Nodes, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "there can be a cluster"),
]
SEEDS = ["--model", "tiny", "--set", "epochs=1", "--seed", "42", "1", "2"]
LONG = ["--model", "tiny", "--set", "epochs=25", "--checkpoint-every", "0s"]
SECONDS = 420  # a loaded machine needs them; a quiet one takes a tenth
"""For anything to happen: a machine of two busy cores is slow, but not that slow."""


class Clusters:
    """One cluster for as many tests as it lasts: starting it takes longer than most of them."""

    def __init__(self) -> None:
        self.running: Nodes | None = None

    def get(self) -> Nodes:
        """The one that runs, else a new one."""
        if self.running is None:
            self.running = Nodes(2).__enter__()
        return self.running

    def end(self) -> None:
        """End the one that runs; nothing of it may be left."""
        if self.running is not None:
            ended, self.running = self.running, None
            ended.__exit__()
            assert ended.left == []


@pytest.fixture(scope="module")
def clusters():
    all_tests = Clusters()
    yield all_tests
    all_tests.end()


@pytest.fixture
def nodes(clusters) -> Nodes:
    """A head that trains nothing, and two nodes."""
    try:
        return clusters.get()
    except RuntimeError as error:
        pytest.skip(f"no Ray cluster can be started here: {error}")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A competition with a plain run of a longer `tiny`."""
    root = toy_competition(tmp_path_factory.mktemp("toy"))
    assert command(root, "cv", *LONG).returncode == 0
    return root


@pytest.fixture(scope="module")
def seeds(toy) -> Path:
    """The same competition, with a plain run of a short `tiny` in three seeds too."""
    assert command(toy, "cv", *SEEDS).returncode == 0
    return toy


@pytest.fixture
def root(toy, tmp_path) -> Path:
    """The competition with nothing trained."""
    return untrained(toy, tmp_path)


def golden(toy: Path, root: Path) -> dict[str, str]:
    """The bytes of the plain runs, of those runs that *root* has."""
    runs = {path.name for path in root.glob("oof/toy/*")}
    return {name: value for name, value in predictions(toy).items() if Path(name).parts[2] in runs}


class Driver:
    """`pipeline.cv --cluster` as a process."""

    def __init__(self, root: Path, address: str, *argv: str) -> None:
        self.root, self.words = root, root / "words.txt"
        with self.words.open("w") as words:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pipeline.cv",
                    "--root",
                    str(root),
                    *argv,
                    "--cluster",
                    address,
                ],
                cwd=PROJECT,
                env=environment(),
                stdout=words,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def ends(self) -> tuple[int, str]:
        """Status, and all that was said."""
        return self.process.wait(SECONDS), self.words.read_text()

    def until(self, found):
        """What *found* finds in the end."""
        until = time.monotonic() + SECONDS
        while not (it := found(self.root)):
            assert self.process.poll() is None, self.words.read_text()
            assert time.monotonic() < until, self.words.read_text()
            time.sleep(0.05)
        return it


def checkpoints(root: Path) -> list[Path]:
    return sorted(root.glob("runs/toy/*/seed-42/fold-*/checkpoints/step-*.json"))


def finished(root: Path) -> list[Path]:
    return sorted(root.glob("oof/toy/*/seed-*/fold-*.json"))


def entries(events: Path) -> list[dict]:
    return [json.loads(line) for line in events.read_text().splitlines()]


@pytest.mark.nightly
def test_folds_trained_on_a_cluster_have_the_same_bytes(nodes, toy, root):
    assert command(toy, "cv", "--model", "linear").returncode == 0
    done = command(root, "cv", "--model", "linear", "--cluster", nodes.address, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert len(predictions(root)) == 3
    assert predictions(root) == golden(toy, root)
    assert "3 folds for 2 nodes" in done.stderr
    assert "linear seed-42/fold-0: started, process" in done.stderr
    assert done.stderr.count("pearson") == 3
    assert "\x1b" not in done.stderr
    assert "mean ± sd" in done.stdout
    assert not list(root.rglob("*.lease"))
    assert not list(root.rglob(".tmp-*"))


@pytest.mark.nightly
def test_a_node_that_dies_in_mid_fold_costs_no_fold_and_no_byte(nodes, toy, root):
    with Driver(root, nodes.address, *LONG) as driver:
        events = driver.until(checkpoints)[0].parents[1] / "events.jsonl"
        pid = int(entries(events)[0]["message"].split()[1])
        nodes.remove(pid)
        nodes.add()
        status, words = driver.ends()
    assert status == 0, words
    assert len(predictions(root)) == 3
    assert predictions(root) == golden(toy, root)
    whats = [entry["what"] for entry in entries(events)]
    assert whats[:3] == ["started", "started", "resumed"]
    assert "it is sent again (1 of 9)" in words
    assert "goes on after step" in words
    assert not list(root.rglob(".tmp-*"))


@pytest.mark.nightly
def test_a_driver_that_is_killed_loses_nothing_and_trains_no_finished_fold_again(
    nodes, seeds, root
):
    with Driver(root, nodes.address, *SEEDS) as driver:
        done = driver.until(finished)
        driver.process.send_signal(signal.SIGKILL)
        driver.process.wait()
        before = {path: (path.stat().st_mtime_ns, sha256(path)) for path in finished(root)}
    assert set(done) <= set(before)
    assert len(before) < 9
    with Driver(root, nodes.address, *SEEDS) as driver:
        status, words = driver.ends()
    assert status == 0, words
    assert predictions(root) == golden(seeds, root)
    assert {path: (path.stat().st_mtime_ns, sha256(path)) for path in before} == before


@pytest.mark.nightly
def test_a_signal_to_the_driver_lets_the_folds_save(nodes, root):
    endless = ["--model", "tiny", "--set", "epochs=5000", "--only-fold", "1"]
    with Driver(root, nodes.address, *endless) as driver:
        driver.until(lambda root: list(root.glob("runs/toy/*/seed-42/fold-1/logs/events*")))
        driver.process.send_signal(signal.SIGTERM)
        status, words = driver.ends()
    assert status == 143, words
    assert "the same command goes on" in words
    assert "SIGTERM: saved after step" in words
    assert "Traceback" not in words
    assert len(checkpoints(root)) == 1
    assert not list(root.rglob("*.lease"))


@pytest.mark.nightly
def test_a_cluster_whose_head_is_lost_ends_with_75_and_soon(clusters, nodes, root):
    with Driver(root, nodes.address, *LONG, "--set", "epochs=5000") as driver:
        driver.until(lambda root: list(root.glob("runs/toy/*/seed-42/fold-*/fold.lease")))
        nodes.behead()
        began = time.monotonic()
        status, words = driver.ends()
        assert time.monotonic() - began < 60
    clusters.end()
    assert status == 75, words
    assert "when the cluster is back, the same command goes on" in words
