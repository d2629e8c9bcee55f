"""Does the forecast hold? Worlds cut out of the open competitions, the whole way through.

    python -m benchmarks.forecast train --data ../shared/data --scratch /tmp/forecast
    python -m benchmarks.forecast ask   --data ../shared/data --scratch /tmp/forecast
    python -m benchmarks.forecast page  --scratch /tmp/forecast

`train` writes each world's files and runs `pipeline.init` and `pipeline.cv --model linear` with
their own choices; what is finished is not done again. `ask` blends, writes down what the page
promises, and scores the file on the answers. `page` writes results/forecast.md.
"""

import argparse
import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pipeline.cv
import pipeline.init
from benchmarks.forecast.page import WHOLE, write
from benchmarks.forecast.worlds import KINDS, SOURCES, World, world
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.data.tables import load
from pipeline.ensemble.predictor import Rows
from pipeline.submissions.build import BuildRequest, make

ANSWERS = "answers.csv"


def main() -> int:
    """Run one step over all worlds asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", choices=["train", "ask", "page"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=[kind for kind in KINDS if kind != WHOLE])
    parser.add_argument("--worlds", type=int, default=25)
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    if args.step == "page":
        write(args.scratch)
        return 0
    for seed in range(args.worlds):
        for kind in args.kinds:
            name = f"{kind}-{seed:03d}"
            if args.step == "train":
                train(args.data, args.scratch, name, kind, seed)
            else:
                ask(args.scratch, name)
    return 0


def train(data: Path, scratch: Path, name: str, kind: str, seed: int) -> None:
    """One world's files, config, folds and predictions."""
    root = scratch / name
    if (root / "oof" / name / "linear" / "run.json").exists():
        return
    each = world(data, kind, seed)
    lay(root / "data" / name, each)
    arguments = ["--root", str(root), "--metric", each.metric, "--force"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        pipeline.init.main([str(root / "data" / name), *arguments])
        config = ["--root", str(root), "--config", str(root / "configs" / f"{name}.yaml")]
        pipeline.cv.main([*config, "--model", "linear", "--no-weights"])
    (root / "said.txt").write_text(said.getvalue(), encoding="utf-8")
    print(name, each.source, each.metric, flush=True)


def lay(folder: Path, each: World) -> None:
    """The files as an organiser hands them out; the answers beside the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    target = SOURCES[each.source].target
    label = each.metric in ("macro-f1", "accuracy")
    sample = {"nsmc": "1" if label else "0.5", "ynat": "IT과학"}.get(each.source, "0.0")
    each.train.to_csv(folder / "train.csv", index=False)
    each.test.drop(columns=[target]).to_csv(folder / "test.csv", index=False)
    form = pd.DataFrame({"id": each.test["id"], target: sample})
    if each.source == "ynat" and not label:  # a column of chances for each class
        classes = sorted(each.train[target].unique())
        form = pd.DataFrame({"id": each.test["id"], **dict.fromkeys(classes, "0.1")})
    form.to_csv(folder / "sample_submission.csv", index=False)
    each.test[["id", target]].to_csv(folder.parent.parent / ANSWERS, index=False)


def ask(scratch: Path, name: str) -> dict[str, Any] | None:
    """What the page promises of the world's test file, and its true score."""
    root = scratch / name
    if not (root / "oof" / name / "linear" / "run.json").exists():
        return None
    competition = read_section(Competition, root / "configs" / f"{name}.yaml")
    made = make(root, competition, BuildRequest(runs=["linear"]))
    outcome = made.outcome
    blend = outcome.assessment.blend
    rows = Rows(outcome.members.test, outcome.facts)
    predicted = outcome.decided.apply(blend.predict(rows, competition.task.problem))
    score = outcome.metric.score(answers(root, competition), predicted)
    part = outcome.leaderboard.parts.get("whole")
    kind, _, number = name.rpartition("-")
    sources = KINDS[kind][0]
    found = {
        "kind": kind,
        "world": name,
        "source": sources[int(number) % len(sources)],
        "metric": outcome.metric.name,
        "honest": outcome.honest,
        "expected": part and part.score,
        "low": part and part.low,
        "high": part and part.high,
        "true": score,
        "better": outcome.metric.greater_is_better,
        "folds": [competition.folds.groups, *competition.folds.group_columns],
        "notes": outcome.leaderboard.notes,
    }
    (root / "found.json").write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    held = "withheld" if part is None else f"{part.score:.4f} ({part.low:.4f} to {part.high:.4f})"
    mark = "" if part is None else "in" if part.low <= score <= part.high else "OUT"
    print(f"{name:12} {outcome.metric.name:9} honest {outcome.honest or math.nan:.4f} {held} "
          f"true {score:.4f} {mark}", flush=True)  # fmt: skip
    return found


def answers(root: Path, competition: Competition) -> np.ndarray:
    """(m, 1) the answers as targets, in the order of the test file."""
    tables = load(competition, root)
    frame = pd.read_csv(root / ANSWERS, dtype=str, keep_default_na=False).set_index("id")
    values = frame.loc[tables.test.ids.tolist()].iloc[:, 0]
    if competition.task.problem == "regression":
        return values.astype(float).to_numpy()[:, None]
    return np.array([[competition.task.classes.index(value)] for value in values], dtype=float)


if __name__ == "__main__":
    raise SystemExit(main())
