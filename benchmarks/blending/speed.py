"""Fitting an ensemble: ours beside a plain hill climb, AutoGluon, scikit-learn and scipy.

    python -m benchmarks.blending.speed --autogluon-python /tmp/autogluon/bin/python
    python -m benchmarks.blending.speed --members 20 100 --rows 10000 100000 --write
    python -m benchmarks.blending.speed --page

Simulated regressions (see simulated.py); requirements-autogluon.txt makes the environment that
--autogluon-python names. Every contender is a process of its own with as many threads as --threads
says; seconds are of the clock, so nothing else should run. With --write the page goes to
benchmarks/results/blend.md and the figures to blend.json, beside those of other sizes that were
measured before: sizes may be measured one after the other.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.blending.simulated import write
from benchmarks.blending.speed_page import page_of
from benchmarks.shared.machine import PROJECT, RESULTS

KEPT = RESULTS / "blend.json"
ROOM = "benchmarks.blending"
MEMBERS, ROWS = (20, 100, 500), (10_000, 100_000, 1_000_000)
METRICS = ("rmse", "pearson")
CLIMBERS, TABLES = ("ours", "hill climb", "AutoGluon"), ("RidgeCV", "SLSQP", "NNLS")
OURS = 5  # times the limit of the others: it is run whole, for the page has no line without it
LARGEST = 1e9  # bytes of the table (n, M) of float64 up to which the last three are run


def main() -> int:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=int, nargs="+", default=list(MEMBERS))
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--picks", type=int, default=40, help="of every greedy selection")
    parser.add_argument("--cap", type=float, default=60, help="seconds per contender")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every contender")
    parser.add_argument("--autogluon-python", type=Path, help="leave out to leave it out")
    parser.add_argument("--write", action="store_true", help="keep it in results/blend.md")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page anew")
    args = parser.parse_args()
    sizes = [] if args.page else [(rows, members) for rows in args.rows for members in args.members]
    found = [measure(args, members, rows) for rows, members in sizes]
    if args.write or args.page:
        found = joined(found)
    page = page_of(args, found)
    print(page)
    if args.write or args.page:
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        KEPT.with_suffix(".md").write_text(page, encoding="utf-8")
    return 0


def joined(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured now, and of earlier runs the sizes that were not."""
    earlier = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else []
    cells = {(each["rows"], each["members"]): each for each in [*earlier, *found]}
    return [cells[size] for size in sorted(cells)]


def measure(args: argparse.Namespace, members: int, rows: int) -> dict[str, Any]:
    """Every contender on one set of members."""
    cell: dict[str, Any] = {"members": members, "rows": rows, "cap": args.cap}
    cell["threads"] = args.threads
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch), members, rows)
        for metric in METRICS:
            for name in CLIMBERS:
                cell[f"{name}, {metric}"] = ask(args, name, scratch, metric)
                print(members, rows, metric, name, cell[f"{name}, {metric}"], file=sys.stderr)
        for name in TABLES:
            large = 8 * members * rows > LARGEST
            answer = {"left out": "its table is too large"} if large else None
            cell[name] = answer or ask(args, name, scratch, "rmse")
            print(members, rows, name, cell[name], file=sys.stderr)
    return cell


def ask(args: argparse.Namespace, name: str, scratch: str, metric: str) -> dict[str, Any]:
    """The figures of one contender, or why there are none."""
    options = [scratch, metric, str(args.picks), str(args.cap)]
    if name == "AutoGluon":
        if args.autogluon_python is None or not args.autogluon_python.exists():
            return {"left out": "no --autogluon-python"}
        command = [str(args.autogluon_python), "-m", f"{ROOM}.autogluon_contender", *options]
    else:
        command = [sys.executable, "-m", f"{ROOM}.contenders", name, *options]
    libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    threads = dict.fromkeys(libraries, str(args.threads))
    done = subprocess.run(
        command,
        env={**os.environ, **threads, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: limit(args.cap * (OURS if name == "ours" else 1)),
    )
    if done.returncode < 0:
        return {"left out": f"over {4 * args.cap:.0f} s"}
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def limit(cap: float) -> None:
    """Let the system end the process after four caps: one to try, some to repeat and to read."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(4 * cap), int(4 * cap) + 1))


if __name__ == "__main__":
    raise SystemExit(main())
