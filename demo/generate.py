"""Make the built-in competition from the hand-written scenes.

    python demo/generate.py             train.csv, test.csv, sample_submission.csv, answers.csv
    python demo/generate.py --out DIR   the same bytes elsewhere

All that shapes the competition is a number at the top of this file. A label follows from how its
pair was made, as a few simulated people would have judged it.
"""

import csv
import io
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from demo.draw import Judges, Kind, Row, asked_again, draw, judged, shared_out
from demo.pairs import Pair, clusters
from demo.scenes import Scene, read_scenes
from pipeline.base.command import run
from pipeline.base.files import commit_text
from pipeline.base.seeding import derive_seed

SEED = 24
"""Of ten tried, one by which word overlap says about as much in train as in test."""
TRAIN_ROWS = 1000
TEST_ROWS = 400
"""An even number: half of them are public."""
KINDS = {
    "same": Kind(0.21, 4.4, 5.0),
    "copy": Kind(0.06, 4.7, 5.0),
    "less": Kind(0.15, 3.4, 4.2),
    "differs": Kind(0.09, 2.1, 3.1),
    "number": Kind(0.09, 1.8, 2.6),
    "denied": Kind(0.06, 0.9, 1.7),
    "turned": Kind(0.05, 1.3, 2.3),
    "topic": Kind(0.08, 0.7, 1.5),
    "lookalike": Kind(0.06, 0.1, 0.5),
    "unrelated": Kind(0.15, 0.0, 0.3),
}
"""The kinds of pairs (demo/pairs.py): share of all rows, lowest and highest true similarity."""
JUDGES = Judges(
    count=11,
    disagreement=0.7,
    lenience={
        "home": -0.6,
        "kitchen": 0.0,
        "news": -0.35,
        "office": 0.1,
        "sport": 0.3,
        "travel": 0.55,
    },
)
AGAIN = 0.02
"""Share of a file's rows that ask once more about another of its rows, sides swapped."""
TEST_CLUSTERS = 3
"""Clusters of scenes per source that are kept for test."""
SEEN = {"same": 1, "less": 1, "differs": 1}
"""Test rows per source whose scene is in train, as happens in real files."""

HERE = Path(__file__).parent


def make() -> tuple[list[Row], list[Row]]:
    """The rows of train and of test, shuffled."""
    scenes = read_scenes()
    alike = {scene.source: 1.0 for scene in scenes}
    train_counts = shared_out(round(TRAIN_ROWS * (1 - AGAIN)), alike)
    test_counts = shared_out(round(TEST_ROWS * (1 - AGAIN)), alike)
    train: list[Pair] = []
    test: list[Pair] = []
    for source in alike:
        own = [scene for scene in scenes if scene.source == source]
        known, unknown = _pairs_of(own, train_counts[source], test_counts[source])
        train += known
        test += unknown
    return _rows(train, TRAIN_ROWS, "train"), _rows(test, TEST_ROWS, "test")


def _pairs_of(
    scenes: Sequence[Scene], train_count: int, test_count: int
) -> tuple[list[Pair], list[Pair]]:
    """So many pairs for train and for test from the *scenes* of one source."""
    dice = _dice(f"pairs of {scenes[0].source}")
    grouped = clusters(scenes, dice)
    dice.shuffle(grouped)
    unseen, known = grouped[:TEST_CLUSTERS], grouped[TEST_CLUSTERS:]
    shares = {name: kind.share for name, kind in KINDS.items()}
    train_counts = shared_out(train_count, shares)
    test_counts = shared_out(test_count, shares)
    surplus = {name: count + SEEN.get(name, 0) for name, count in train_counts.items()}
    train: list[Pair] = []
    test: list[Pair] = []
    for pair in draw(known, surplus, dice):
        surplus[pair.kind] -= 1
        (test if surplus[pair.kind] < SEEN.get(pair.kind, 0) else train).append(pair)
    rest = {name: count - SEEN.get(name, 0) for name, count in test_counts.items()}
    return train, test + draw(unseen, rest, dice)


def _rows(pairs: Sequence[Pair], count: int, purpose: str) -> list[Row]:
    """*count* judged rows: the *pairs*, and some of them once more."""
    dice = _dice(f"judgements of {purpose}")
    rows = judged(pairs, KINDS, JUDGES, dice)
    rows += [asked_again(row, JUDGES, dice) for row in dice.sample(rows, count - len(rows))]
    dice.shuffle(rows)
    return rows


def _dice(purpose: str) -> Random:
    # Python's own generator draws the same numbers in all its versions, numpy's need not
    return Random(derive_seed(SEED, purpose))


def write(folder: Path) -> None:
    """Write the competition's four files into *folder*."""
    train, test = make()
    halves = ["public", "private"] * (len(test) // 2)
    _dice("leaderboard").shuffle(halves)
    head = ("id", "source", "sentence_1", "sentence_2")
    labels = ("label", "binary-label")
    _write_csv(folder / "train.csv", (*head, *labels), _lines(train, "train", labelled=True))
    _write_csv(folder / "test.csv", head, _lines(test, "test", labelled=False))
    ids = [f"demo-test-{place:04}" for place in range(len(test))]
    _write_csv(folder / "sample_submission.csv", ("id", "target"), ((name, "0.0") for name in ids))
    answers = (
        (name, row.label, row.binary_label, half)
        for name, row, half in zip(ids, test, halves, strict=True)
    )
    _write_csv(folder / "answers.csv", ("id", *labels, "half"), answers)


def _lines(rows: Iterable[Row], name: str, labelled: bool) -> Iterable[tuple[str, ...]]:
    for place, row in enumerate(rows):
        line = (f"demo-{name}-{place:04}", row.pair.source, *row.pair.texts)
        yield (*line, row.label, row.binary_label) if labelled else line


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    commit_text(path, text.getvalue())


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files; return the exit status."""
    options = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--out", type=Path, default=HERE, help="folder to write into")
    folder = options.parse_args(argv).out
    write(folder)
    print(f"{TRAIN_ROWS} training and {TEST_ROWS} test rows written to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
