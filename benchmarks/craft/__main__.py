"""Each trick of docs/craft.md on and off: same rows, same folds, same seeds.

    nice python -m benchmarks.craft --minutes 15              # goes on where it was
    python -m benchmarks.craft --data ynat --seeds 1 2 3      # only some of it
    python -m benchmarks.craft --write                        # the page

A seed draws the rows, their folds (rows that share a sentence stay together) and everything in the
training; so a trick and the plain recipe see the same of both. Every training is one line of the
file --keep and is not done again. The difference is paired by seed and fold; seconds are those of
the processor, so that what else the machine does counts little.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student
from sklearn.model_selection import GroupKFold

from benchmarks.shared.machine import DATA, PROJECT, RESULTS, keep, machine_line
from benchmarks.shared.memory import forget_peak, peak
from pipeline.base.config import Competition
from pipeline.base.paths import Workspace
from pipeline.base.seeding import derive_seed, generator
from pipeline.data.table import Table
from pipeline.data.tables import load
from pipeline.folds.groups import connect
from pipeline.metrics import get_metric
from pipeline.models.learner import Silent
from pipeline.models.recipes import find, further_columns, row_steps_of, tta_steps_of
from pipeline.models.row_transforms.transform import Place, augmented, steps_of
from pipeline.models.row_transforms.wordings import averaged
from pipeline.setup.detection.detect import Overrides, detect
from pipeline.training.jobs import make_factory
from pipeline.training.options import FailurePolicy

KEEP = RESULTS / "craft.jsonl"
PLAIN = "plain"
EVERYWHERE: dict[str, list[str]] = {
    PLAIN: [],
    "loss, see below": [],
    "pooling cls": ["pooling=cls"],
    "pooling max": ["pooling=max"],
    "pooling attention": ["pooling=attention"],
    "pooling layer-mix": ["pooling=layer-mix"],
    "pooling last-4": ["pooling=last-4"],
    "head multi-sample": ["head=multi-sample"],
    "head layers": ["head=layers"],
    "reinit_layers 1": ["reinit_layers=1"],
    "freeze 3 layers, epoch 1": ["freeze={layers: 3, epochs: 1}"],
    "r_drop 0.5": ["r_drop=0.5"],
    "fgm 0.5": ["fgm=0.5"],
    "awp from 0.3 on": ["awp={start: 0.3}"],
    "average ema 0.99": ["average={ema: 0.99}"],
    "average swa 0.5": ["average={swa: 0.5}"],
    "average soup 2": ["average={soup: 2}"],
    "layer_decay 0.9": ["layer_decay=0.9"],
    "pooling gem": ["pooling=gem"],
    "pooling lstm": ["pooling=lstm"],
}
"""Tricks for any data, the likelier ones first, with what they set."""
OWN: dict[str, dict[str, list[str]]] = {
    "stsb-en": {
        "mse + pearson": ["loss={mse: 0.5, pearson: 0.5}"],
        "concordance": ["loss=concordance"],
        "mse + ranking": ["loss={mse: 0.5, ranking: 0.5}"],
        "bce": ["loss=bce"],
        "huber": ["loss=huber"],
        "auxiliary genre 0.2": ["auxiliary={genre: 0.2}"],
    },
    "ynat": {
        "smoothing 0.1": ["loss_options={smoothing: 0.1}"],
        "focal": ["loss=focal"],
        "class_weights balanced": ["class_weights=balanced"],
    },
    "nsmc": {
        "smoothing 0.1": ["loss_options={smoothing: 0.1}"],
        "focal": ["loss=focal"],
        "bce + ranking": ["loss={bce: 0.5, ranking: 0.5}"],
    },
}
"""Those of one data set, which are tried where EVERYWHERE says so."""


ROWS: dict[str, list[str]] = {
    "rows swap": ["rows=[swap]"],
    "rows both-equal 0.1": ["rows=[both-equal]"],
    "rows swap, both-equal": ["rows=[swap, both-equal]"],
    "rows delete-words 0.1": ["rows=[delete-words]"],
    "rows aeda": ["rows=[aeda]"],
    "rows mask 0.15": ["rows=[mask]"],
    "rows under-sample [0, 0] 0.5": ["rows=[{under-sample: {labels: [0, 0]}}]"],
    "tta swap": ["tta=[swap]"],
    "rows swap, tta swap": ["rows=[swap]", "tta=[swap]"],
    "clean english-stop-words": ["clean=[english-stop-words]"],
    "clean shorten-repeats": ["clean=[shorten-repeats]"],
}
"""Of every kind of learner, for pairs of English sentences with a number from 0 to 5."""
COUNTED: dict[str, list[str]] = {
    "class_fit naive-bayes": ["class_fit=naive-bayes"],
    "naive-bayes within words": ["class_fit=naive-bayes", "within_words=true"],
    "within_words": ["within_words=true"],
    "clean kiwi-morphemes": ["clean=[kiwi-morphemes]"],
    "naive-bayes of morphemes": ["class_fit=naive-bayes", "clean=[kiwi-morphemes]"],
    "clean kiwi-normalise": ["clean=[kiwi-normalise]"],
}
"""Of `linear`, for classes of Korean texts."""


def tricks(data: str, model: str = "minilm") -> dict[str, list[str]]:
    """All of them for *data* and the kind of *model*, in the order in which they are tried.

    >>> list(tricks("ynat"))[:3]
    ['plain', 'smoothing 0.1', 'focal']
    """
    found: dict[str, list[str]] = {}
    if not has_epochs(model):
        counted = COUNTED if model == "linear" else {}
        return {PLAIN: []} | (ROWS if data == "stsb-en" else counted)
    for name, changes in EVERYWHERE.items():
        found |= OWN[data] if name.startswith("loss,") else {name: changes}
    return found | (ROWS if data == "stsb-en" else {})


def has_epochs(model: str) -> bool:
    """Whether a recipe is trained in epochs."""
    return "epochs" in find(model, PROJECT).__dataclass_fields__


def options(
    about: str | None, data: Sequence[str], lines: Path, model: str, rows: int, folds: int
) -> argparse.ArgumentParser:
    """What can be asked of a benchmark that trains a *model* on draws of *data*, and keeps *lines*
    about its trainings."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--data", nargs="*", default=data, choices=data)
    parser.add_argument("--model", default=model, help="the recipe that is changed")
    parser.add_argument("--folder", type=Path, default=DATA, help="it holds a folder for each")
    parser.add_argument("--tricks", nargs="*", help="only these, beside plain")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--rows", type=int, default=rows, help="drawn for each seed")
    parser.add_argument("--folds", type=int, default=folds)
    parser.add_argument("--minutes", type=float, default=0.0, help="train for so long; 0: not")
    parser.add_argument("--keep", type=Path, default=lines, help="a line per training")
    parser.add_argument("--write", action="store_true", help="keep the page")
    return parser


