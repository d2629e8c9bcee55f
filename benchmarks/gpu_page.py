"""The page that gpu.py prints and keeps."""

import argparse
from importlib.util import find_spec
from typing import Any

import torch
from children import spread
from gpu_sides import BATCH, EAGER, GRAPHED
from machine import machine_line

FOLDS = {EAGER: "folds", GRAPHED: "folds, cuda_graphs"}
"""What five folds are called, by who trains them."""


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
        f"`python benchmarks/gpu.py --rounds {args.rounds} --steps {args.steps} --write`. "
        f"{machine(args)}",
        "",
        f"Medians of {args.rounds} interleaved rounds of {args.steps} steps of {BATCH} pairs of "
        "klue-sts (lowest–highest), after as many that are not timed. Random weights; the "
        "vocabulary was trained on these texts, as klue's own cannot be had without the hub.",
        "",
    ]
