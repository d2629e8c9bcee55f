"""The most memory that a process had at once."""

import gc
import subprocess
import sys

import pytest

from pipeline.training.fold import CLEAR, STATUS
from pipeline.training.run import set_apart

PROGRAM = """
import numpy as np
from pipeline.training.fold import peak_bytes, reset_peak
reset_peak()
before = peak_bytes()["ram"]
block = np.ones(200_000_000, dtype=np.uint8)
del block
peak = peak_bytes()["ram"]
reset_peak()
print(before, peak, peak_bytes()["ram"])
"""


def test_the_peak_counts_memory_that_was_given_back_and_can_be_reset():
    """In a process of its own: one that trains on a CPU keeps what it frees."""
    if not CLEAR.exists():
        pytest.skip("no /proc/self/clear_refs: the peak is that of the whole process")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, peak, after = map(int, done.stdout.split())
    assert peak - before > 150_000_000
    assert after < peak - 100_000_000


FOLDS = """
import sys
from pathlib import Path
import numpy as np
from pipeline.base.config import TaskConfig
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.models.learner import Silent
from pipeline.training.fold import STATUS, give_back_memory, peak_bytes, reset_peak
from tests.models.transformer.learners import factory_for
from tests.tiny import tiny_backbone

WORDS = [f"w{number}" for number in range(50)]
folder = Path(sys.argv[1])
backbone = tiny_backbone(folder / "bert", WORDS, hidden=128, layers=1)
factory = factory_for(backbone, batch_size=8, max_length=96, micro_tokens=10**6, packing=True)
random = np.random.default_rng(0)
for fold in range(20):
    texts = [" ".join(random.choice(WORDS, random.integers(3, 90))) for _ in range(64)]
    rows = Table(
        ids=np.array([f"r{row}" for row in range(64)], dtype=object),
        texts=np.array(texts, dtype=object)[:, None],
        targets=random.uniform(0, 5, (64, 1)),
    )
    give_back_memory()
    reset_peak()
    learner = factory.make(fold)
    learner.fit(rows, Workspace(folder / str(fold)), Silent())
    learner.predict(rows, Silent())
    del learner
    give_back_memory()
    status = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    print(int(status["VmRSS"].split()[0]) * 1024, peak_bytes()["ram"])
"""


@pytest.mark.nightly
def test_the_twentieth_fold_takes_no_more_memory_than_the_second(tmp_path):
    """Of texts of all lengths, so that nearly every step has a length that was not seen yet."""
    if not STATUS.exists():
        pytest.skip("no /proc/self/status")
    done = subprocess.run(
        [sys.executable, "-c", FOLDS, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    resident, peaks = zip(
        *(map(int, line.split()) for line in done.stdout.splitlines()), strict=True
    )
    assert resident[19] < 1.1 * resident[1]
    assert peaks[19] < 1.1 * peaks[1]


@pytest.mark.parametrize(("before", "done"), [(0, ["freeze", "unfreeze"]), (7, [])])
def test_what_was_there_is_set_apart_for_the_run_alone(monkeypatch, before, done) -> None:
    """Whoever has set objects apart already finds them so afterwards."""
    called = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: before)
    for name in ("freeze", "unfreeze"):
        monkeypatch.setattr(gc, name, lambda name=name: called.append(name))
    with set_apart():
        assert called == done[:1]
    assert called == done
