"""Seconds of training until the dev Pearson that transformers' Trainer ends at.

    pip install -e ".[demo]" -r benchmarks/requirements.txt -c constraints.txt
    python -m benchmarks.training.time_to_score --seeds 201 202 203 --write

all-MiniLM-L6-v2 as a cross-encoder on the whole of stsb-en's train.csv, everything as in speed.py.
For every seed, each in a process of its own: the Trainer with dynamic padding for --epochs; ours
and the Trainer that groups by length, the fastest of the peers, for --epochs, looked at --points
times on the way; and ours for one epoch less, its rate falling to zero by then. Seconds are those
of training: from the first step's start to the last one's end, without loading, tokenising or
scoring. The target is the mean of the Trainer's scores at its end.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.children import ask, spread
from benchmarks.shared.clock import Boundaries
from benchmarks.shared.machine import keep, machine_line
from benchmarks.shared.stsb import DATA, Pairs, recipe

MODULE = "benchmarks.training.time_to_score"
PEER, GROUPED, OURS = "Trainer, dynamic padding", "Trainer, group_by_length", "ours"


def main() -> int:
    """Train all; print the tables, and keep them with --write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the competition's folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203])
    parser.add_argument("--rows", type=int, help="train on so many rows, to try it")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--points", type=int, default=16, help="scores on the way")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true", help="keep the tables")
    parser.add_argument("--one", choices=(PEER, GROUPED, OURS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(train_one(args)))
        return 0
    trainings = [train_all(args, seed) for seed in args.seeds]
    page = "\n".join(report(args, trainings)) + "\n"
    print(page)
    if args.write:
        keep("time-to-score", page, {"machine": machine(args), "seeds": trainings})
    return 0


def train_all(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One seed's trainings, one after the other."""
    found: dict[str, Any] = {"seed": seed}
    wanted = [("peer", PEER, args.epochs, 1), ("ours", OURS, args.epochs, args.points)]
    wanted.append(("grouped", GROUPED, args.epochs, args.points))
    if args.epochs > 1:
        wanted.append(("shorter", OURS, args.epochs - 1, 1))
    for key, name, epochs, points in wanted:
        rows = [] if args.rows is None else [f"--rows={args.rows}"]
        command = ["-m", MODULE, "--one", name, "--data", str(args.data)]
        command += [f"--seeds={seed}", *rows]
        found[key] = ask([*command, f"--epochs={epochs}", f"--points={points}"], args.threads)
        print(f"seed {seed}, {key}: {found[key]}", file=sys.stderr, flush=True)
    return found


def train_one(args: argparse.Namespace) -> dict[str, Any]:
    """In this process: step, seconds and Pearson at the end of every epoch and on the way."""
    from benchmarks.training.contenders import CONTENDERS
    from benchmarks.training.engine import Engine

    pairs, settings = Pairs.read(args.data).some(args.rows), recipe(f"epochs={args.epochs}")
    per_epoch = -(-len(pairs.train) // settings.batch_size)
    points = points_of(args, per_epoch)
    if args.one == OURS:
        engine = Engine(pairs, settings, args.seeds[0])
        curve = watched(Boundaries(), engine.fit, lambda: engine.peek(pairs.dev), pairs, points)
    else:
        peer = CONTENDERS[args.one](pairs, settings, args.seeds[0])
        curve = watched(
            peer.clock, lambda _: peer.train(), lambda: peer.predict(pairs.dev), pairs, points
        )
    assert curve[-1][0] == per_epoch * args.epochs
    return {"epochs": args.epochs, "rows": len(pairs.train), "curve": curve}


def points_of(args: argparse.Namespace, per_epoch: int) -> set[int]:
    """The steps after which it is scored: the last one, or --points of them and ends of epochs."""
    total = per_epoch * args.epochs
    if args.points == 1:
        return {total}
    points = {round(total * point / args.points) for point in range(1, args.points + 1)}
    return points | {per_epoch * epoch for epoch in range(1, args.epochs + 1)}


def watched(
    clock: Boundaries,
    train: Callable[[Boundaries], Any],
    predict: Callable[[], np.ndarray],
    pairs: Pairs,
    points: set[int],
) -> list[tuple[int, float, float]]:
    """Step, seconds and Pearson at these *points* of a training that *clock* listens to."""
    scores: dict[int, float] = {}

    def look(step: int) -> None:
        if step in points:
            scores[step] = pairs.pearson(predict())

    clock.aside = look
    train(clock)
    return [(step, clock.seconds(step), score) for step, score in scores.items()]


def reached(curve: list[list[float]], target: float) -> float | None:
    """Seconds at the first point whose score is no less than *target*; None where none is."""
    return next((seconds for _, seconds, score in curve if score >= target), None)


def report(args: argparse.Namespace, trainings: list[dict[str, Any]]) -> list[str]:
    """The page."""
    target = statistics.mean(each["peer"]["curve"][-1][2] for each in trainings)
    rows = trainings[0]["peer"]["rows"]
    lines = [
        "# Seconds to a score",
        "",
        f"{rows:,} rows of stsb-en, {args.epochs} epochs, fp32, batch 32. {machine(args)}",
        "",
        f"Target: {target:.4f}, the mean dev Pearson of transformers' Trainer (dynamic padding) "
        f"at the end of its {args.epochs} epochs.",
        "",
        "| seed | Trainer: seconds | Pearson | ours: seconds to the target | Trainer's over ours "
        "| ours: Pearson at the end of each epoch | seconds | ours, one epoch less: Pearson "
        "| seconds | group_by_length: seconds to the target | over ours "
        "| Pearson at the end of each epoch | seconds |",
        "| --- |" + " --- |" * 12,
    ]
    lines += [line(each, target) for each in trainings]
    ratios = [gain for each in trainings if (gain := gain_of(each, target)) is not None]
    if ratios:
        text = f"Trainer's seconds over ours to the target: {spread(ratios)}"
        lines += ["", f"{text}, {len(ratios)} of {len(trainings)} seeds reached it."]
    return [*lines, "", *curves(trainings)]


def gain_of(each: dict[str, Any], target: float) -> float | None:
    """How many times sooner ours is at the target; None where it never is."""
    seconds = reached(each["ours"]["curve"], target)
    return None if seconds is None else each["peer"]["curve"][-1][1] / seconds


def line(each: dict[str, Any], target: float) -> str:
    """One seed's line of the table."""
    _, peer_seconds, peer_score = each["peer"]["curve"][-1]
    own, grouped = each["ours"]["curve"], each["grouped"]["curve"]
    seconds, gain = reached(own, target), gain_of(each, target)
    theirs = reached(grouped, target)
    shorter = each["shorter"]["curve"][-1] if "shorter" in each else (0, None, None)
    cells = [
        *(each["seed"], f"{peer_seconds:.0f}", f"{peer_score:.4f}"),
        *("never" if seconds is None else f"{seconds:.0f}", "" if gain is None else f"{gain:.2f}"),
        *(ends_of(each["ours"]), f"{own[-1][1]:.0f}"),
        *("" if shorter[2] is None else f"{shorter[2]:.4f}",),
        *("" if shorter[1] is None else f"{shorter[1]:.0f}",),
        "never" if theirs is None else f"{theirs:.0f}",
        "" if theirs is None or seconds is None else f"{theirs / seconds:.2f}",
        *(ends_of(each["grouped"]), f"{grouped[-1][1]:.0f}"),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def ends_of(training: dict[str, Any]) -> str:
    """Pearson at the end of each epoch."""
    per_epoch = training["curve"][-1][0] / training["epochs"]
    return ", ".join(f"{score:.4f}" for step, _, score in training["curve"] if not step % per_epoch)


def curves(trainings: list[dict[str, Any]]) -> list[str]:
    """Both on the way: medians of the seeds."""
    lines = ["On the way, medians of the seeds:", ""]
    lines.append("| step | ours: seconds | Pearson | group_by_length: seconds | Pearson |")
    lines.append("| --- | --- | --- | --- | --- |")
    curves = [[each[key]["curve"] for each in trainings] for key in ("ours", "grouped")]
    for ours, grouped in zip(*(zip(*each, strict=True) for each in curves), strict=True):
        cells = [
            f"{spread([seconds for _, seconds, _ in points], 0)} | "
            f"{spread([score for *_, score in points], 4)}"
            for points in (ours, grouped)
        ]
        lines.append(f"| {ours[0][0]} | {' | '.join(cells)} |")
    return lines


def machine(args: argparse.Namespace) -> str:
    """Cores, threads, versions, date."""
    return f"{args.threads} threads. {machine_line('torch', 'transformers', 'accelerate')}"


if __name__ == "__main__":
    raise SystemExit(main())
