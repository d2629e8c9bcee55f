"""What the leaderboard of the built-in competition would have said about a submission.

    python demo/leaderboard.py                   the newest of submissions/demo-*.csv
    python demo/leaderboard.py FILE [--json]

The only reader of answers.csv. A real leaderboard shows the public half while the competition runs,
and the private half, which decides, once it has ended. Beside them stands what cross-validation had
promised, from the file of the same name that ends in .json.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base.command import run
from pipeline.base.errors import DataError, UsageError, raise_if
from pipeline.base.files import read_json
from pipeline.data.reading.reader import read_file
from pipeline.metrics.formulas import MetricError, pearson
from pipeline.submissions.submission_file import existing

ANSWERS = Path(__file__).parent / "answers.csv"
COMPETITION = "demo"
HALVES = ("public", "private")


def leaderboard(submission: Path, answers: Path = ANSWERS) -> dict[str, float]:
    """Pearson of *submission* on the public half, the private half, and all test rows.

    Raises DataError listing what is wrong where it does not answer exactly the test rows.
    """
    truth = read_file(answers)
    target = _predicted(submission, truth["id"].tolist())
    label = truth["label"].to_numpy(dtype=float)
    parts = {half: (truth["half"] == half).to_numpy() for half in HALVES}
    parts["all"] = np.ones(len(truth), dtype=bool)
    try:
        return {
            name: pearson(label[rows, None], target[rows, None]) for name, rows in parts.items()
        }
    except MetricError as error:
        raise DataError(f"{submission} has no Pearson score: {error}") from error


def _predicted(submission: Path, ids: Sequence[str]) -> np.ndarray:
    """(m,) the submission's targets in the order of *ids*."""
    frame = read_file(submission)
    if list(frame.columns) != ["id", "target"]:
        raise DataError(
            f"{submission} has the columns {', '.join(frame.columns)}; expected id, target "
            "as in demo/sample_submission.csv"
        )
    target = pd.to_numeric(frame["target"], errors="coerce").to_numpy(dtype=float)
    found = frame["id"].tolist()
    problems = []
    for what, names in (
        ("ids stand there more than once", frame["id"][frame["id"].duplicated()].tolist()),
        ("test rows have no line", sorted(set(ids) - set(found))),
        ("ids are not those of test rows", sorted(set(found) - set(ids))),
        ("targets are not finite numbers", frame["id"][~np.isfinite(target)].tolist()),
    ):
        if names:
            problems.append(f"{len(names)} {what}, first {', '.join(names[:3])}")
    raise_if(problems, DataError, f"{submission} would be refused")
    return np.asarray(pd.Series(target, index=found)[list(ids)].to_numpy())


def newest(folder: Path) -> Path:
    """The submission of the built-in competition with the highest number in *folder*."""
    numbered = existing(folder, COMPETITION)
    if not numbered:
        raise UsageError(
            f"there is no submission {COMPETITION}-*.csv in {folder}. "
            "Make one: python -m pipeline.cv --model linear, then python -m pipeline.ensemble"
        )
    return numbered[max(numbered)]


def promised(submission: Path) -> dict[str, float]:
    """The scores that the file beside *submission* says cross-validation gave; may be empty."""
    beside = submission.with_suffix(".json")
    if not beside.exists():
        return {}
    scores: Mapping[str, Any] = read_json(beside).get("scores") or {}
    return {
        name: float(scores[name])
        for name in ("honest", "in_sample")
        if isinstance(scores.get(name), int | float)
    }


def report(submission: Path, scores: Mapping[str, float], promise: Mapping[str, float]) -> str:
    """The lines that are printed."""
    lines = [f"{submission.name}: Pearson", ""]
    if not promise:
        lines.append("  cross-validation: unknown, there is no .json beside the submission")
    for name, what in (
        ("in_sample", "cross-validation, weights fitted on the rows they are scored on"),
        ("honest", "cross-validation, honest: what to expect"),
    ):
        if name in promise:
            lines.append(f"  {promise[name]:.4f}  {what}")
    lines += [
        f"  {scores['public']:.4f}  leaderboard while the competition runs (public half)",
        f"  {scores['private']:.4f}  leaderboard at the end (private half)",
        f"  {scores['all']:.4f}  all test rows",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; return the exit status."""
    options = ArgumentParser(
        prog="python demo/leaderboard.py", description=(__doc__ or "").splitlines()[0]
    )
    options.add_argument(
        "submission", type=Path, nargs="?", metavar="FILE", help="default: the newest one"
    )
    options.add_argument("--root", type=Path, default=Path(), help="submissions/ lies under it")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    args = options.parse_args(argv)
    submission = args.submission or newest(args.root / "submissions")
    scores, promise = leaderboard(submission), promised(submission)
    if args.json:
        print(json.dumps({"submission": str(submission), **scores, "promised": promise}))
    else:
        print(report(submission, scores, promise))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
