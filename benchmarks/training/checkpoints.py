"""Writing one checkpoint: seconds and the memory it takes beside the state that is saved.

    python -m benchmarks.training.checkpoints --millions 125 --write

The weights and AdamW's two moments of a model with so many millions of numbers, in float32, saved
by ours (`tensorfile` through the commit protocol: written, fsynced, read again for its SHA-256,
renamed), by Lightning's TorchCheckpointIO, which builds the file in memory and does not fsync, and
by safetensors' own writer. Each run is a process of its own; interleaved, three of each.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.shared.machine import keep, machine_line

MODULE = "benchmarks.training.checkpoints"
WAYS = ("ours", "lightning", "safetensors")
TENSORS = 64
REPEATS = 3


def state(millions: int) -> dict[str, Any]:
    """A checkpoint of that size, spread over equal tensors."""
    import torch

    size = millions * 1_000_000 // TENSORS
    return {
        kind: {f"{number}": torch.rand(size) for number in range(TENSORS)}
        for kind in ("weights", "exp_avg", "exp_avg_sq")
    }


def save(way: str, content: dict[str, Any], path: Path) -> None:
    """Save it one way."""
    if way == "ours":
        from pipeline.base.files import commit
        from pipeline.models.transformer.tensor_file import write

        commit(path, lambda stream: write(stream, content))
    elif way == "lightning":
        from pytorch_lightning.plugins.io import TorchCheckpointIO

        TorchCheckpointIO().save_checkpoint(content, path)
    else:
        from safetensors.torch import save_file

        save_file({f"{k}/{n}": t for k, part in content.items() for n, t in part.items()}, path)


def measure(way: str, millions: int) -> dict[str, float]:
    """In this process: seconds, and megabytes of memory above those of the state itself."""
    content = state(millions)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        tiny = {"weights": {"0": next(iter(content["weights"].values()))[:10].clone()}}
        save(way, tiny, Path(folder) / "warm")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        save(way, content, Path(folder) / "checkpoint")
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "megabytes": (peak - before) * 1024 / 1e6}


def main() -> int:
    """Measure every way; print the table, and keep it with --write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--millions", type=int, default=125, help="numbers in the model")
    parser.add_argument("--write", action="store_true", help="keep the page")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.millions)))
        return 0
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(REPEATS):
        for way in WAYS:
            command = [sys.executable, "-m", MODULE, "--one", way, "--millions", str(args.millions)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    lines = [
        "# One checkpoint",
        "",
        f"{args.millions} million weights and AdamW's moments, {12 * args.millions / 1000:.1f} GB. "
        f"{machine_line('torch', 'pytorch-lightning', 'safetensors')}",
        "",
        "| way | seconds, median (all) | memory beside the state, MB |",
        "| --- | --- | --- |",
    ]
    for way, runs in found.items():
        seconds = sorted(run["seconds"] for run in runs)
        memory = statistics.median(run["megabytes"] for run in runs)
        each = ", ".join(f"{value:.1f}" for value in seconds)
        lines.append(f"| {way} | {statistics.median(seconds):.1f} ({each}) | {memory:.0f} |")
    print("\n".join(lines))
    if args.write:
        keep("checkpoints", "\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
