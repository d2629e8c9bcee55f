"""Look at a competition's folder, write configs/NAME.yaml and say what was seen.

    python -m pipeline.init data/my-competition
    python -m pipeline.init data/my-competition --target score --metric rmse

Whatever it cannot decide it asks for, naming the flag and the candidates.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, UsageError
from pipeline.base.command import run
from pipeline.base.config import as_dict
from pipeline.base.files import commit_text
from pipeline.base.parser import Parser, read_section
from pipeline.base.paths import safe_name
from pipeline.problems.registry import TYPES

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from pipeline.setup import Inspection
    from pipeline.setup.detection.detect import Detected, Overrides


def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("init", __doc__ or "")
    options.add_argument("dir", metavar="DIR", help="folder with train, test, sample submission")
    options.add_argument("--name", help="the competition's name; the folder's if not given")
    for role, what in (
        ("train", "labelled rows"),
        ("test", "rows to predict"),
        ("sample", "sample submission"),
    ):
        options.add_argument(f"--{role}", metavar="FILE", help=f"file in DIR: {what}")
    for role, what in (
        ("holdout", "labelled, scored, never trained on; if not given, dev, valid … files"),
        ("extra", "labelled, trained on in every fold, never scored"),
    ):
        _repeatable(options, f"--{role}", "FILE", what)
    options.add_argument("--id", metavar="COLUMN", help="names a row")
    _repeatable(options, "--text", "COLUMN", "text of a row; twice for pairs, or more often")
    _repeatable(
        options, "--template", "TEXT", "what a model reads: '{a} [SEP] {b}'; twice for pairs"
    )
    _repeatable(options, "--target", "COLUMN", "what is predicted")
    options.add_argument("--problem", choices=list(TYPES), help="kind of target")
    options.add_argument("--metric", help="a name from docs/metrics.md, or module:function")
    options.add_argument(
        "--short-sample", action="store_true", help="the sample shows some of the rows only"
    )
    options.add_argument(
        "--classes", nargs="+", metavar="CLASS", help="the classes in the organiser's order"
    )
    options.add_argument(
        "--class-codes",
        nargs="+",
        metavar="CLASS=CODE",
        help="what the submission writes for a class, where that is not its name; as-is: the name",
    )
    options.add_argument(
        "--unlabelled",
        metavar="TEXT",
        help="stands for a label in rows without one: --unlabelled=-1",
    )
    options.add_argument("--folds", type=int, help="number of folds; 5 if not given")
    options.add_argument("--seed", type=int, help="seed of the folds; 42 if not given")
    options.add_argument("--encoding", default="utf-8", help="text encoding of all files")
    options.add_argument("--force", action="store_true", help="overwrite an existing config")
    return options


def _repeatable(options: Parser, flag: str, value: str, what: str) -> None:
    options.add_argument(flag, action="append", metavar=value, help=f"{what}; repeatable")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    root, folder = Path(args.root), Path(args.dir)
    name = args.name or default_name(folder)
    config = root / "configs" / f"{safe_name(name)}.yaml"
    if config.exists() and not args.force:
        raise UsageError(
            f"{config} is there already. --force overwrites it, --name writes another one."
        )
    from pipeline.data import load
    from pipeline.data.rare import single_rows
    from pipeline.metrics import get_metric
    from pipeline.metrics.metric import fitting
    from pipeline.setup.config_file import render
    from pipeline.setup.detection.detect import detect
    from pipeline.setup.fold_recipe import propose
    from pipeline.setup.inspection.inspect import look
    from pipeline.submissions.submission_file import try_submission

    detected = detect(folder, _wishes(args, name), speller(folder, root))
    task = detected.competition.task
    metric = get_metric(task.metric, task, root)
    root.mkdir(
        parents=True, exist_ok=True
    )  # "../data" means nothing under a folder that is not there
    tables = load(detected.competition, root)
    if single_rows(tables.train, detected.competition).any():
        detected = detected.with_rare_rows()
        tables = load(detected.competition, root)
    try_submission(detected.competition, tables, metric)
    folds = propose(detected.competition, tables.train, tables.test, metric)
    detected = replace(
        detected, competition=folds.competition, reasons=detected.reasons | folds.reasons
    )
    commit_text(config, render(detected.competition, detected.reasons, fitting(task.problem)))
    competition = read_section(Competition, config)
    inspection = look(competition, tables, root, detected.headers, folds)
    if args.json:
        print(json.dumps(_as_json(config, detected, tables.notes, inspection)))
    else:
        _show(config, detected, tables.notes, inspection)
        _print(f"\nNext:\n  {_next_command(config, args)}")
    return 0


def _wishes(args: "Namespace", name: str) -> "Overrides":
    from pipeline.setup.detection.detect import Overrides

    return Overrides(
        name=name,
        train=args.train,
        test=args.test,
        sample=args.sample,
        holdout=args.holdout or [],
        extra=args.extra or [],
        id=args.id,
        texts=args.text or [],
        template=args.template or [],
        targets=args.target or [],
        problem=args.problem,
        metric=args.metric,
        classes=args.classes or [],
        class_codes=args.class_codes or [],
        unlabelled=args.unlabelled,
        short_sample=args.short_sample,
        folds=args.folds,
        seed=args.seed,
        encoding=args.encoding,
    )


NO_NAMES = {"data", "input", "inputs", "dataset", "raw", ""}
"""Folders that are called so everywhere: a competition has the name of what they are in."""


def default_name(folder: Path) -> str:
    """The folder's name as a safe file name.

    >>> default_name(Path("data/My Competition (2024)"))
    'My-Competition-2024'
    >>> default_name(Path("sentiment/data"))
    'sentiment'
    """
    whole = folder.resolve()
    named = [part for part in (whole, *whole.parents) if part.name.lower() not in NO_NAMES]
    name = named[0].name if named else whole.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or safe_name(name)


def speller(folder: Path, root: Path) -> Callable[[Path], str]:
    """How paths are written: from *root* where *folder* is in it or was given relatively."""
    inside = folder.resolve().is_relative_to(root.resolve())

    def spell(path: Path) -> str:
        if inside or not folder.is_absolute():
            return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
        return str(path.absolute())

    return spell


def _as_json(
    config: Path, detected: "Detected", notes: Sequence[str], inspection: "Inspection"
) -> dict[str, Any]:
    return {
        "config": str(config),
        "competition": as_dict(detected.competition),
        "reasons": detected.reasons,
        "notes": list(notes),
        "inspection": inspection.as_dict(),
    }


def _show(
    config: Path, detected: "Detected", notes: Sequence[str], inspection: "Inspection"
) -> None:
    from pipeline.report.init import show
    from pipeline.setup.config_file import summary

    lines = [f"{config} is written. What was chosen, and why:", ""]
    lines.append(summary(detected.competition, detected.reasons))
    if notes:
        lines += ["", "Noticed in the files:", *(f"  {note}" for note in notes)]
    _print("\n".join(lines) + "\n")
    show(inspection, sys.stdout)


def _print(text: str) -> None:
    from pipeline.report.page import writable

    print(writable(text, sys.stdout.encoding or "utf-8"))


def _next_command(config: Path, args: "Namespace") -> str:
    command = ["python", "-m", "pipeline.cv"]
    if args.root != ".":
        command += ["--root", args.root]
    return shlex.join([*command, "--config", str(config), "--model", "linear"])


if __name__ == "__main__":
    raise SystemExit(run(main))
