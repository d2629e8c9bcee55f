"""Folds against scikit-learn's StratifiedGroupKFold; near sentences against brute force.

    python -m benchmarks.folds                    # competition folders under ../shared/data
    python -m benchmarks.folds --data DIR --write

Each folder is read as `pipeline.init` reads it, and its rows are grouped as its config says. Both
sides get the same strata and groups and are measured by the same function. With --write the tables
go to benchmarks/results/folds.md.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.folds.near_recall import near_tables
from benchmarks.shared.machine import DATA, keep, machine_line
from pipeline.base.config import Competition
from pipeline.base.errors import PipelineError
from pipeline.base.seeding import generator
from pipeline.data.table import Table
from pipeline.data.tables import load
from pipeline.folds.groups import connect
from pipeline.folds.splitter import Balance, assign, balance, strata
from pipeline.setup.detection.detect import Overrides, detect

SEEDS = (None, 0, 1, 2, 3, 4)
"""Of scikit-learn; None is shuffle=False."""
MILLION = "1,000,000 rows in 300,000 groups, 40 strata"


def main() -> int:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.folds", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of competition folders")
    parser.add_argument("--write", action="store_true", help="keep the tables")
    args = parser.parse_args()
    found = list(competitions(args.data))
    text = "\n".join(
        [
            "# Folds: balance and speed",
            "",
            "`python -m benchmarks.folds --write`. " + machine_line("scikit-learn", "datasketch"),
            "",
            *balance_table(found),
            "",
            *million_table(),
            "",
            *near_tables({c.name: table.texts for c, table in found}),
        ]
    )
    print(text)
    if args.write:
        keep("folds", text)
    return 0


def competitions(data: Path) -> Iterator[tuple[Competition, Table]]:
    """Every folder under *data* that init can read without being asked, and its training rows."""
    for folder in sorted(data.resolve().glob("*/")):
        try:
            found = detect(folder, Overrides(name=folder.name), str).competition
            yield found, load(found, folder).train
        except PipelineError as error:
            print(f"{folder.name} is left out: {str(error).splitlines()[0]}")


def balance_table(found: list[tuple[Competition, Table]]) -> list[str]:
    """Both measures of both sides for the strata of the config, and for the target alone."""
    lines = [
        "## Balance",
        "",
        "Largest deviation of a stratum's share between a fold and the whole, in percentage "
        "points; largest difference in fold size, in rows. scikit-learn: lowest and highest of "
        f"shuffle=False and {len(SEEDS) - 1} shuffle seeds.",
        "",
        "| competition | K | strata | groups | largest | deviation | sklearn | size | sklearn "
        "| seconds | sklearn | at least as even in both |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for competition, train in found:
        groups = connect(train.texts, competition.folds.groups, competition.folds.near_threshold)
        plain = type(competition.folds)()
        settings = {tuple(each.stratify_by): each for each in (plain, competition.folds)}
        for by, each in settings.items():
            name = f"{competition.name}, {' × '.join(['target', *by])}"
            stratum = strata(train, competition.task.problem, each)
            lines += [compared(name, stratum, groups, count) for count in (5, 10)]
    return lines


def compared(name: str, stratum: np.ndarray, groups: np.ndarray, count: int) -> str:
    """One line of the table."""
    ours, seconds = timed_ours(stratum, groups, count)
    theirs, times = zip(
        *(timed_sklearn(stratum, groups, count, seed) for seed in SEEDS), strict=True
    )
    deviations = [each.share_deviation for each in theirs]
    sizes = [each.size_difference for each in theirs]
    beaten = sum(
        ours.share_deviation <= each.share_deviation + 1e-12
        and ours.size_difference <= each.size_difference
        for each in theirs
    )
    cells = [
        *(name, count, stratum.max() + 1, groups.max() + 1, np.bincount(groups).max()),
        f"{ours.share_deviation:.4%}",
        f"{min(deviations):.4%} – {max(deviations):.4%}",
        *(ours.size_difference, f"{min(sizes)} – {max(sizes)}"),
        *(f"{seconds:.2f}", f"{np.median(times):.2f}"),
        f"{beaten} of {len(theirs)}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def timed_ours(stratum: np.ndarray, groups: np.ndarray, count: int) -> tuple[Balance, float]:
    """Our assignment's balance and seconds."""
    start = time.perf_counter()
    fold_of_row = assign(stratum, groups, count, seed=42)
    seconds = time.perf_counter() - start
    return balance(fold_of_row, stratum), seconds


def timed_sklearn(
    stratum: np.ndarray, groups: np.ndarray, count: int, seed: int | None
) -> tuple[Balance, float]:
    """scikit-learn's balance and seconds."""
    splitter = StratifiedGroupKFold(count, shuffle=seed is not None, random_state=seed)
    fold_of_row = np.empty(len(stratum), dtype=np.int64)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # strata of fewer rows than folds
        for fold, (_, held_out) in enumerate(splitter.split(stratum, stratum, groups)):
            fold_of_row[held_out] = fold
    seconds = time.perf_counter() - start
    return balance(fold_of_row, stratum), seconds


def million_table() -> list[str]:
    """The synthetic large case."""
    random = generator(0, "benchmark")
    groups = np.concatenate([np.arange(300_000), random.integers(0, 300_000, 700_000)])
    own = random.integers(0, 40, 300_000)[groups]
    stratum = np.where(random.random(1_000_000) < 0.5, own, random.integers(0, 40, 1_000_000))
    lines = [
        "## A million rows",
        "",
        f"{MILLION} that go with the groups half of the time, K = 5.",
        "",
        "| | seconds | deviation | size difference |",
        "| --- | --- | --- | --- |",
    ]
    for name, (found, seconds) in (
        ("ours", timed_ours(stratum, groups, 5)),
        ("scikit-learn, shuffle, seed 0", timed_sklearn(stratum, groups, 5, 0)),
    ):
        lines.append(
            f"| {name} | {seconds:.1f} | {found.share_deviation:.4%} | {found.size_difference} |"
        )
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
