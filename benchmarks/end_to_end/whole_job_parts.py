"""Where the seconds of a `pipeline.cv` run went, read from what the run itself keeps.

A fold's manifest says when it started, how long its fit took, how much of that was training, and
how long it predicted. What came before the first fold is start-up; tokenising, a part of it, is
timed again alone.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.shared.stsb import recipe

FOLD = ("training", "setting up and keeping the weights", "predicting")


def tokenising(data: Path) -> float:
    """In this process: seconds to tokenise every row of the competition in *data*."""
    from pipeline.data.tables import load
    from pipeline.models.learner import Silent
    from pipeline.setup.detection.detect import Overrides, detect
    from pipeline.training.jobs import make_factory
    from pipeline.training.options import FailurePolicy

    competition = detect(data, Overrides(name=data.name), str).competition
    tables = load(competition, Path())
    factory = make_factory(recipe(), competition, FailurePolicy())
    began = time.perf_counter()
    factory.prepare(tables.all, Silent())
    return time.perf_counter() - began


def parts_of(root: Path, launched: float, seconds: float, tokenise: float) -> dict[str, float]:
    """Seconds of each part of a run of so many *seconds*, launched at the time *launched*."""
    files = sorted(root.glob("oof/*/*/seed-*/fold-*.json"))
    folds = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    assert folds, f"no folds under {root}"
    starts = sorted(start_of(fold) for fold in folds)
    start_up = starts[0] - launched
    training = sum(fold["learner"]["seconds"] for fold in folds)
    fit = sum(fold["seconds"]["fit"] for fold in folds)
    predict = sum(fold["seconds"]["predict"] for fold in folds)
    return {
        "start-up: imports, csv, folds, weights": start_up - tokenise,
        "tokenising": tokenise,
        **dict(zip(FOLD, (training, fit - training, predict), strict=True)),
        "checkpoints, manifests, scores, the end": seconds - start_up - fit - predict,
    }


def start_of(fold: dict[str, Any]) -> float:
    """When a fold's training was begun, in seconds of the epoch."""
    return float(next(each["at"] for each in fold["events"] if each["what"] == "started"))


def parts_table(name: str, rounds: list[dict[str, Any]]) -> list[str]:
    """Each part's seconds and share of the run; of what folds repeat, also seconds per fold."""
    lines = [f"## {name}", "", "| part | seconds | share of the run |", "| --- | --- | --- |"]
    total = statistics.median(each["seconds"] for each in rounds)
    known = 0.0
    for part in rounds[0]["parts"]:
        seconds = statistics.median(each["parts"][part] for each in rounds)
        known += seconds
        lines.append(f"| {part} | {seconds:.1f} | {seconds / total:.1%} |")
    rest = total - known
    if rest > 0.01 * total:
        lines.append(f"| starting and ending processes | {rest:.1f} | {rest / total:.1%} |")
    inside = {part: [each["parts"].get(part) for each in rounds] for part in FOLD}
    if all(value is not None for values in inside.values() for value in values):
        medians = {part: statistics.median(values) for part, values in inside.items()}
        whole = sum(medians.values())
        shares = ", ".join(f"{part} {value / whole:.1%}" for part, value in medians.items())
        lines += ["", f"Of a fold: {shares}."]
    return [*lines, ""]


if __name__ == "__main__":
    print(json.dumps({"seconds": tokenising(Path(sys.argv[1]))}))
