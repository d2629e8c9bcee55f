"""Train models fold by fold and keep their out-of-fold and test predictions.

    python -m pipeline.cv --model linear
    python -m pipeline.cv --config configs/NAME.yaml --model minilm --model klue/roberta-large
    python -m pipeline.cv --model minilm --set epochs=2 --seed 42 43

The same command again goes on where the last one stopped; a finished fold is not trained twice.
"""

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.command import run
from pipeline.config import Competition, Parser
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from jsonargparse import Namespace
    from rich.console import Console

    from pipeline.data.folds import Folds
    from pipeline.data.tables import Tables
    from pipeline.paths import Paths
    from pipeline.training.job import Job, Part


def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("cv", __doc__ or "")
    options.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="a recipe of configs/models/, a Hugging Face id (@revision) or a folder; repeatable",
    )
    options.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="change a setting of the recipes, such as epochs=1; repeatable",
    )
    options.add_argument(
        "--seed",
        type=int,
        nargs="+",
        default=[42],
        help="train once per seed; predictions are averaged and each is kept",
    )
    options.add_argument(
        "--only-fold",
        type=int,
        nargs="+",
        default=[],
        metavar="FOLD",
        help="train these folds only",
    )
    options.add_argument(
        "--fresh", action="store_true", help="delete the finished folds of these models first"
    )
    options.add_argument("--yes", action="store_true", help="do not ask before deleting")
    options.add_argument(
        "--no-weights", action="store_true", help="do not keep the trained weights under runs/"
    )
    options.add_argument("--dry-run", action="store_true", help="say what would be trained")
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    _check(args, competition)
    from pipeline.report.page import page

    console = page(sys.stderr if args.json else sys.stdout)
    manifests = {}
    for job in _jobs(args, competition):
        if (manifest := _run(job, args, console)) is not None:
            manifests[job.run] = manifest
    if not args.dry_run:
        _finish(args, competition, manifests, console)
    return 0


def _check(args: "Namespace", competition: Competition) -> None:
    """Refuse what can be seen to be wrong before any file is read."""
    if not args.model:
        from pipeline.models.recipes import available

        names = ", ".join(available(Path(args.root)))
        raise UsageError(f"--model is missing: which model? Recipes: {names}")
    unknown = [fold for fold in args.only_fold if not 0 <= fold < competition.folds.count]
    if unknown:
        raise UsageError(
            f"--only-fold {unknown[0]}: the folds are 0 to {competition.folds.count - 1}"
        )


def _jobs(args: "Namespace", competition: Competition) -> "Iterator[Job]":
    """One job per model. Every recipe is looked up before the first job is yielded; weights are
    loaded one model at a time."""
    from pipeline.data.tables import load
    from pipeline.models.recipes import find
    from pipeline.paths import Paths
    from pipeline.training.factories import check_weights, make_factory
    from pipeline.training.job import Job

    root = Path(args.root)
    recipes = {
        recipe.name: recipe for recipe in (find(m, root, args.set or []) for m in args.model)
    }
    for recipe in recipes.values():
        check_weights(recipe)
    tables = load(competition, root)
    paths = Paths(root, competition.name)
    folds = _folds(competition, paths, tables, keep=not args.dry_run)
    for name, recipe in recipes.items():
        yield Job(
            run=name,
            competition=competition,
            recipe=recipe,
            tables=tables,
            folds=folds,
            factory=make_factory(recipe, competition),
            paths=paths,
            seeds=sorted(set(args.seed)),
            keep_weights=not args.no_weights,
        )


def _folds(competition: Competition, paths: "Paths", tables: "Tables", keep: bool) -> "Folds":
    """The frozen folds; where there are none and *keep* is false, those that would be frozen."""
    from pipeline.data.folds import frozen
    from pipeline.paths import Paths

    if keep or paths.passport.exists():
        return frozen(competition, paths, tables.train, tables.extra)
    own_file = competition.folds.file
    absolute = None if own_file is None else str((paths.root / own_file).absolute())
    trial = replace(competition, folds=replace(competition.folds, file=absolute))
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = Paths(Path(folder), competition.name)
        return frozen(trial, elsewhere, tables.train, tables.extra)


def _run(job: "Job", args: "Namespace", console: "Console") -> dict[str, Any] | None:
    """Train what is missing of one model; its manifest, or None while folds are missing."""
    from pipeline.models.learner import Silent
    from pipeline.report.cv import first_lines, fold_line
    from pipeline.report.page import page
    from pipeline.results.metrics import get_metric
    from pipeline.training.engine import cross_validate, start_over, unfinished
    from pipeline.training.progress import Progress
    from pipeline.training.space import check_space

    task = job.competition.task
    metric = get_metric(task.metric, task, job.paths.root)
    if args.fresh and not args.dry_run:
        _ask_before_deleting(job, args)
        start_over(job, args.only_fold)
    missing = [p for p in unfinished(job) if not args.only_fold or p.fold in args.only_fold]
    check_space(job, missing)
    tables = [
        table
        for table in (job.tables.train, job.tables.test, job.tables.extra, job.tables.holdout)
        if table is not None
    ]
    counted = job.factory.prepare(tables, Silent()) if missing else ""
    for line in first_lines(job, counted, len(missing)):
        console.print(line, soft_wrap=True)
    if args.dry_run:
        todo = ", ".join(part.name for part in missing) or "nothing"
        console.print(f"  would train {todo}", soft_wrap=True)
        return None

    with Progress(job.run, len(missing), page(sys.stderr)) as progress:

        def announce(part: "Part", manifest: dict[str, Any]) -> None:
            if part in missing:
                progress.finished(sum(manifest["seconds"].values()))
            with progress.pause():
                console.print(fold_line(part, manifest), soft_wrap=True)

        return cross_validate(job, metric, progress.watch, announce, args.only_fold)


def _ask_before_deleting(job: "Job", args: "Namespace") -> None:
    """--fresh on a terminal asks once per model unless --yes."""
    if args.yes or not job.paths.run(job.run).exists():
        return
    if not sys.stdin.isatty():
        raise UsageError(f"--fresh would delete the finished folds of {job.run}; add --yes")
    answer = input(f"Delete the finished folds of {job.run} in {job.paths.run(job.run)}? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was deleted")


def _finish(
    args: "Namespace", competition: Competition, manifests: dict[str, Any], console: "Console"
) -> None:
    """Scores, where everything lies, and the next command."""
    from pipeline.report.cv import print_summary

    if args.json:
        print(json.dumps({"competition": competition.name, "runs": manifests}, ensure_ascii=False))
    if not manifests:
        console.print("no run is complete yet: train the folds that are missing", soft_wrap=True)
        return
    from pipeline.paths import Paths

    paths = Paths(Path(args.root), competition.name)
    print_summary(manifests, console)
    console.print(f"predictions in {paths.runs}, weights and logs in {paths.workspaces}")
    root = [] if args.root == "." else ["--root", str(args.root)]
    config = [] if args.config is None else ["--config", str(args.config[0])]
    again = shlex.join(["python", "-m", "pipeline.ensemble", *root, *config])
    console.print(f"next: {again}", soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(run(main))
