"""Teachers of docs/craft.md on and off: same rows, same folds, same seeds, a cheap learner.

    nice python -m benchmarks.craft.teachers --minutes 15     # goes on where it was
    python -m benchmarks.craft.teachers --write               # the page

Three states of the labels. As they are; with a tenth of the training labels replaced by those of
other rows, where judging labels should help; and shuffled, where every score above chance is a
leak, as of soft labels by a run, whose learners saw the held-out labels. Rows without labels are
further rows of the same file. No label of a held-out row is made wrong.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.craft.__main__ import (
    drawn,
    folds_of,
    interval,
    kept,
    lines_of,
    options,
    read,
    score_of,
)
from benchmarks.shared.machine import PROJECT, RESULTS, keep, machine_line
from pipeline.base.config import Competition
from pipeline.base.paths import Workspace
from pipeline.base.seeding import generator
from pipeline.data.table import Table
from pipeline.models.learner import LearnerFactory, Silent
from pipeline.models.recipes import find
from pipeline.models.teaching.learner import Help, TaughtFactory
from pipeline.training.jobs import make_factory
from pipeline.training.options import FailurePolicy

KEEP = RESULTS / "craft-teachers.jsonl"
PLAIN = "plain"
BY_A_RUN = "answers of a run: "
"""What the package refuses to do: soft labels out of the out-of-fold predictions of a run."""
TRUE, WRONG, SHUFFLED = "as they are", "a tenth wrong", "shuffled"
TRICKS: dict[str, dict[str, list[str]]] = {
    TRUE: {
        PLAIN: [],
        "noise drop": ["noise={action: drop}"],
        "noise relabel": ["noise={action: relabel}"],
        "noise down-weight": ["noise={action: down-weight}"],
        "distil 0.5": ["distil={weight: 0.5}"],
        "distil 0.5, by a run": [f"{BY_A_RUN}0.5"],
        "pseudo soft": ["pseudo={rows: more, share: 1.0}"],
        "pseudo hard, surest half": ["pseudo={rows: more, labels: hard}"],
        "pseudo hard, 2 rounds": ["pseudo={rows: more, labels: hard, rounds: 2}"],
    },
    WRONG: {
        PLAIN: [],
        "noise drop": ["noise={action: drop}"],
        "noise relabel": ["noise={action: relabel}"],
        "noise down-weight": ["noise={action: down-weight}"],
        "distil 0.5": ["distil={weight: 0.5}"],
    },
    SHUFFLED: {
        PLAIN: [],
        "distil 1.0": ["distil={weight: 1.0}"],
        "distil 1.0, by a run": [f"{BY_A_RUN}1.0"],
    },
}
"""State of the labels -> what is tried there."""
SIZE = ("data", "labels", "model", "rows", "folds")
KEY = (*SIZE, "trick", "seed", "fold")


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing; print the tables, and keep them with --write."""
    data = ["stsb-en", "ynat", "nsmc"]
    parser = options(__doc__, data, KEEP, model="linear", rows=1000, folds=4)
    parser.add_argument("--labels", nargs="*", default=list(TRICKS), choices=list(TRICKS))
    args = parser.parse_args(argv)
    train_missing(args)
    found = page(lines_of(args.keep))
    print(found)
    if args.write:
        keep("craft-teachers", found)
    return 0


def train_missing(args: argparse.Namespace) -> None:
    """Seed by seed, data by data, fold by fold, until the time is over."""
    end = time.monotonic() + 60 * args.minutes
    there = {key_of(line) for line in lines_of(args.keep)}
    for case in cases(args):
        todo = {
            trick: changes
            for trick, changes in TRICKS[case["labels"]].items()
            if key_of(case | {"trick": trick}) not in there
            and (args.tricks is None or trick in (PLAIN, *args.tricks))
        }
        if not todo:
            continue
        if time.monotonic() > end:
            return
        for trick, score in scores(args.folder / case["data"], case, todo):
            kept(case | {"trick": trick} | score, args.keep)


