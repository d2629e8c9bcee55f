"""The built-in member `linear` and its solver against scikit-learn: quality beside seconds.

    python -m benchmarks.training.linear ../shared/data --write

Two tables in one page. The first holds the member against plain pipelines (`linear_quality`). The
second holds its solver against scikit-learn's on the same inputs, the member's own design matrix,
at the middle of its strengths: Ridge for numbers and for one of several classes (least squares of
each class against the rest), LogisticRegression for two classes. These know one penalty only, so
the dense columns are scaled to weigh the same. One thread; seconds of the process's own time.

Each figure is kept in results/linear.jsonl as it is there: the command may be stopped, and goes on
where it was. Figures of other code of the member, or of another scikit-learn, are taken anew.
"""

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from benchmarks.shared.machine import RESULTS, keep, machine_line
from benchmarks.training import linear_quality
from benchmarks.training.linear_quality import (
    OURS,
    Set,
    contenders,
    cut,
    lines_of,
    measured,
    score,
    sets,
    table,
)
from pipeline.models import linear as member
from pipeline.models.linear.features import learn_features
from pipeline.models.linear.solver import DENSE, STANDARD, Design, fit_glm
from pipeline.models.linear.text_features import NgramCounter
from pipeline.models.settings import LinearRecipe

FAMILIES: Any = [("char", 1), ("char", 2), ("char", 3), ("char", 4), ("word", 1), ("word", 2)]
KEEP = RESULTS / "linear.jsonl"
NEAR = 2.0  # times our seconds up to which scikit-learn's solver counts as good


class Kept:
    """Figures of earlier calls, a line of JSON each, and those of this one."""

    def __init__(self, path: Path, rows: int) -> None:
        self.path, self.rows = path, rows
        files = sorted(Path(member.__file__ or "").parent.glob("*.py"))
        code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
        self.made_of = {True: code, False: version("scikit-learn")}
        self.known: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                found = json.loads(line)
                self.known[tuple(found["key"])] = found["said"]

    def __call__(
        self, ours: bool, words: tuple[Any, ...], measure: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """What *measure* says, or has said before. *ours*: the member's code is behind it."""
        key = (*words, self.rows, self.made_of[ours])
        if key not in self.known:
            self.known[key] = measure()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "said": self.known[key]}) + "\n")
            print(*key, self.known[key], flush=True)
        return self.known[key]