def kept(line: Mapping[str, Any], path: Path) -> None:
    """Add a training's *line* to those in the file at *path*, and say it."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
    print(json.dumps(line), file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing; print the table, and keep it with --write."""
    parser = options(__doc__, list(OWN), KEEP, model="minilm", rows=480, folds=2)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args(argv)
    train_missing(args)
    found = page(lines_of(args.keep))
    print(found)
    if args.write:
        keep("craft", found)
    return 0


def train_missing(args: argparse.Namespace) -> None:
    """Seed by seed, data by data, trick by trick, until the time is over."""
    end = time.monotonic() + 60 * args.minutes
    there = {key_of(line) for line in lines_of(args.keep)}
    for seed in args.seeds:
        for data in args.data:
            for trick, changes in tricks(data, args.model).items():
                if args.tricks is not None and trick not in (PLAIN, *args.tricks):
                    continue
                for fold in range(args.folds):
                    case = {"data": data, "trick": trick, "seed": seed, "fold": fold}
                    case |= {"model": args.model, "rows": args.rows}
                    case |= {"folds": args.folds, "epochs": args.epochs}
                    if key_of(case) in there:
                        continue
                    if time.monotonic() > end:
                        return
                    kept(case | measured(args.folder / data, changes, case), args.keep)


SIZE = ("data", "model", "rows", "folds", "epochs")
KEY = ("trick", "seed", "fold", *SIZE)