def cases(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each fold of each state of each data set."""
    for seed in args.seeds:
        for data in args.data:
            for labels in args.labels:
                for fold in range(args.folds):
                    yield {
                        "data": data,
                        "labels": labels,
                        "model": args.model,
                        "rows": args.rows,
                        "folds": args.folds,
                        "seed": seed,
                        "fold": fold,
                    }


def key_of(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one training from another."""
    return tuple(line[name] for name in KEY)


def scores(
    folder: Path, case: Mapping[str, Any], tricks: Mapping[str, list[str]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each trick's score on the held-out rows of a *case*; they share the answers of teachers."""
    competition, table = read(folder, ())
    rows = drawn(table, case)
    fold_of_row = folds_of(rows, case)
    learned = spoiled(rows, fold_of_row == case["fold"], case)
    train, held = (
        learned.rows(which) for which in (fold_of_row != case["fold"], fold_of_row == case["fold"])
    )
    with tempfile.TemporaryDirectory() as scratch:
        for trick, changes in tricks.items():
            leaking = [float(each.removeprefix(BY_A_RUN)) for each in changes if BY_A_RUN in each]
            recipe: Any = find(case["model"], PROJECT, [] if leaking else changes)
            inner = make_factory(recipe, competition, FailurePolicy())
            help_ = Help(
                competition=competition,
                recipe=recipe,
                unlabelled=unlabelled(table, rows, case) if recipe.pseudo else None,
            )
            factory: Any = TaughtFactory(inner, help_) if recipe.teaching else inner
            own = train
            if leaking:
                answers = of_a_run(inner, learned, fold_of_row, case, train.ids)
                own = mixed(train, answers, leaking[0], competition)
            learner = factory.make(case["seed"])
            learner.fit(own, Workspace(Path(scratch), "shared"), Silent())
            score = score_of(competition, held, learner.predict(held, Silent()))
            yield trick, {"metric": competition.task.metric, "score": round(score, 6)}


def mixed(train: Table, answers: np.ndarray, weight: float, competition: Competition) -> Table:
    """*train* with so much of the *answers* (n, k) in its targets."""
    assert train.targets is not None
    labels = competition.task.problem_type.expand(train.targets, answers.shape[1])
    return replace(train, targets=(1 - weight) * labels + weight * answers)


def spoiled(rows: Table, held: np.ndarray, case: Mapping[str, Any]) -> Table:
    """*rows* with the labels of their state: shuffled everywhere, or wrong where they are not
    *held* (n,) out."""
    assert rows.targets is not None
    random = generator(case["seed"], "benchmark teachers", case["fold"])
    targets = np.array(rows.targets)
    free = np.flatnonzero(~held)
    if case["labels"] == WRONG:
        chosen = random.permutation(free)[: len(free) // 10]
        targets[chosen] = targets[random.choice(free, len(chosen))]
    if case["labels"] == SHUFFLED:
        order = random.permutation(len(targets))
        targets = targets[order]
    return replace(rows, targets=targets)


def unlabelled(table: Table, rows: Table, case: Mapping[str, Any]) -> Table:
    """As many further rows of the file, without their labels."""
    others = table.rows(~np.isin(table.ids, rows.ids))
    return replace(drawn(others, {**case, "seed": case["seed"] + 1000}), targets=None)


def of_a_run(
    factory: LearnerFactory,
    rows: Table,
    fold_of_row: np.ndarray,
    case: Mapping[str, Any],
    ids: np.ndarray,
) -> np.ndarray:
    """(n, k) out-of-fold answers of a run on all *rows* about those with these *ids* (n,)."""
    found: dict[str, np.ndarray] = {}
    for fold in range(case["folds"]):
        if fold == case["fold"]:
            continue
        learner = factory.make(case["seed"])
        with tempfile.TemporaryDirectory() as scratch:
            learner.fit(rows.rows(fold_of_row != fold), Workspace(Path(scratch)), Silent())
        own = rows.rows(fold_of_row == fold)
        predicted = learner.predict(replace(own, targets=None), Silent())
        found |= dict(zip(own.ids.tolist(), predicted, strict=True))
    return np.array([found[each] for each in ids.tolist()])


def page(lines: list[dict[str, Any]]) -> str:
    """A table for each data set and state of the labels."""
    text = ["# Teachers, on and off", "", machine_line("scikit-learn", "cleanlab"), ""]
    sizes = dict.fromkeys(tuple(line[name] for name in SIZE) for line in lines)
    for size in sizes:
        text += section([each for each in lines if tuple(each[name] for name in SIZE) == size])
    return "\n".join(text)


def section(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Of one data set with its labels in one state."""
    first = lines[0]
    by_trick: dict[str, dict[tuple[int, int], float]] = {}
    for line in lines:
        by_trick.setdefault(line["trick"], {})[line["seed"], line["fold"]] = line["score"]
    plain = by_trick.get(PLAIN, {})
    if not plain:
        return
    held = first["rows"] // first["folds"]
    seeds = len({seed for seed, _ in plain})
    yield f"## {first['data']}, labels {first['labels']}"
    yield ""
    yield (
        f"{first['model']}, about {first['rows'] - held} rows trained on and {held} scored, "
        f"{first['folds']} folds, {seeds} seeds. Plain: {first['metric']} "
        f"{np.mean(list(plain.values())):.4f} (mean of {len(plain)})."
    )
    yield ""
    yield f"| teacher | {first['metric']} minus plain's | 95 % interval | pairs |"
    yield "| --- | --- | --- | --- |"
    for trick, found in by_trick.items():
        both = [key for key in found if key in plain]
        if trick != PLAIN and both:
            apart = np.array([found[key] - plain[key] for key in both])
            yield f"| {trick} | {apart.mean():+.4f} | {interval(apart)} | {len(both)} |"
    yield ""


if __name__ == "__main__":
    raise SystemExit(main())
