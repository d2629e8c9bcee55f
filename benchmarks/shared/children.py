"""Every contender in a process of its own, with the same threads and no way to a GPU."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any


def environment(threads: int, scratch: str) -> dict[str, str]:
    """Of a child: so many threads in every library, and *scratch* for its temporary files."""
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(counts, str(threads)),
        "TMPDIR": scratch,
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }


def ask(arguments: Sequence[str], threads: int) -> dict[str, Any]:
    """Run this Python with *arguments*; the JSON object in the last line that it prints."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment(threads, scratch),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the lowest and highest beside it.

    >>> spread([2.0, 1.0, 4.0], 1)
    '2.0 (1.0–4.0)'
    """
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"
