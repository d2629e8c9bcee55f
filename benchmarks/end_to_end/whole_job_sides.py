"""The two sides of whole_job.py: `pipeline.cv`, and five scripts around transformers' Trainer."""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.end_to_end import whole_job_parts
from benchmarks.shared.children import ask, environment
from benchmarks.shared.stsb import LABEL_SCALE, Pairs, backbone_folder, recipe

NAME = "stsb-some"
FOLDS = 5


def shortened(args: argparse.Namespace, folder: Path) -> Path:
    """A competition with fewer rows, and without a dev file, which the peer would not predict."""
    folder.mkdir()
    kept = set(Pairs.read(args.data).some(args.rows).train.ids.tolist())
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        with (args.data / name).open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        rows = [row for row in rows if row[0] in kept] if name == "train.csv" else rows
        rows = rows if name == "train.csv" else rows[: args.test_rows]
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
    return folder


def config(name: str) -> list[str]:
    """How the commands are told which competition."""
    return ["--config", f"configs/{name}.yaml"]


def pipeline(args: argparse.Namespace, root: Path, command: str, *rest: str) -> str:
    """Run one command of the pipeline in *root*; what it printed."""
    root.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{command}", *rest, "--root", str(root)],
        env=environment(args.threads, str(root)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"pipeline.{command} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def ours(args: argparse.Namespace, data: Path, root: Path) -> dict[str, Any]:
    """The real command in a new root: seconds, parts of them, pooled Pearson."""
    pipeline(args, root, "init", str(data), "--force")
    launched, began = time.time(), time.perf_counter()
    command = ("cv", *config(NAME), "--model", "minilm", "--set", f"epochs={args.epochs}", "--json")
    manifest = json.loads(pipeline(args, root, *command).splitlines()[-1])
    seconds = time.perf_counter() - began
    (score,) = (run["oof_score"] for run in manifest["runs"].values())
    alone = ask(["-m", whole_job_parts.__name__, str(data)], args.threads)["seconds"]
    parts = whole_job_parts.parts_of(root, launched, seconds, alone)
    return {"seconds": seconds, "pearson": score, "parts": parts}


def peer(args: argparse.Namespace, data: Path, frozen: Path, root: Path) -> dict[str, Any]:
    """Five scripts in a row: seconds in all and by part, pooled Pearson."""
    from benchmarks.shared.peers import settings

    parts: list[dict[str, float]] = []
    began = time.perf_counter()
    for fold in range(FOLDS):
        arguments = settings(recipe(f"epochs={args.epochs}"), 42)
        job = {
            "train": str(data / "train.csv"),
            "test": str(data / "test.csv"),
            "folds": str(frozen / "folds" / f"{NAME}.csv"),
            "fold": fold,
            "id": "id",
            "texts": ["sentence1", "sentence2"],
            "target": "score",
            "label_scale": LABEL_SCALE,
            "backbone": backbone_folder(),
            "max_length": recipe().max_length,
            "arguments": arguments | {"output_dir": str(root / f"peer-{fold}")},
            "out": str(root / f"peer-{fold}-out"),
        }
        file = root / f"peer-{fold}.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        parts.append(ask(["-m", "benchmarks.end_to_end.hf_fold", str(file)], args.threads))
    seconds = time.perf_counter() - began
    summed = {name: sum(part[name] for part in parts) for name in parts[0]}
    return {"seconds": seconds, "pearson": pooled(data, root), "parts": summed}


def pooled(data: Path, root: Path) -> float:
    """Pearson of the peer's out-of-fold predictions; every row must have one."""
    with (data / "train.csv").open(encoding="utf-8", newline="") as stream:
        labels = {row["id"]: float(row["score"]) for row in csv.DictReader(stream)}
    found: dict[str, float] = {}
    for fold in range(FOLDS):
        with np.load(root / f"peer-{fold}-out.npz") as arrays:
            found |= dict(zip(arrays["valid_ids"].tolist(), arrays["valid"].tolist(), strict=True))
    assert found.keys() == labels.keys(), "rows without a prediction"
    return float(np.corrcoef([found[id_] for id_ in labels], list(labels.values()))[0, 1])
