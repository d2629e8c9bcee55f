"""The page of speed.py."""

import argparse
import statistics
from typing import Any

from benchmarks.shared.children import spread
from benchmarks.shared.machine import machine_line
from benchmarks.shared.stsb import OURS, recipe

Found = dict[str, list[dict[str, Any]]]
"""Of each contender, its rounds."""


def page_of(args: argparse.Namespace, found: Found) -> str:
    """The whole of it."""
    return "\n".join([*heading(args), *table(found), "", *notes(found)]) + "\n"


def table(found: Found) -> list[str]:
    """A line per contender; medians of the rounds, with the lowest and highest."""
    lines = [
        "| | seconds per step | pairs/s | real tokens/s | useful tokens | MFU | ours over it |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, runs in found.items():
        columns = {key: [run[key] for run in runs] for key in runs[0]}
        cells = [
            spread(columns["seconds_per_step"], 3),
            spread(columns["pairs_per_second"], 1),
            spread(columns["tokens_per_second"], 0),
            f"{statistics.median(columns['useful_share']):.1%}",
            spread([100 * share for share in columns["mfu"]], 1) + " %",
            spread(ratios(found, name)) if OURS in found else "",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def ratios(found: Found, name: str) -> list[float]:
    """Ours over the peer, in pairs per second, round by round."""
    pairs = zip(found[OURS], found[name], strict=True)
    return [own["pairs_per_second"] / peer["pairs_per_second"] for own, peer in pairs]


def unfair(found: Found) -> list[str]:
    """What was not the same for all, or not learnt; to be looked into before figures are used."""
    size, problems = recipe().batch_size, []
    first = next(iter(found.values()))[0]
    for name, runs in found.items():
        for run in runs:
            facts = {
                f"rows per step {run['rows_per_step']}": run["rows_per_step"] == [size, size],
                f"{run['tokens']} tokens": run["tokens"] == first["real_tokens"],
                f"{run['dropouts']} dropout layers": run["dropouts"] == first["dropouts"] > 0,
                f"Pearson {run['pearson']:.2f}": run["pearson"] > 0.2,
            }
            problems += [f"- **Look into this:** {name}: {f}." for f, ok in facts.items() if not ok]
    return sorted(set(problems))


def notes(found: Found) -> list[str]:
    """What was checked, and the peaks."""
    every = [run for runs in found.values() for run in runs]
    shapes = sorted({" × ".join(map(str, run["peak_shape"])) for run in every})
    scores = ", ".join(
        f"{name} {statistics.median([run['pearson'] for run in runs]):.2f}"
        for name, runs in found.items()
    )
    return [
        f"- Peak: {spread([run['peak_gflops'] for run in every], 0)} GFLOP/s, the fastest float32 "
        f"product measured by each process beside its own training ({'; '.join(shapes)}).",
        *onednn(found),
        f"- Counted in every process: {recipe().batch_size} rows per step, "
        f"{every[0]['real_tokens']:,} real tokens timed, {every[0]['dropouts']} active dropout "
        "layers in the encoder. What differs stands below.",
        f"- Pearson on 400 rows of dev.csv after so few steps, to see that all learn: {scores}.",
        "- The CrossEncoderTrainer tokenises every batch inside its steps; it has no other way.",
        "- group_by_length: mega-batches as large as on the whole train.csv.",
        *unfair(found),
    ]


def onednn(found: Found) -> list[str]:
    """How ours stands to the products that it takes instead of torch's own, where it does."""
    fastest = [run["onednn_gflops"] for runs in found.values() for run in runs]
    if OURS not in found or not all(fastest):
        return []
    shares = [100 * run["mfu"] * run["peak_gflops"] / run["onednn_gflops"] for run in found[OURS]]
    return [
        f"- oneDNN's products, which ours takes on an AMD processor and the peers do not: "
        f"{spread(fastest, 0)} GFLOP/s; of these ours used {spread(shares, 1)} %."
    ]


def machine(args: argparse.Namespace) -> str:
    """Cores, threads, versions, date."""
    libraries = ("torch", "transformers", "accelerate", "sentence-transformers")
    return f"{args.threads} threads. {machine_line(*libraries, 'pytorch-lightning')}"


def command_line(args: argparse.Namespace) -> str:
    """As another person would give it."""
    numbers = f"--rounds {args.rounds} --steps {args.steps} --warmup {args.warmup}"
    return f"python -m benchmarks.training.speed {numbers} --threads {args.threads} --write"


def heading(args: argparse.Namespace) -> list[str]:
    """What the table shows."""
    return [
        "# Speed of training steps",
        "",
        f"`{command_line(args)}`. {machine(args)}",
        "",
        f"all-MiniLM-L6-v2 as a cross-encoder on stsb-en, float32, batch 32. Medians of "
        f"{args.rounds} interleaved rounds of {args.steps} steps (lowest–highest).",
        "",
    ]
