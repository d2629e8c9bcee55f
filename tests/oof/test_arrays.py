"""Many members lie on disk while they are blended, and memory holds none of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import ResourceError
from pipeline.base.files import new_name
from pipeline.oof import arrays as module
from pipeline.oof.arrays import MemberArrays
from pipeline.oof.members import read_members
from tests.blendable import make

SCRIPT = """
import sys
import tracemalloc
from pathlib import Path
import numpy as np
from pipeline.base.config import TaskConfig
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.honest import Nest
from pipeline.metrics.metric import get_metric
from pipeline.oof.arrays import MemberArrays

def in_memory():  # anonymous pages: what the system cannot read from a file again
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").open())
    return int(lines["RssAnon"].split()[0]) * 1024

members, rows = 80, 1_000_000  # 320 MB, 640 in float64
random = np.random.default_rng(0)
truth = random.normal(size=(rows, 1))
groups, folds = np.arange(rows), np.arange(rows) % 5
metric = get_metric("rmse", TaskConfig(problem="regression", metric="rmse"))
evidence_of = lambda arrays: Evidence.gather(
    [str(place) for place in range(len(arrays))], arrays, truth, folds, groups, metric, "regression"
)
small = Nest(evidence_of([truth + 1, truth - 1]), 1)  # what it takes whatever the members
small.resampled("greedy", small.evidence.folds)
before, most = in_memory(), 0
with MemberArrays(Path(sys.argv[1]), members, (rows, 1), np.float32) as pile:
    for place in range(members):
        pile.add(truth + (1 + place / 100) * random.standard_normal((rows, 1)))
        most = max(most, in_memory() - before)
    arrays = pile.arrays()
nest = Nest(evidence_of(arrays), 1)
for method in ("greedy", "ridge"):
    nest.honest_gain(method)
    most = max(most, in_memory() - before)
blends = nest.left_out("ridge", nest.evidence.folds)
tracemalloc.start()
nest.evidence.predict(blends)
print(most, tracemalloc.get_traced_memory()[1])
"""


@pytest.fixture
def on_disk(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 0)


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_320_megabytes_of_members_are_never_in_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    at_rest, predicting = map(int, done.stdout.split())
    assert at_rest < 150e6
    assert predicting < 80e6
    assert not list(tmp_path.iterdir())


def test_members_on_disk_are_those_in_memory(tmp_path, monkeypatch):
    toy = make(tmp_path, "regression", "pearson", holdout=True)
    for place in range(3):
        toy.add_run(f"m{place}", 0.5, seed=place)
    ids = toy.tables.test.ids, toy.tables.holdout.ids
    runs, outputs = ["m2", "m0", "m1"], toy.competition.outputs
    found = read_members(toy.paths, runs, toy.folds, outputs, *ids)
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    mapped = read_members(toy.paths, runs, toy.folds, outputs, *ids)
    for part in ("oof", "test", "holdout"):
        for one, other in zip(getattr(found, part), getattr(mapped, part), strict=True):
            np.testing.assert_array_equal(one, other)
    assert {each.dtype for each in (*found.oof, *mapped.oof)} == {np.dtype(np.float32)}
    assert not mapped.oof[0].flags.writeable
    assert not list(toy.paths.workspaces.iterdir())


def test_a_pile_leaves_no_file_and_sweeps_those_of_the_dead(on_disk, tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead = tmp_path / new_name().replace(f"-{os.getpid()}-", f"-{child.pid}-")
    dead.write_bytes(b"left by a crash")
    with MemberArrays(tmp_path, 2, (3, 1), np.float32) as pile:
        assert not list(tmp_path.iterdir())
        for value in (1.5, 2.5):
            pile.add(np.full((3, 1), value))
        arrays = pile.arrays()
    assert [each.ravel().tolist() for each in arrays] == [[1.5] * 3, [2.5] * 3]
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_said_before_anything_is_read(on_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda folder: 1_000_000)
    with pytest.raises(ResourceError, match=r"need 4\.2 MB on the disk of .* 1\.0 MB are free"):
        MemberArrays(tmp_path, 10, (100_000, 1), np.float32)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_up_meanwhile_is_told_from_a_bug(on_disk, tmp_path):
    with MemberArrays(tmp_path, 1, (100_000, 1), np.float32) as pile:
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, pile._file.fileno())
        os.close(full)
        with pytest.raises(ResourceError, match="no space left to write"):
            pile.add(np.ones((100_000, 1)))
