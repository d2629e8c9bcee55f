"""Simulated members for blend.py: the truth, an error that all share, and one of their own."""

from pathlib import Path

import numpy as np

FOLDS = 5
SHARED = 0.5
"""Standard deviation of the error that all members share; that of the target is 1."""
OWN = (0.5, 1.2)
"""Of each member's own error: evenly from the first member to the last."""
BLOCK = 100_000


def write(folder: Path, members: int, rows: int) -> None:
    """members.npy (M, n) float32, truth.npy (n,) float64 and folds.npy (n,), block by block."""
    random = np.random.default_rng([members, rows])
    truth = random.normal(size=rows)
    np.save(folder / "truth.npy", truth)
    np.save(folder / "folds.npy", random.integers(0, FOLDS, size=rows).astype(np.int8))
    shape = (members, rows)
    table = np.lib.format.open_memmap(folder / "members.npy", "w+", np.float32, shape)
    for start in range(0, rows, BLOCK):
        here = truth[start : start + BLOCK]
        common = here + SHARED * random.normal(size=len(here))
        for place, own in enumerate(np.linspace(*OWN, members)):
            noise = random.standard_normal(len(here), dtype=np.float32)
            table[place, start : start + len(here)] = common + own * noise
    table.flush()


def read(folder: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """M memory-mapped members (n,), the truth (n,) and the folds (n,)."""
    table = np.load(folder / "members.npy", mmap_mode="r")
    truth, folds = np.load(folder / "truth.npy"), np.load(folder / "folds.npy")
    return [table[place] for place in range(len(table))], truth, folds


def scores(members: list[np.ndarray], truth: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """In-sample scores of a weighted sum, by the same plain code for every contender."""
    blend = np.zeros(len(truth))
    for weight, member in zip(weights, members, strict=True):
        if weight:
            blend += weight * member
    return {
        "rmse": float(np.sqrt(np.mean((blend - truth) ** 2))),
        "pearson": float(np.corrcoef(blend, truth)[0, 1]),
    }
