"""The linear learner's solver against scikit-learn's, on the same inputs.

    python -m benchmarks.training.linear ../shared/data/stsb-en ../shared/data/nsmc --write

The learner's own design matrix and its middle strength, against Ridge (numbers) or
LogisticRegression (classes), which know one penalty only, so the dense columns are scaled to weigh
the same. Medians of three, interleaved, one thread.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from benchmarks.shared.machine import keep, machine_line
from pipeline.data.tables import load
from pipeline.models.linear.features import learn_features
from pipeline.models.linear.regularisation import DENSE, STANDARD
from pipeline.models.linear.solver import fit_glm
from pipeline.models.linear.text_features import NgramCounter
from pipeline.models.settings import LinearRecipe
from pipeline.setup.detection.detect import Overrides, detect

FAMILIES: Any = [("char", 1), ("char", 2), ("char", 3), ("char", 4), ("word", 1), ("word", 2)]


def main() -> int:
    """Measure every folder; print the table, and keep it with --write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="keep the page")
    args = parser.parse_args()
    lines = [
        "# The linear learner's solver",
        "",
        "`python -m benchmarks.training.linear … --write`. "
        + machine_line("scikit-learn", "scipy"),
        "",
        "Seconds: median of three (lowest to highest), one thread.",
        "",
        "| competition | rows | peer | ours | scikit-learn | ratio of medians |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with threadpool_limits(limits=1):
        lines += [measured(folder) for folder in args.folders]
    page = "\n".join(lines) + "\n"
    print(page)
    if args.write:
        keep("linear", page)
    return 0


def measured(folder: Path) -> str:
    """The table's line for one competition."""
    found = detect(folder, Overrides(name=folder.name), str)
    train = load(found.competition, Path()).train
    counter = NgramCounter(FAMILIES, LinearRecipe().buckets)
    design = learn_features(train, counter).design(train, counter)
    assert train.targets is not None
    loss: Any = "squared" if found.competition.task.problem == "regression" else "sigmoid"
    targets = train.targets - (train.targets.mean(axis=0) if loss == "squared" else 0)
    strength = STANDARD[loss][len(STANDARD[loss]) // 2]
    scale = np.float32(np.sqrt(strength / DENSE))
    joined = sparse.hstack([sparse.csr_array(design.dense * scale), design.ngrams], format="csr")
    peer = peer_of(loss, strength)
    ours, theirs = race(
        lambda: fit_glm(design, targets, loss, DENSE, strength),
        lambda: peer.fit(joined, targets[:, 0]),
    )
    return f"| {folder.name} | {len(train):,} | {type(peer).__name__} | {row(ours, theirs)}"


def peer_of(loss: str, strength: float) -> Any:
    """scikit-learn's solver for sparse inputs."""
    if loss == "squared":
        return Ridge(alpha=strength, solver="sparse_cg", tol=1e-4)
    return LogisticRegression(C=1 / strength, solver="lbfgs", max_iter=1000, tol=1e-4)


def race(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[list[float], list[float]]:
    """Seconds of three runs each, in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        for place, call in enumerate((first, second)):
            started = time.perf_counter()
            call()
            times[place].append(time.perf_counter() - started)
    return times


def row(ours: list[float], theirs: list[float]) -> str:
    """Both medians with their spread, and their ratio."""

    def text(values: list[float]) -> str:
        return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"

    ratio = statistics.median(theirs) / statistics.median(ours)
    return f"{text(ours)} | {text(theirs)} | {ratio:.1f} |"


if __name__ == "__main__":
    raise SystemExit(main())
