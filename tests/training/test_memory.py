"""The most memory that a process had at once."""

import subprocess
import sys

import pytest

from pipeline.training.fold import CLEAR

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
