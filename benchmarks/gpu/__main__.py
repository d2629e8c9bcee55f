"""Training steps on one GPU: ours, ours with CUDA graphs, and transformers' Trainer.

    pip install -e . -r benchmarks/requirements.txt -c constraints.txt
    python -m benchmarks.gpu --write
    python -m benchmarks.gpu --device cpu --tiny     # only that all of it works

Models of the sizes of klue/roberta-large and -base with random weights, pairs of klue-sts as a
cross-encoder, batch 32, AdamW, clipping, dropout (see klue.py). Every contender runs in a
process of its own, trains an epoch that is not timed and one that is, over the same rows, and
measures the peak before and after: the fastest large bf16 matrix product. MFU = model FLOPs of the
real tokens per second over that peak. Rounds are interleaved. Then ours trains five folds of three
epochs over 11,668 rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer

from benchmarks.gpu import klue
from benchmarks.gpu.contenders import (
    BATCH,
    EAGER,
    GRAPHED,
    PEER,
    Clock,
    Job,
    train_folds,
    train_ours,
    train_peer,
)
from benchmarks.shared.children import spread
from benchmarks.shared.machine import keep, machine_line

DATA = Path("../shared/data/klue-sts")
ROWS = 11_668
FOLDS = {EAGER: "folds", GRAPHED: "folds, cuda_graphs"}
"""What five folds are called, by who trains them."""


def main() -> int:
    """Measure; print the page, and keep it with --write."""
    args = options().parse_args()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for the children too
    if args.one:
        print(json.dumps(measure(args)))
        return 0
    if args.device == "cuda" and not torch.cuda.is_available():
        print("benchmarks.gpu measures on a GPU, and torch finds none here.", file=sys.stderr)
        return 4
    if args.write and args.device == "cpu":
        print("--write keeps figures of a GPU only.", file=sys.stderr)
        return 2
    sizes = {"tiny": klue.TINY} if args.tiny else klue.SIZES
    found, page = {}, [*heading(args)]
    for name, size in sizes.items():
        with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
            klue.make(Path(folder), size, klue.read(args.data, args.rows))
            found[name] = compare(args, folder)
        page += [f"## {name}", "", *table(args, found[name]), ""]
    print("\n".join(page))
    if args.write:
        keep("gpu", "\n".join(page), {"machine": machine(args), "found": found})
    return 0


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, default=DATA, help="klue-sts's folder")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model: does all this work?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="of either epoch")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the folds")
    parser.add_argument("--epochs", type=int, default=3, help="of the folds")
    parser.add_argument("--write", action="store_true", help="keep the page")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def compare(args: argparse.Namespace, folder: str) -> dict[str, list[Any]]:
    """The runs of every contender on one model, then the folds."""
    steps = [EAGER, GRAPHED, *([PEER] if find_spec("accelerate") else [])]
    if PEER not in steps:
        print(f"without {PEER}: accelerate is not installed", file=sys.stderr)
    found: dict[str, list[Any]] = {name: [] for name in [*steps, *FOLDS.values()]}
    for name in [*steps * args.rounds, *FOLDS.values()]:
        own = ["--one", name, "--folder", folder, "--device", args.device]
        own += [f"--{each}={getattr(args, each)}" for each in ("data", "steps", "rows", "epochs")]
        command = [sys.executable, "-m", "benchmarks.gpu", *own]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        found[name].append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{name}: {done.stdout.splitlines()[-1][:150]}", file=sys.stderr, flush=True)
    return found


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """In this process: train as args.one says."""
    table = klue.read(args.data, args.rows)
    if args.one in FOLDS.values():
        job = Job(args.folder, table, args.epochs)
        return train_folds(job, args.one == FOLDS[GRAPHED])
    job = Job(args.folder, table.rows(np.arange(args.steps * BATCH)), 2)
    tokenizer = AutoTokenizer.from_pretrained(args.folder, trust_remote_code=False)
    most = job.recipe(graphs=False).max_length
    columns = [list(column) for column in job.table.texts.T]
    ids = tokenizer(*columns, truncation=True, max_length=most)["input_ids"]
    lengths = np.array([len(each) for each in ids])
    clock, before = Clock(args.steps, 2 * args.steps), peak(args.device)
    more = train_peer(job, clock) if args.one == PEER else train_ours(job, clock, args.one != EAGER)
    fastest, seconds = max(before, peak(args.device)), clock.seconds()
    flops = klue.step_flops(lengths, AutoConfig.from_pretrained(args.folder))
    return {
        "samples_per_second": len(job.table) / seconds,
        "tokens_per_second": int(lengths.sum()) / seconds,
        "milliseconds_per_step": 1000 * seconds / args.steps,
        "mfu": flops / seconds / fastest,
        "peak_tflops": fastest / 1e12,
        "mean_tokens": float(lengths.mean()),
        "memory_gb": torch.cuda.max_memory_reserved() / 1e9 if args.device == "cuda" else None,
        **more,
    }


def peak(device: str) -> float:
    """FLOP/s of the fastest of many large matrix products in bf16."""
    size = 8192 if device == "cuda" else 256
    first, second = (torch.rand(size, size, device=device).bfloat16() for _ in range(2))
    times: list[float] = []
    until = time.perf_counter() + 1.0
    while time.perf_counter() < until or len(times) < 3:
        began = time.perf_counter()
        for _ in range(10):
            first @ second
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - began) / 10)
    return 2 * size**3 / min(times)


def table(args: argparse.Namespace, found: dict[str, list[Any]]) -> list[str]:
    """A line per contender, medians of the rounds with the lowest and highest; then the folds."""
    lines = [
        "| | samples/s | real tokens/s | ms per step | MFU | peak TFLOP/s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in (each for each in found if each not in FOLDS.values()):
        runs = {key: [run[key] for run in found[name]] for key in found[name][0]}
        cells = [
            spread(runs["samples_per_second"], 0),
            spread(runs["tokens_per_second"], 0),
            spread(runs["milliseconds_per_step"], 2),
            spread([100 * share for share in runs["mfu"]], 1) + " %",
            spread(runs["peak_tflops"], 0),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"Five folds, {args.epochs} epochs, {args.rows:,} rows, seconds of training:", ""]
    for name in FOLDS.values():
        (run,) = found[name]
        each = ", ".join(f"{seconds:.1f}" for seconds in run["seconds"])
        lines.append(f"- {name}: {sum(run['seconds']):.1f} ({each})")
    return lines


def machine(args: argparse.Namespace) -> str:
    """The GPU, the machine, the versions, the date."""
    gpu = torch.cuda.get_device_name() if args.device == "cuda" else "no GPU"
    libraries = [name for name in ("torch", "transformers", "accelerate") if find_spec(name)]
    return f"{gpu}, CUDA {torch.version.cuda}; {machine_line(*libraries)}"


def heading(args: argparse.Namespace) -> list[str]:
    """What the page shows."""
    return [
        "# Training steps on one GPU",
        "",
        f"`python -m benchmarks.gpu --rounds {args.rounds} --steps {args.steps} --write`. "
        f"{machine(args)}",
        "",
        f"Medians of {args.rounds} interleaved rounds of {args.steps} steps of {BATCH} pairs of "
        "klue-sts (lowest–highest), after as many that are not timed. Random weights; the "
        "vocabulary was trained on these texts, as klue's own cannot be had without the hub.",
        "",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
