"""What this machine has, and what a run will need of it. Looks without loading torch."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.config import Competition
from pipeline.base.cores import usable_cores
from pipeline.base.files import free_bytes

BYTES = 4
"""Predictions and weights are float32."""
SIZES = {"base": 110_000_000, "large": 355_000_000}
"""Parameters of a usual base and large backbone."""
NVIDIA = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
PATIENCE = 5.0
"""Seconds that nvidia-smi may take."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Disk, need and devices."""

    free: dict[str, int]
    """Place -> free bytes; places on the disk of --root are left out."""
    predictions: int
    """Bytes of one model's out-of-fold and test predictions."""
    fits: int
    """Folds that one model is trained on, repeats included."""
    weights: dict[str, int]
    """Size of a backbone -> bytes of its weights for all these folds."""
    cores: int
    memory: int | None
    """Bytes this process may use; None where the system does not say."""
    gpus: list[str]
    """Name and memory of each, as the driver tells them."""


def machine(competition: Competition, n: int, m: int, root: Path) -> Machine:
    """This machine and the need of a run over n training and m test rows under *root*."""
    parts = competition.folds.count * competition.folds.repeats
    outputs = len(competition.outputs)
    return Machine(
        free=free_places(root, os.environ),
        predictions=BYTES * outputs * (n * competition.folds.repeats + m * parts),
        fits=parts,
        weights={name: BYTES * size * parts for name, size in SIZES.items()},
        cores=usable_cores(),
        memory=memory(),
        gpus=gpus(),
    )


def free_places(root: Path, environment: Mapping[str, str]) -> dict[str, int]:
    """Free bytes at *root*, and where the hub's models and temporary files go if elsewhere."""
    hub = environment.get("HF_HOME") or Path("~/.cache/huggingface").expanduser()
    places = {"--root": root, "HF_HOME": Path(hub), "TMPDIR": Path(tempfile.gettempdir())}
    free, seen = {}, set()
    for name, place in places.items():
        existing = _existing(place)
        if existing.stat().st_dev not in seen:
            seen.add(existing.stat().st_dev)
            free[name] = free_bytes(existing)
    return free


def _existing(place: Path) -> Path:
    place = place.expanduser().absolute()
    return next(folder for folder in (place, *place.parents) if folder.exists())


def memory(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes of memory this process may use: the machine's, or less where a container says so."""
    found = []
    if proc.is_file():
        for line in proc.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemTotal:"):
                found.append(int(line.split()[1]) * 1024)
    limit = group / "memory.max"
    if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
        found.append(int(text))
    return min(found) if found else None


def gpus() -> list[str]:
    """Name and memory of each GPU that nvidia-smi finds; none where it is missing or hangs."""
    program = shutil.which(NVIDIA[0])
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, *NVIDIA[1:]], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    return [line.strip() for line in lines if line.strip()]
