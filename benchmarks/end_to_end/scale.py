"""How seconds and memory grow with the rows, up to a million pairs.

    python -m benchmarks.end_to_end.scale                     # 1,000 10,000 100,000 1,000,000 rows
    python -m benchmarks.end_to_end.scale --rows 1000 10000
    python -m benchmarks.end_to_end.scale --write

Pairs made of pieces of ../shared/data/stsb-en (see scale_pairs.py), the tokenizer of recipe minilm.
Every stage of every size is a process of its own, so its peak memory is its own. With --write the
table goes to benchmarks/results/scale.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.machine import DATA, PROJECT, keep, machine_line
from benchmarks.shared.memory import forget_peak, peak

MODULE = "benchmarks.end_to_end.scale"
SOURCE = DATA / "stsb-en" / "train.csv"
ROWS = (1_000, 10_000, 100_000, 1_000_000)
BATCH, GROUPS = 32, 4
Found = dict[str, float]


@contextmanager
def timed(found: Found, name: str) -> Iterator[None]:
    """Add the seconds that the inside takes."""
    began = time.perf_counter()
    yield
    found[name] = time.perf_counter() - began


def read_tables(folder: Path) -> Any:
    """The competition in *folder* and its tables."""
    from pipeline.data.tables import load
    from pipeline.setup.detection.detect import Overrides, detect

    competition = detect(folder, Overrides(name="scale"), str).competition
    return competition, load(competition, Path())


def make_csv(folder: Path, rows: int) -> Found:
    """Write the files; how large they are."""
    from benchmarks.end_to_end.scale_pairs import write_competition

    write_competition(folder, SOURCE, rows)
    return {"csv": (folder / "train.csv").stat().st_size}


def read_csv(folder: Path, rows: int) -> Found:
    """Read and check every file."""
    from pipeline.data.tables import load
    from pipeline.setup.detection.detect import Overrides, detect

    found: Found = {}
    competition = detect(folder, Overrides(name="scale"), str).competition
    with timed(found, "seconds"):
        load(competition, Path())
    return found


def freeze(folder: Path, rows: int, groups: str) -> Found:
    """Connect the rows to groups, assign folds, write fold file and passport."""
    from dataclasses import replace

    from pipeline.base.paths import Paths
    from pipeline.folds.frozen import frozen

    competition, tables = read_tables(folder)
    folds = replace(competition.folds, groups=groups)
    found: Found = {}
    with timed(found, "seconds"):
        frozen(replace(competition, folds=folds), Paths(folder, groups), tables.train)
    return found


def tokenise(folder: Path, rows: int) -> Found:
    """The store of all tables: made where it is not there, else opened."""
    from pipeline.base.paths import Paths
    from pipeline.data.tokens.store import TokenStore
    from pipeline.models.hub.weights import load_tokenizer, locate
    from pipeline.models.learner import Silent
    from pipeline.models.recipes import find

    recipe: Any = find("minilm", PROJECT)
    tokenizer, (_, tables) = load_tokenizer(locate(recipe)), read_tables(folder)
    store = TokenStore(tokenizer, recipe.max_length, recipe.pairing, Paths(folder, "x").tokens)
    forget_peak()
    found: Found = {"before": peak()}
    with timed(found, "seconds"):
        kept = store.keep([table.texts for table in tables.all], Silent())
    found["above"] = peak() - found.pop("before")
    found["tokens"] = float(store.lengths(kept).mean())
    rows_of = store.rows(tables.train.texts)[:, 0]
    order = np.random.default_rng(0).permutation(rows_of)
    with timed(found, "gather"):
        for at in range(0, len(order), BATCH):
            store.gather(order[at : at + BATCH])
    return found


def open_store(folder: Path, rows: int) -> Found:
    """Check the files of the store and map them."""
    from pipeline.base.paths import Paths
    from pipeline.data.tokens.files import read, stores

    (store,) = stores(Paths(folder, "x").tokens)
    found: Found = {"disk": sum(path.stat().st_size for path in store.iterdir())}
    with timed(found, "seconds"):
        assert read(store) is not None
    return found


def plan_epoch(folder: Path, rows: int) -> Found:
    """Walk the steps of one epoch."""
    from pipeline.data.tokens.batches import steps_of

    lengths = np.random.default_rng(0).integers(12, 60, rows)
    found: Found = {}
    with timed(found, "seconds"):
        for _ in steps_of(0, 0, rows, BATCH, lengths, GROUPS):
            pass
    return found


STAGES: dict[str, Callable[[Path, int], Found]] = {
    "make": make_csv,
    "read": read_csv,
    "folds, exact": lambda folder, rows: freeze(folder, rows, "exact"),
    "folds, near": lambda folder, rows: freeze(folder, rows, "near"),
    "tokenise": tokenise,
    "tokenise again": tokenise,
    "open": open_store,
    "plan": plan_epoch,
}


def measure(rows: int) -> dict[str, Found]:
    """Every stage at one size."""
    found = {}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for stage in STAGES:
            command = [sys.executable, "-m", MODULE, "--one", stage, "--folder", folder]
            done = subprocess.run(
                [*command, "--rows", str(rows)], stdout=subprocess.PIPE, text=True, check=True
            )
            found[stage] = json.loads(done.stdout.splitlines()[-1])
            print(f"{rows:,} {stage}: {found[stage]}", file=sys.stderr)
    return found


def table(found: dict[int, dict[str, Found]]) -> Iterator[str]:
    """The lines of the page below its title."""
    stages = [stage for stage in STAGES if stage != "make"]
    yield "| rows | " + " | ".join(stages) + " |"
    yield "| --- " * (len(stages) + 1) + "|"
    for rows, by in found.items():
        cells = [f"{by[each]['seconds']:.2f} s, {by[each]['peak']:.0f} MB" for each in stages]
        yield f"| {rows:,} | " + " | ".join(cells) + " |"
    yield ""
    yield (
        "| rows | tokens per pair | csv, MB | store, MB | memory that `tokenise` adds, MB "
        "| an epoch of shuffled batches gathered, s |"
    )
    yield "| --- " * 6 + "|"
    for rows, by in found.items():
        made, kept = by["tokenise"], by["open"]
        yield (
            f"| {rows:,} | {made['tokens']:.1f} | {by['make']['csv'] / 1e6:.1f} "
            f"| {kept['disk'] / 1e6:.1f} | {made['above']:.0f} "
            f"| {by['tokenise again']['gather']:.2f} |"
        )


def main() -> int:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--write", action="store_true", help="keep the page")
    parser.add_argument("--one", choices=list(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(STAGES[args.one](args.folder, args.rows[0]) | {"peak": peak()}))
        return 0
    found = {rows: measure(rows) for rows in args.rows}
    lines = [
        "# Rows against seconds and memory",
        "",
        "`python -m benchmarks.end_to_end.scale --write`. " + machine_line("tokenizers", "pandas"),
        "",
        "Each cell is one process: seconds of the stage, and the peak memory of the process, with "
        "its libraries and the tables it works on. `folds` groups by sentences that are equal "
        "(exact) or nearly equal (near, the default). `tokenise` makes the store, `tokenise again` "
        "finds it by the texts, `open` checks and maps its files, `plan` walks the steps of one "
        f"epoch ({BATCH} rows in {GROUPS} groups of like length).",
        "",
        *table(found),
    ]
    print("\n".join(lines))
    if args.write:
        keep("scale", "\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