def solved(asked: Set, seed: int) -> dict[str, Any]:
    """Both solvers on one cut: name of the peer, scores and seconds, ours first."""
    drawn = np.random.default_rng(seed).permutation(len(asked.targets))
    held_out, fit = np.split(drawn, [len(drawn) // 4])
    train = table(asked.texts[fit], asked.targets[fit, None].astype(float))
    counter = NgramCounter(FAMILIES, LinearRecipe().buckets)
    features = learn_features(train, counter)
    seen = features.design(train, counter)
    there = features.design(table(asked.texts[held_out]), counter)
    k = 1 if asked.metric == "pearson" else int(asked.targets.max()) + 1
    loss: Any = "sigmoid" if k == 2 else "squared"
    targets = asked.targets[fit, None].astype(float)
    if k > 2:
        targets = np.eye(k)[asked.targets[fit]]
    middle = 0.0 if loss == "sigmoid" else targets.mean(axis=0)
    strength = STANDARD[loss][len(STANDARD[loss]) // 2]
    scale = np.float32(np.sqrt(strength / DENSE))
    peer = peer_of(loss, strength)
    told = targets[:, 0] if k <= 2 else targets
    ours, took = timed(lambda: fit_glm(seen, targets - middle, loss, DENSE, strength))
    theirs, peers = timed(lambda: peer.fit(joined(seen, scale), told))
    inputs = joined(there, scale)
    says = theirs.decision_function if loss == "sigmoid" else theirs.predict
    found = (there.times(ours) + middle, np.asarray(says(inputs)))
    scores = [score(asked, held_out, as_scores(each, k)) for each in found]
    return {"peer": type(peer).__name__, "scores": scores, "seconds": [took, peers]}


def solver_line(asked: Set, found: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """The solver's line for one set, from its seeds, and what it says in words."""
    seconds = [[each["seconds"][place] for each in found] for place in (0, 1)]
    ratio = statistics.median(seconds[1]) / statistics.median(seconds[0])
    cells = [
        f"{statistics.fmean(each['scores'][place] for each in found):.4f} | "
        f"{statistics.median(seconds[place]):.2f} "
        f"({min(seconds[place]):.2f} to {max(seconds[place]):.2f})"
        for place in (0, 1)
    ]
    start = f"| {asked.name} | {len(asked.targets):,} | {asked.metric} | {found[0]['peer']}"
    line = " | ".join([start, *cells, f"{ratio:.1f} |"])
    return line, f"{asked.name} ({ratio:.1f})" if ratio <= NEAR else ""


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and its seconds."""
    started = time.process_time()
    return call(), time.process_time() - started


def joined(design: Design, scale: np.float32) -> Any:
    """Both blocks as one."""
    return sparse.hstack([sparse.csr_array(design.dense * scale), design.ngrams], format="csr")


def as_scores(found: np.ndarray, k: int) -> np.ndarray:
    """(h, k) scores of classes, or (h,) numbers."""
    if k > 2:
        return found
    flat = found.reshape(-1)
    return flat if k == 1 else np.stack([-flat, flat], axis=1)


def peer_of(loss: str, strength: float) -> Any:
    """scikit-learn's solver for sparse inputs."""
    if loss == "squared":
        return Ridge(alpha=strength, solver="sparse_cg", tol=1e-4)
    return LogisticRegression(C=1 / strength, solver="lbfgs", max_iter=1000, tol=1e-4)


def head(*columns: str) -> list[str]:
    """The first two lines of a table; the last column has seconds, or their ratio."""
    last = "ratio of seconds" if "its seconds" in columns else "seconds"
    return [f"| {' | '.join([*columns, last])} |", f"|{' --- |' * (len(columns) + 1)}"]


def verdict(near: list[str]) -> str:
    """Where scikit-learn's solver is as good in time."""
    if near:
        return (
            f"Within {NEAR:g} times our seconds scikit-learn's solver stays on: {', '.join(near)}."
        )
    return f"On no set does scikit-learn's solver stay within {NEAR:g} times our seconds."


def main() -> int:
    """Measure every set; print the page, and keep it with --write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds the open competitions")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=3000, help="of a set, at most")
    parser.add_argument("--keep", type=Path, default=KEEP, help="a line per figure")
    parser.add_argument("--write", action="store_true", help="keep the page")
    args = parser.parse_args()
    kept, seeds = Kept(args.keep, args.rows), range(args.seeds)
    members, solvers, near = [], [], []
    with threadpool_limits(limits=1):
        for whole in sets(args.folder):
            asked = cut(whole, args.rows)
            members += lines_of(
                asked,
                {
                    name: [
                        kept(
                            name == OURS,
                            ("member", asked.name, name, seed),
                            partial(measured, asked, seed, name),
                        )
                        for seed in seeds
                    ]
                    for name in contenders(asked)
                },
            )
            found = [
                kept(True, ("solver", asked.name, seed), partial(solved, asked, seed))
                for seed in seeds
            ]
            line, told = solver_line(asked, found)
            solvers.append(line)
            near += [told] if told else []
    page = "\n".join(
        [
            "# The built-in member and its solver against scikit-learn",
            "",
            f"`python -m benchmarks.training.linear … --seeds {args.seeds} --rows {args.rows} "
            f"--write`. {machine_line('scikit-learn', 'scipy')}",
            "",
            "## The member",
            "",
            *(linear_quality.__doc__ or "").split("\n\n")[2].splitlines(),
            "",
            *head("set", "rows", "metric", "contender", "mean (lowest to highest)", "linear ahead"),
            *members,
            "",
            "## The solver, on the same inputs",
            "",
            "Scores: means over the seeds. Seconds of the fit alone: median (lowest to highest).",
            "",
            *head("set", "rows", "metric", "peer", "ours", "seconds", "its score", "its seconds"),
            *solvers,
            "",
            verdict(near),
        ]
    )
    print(page)
    if args.write:
        keep("linear", page + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
