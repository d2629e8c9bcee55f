"""What each of several workers on one machine gets: a GPU, and its share of the cores.

Nothing here loads torch or touches a GPU: the process that watches the workers must not hold
memory of one.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base.cores import usable_cores
from pipeline.base.errors import UsageError

VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
LISTED = re.compile(r"^\s*(GPU|MIG) .*\(UUID: ([A-Za-z0-9/-]+)\)", re.MULTILINE)
"""A line of `nvidia-smi -L`; the parts of a GPU follow it."""
ANSWER_SECONDS = 20.0


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Where that variable is set, its list: numbers, UUIDs or MIG names, up to the first that is no
    device (CUDA reads it so). Else all that the driver lists.
    """
    if (asked := environment.get(VISIBLE)) is None:
        return _listed()
    found: list[str] = []
    for name in (each.strip() for each in asked.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[A-Za-z0-9/-]+", name):
            break
        found.append(name)
    return found


def _listed() -> list[str]:
    """UUIDs, because CUDA and the driver may count in different orders; of a GPU that is divided
    (MIG), its parts."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return sorted(path.name.removeprefix("nvidia") for path in DEVICES.glob("nvidia[0-9]*"))
    try:
        done = subprocess.run(
            [tool, "-L"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    found: list[str] = []
    for kind, name in LISTED.findall(done.stdout):
        if kind == "MIG" and found and not found[-1].startswith("MIG-"):
            found.pop()  # the GPU that this is the first part of
        found.append(name)
    return found


def check_gpus(workers: int, gpus: Sequence[str], per_gpu: int) -> None:
    """UsageError where *workers* are more than *per_gpu* on each of *gpus*; none is no problem."""
    if not gpus or workers <= len(gpus) * per_gpu:
        return
    count = len(gpus)
    needed = -(-workers // count)
    raise UsageError(
        f"--workers {workers}: this machine shows {count} {'GPU' if count == 1 else 'GPUs'}, for "
        f"{per_gpu} {'worker' if per_gpu == 1 else 'workers'} each. Use --workers "
        f"{count * per_gpu}, or let them share, if {needed} trainings fit into the memory of one: "
        f"--workers-per-gpu {needed}"
    )


def environment_of(
    number: int, workers: int, gpus: Sequence[str], environment: Mapping[str, str]
) -> dict[str, str]:
    """The environment of worker *number* (from 1) of so many: the leader's, one of *gpus*, and
    its share of the cores unless OMP_NUM_THREADS says how many threads.

    It is a function of the number alone, so a worker that is started again gets the same GPU.
    """
    share = max(1, usable_cores() // workers)
    found = {"OMP_NUM_THREADS": str(share), **environment}
    if gpus:
        found[VISIBLE] = gpus[(number - 1) % len(gpus)]
    return found
