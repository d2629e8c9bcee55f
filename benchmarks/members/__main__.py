"""Members that need no GPU, alone and blended: `linear`, `boosting`, `minilm-frozen`, and of
classes `naive-bayes`.

    python -m benchmarks.members                        # competition folders under ../shared/data
    python -m benchmarks.members --rows 1500 --folder DIR --write

Rows drawn at random of each competition go through the commands as a stranger would type them:
init, cv, ensemble. A member's score is that of all its out-of-fold predictions; the ensemble's is
the honest one, everything chosen without the fold that is scored, and its gain is over the best
single member. Everything lies under --folder, and the same call again goes on where the last one
stopped.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.machine import DATA, PROJECT, keep, machine_line

MEMBERS = ("linear", "boosting", "minilm-frozen")
OF_CLASSES = ("linear", "naive-bayes", "boosting", "minilm-frozen")
SETS = {"stsb-en": "pearson", "ynat": "macro-f1", "nsmc": "auc"}
"""Competition -> its metric."""
TEST_ROWS = 60


def main() -> int:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.members", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--folder", type=Path, default=Path("members"))
    parser.add_argument("--rows", type=int, default=1_500)
    parser.add_argument("--only", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    lines = [
        "| set | rows | metric | member | out-of-fold score | seconds per fold |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in args.only:
        root = args.folder / f"{name}-{args.rows}"
        for line in measured(args.data / name, root, name, args.rows):
            print(line, flush=True)
            lines.append(line)
    page = "\n".join(
        [
            "# Members that need no GPU",
            "",
            f"`python -m benchmarks.members --rows {args.rows} --write`. "
            + machine_line("scikit-learn", "torch", "transformers"),
            "",
            *(__doc__ or "").split("\n\n")[2:],
            "Five folds, one seed. Seconds are of fit and predict, on cores that others used too;",
            "the first fold of minilm-frozen holds the vectors of all texts. minilm reads English:",
            "ynat and nsmc are Korean.",
            "",
            *lines,
        ]
    )
    if args.write:
        keep("members", page)
    return 0


def measured(data: Path, root: Path, name: str, rows: int) -> list[str]:
    """The table's lines for one set."""
    metric = SETS[name]
    if not (root / "configs").exists():
        _shorten(data, root / "data", rows)
        _run(root, "init", "data", "--name", name, "--metric", metric)
    config = ["--config", f"configs/{name}.yaml"]
    members = MEMBERS if metric == "pearson" else OF_CLASSES
    models = [word for member in members for word in ("--model", member)]
    _run(root, "cv", *config, *models, "--no-weights")
    _run(root, "ensemble", *config, "--runs", *members)
    lines = []
    for member in members:
        manifest = json.loads((root / "oof" / name / member / "run.json").read_text("utf-8"))
        seconds = f"{np.mean(list(manifest['seconds'].values())):.0f}"
        lines.append(_line(name, rows, member, manifest["oof_score"], seconds))
    written = sorted((root / "submissions").glob("*.json"), key=lambda path: path.stat().st_mtime)
    made: dict[str, Any] = json.loads(written[-1].read_text("utf-8"))
    scores = made["scores"]
    low, high = scores["interval_95"]
    gain = f"{scores['gain_over_best_single']:+.4f} ({low:+.4f} to {high:+.4f})"
    who = f"honest ensemble ({made['method']}): {gain} over the best"
    lines.append(_line(name, rows, who, scores["honest"], ""))
    return lines


def _line(name: str, rows: int, who: str, score: float, seconds: str) -> str:
    return f"| {name} | {rows:,} | {SETS[name]} | {who} | {score:.4f} | {seconds} |"


def _shorten(data: Path, folder: Path, rows: int) -> None:
    """Random rows of a competition's files."""
    folder.mkdir(parents=True)
    tests: set[str] = set()
    for file, count in (("train.csv", rows), ("test.csv", TEST_ROWS)):
        with (data / file).open(encoding="utf-8", newline="") as stream:
            header, *found = csv.reader(stream)
        drawn = np.sort(np.random.default_rng(0).permutation(len(found))[:count])
        kept = [found[place] for place in drawn]
        _write(folder / file, [header, *kept])
        tests = {row[header.index("id")] for row in kept}
    with (data / "sample_submission.csv").open(encoding="utf-8", newline="") as stream:
        header, *found = csv.reader(stream)
    _write(folder / "sample_submission.csv", [header, *(row for row in found if row[0] in tests)])


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def _run(root: Path, command: str, *words: str) -> None:
    """A command of the pipeline in *root*; what it says is shown where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    line = [sys.executable, "-m", f"pipeline.{command}", *words]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    raise SystemExit(main())
