"""From a csv file to out-of-fold and test predictions of five folds, by the wall clock.

    pip install -e ".[demo]" -r benchmarks/requirements.txt -c constraints.txt
    python -m benchmarks.end_to_end.whole_job --rounds 3 --write

Ours is `python -m pipeline.cv`, folds included, in a new root. The peer is hf_fold.py, a script
around transformers' Trainer with dynamic padding, five times in a row, on the same folds, which it
is given. The same rows, weights, epochs, batch and rates; both predict the held-out fold and all
test rows in every fold and keep the trained weights. Rounds are interleaved. Where our seconds go
is read from the run's own manifests (whole_job_parts.py).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.end_to_end.whole_job_parts import parts_table
from benchmarks.end_to_end.whole_job_sides import NAME, config, ours, peer, pipeline, shortened
from benchmarks.shared.children import spread
from benchmarks.shared.machine import keep, machine_line
from benchmarks.shared.stsb import DATA


def main() -> int:
    """Run both, --rounds times; print the tables, and keep them with --write."""
    args = options().parse_args()
    rounds = []
    with tempfile.TemporaryDirectory(prefix="whole-job-") as scratch:
        data = shortened(args, Path(scratch) / NAME)
        frozen = Path(scratch) / "folds"
        pipeline(args, frozen, "init", str(data), "--force")
        pipeline(args, frozen, "folds", *config(NAME))
        for number in range(args.rounds):
            root = Path(scratch) / f"round-{number}"
            found = {"ours": ours(args, data, root), "peer": peer(args, data, frozen, root)}
            rounds.append(found)
            print(f"round {number + 1}: {json.dumps(found)}", file=sys.stderr, flush=True)
    page = "\n".join(report(args, rounds)) + "\n"
    print(page)
    if args.write:
        keep("whole-job", page, {"machine": machine(args), "rounds": rounds})
    return 0


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the competition's folder")
    parser.add_argument("--rows", type=int, default=2000, help="of train.csv, drawn at random")
    parser.add_argument("--test-rows", type=int, help="of test.csv, the first; default: all")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true", help="keep the tables")
    return parser


def report(args: argparse.Namespace, rounds: list[dict[str, Any]]) -> list[str]:
    """The page."""
    sides = {"five Trainer scripts": "peer", "pipeline.cv": "ours"}
    lines = [
        "# Five folds, from csv to out-of-fold predictions",
        "",
        f"`{command_line(args)}`. {machine(args)}",
        "",
        f"{args.rows:,} rows of stsb-en, {args.epochs} epochs, batch 32; medians of {len(rounds)} "
        "rounds (lowest–highest).",
        "",
        "| | seconds | Pearson, out of fold |",
        "| --- | --- | --- |",
    ]
    for name, side in sides.items():
        seconds = spread([each[side]["seconds"] for each in rounds], 0)
        score = statistics.median(each[side]["pearson"] for each in rounds)
        lines.append(f"| {name} | {seconds} | {score:.4f} |")
    ratios = [each["peer"]["seconds"] / each["ours"]["seconds"] for each in rounds]
    lines += ["", f"The scripts' seconds over ours: {spread(ratios)}.", ""]
    for name, side in sides.items():
        lines += parts_table(name, [each[side] for each in rounds])
    return lines


def machine(args: argparse.Namespace) -> str:
    """Cores, threads, versions, date."""
    return f"{args.threads} threads. {machine_line('torch', 'transformers', 'accelerate')}"


def command_line(args: argparse.Namespace) -> str:
    """As another person would give it."""
    numbers = f"--rows {args.rows} --epochs {args.epochs} --rounds {args.rounds}"
    return f"python -m benchmarks.end_to_end.whole_job {numbers} --threads {args.threads} --write"


if __name__ == "__main__":
    raise SystemExit(main())
