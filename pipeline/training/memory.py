"""Peak memory of a stretch of work: resident memory of this process, and of the GPU where used."""

import resource
import sys
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): writing 5 resets VmHWM to the current resident size


def _cuda() -> Any | None:
    """torch.cuda where torch is already loaded and has a GPU; never loads torch itself."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def reset_peak() -> None:
    """Start a new stretch. Without /proc (macOS) the peak stays that of the whole process."""
    try:
        CLEAR.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        pass
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def peak_bytes() -> dict[str, int]:
    """Peak since `reset_peak`, in bytes: {"ram": …} and, on a GPU, {"gpu": …}."""
    peak = {"ram": _peak_ram()}
    if cuda := _cuda():
        peak["gpu"] = int(cuda.max_memory_allocated())
    return peak


def _peak_ram() -> int:
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