def size_of(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """What trainings of one table have in common."""
    return tuple(line[name] for name in SIZE)


def key_of(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one training from another."""
    return tuple(line[name] for name in KEY)


def measured(folder: Path, changes: Sequence[str], case: Mapping[str, Any]) -> dict[str, Any]:
    """One training of a *case*: its score on the held-out rows, seconds and peak memory."""
    epochs = [f"epochs={case['epochs']}"] if has_epochs(case["model"]) else []
    settings = find(case["model"], PROJECT, [*epochs, *changes])
    competition, table = read(folder, tuple(further_columns(settings)))
    rows = drawn(table, case)
    fold_of_row = folds_of(rows, case)
    train, held = (rows.rows(fold_of_row != case["fold"]), rows.rows(fold_of_row == case["fold"]))
    factory: Any = make_factory(settings, competition, FailurePolicy())
    factory.prepare([rows], Silent())
    forget_peak()
    began = time.process_time()
    seed = derive_seed(case["seed"], "rows", case["fold"])
    place = Place(competition=competition, root=folder, seed=seed, mask=factory.mask)
    if steps := steps_of(row_steps_of(settings)):
        train, _ = augmented(train, steps, place, held.ids)
    learner = factory.make(case["seed"])
    with tempfile.TemporaryDirectory() as scratch:
        learner.fit(train, Workspace(Path(scratch)), Silent())
    seconds = time.process_time() - began
    asked, bare = steps_of(tta_steps_of(settings)), replace(held, targets=None)
    predicted, _ = averaged(lambda rows: learner.predict(rows, Silent()), bare, asked, place)
    found = {
        "metric": competition.task.metric,
        "score": round(score_of(competition, held, predicted), 6),
        "seconds": round(seconds, 2),
        "megabytes": round(peak()),
    }
    factory.close()
    return found


@cache
def read(folder: Path, columns: tuple[str, ...]) -> tuple[Competition, Table]:
    """The competition in *folder* as `init` finds it, and its labelled rows with *columns*."""
    competition = detect(folder, Overrides(name=folder.name), str).competition
    return competition, load(competition, Path(), columns).train


def drawn(table: Table, case: Mapping[str, Any]) -> Table:
    """The rows of a seed."""
    order = generator(case["seed"], "benchmark craft").permutation(len(table))
    return table.rows(np.sort(order[: case["rows"]]))


def folds_of(table: Table, case: Mapping[str, Any]) -> np.ndarray:
    """(n,) the fold of each row; rows that share a sentence are in the same."""
    groups = connect(table.texts, "exact")
    split = GroupKFold(case["folds"], shuffle=True, random_state=case["seed"])
    fold_of_row = np.empty(len(table), dtype=int)
    for fold, (_, held) in enumerate(split.split(table.texts, groups=groups)):
        fold_of_row[held] = fold
    return fold_of_row


def score_of(competition: Competition, held: Table, predicted: np.ndarray) -> float:
    """By the metric that `init` finds for the data."""
    assert held.targets is not None
    metric = get_metric(competition.task.metric, competition.task, Path())
    return metric.score(held.targets, predicted)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """What was trained so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def page(lines: list[dict[str, Any]]) -> str:
    """A table for each data set and size; differences with their intervals."""
    text = ["# Tricks of training, on and off", "", machine_line("torch", "transformers"), ""]
    for size in dict.fromkeys(map(size_of, lines)):
        text += section([each for each in lines if size_of(each) == size])
    return "\n".join(text)


def section(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Of one data set at one size."""
    first = lines[0]
    by_trick: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
    for line in lines:
        by_trick.setdefault(line["trick"], {})[line["seed"], line["fold"]] = line
    plain = by_trick.get(PLAIN, {})
    if not plain:
        return
    scored = first["rows"] // first["folds"]
    epochs = f"{first['epochs']} epochs, " if has_epochs(first["model"]) else ""
    yield f"## {first['data']}"
    yield ""
    yield (
        f"{first['model']}, about {first['rows'] - scored} rows trained on and {scored} "
        f"scored, {epochs}{first['folds']} folds. Plain: {first['metric']} "
        f"{np.mean([each['score'] for each in plain.values()]):.4f} (mean of {len(plain)}), "
        f"{np.median([each['seconds'] for each in plain.values()]):.1f} s of one core, "
        f"{np.median([each['megabytes'] for each in plain.values()]):.0f} MB."
    )
    yield ""
    yield f"| trick | {first['metric']} minus plain's | 95 % interval | pairs | time | MB more |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for trick, found in by_trick.items():
        both = [key for key in found if key in plain]
        if trick == PLAIN or not both:
            continue
        apart = np.array([found[key]["score"] - plain[key]["score"] for key in both])
        ratio = np.median([found[key]["seconds"] / plain[key]["seconds"] for key in both])
        more = np.median([found[key]["megabytes"] - plain[key]["megabytes"] for key in both])
        yield (
            f"| {trick} | {apart.mean():+.4f} | {interval(apart)} | {len(both)} | "
            f"{ratio:.2f}× | {more:+.0f} |"
        )
    yield ""


def interval(apart: np.ndarray) -> str:
    """The 95 % t-interval of the mean of paired differences.

    >>> interval(np.array([0.1, 0.2, 0.3]))
    '-0.0484 to +0.4484'
    """
    if len(apart) < 2:
        return "one pair"
    error = apart.std(ddof=1) / math.sqrt(len(apart))
    reach = float(student.ppf(0.975, len(apart) - 1)) * error
    return f"{apart.mean() - reach:+.4f} to {apart.mean() + reach:+.4f}"


if __name__ == "__main__":
    raise SystemExit(main())
