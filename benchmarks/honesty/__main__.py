"""Do the intervals of a gain hold what they promise, and is the honest score honest?

    python -m benchmarks.honesty --minutes 4 --competitions 500     # goes on where it was
    python -m benchmarks.honesty --workers 4 --minutes 30 --competitions 1000
    python -m benchmarks.honesty --write                            # the page and the figure

Competitions are drawn from worlds whose true scores are known (tests/ensemble/simulated.py):
numbers and classes, 400 to 3,000 rows, groups that err together, members that are nearly equal.
Each is one line of the file --keep, and is not drawn again. Every question (how much better is
one method than another, what is a member worth) is answered by `pipeline.ensemble.honest`
and compared with the truth. A thousand competitions take some five minutes of one core.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.honesty.page import figure, page, summary
from benchmarks.shared.machine import PROJECT, keep
from pipeline.ensemble.honest import Nest
from pipeline.ensemble.methods.registry import METHODS as ALL
from pipeline.ensemble.methods.registry import refusal
from tests.ensemble.simulated import Competition, World

FIGURE = PROJECT / "docs/figures/honesty.png"
METHODS = ("best", "mean", "simplex", "ridge")
"""Those that "auto" chooses from here."""
MORE = ("rank-mean", "greedy", "greedy-bag", "nonnegative-ridge", "logistic", "slices", "layers")
"""Those that are asked besides, where they fit the problem."""
ROWS = 20_000  # of a population; a new one for every TOGETHER competitions
TOGETHER = 10
AUTO_EVERY = 4  # "auto" fits everything many times over, so it is asked of every fourth
NUMBERS = World(
    name="3,000 rows, rmse", metric="rmse", errors=(0.6, 0.63, 0.9, 1.5), groups=1000, size=3.0
)
BINARY = World(
    name="binary, auc",
    problem="binary",
    labels=(0.0, -0.5),
    metric="auc",
    errors=(0.6, 0.65, 0.9, 1.5),
)
CLASSES = World(
    name="three classes, macro-f1",
    problem="multiclass",
    labels=(0.0, 0.0, -1.0),
    metric="macro-f1",
    errors=(0.6, 0.65, 0.9, 1.5),
    groups=300,
)
UNEVEN = (0.4, 1.2, 0.6, 1.0)
WORLDS = [
    World(name="one clearly best, pearson", metric="pearson", errors=(0.4, 0.8, 0.9, 1.5)),
    World(name="two nearly equal, pearson", metric="pearson", errors=(0.6, 0.62, 0.9, 1.5)),
    World(
        name="four equal, rmse, 10 folds", metric="rmse", errors=(0.6,) * 4, groups=500, folds=10
    ),
    World(
        name="40 large groups, pearson",
        metric="pearson",
        errors=(0.6, 0.65, 0.9, 1.5),
        groups=40,
        size=10.0,
    ),
    NUMBERS,
    replace(BINARY, name="binary, log-loss", metric="log-loss", errors=(0.4, 0.7, 0.9, 1.5)),
    BINARY,
    CLASSES,
    replace(CLASSES, name="three classes, accuracy, 3 folds", metric="accuracy", folds=3),
    World(name="two kinds of rows, pearson", metric="pearson", errors=UNEVEN, kinds=2),
    replace(BINARY, name="two kinds of rows, binary, auc", errors=UNEVEN, kinds=2, groups=300),
]
CROWD = World(name="crowd", metric="pearson", errors=(0.6,))
STRANGERS = (0, 5, 10, 20, 35, 50)
CROWD_METHODS = ("simplex", "greedy", "ridge")


def main() -> int:
    """Draw what is missing; print the page, and keep it with --write."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.honesty", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--competitions", type=int, default=0, help="of each world, in all")
    parser.add_argument("--minutes", type=float, default=4.0, help="stop drawing after so long")
    parser.add_argument("--keep", type=Path, default=Path("runs/honesty.jsonl"), help="the lines")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--write", action="store_true", help="keep the page and the figure")
    args = parser.parse_args()
    until = time.monotonic() + 60 * args.minutes
    draw_missing(args.keep, args.competitions, until, args.workers)
    lines, crowd = lines_of(args.keep), crowded()
    text = page(lines, crowd)
    print(text)
    if args.write:
        keep("honesty", text, summary(lines, crowd))
        figure(lines, crowd, FIGURE)
    return 0


def draw_missing(keep: Path, competitions: int, until: float, workers: int) -> None:
    """Every world up to so many *competitions*, some of each world in turn."""
    drawn = {(line["world"], line["seed"]) for line in lines_of(keep)}
    due = [
        (place, first)
        for first in range(0, competitions, TOGETHER)
        for place, world in enumerate(WORLDS)
        if (world.name, first) not in drawn
    ]
    pool = Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch=workers)
    keep.parent.mkdir(parents=True, exist_ok=True)
    for lines in pool(delayed(some)(*each, until) for each in due):
        with keep.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in lines)


def some(place: int, first: int, until: float) -> list[dict[str, Any]]:
    """TOGETHER competitions of one world, or none where it is too late to begin."""
    if time.monotonic() > until:
        return []
    world = WORLDS[place]
    population, found = world.population(first, ROWS), []
    for seed in range(first, first + TOGETHER):
        nest = Nest(world.draw(seed), seed, METHODS)
        line = asked(Competition(nest, population), seed)
        found.append({"world": world.name, "seed": seed, **line})
    return found


def asked(competition: Competition, seed: int) -> dict[str, Any]:
    """All questions put to one competition."""
    nest = competition.nest
    methods = [*METHODS, *(each for each in MORE if fits(each, nest))]
    if seed % AUTO_EVERY == 0:
        methods.append("auto")
    answers = [competition.over(method, "best") for method in methods[1:]]
    answers += [competition.over("simplex", "mean"), competition.over("ridge", "mean")]
    last = len(nest.evidence.names) - 1
    answers += [competition.worth("simplex", member) for member in (0, last)]
    return {
        "answers": {
            each.question: [
                each.gain.difference,
                each.gain.error,
                each.gain.low,
                each.gain.high,
                *each.plain,
                each.true,
                each.sent,
            ]
            for each in answers
        },
        "scores": {
            method: [
                nest.honest_gain(method),
                *competition.truth(method),
                nest.in_sample_gain(method),
            ]
            for method in methods
        },
    }


def fits(method: str, nest: Nest) -> bool:
    """Whether one of MORE can be asked; bags, which are for crowds, of a few anyway."""
    suits = method == "greedy-bag" or ALL[method].suits(nest.evidence)
    return suits and refusal(method, nest.evidence) is None


def crowded() -> dict[str, Any]:
    """In-sample and honest scores of one good member and ever more that know nothing."""
    found: dict[str, dict[str, list[float]]] = {}
    for method in CROWD_METHODS:
        nests = [
            [Nest(replace(CROWD, strangers=count).draw(seed), seed, [method]) for seed in range(10)]
            for count in STRANGERS
        ]
        found[method] = {
            "in-sample": [float(np.mean([n.in_sample_gain(method) for n in row])) for row in nests],
            "honest": [float(np.mean([n.honest_gain(method) for n in row])) for row in nests],
        }
    return {
        "world": f"{CROWD.metric}, {CROWD.groups} groups",
        "metric": CROWD.metric,
        "competitions": 10,
        "strangers": list(STRANGERS),
        "scores": found,
    }


def lines_of(path: Path) -> list[dict[str, Any]]:
    """What was drawn so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    raise SystemExit(main())
