"""What the pass over the rows is made of, for the page of blend.py.

    python benchmarks/blend_pass.py --write        then: python benchmarks/blend.py --page

Processor seconds of one thread at M = 100, N = 1,000,000, the members in memory: the whole pass,
and the same blocks with nothing but the gathering, or nothing but the products.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from blend_clock import timed
from blend_data import FOLDS

from pipeline.results.moments import CELLS, measure_by_fold

RESULTS = Path(__file__).resolve().parent / "results" / "blend-pass.json"
MEMBERS, ROWS = 100, 1_000_000


def main() -> int:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep it in results/blend-pass.json")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    columns = [random.standard_normal((ROWS, 1), dtype=np.float32) for _ in range(MEMBERS)]
    target, folds = random.normal(size=(ROWS, 1)), random.integers(FOLDS, size=ROWS)
    size = CELLS // (MEMBERS + 1)
    block, other = (random.normal(size=(MEMBERS + 1, size)) for _ in range(2))
    sides: dict[str, Callable[[], object]] = {
        "whole": lambda: measure_by_fold(columns, target, folds),
        "gathering": lambda: gather([*columns, target], folds, block),
        "products": lambda: products(block, block),
        "products without symmetry": lambda: products(block, other),
    }
    found = {name: statistics.median(timed(call)[1]) for name, call in sides.items()}
    print(json.dumps(found))
    if args.write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def gather(columns: list[np.ndarray], folds: np.ndarray, block: np.ndarray) -> None:
    """Every block, sorted by fold and widened to float64."""
    size = block.shape[1]
    for start in range(0, ROWS, size):
        order = np.argsort(folds[start : start + size], kind="stable")
        for place, column in enumerate(columns):
            block[place, : len(order)] = np.take(column[start : start + size, 0], order)


def products(block: np.ndarray, other: np.ndarray) -> None:
    """A product per fold of every block."""
    size, total = block.shape[1], np.zeros((len(block), len(block)))
    for _ in range(0, ROWS, size):
        for fold in range(FOLDS):
            part = slice(fold * size // FOLDS, (fold + 1) * size // FOLDS)
            total += block[:, part] @ other[:, part].T


if __name__ == "__main__":
    raise SystemExit(main())
