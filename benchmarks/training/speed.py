"""The fold engine's optimiser steps against those of its peers: the same model, rows and settings.

    pip install -e ".[demo]" -r benchmarks/requirements.txt -c constraints.txt
    python -m benchmarks.training.speed --rounds 5 --write

all-MiniLM-L6-v2 as a cross-encoder on pairs of stsb-en, float32, batch 32, AdamW with the rates of
configs/models/minilm.yaml, clipping at 1.0, dropout as the model has it. Every contender trains on
the same --steps times 32 rows, --warmup epochs that are not timed and one that is, so all have run
the same real tokens between the first and the last boundary; nobody evaluates, logs or saves in
between. Loading and tokenising come before, except where a peer tokenises in its steps. Rounds are
interleaved, each contender in a process of its own that also measures the peak: the fastest float32
product by torch.matmul of some shapes, before and after. MFU = model FLOPs of the real tokens per
second, over that peak.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.shared.children import ask
from benchmarks.shared.machine import keep
from benchmarks.shared.stsb import DATA, OURS, Pairs, recipe
from benchmarks.training.speed_page import command_line, machine, page_of

MODULE = "benchmarks.training.speed"
SHAPES = ((2048, 2048, 2048), (1000, 384, 1536), (1000, 384, 384))
"""Of products (m, k) by (k, n): a large one, and two of the model's own."""
ORDER = (
    "Trainer, padded to 128",
    "Trainer, dynamic padding",
    "Trainer, group_by_length",
    "CrossEncoderTrainer",
    "plain Lightning",
    OURS,
)


def main() -> int:
    """Measure every contender; print the table, and keep it with --write."""
    args = options().parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args)))
        return 0
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in args.only or ORDER}
    for number in range(args.rounds):
        for name in found:
            command = ["-m", MODULE, "--one", name, "--data", str(args.data)]
            command += [f"--steps={args.steps}", f"--warmup={args.warmup}", f"--seed={number + 1}"]
            found[name].append(ask(command, args.threads))
            print(f"round {number + 1}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    page = page_of(args, found)
    print(page)
    if args.write:
        kept = {"command": command_line(args), "machine": machine(args), "rounds": found}
        keep("speed", page, kept)
    return 0


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the competition's folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=44, help="timed, and of every warm-up epoch")
    parser.add_argument("--warmup", type=int, default=1, help="epochs before the timed one")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="+", choices=ORDER, metavar="NAME", help="; ".join(ORDER))
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--one", choices=ORDER, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="keep the table")
    return parser


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """In this process: train one contender, and measure the peak before and after."""
    import numpy as np

    from benchmarks.shared.peers import encode, load_tokenizer, model_flops
    from benchmarks.training.contenders import CONTENDERS

    settings = recipe(f"epochs={args.warmup + 1}")
    pairs = Pairs.read(args.data).some(args.steps * settings.batch_size)
    assert len(pairs.train) == args.steps * settings.batch_size, "fewer rows than --steps asks for"
    lengths = encode(pairs.train, load_tokenizer(), settings, False)
    tokens = np.array([len(row["input_ids"]) for row in lengths])
    training = CONTENDERS[name](pairs, settings, args.seed)
    before, before_ours = peak(), onednn_peak()
    training.train()
    after, after_ours = peak(), onednn_peak()
    clock, seen, timed = training.clock, training.seen, slice(-args.steps, None)
    assert len(clock.ends) == len(seen.rows) == args.steps * settings.epochs, "steps are missing"
    seconds = clock.ends[-1] - clock.ends[-args.steps - 1]
    fastest, shape = max(before, after)
    return {
        "seconds_per_step": seconds / args.steps,
        "pairs_per_second": len(pairs.train) / seconds,
        "tokens_per_second": int(tokens.sum()) / seconds,
        "useful_share": sum(seen.tokens[timed]) / sum(seen.run[timed]),
        "mfu": model_flops(tokens) / seconds / fastest,
        "peak_gflops": fastest / 1e9,
        "peak_shape": shape,
        "onednn_gflops": max(before_ours, after_ours) / 1e9,
        "rows_per_step": [min(seen.rows[timed]), max(seen.rows[timed])],
        "tokens": sum(seen.tokens[timed]),
        "real_tokens": int(tokens.sum()),
        "dropouts": seen.dropouts,
        "pearson": pairs.pearson(training.predict(pairs.dev.rows(np.arange(400)))),
    }


def peak() -> tuple[float, list[int]]:
    """FLOP/s of the fastest float32 matrix product, and its shape (m, k, n)."""
    import torch

    return fastest(lambda first, second: torch.matmul(first, second))


def onednn_peak() -> float:
    """The same of the products that ours takes on some processors; 0 where it does not."""
    from pipeline.models.kernels.cpu_kernels import Product, has_operator, is_amd

    if not (is_amd() and has_operator()):
        return 0.0
    return fastest(lambda first, second: Product.apply(first, second.t(), None))[0]


def fastest(multiply: Callable[[Any, Any], Any]) -> tuple[float, list[int]]:
    """FLOP/s of *multiply* at the shape that it does best, and that shape."""
    import torch

    found = []
    for m, k, n in SHAPES:
        first, second = torch.rand(m, k), torch.rand(n, k).t()
        for _ in range(3):
            multiply(first, second)
        times: list[float] = []
        until = time.perf_counter() + 0.5
        while time.perf_counter() < until or len(times) < 3:
            began = time.perf_counter()
            multiply(first, second)
            times.append(time.perf_counter() - began)
        found.append((2 * m * k * n / min(times), [m, k, n]))
    return max(found)


if __name__ == "__main__":
    raise SystemExit(main())
