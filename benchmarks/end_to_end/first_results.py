"""One competition, from its csv files to a valid submission, timed: init → cv → ensemble.

    python -m benchmarks.end_to_end.first_results ../shared/data/stsb-en --write
    python -m benchmarks.end_to_end.first_results DIR --write --folds 3 --set epochs=1

Every step is the command that a person would type, in a process of its own, under a root of its
own; no option is used that init did not write, except those given here, which are recorded. The
submission is checked by code that shares nothing with the code that wrote it. With --write the
figures go to benchmarks/results/first-NAME.json, and docs/first-results.md is rendered from all of
those that are there.
"""

import argparse
import csv
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.end_to_end.first_results_page import render
from benchmarks.shared.machine import PROJECT, RESULTS

MODULE = "benchmarks.end_to_end.first_results"
PAGE = PROJECT / "docs" / "first-results.md"


def main() -> int:
    """Run the steps and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a competition's folder")
    parser.add_argument("--root", type=Path, help="where runs are kept (default: a new folder)")
    parser.add_argument("--folds", help="passed to init")
    parser.add_argument("--set", action="append", default=[], help="passed to the transformer's cv")
    parser.add_argument("--seed", default="42", help="training seed")
    parser.add_argument("--model", action="append", help="default: linear and minilm")
    parser.add_argument("--note", default="", help="what else ran on the machine; kept and printed")
    parser.add_argument("--write", action="store_true", help="keep the figures and render the page")
    args = parser.parse_args()
    if args.folder is not None:
        figures = run_all(args)
        print(json.dumps(figures, indent=2, ensure_ascii=False))
        if args.write:
            name = figures["competition"]
            target = RESULTS / f"first-{name}.json"
            target.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if args.write:
        PAGE.write_text(render(), encoding="utf-8")
    return 0


def run_all(args: argparse.Namespace) -> dict[str, Any]:
    """Run init, cv for each model, ensemble; return what they said and how long they took."""
    root = args.root or Path(tempfile.mkdtemp(prefix="first-results-"))
    folder = args.folder.resolve()
    steps: dict[str, float] = {}
    extra = ["--folds", args.folds] if args.folds else []
    step(steps, "init", ["init", str(folder), "--root", str(root), "--force", "--json", *extra])
    config = ["--root", str(root), "--config", f"configs/{folder.name}.yaml"]
    runs: dict[str, Any] = {}
    for model in args.model or ["linear", "minilm"]:
        changes = [] if model == "linear" else [f"--set={change}" for change in args.set]
        command = ["cv", *config, "--model", model, "--seed", args.seed, "--json", *changes]
        runs |= step(steps, f"cv {model}", command)["runs"]
    ensemble = step(steps, "ensemble", ["ensemble", *config, "--json"])
    submission = Path(ensemble["submission"])
    return {
        "competition": folder.name,
        "command": shlex.join(["python", "-m", MODULE, *public_arguments(args)]),
        "note": args.note,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "seconds": steps,
        "runs": {name: run_facts(run) for name, run in runs.items()},
        "ensemble": {key: value for key, value in ensemble.items() if key != "submission"},
        "submission_rows": check_submission(submission, folder),
    }


def public_arguments(args: argparse.Namespace) -> list[str]:
    """The arguments as another person would give them."""
    changes = [f"--set={change}" for change in args.set]
    folds = ["--folds", args.folds] if args.folds else []
    return [f"../shared/data/{args.folder.resolve().name}", "--write", *folds, *changes]


def step(steps: dict[str, float], name: str, command: list[str]) -> dict[str, Any]:
    """Run one command of the pipeline; note its seconds; return the JSON it printed."""
    print(f"{name}: python -m pipeline.{shlex.join(command)}", file=sys.stderr)
    started = time.monotonic()
    module = [sys.executable, "-m", f"pipeline.{command[0]}", *command[1:]]
    done = subprocess.run(module, stdout=subprocess.PIPE, text=True, check=True)
    steps[name] = round(time.monotonic() - started, 1)
    value: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return value


def run_facts(run: dict[str, Any]) -> dict[str, Any]:
    """What the page says of a run."""
    keys = ("metric", "fold_scores", "oof_score", "holdout_score", "seeds", "folds", "seconds")
    return {key: run.get(key) for key in keys}


def check_submission(path: Path, folder: Path) -> int:
    """Rows of a submission that has the sample's header and ids and no empty field."""
    sample_path = next(folder.glob("sample_submission*"))
    with (
        path.open(encoding="utf-8", newline="") as ours,
        sample_path.open(encoding="utf-8", newline="") as theirs,
    ):
        rows, sample = list(csv.reader(ours)), list(csv.reader(theirs))
    assert rows[0] == sample[0], f"header {rows[0]} is not {sample[0]}"
    assert [row[0] for row in rows] == [row[0] for row in sample], "ids differ"
    assert all(len(row) == len(rows[0]) and all(row) for row in rows), "an empty field"
    return len(rows) - 1


if __name__ == "__main__":
    raise SystemExit(main())
