import numpy as np
import pytest

from pipeline.training.memory import CLEAR, peak_bytes, reset_peak


def test_the_peak_counts_memory_that_was_given_back_and_can_be_reset():
    if not CLEAR.exists():
        pytest.skip("no /proc/self/clear_refs: the peak is that of the whole process")
    reset_peak()
    before = peak_bytes()["ram"]
    block = np.ones(200_000_000, dtype=np.uint8)
    del block
    peak = peak_bytes()["ram"]
    assert peak - before > 150_000_000
    reset_peak()
    assert peak_bytes()["ram"] < peak - 100_000_000
