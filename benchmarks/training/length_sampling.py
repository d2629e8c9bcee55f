"""Does it cost quality to sample batches of rows of like length?

    python -m benchmarks.training.length_sampling --seeds 101 102 103 104   # goes on where it was
    python -m benchmarks.training.length_sampling --write                   # the page

Our engine twice for every seed, everything the same but the rows of a step: drawn at random, as we
do, or by `get_length_grouped_indices` of transformers, which is what its Trainer does for
train_sampling_strategy="group_by_length". The learning rate falls to zero over all epochs; Pearson
on dev.csv at the end of each. Every training is one line of the file --keep, and is not done again;
seeds are new to this question, so nothing was chosen by them.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from scipy.stats import t as student
from transformers.trainer_pt_utils import get_length_grouped_indices

from benchmarks.shared.clock import Boundaries
from benchmarks.shared.machine import RESULTS, keep, machine_line
from benchmarks.shared.stsb import DATA, Pairs, recipe
from benchmarks.training.engine import Engine
from pipeline.base.seeding import derive_seed
from pipeline.data.tokens.batches import Steps

ARMS = ("shuffled", "by length")
KEEP = RESULTS / "length-sampling.jsonl"


def main() -> int:
    """Train what is missing; print the table, and keep it with --write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the competition's folder")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="of the trainings")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rows", type=int, help="train on so many rows, to try it")
    parser.add_argument("--keep", type=Path, default=KEEP, help="a line per training")
    parser.add_argument("--write", action="store_true", help="keep the page")
    args = parser.parse_args()
    if args.seeds:
        train_missing(args)
    page = table(lines_of(args.keep), args)
    print(page)
    if args.write:
        keep("length-sampling", page, lines_of(args.keep))
    return 0


def train_missing(args: argparse.Namespace) -> None:
    """Both arms of every seed, seed by seed, one line each."""
    pairs = Pairs.read(args.data).some(args.rows)
    there = {(line["seed"], line["arm"], line["rows"]) for line in lines_of(args.keep)}
    for seed in args.seeds:
        for arm in ARMS:
            if (seed, arm, len(pairs.train)) not in there:
                line = trained(pairs, args.epochs, seed, arm)
                with args.keep.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
                print(json.dumps(line), file=sys.stderr, flush=True)


def trained(pairs: Pairs, epochs: int, seed: int, arm: str) -> dict[str, Any]:
    """One training: Pearson on dev at the end of every epoch."""
    began = time.perf_counter()
    engine = Engine(pairs, recipe(f"epochs={epochs}"), seed)
    per_epoch = math.ceil(len(pairs.train) / engine.learner.shared.recipe.batch_size)
    scores: list[float] = []

    def look(step: int) -> None:
        if step % per_epoch == 0:
            scores.append(pairs.pearson(engine.peek(pairs.dev)))

    with sampled(arm):
        watch = Boundaries(look)
        engine.fit(watch)
    assert len(scores) == epochs
    return {
        "seed": seed,
        "arm": arm,
        "rows": len(pairs.train),
        "pearson": [round(score, 5) for score in scores],
        "steps": len(watch.ends),
        "useful_token_share": engine.learner.facts["useful_token_share"],
        "train_seconds": round(watch.seconds(), 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def sampled(arm: str) -> AbstractContextManager[Any]:
    """Draw the steps of a training as *arm* does."""
    own = Steps._plan

    def by_length(steps: Steps, epoch: int, first: int) -> list[list[np.ndarray]]:
        """The engine's plan of an epoch over rows in the order that transformers puts them in."""
        batch = steps.settings.batch_size
        draw = torch.Generator().manual_seed(derive_seed(steps.seed, "by length", epoch))
        lengths = steps.lengths.tolist()
        order = np.array(get_length_grouped_indices(lengths, batch, generator=draw))
        given = mock.Mock()
        given.permutation.return_value = order
        with mock.patch("pipeline.data.tokens.batches.generator", return_value=given):
            plan = list(own(steps, epoch, first))
        for step, groups in enumerate(plan, start=first):
            wanted = order[step * batch : (step + 1) * batch]
            assert sorted(np.concatenate(groups)) == sorted(wanted), "rows of another step"
        return plan

    return mock.patch.object(Steps, "_plan", by_length) if arm == "by length" else nullcontext()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """What was trained so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(lines: list[dict[str, Any]], args: argparse.Namespace) -> str:
    """The page: every seed, then the differences with their intervals."""
    scores = {(line["seed"], line["arm"]): line["pearson"] for line in lines}
    seeds = [seed for seed, arm in scores if arm == ARMS[0] and (seed, ARMS[1]) in scores]
    rows = sorted({line["rows"] for line in lines})
    text = ["# Batches of like length against shuffled ones", ""]
    text += [f"{rows} rows; Pearson on dev.csv. {machine_line('torch', 'transformers')}", ""]
    if len(rows) != 1 or len(seeds) < 2:
        return "\n".join([*text, f"Not enough yet: both arms of {len(seeds)} seeds.", ""])
    pairs = np.array([[scores[seed, arm] for arm in ARMS] for seed in seeds])  # seed, arm, epoch
    epochs = range(pairs.shape[2])
    heads = [f"{arm}, epoch {epoch + 1}" for epoch in epochs for arm in ARMS]
    text += [f"| seed | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for seed, each in zip(seeds, pairs, strict=True):
        text.append(f"| {seed} | {' | '.join(f'{value:.4f}' for value in each.T.ravel())} |")
    means = zip(pairs.mean(axis=0).T.ravel(), pairs.std(axis=0, ddof=1).T.ravel(), strict=True)
    text += [f"| mean (sd) | {' | '.join(f'{m:.4f} ({sd:.4f})' for m, sd in means)} |", ""]
    return "\n".join([*text, *differences(pairs), ""])


def differences(pairs: np.ndarray) -> Iterator[str]:
    """By length minus shuffled, paired by seed, at the end of every epoch: (seed, arm, epoch)."""
    for epoch, values in enumerate((pairs[:, 1] - pairs[:, 0]).T):
        error = values.std(ddof=1) / math.sqrt(len(values))
        reach = float(student.ppf(0.975, len(values) - 1)) * error
        yield (
            f"- by length minus shuffled after epoch {epoch + 1}: {values.mean():+.4f} ± "
            f"{reach:.4f} (95 % t-interval, {len(values)} seeds)"
        )


if __name__ == "__main__":
    raise SystemExit(main())
