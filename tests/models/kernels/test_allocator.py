"""What is freed is kept by the process."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from pipeline.models.kernels.cpu_kernels import keep_memory
if sys.argv[1] == "kept" and not keep_memory():
    sys.exit(9)
import torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(50 * 2**18)  # 50 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(mode):
    """Pages that the kernel had to hand out for twenty tensors of 50 MB, after the first twenty."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=False
    )
    if done.returncode == 9:
        pytest.skip("this C library has no mallopt")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.nightly
def test_a_tensor_that_is_made_again_asks_the_kernel_for_no_page():
    assert faults("kept") < 100 < faults("given back")
