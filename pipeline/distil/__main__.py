"""Teach one model what an ensemble knows: a student that answers in place of all its members.

    python -m pipeline.distil --student linear
    python -m pipeline.distil --student minilm --teachers all --rows data/more-texts.csv

A student is trained on every fold, on the labels, on what the ensemble says of training rows and
of rows without labels; never on an answer that a label of its held-out rows had a part in, so its
score is honest. It is a run in oof/ like any other, and the same command again goes on where the
last one stopped. docs/how-to-distil.md.
"""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition
from pipeline.base.command import run
from pipeline.base.parser import Parser
from pipeline.training.options import add_trouble

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.distil.export import Exported
    from pipeline.distil.measure import Compared, Cost
    from pipeline.distil.student import Student

NOT_ASKED: dict[str, Any] = {
    "only_fold": [],
    "cluster": None,
    "workers": 1,
    "no_weights": False,
    "dry_run": False,
    "into": ".",
}
"""Options of `pipeline.cv` that a student has not."""


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("distil", __doc__ or "")
    add = options.add_argument
    add("--student", metavar="RECIPE", required=True, help="as --model of pipeline.cv")
    add("--set", action="append", metavar="KEY=VALUE", help="a setting of it; repeatable")
    add("--runs", nargs="+", default=[], metavar="RUN", help="of the ensemble; default: all")
    add("--method", default="auto", help="of the ensemble, as in pipeline.ensemble")
    add(
        "--rows",
        default="test",
        metavar="FILE",
        help="rows without labels: test, none, or a file with the text columns, below --root",
    )
    add(
        "--teachers",
        nargs="+",
        default=[],
        metavar="RUN",
        help="members that are trained again without every two folds, and then answer about "
        "training rows: names, all, or none; default: those that need no torch",
    )
    add("--weight", type=float, default=0.5, help="of an answer beside a label, up to 1")
    add("--seed", type=int, default=42, help="of the student")
    add("--fresh", action="store_true", help="delete the student's finished folds first")
    add(
        "--export",
        choices=["onnx"],
        help="train it once more, on all rows, and write it as a model that needs neither torch "
        "nor this package",
    )
    add("-o", "--out", metavar="DIR", help="of --export")
    add("--int8", action="store_true", help="with --export: weights in whole numbers, too")
    add_trouble(options)
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    for name, value in NOT_ASKED.items():
        args[name] = value
    args.seed = [args.seed]
    from pipeline.distil.export import check_export, check_not_exported, export
    from pipeline.distil.student import Asked, ensemble_to_learn_from, student_of, student_recipe
    from pipeline.report.page import page
    from pipeline.training.ground import Ground
    from pipeline.training.progress import Preparing

    asked = Asked(
        student=args.student,
        overrides=tuple(args.set or ()),
        runs=args.runs,
        method=args.method,
        rows=args.rows,
        teachers=args.teachers,
        weight=args.weight,
    )
    console = page(sys.stderr if args.json else sys.stdout)
    if not args.export:
        check_not_exported(args.out, args.int8)
    ground = Ground.of(args, competition)
    recipe = student_recipe(asked, ground)
    if args.export:
        check_export(recipe, args.out)
    made, notes = ensemble_to_learn_from(asked, ground)
    for note in notes:
        console.print(note, soft_wrap=True)
    student = student_of(asked, ground, recipe, made, page(sys.stderr))
    _train(student, args.fresh, console)
    found = _compared(student, ground.root, competition, recipe.name)
    cost, of_ensemble = _costs(student, ground.root, competition)
    exported = None
    if args.export:
        watch = Preparing(f"{student.job.run} of all rows", page(sys.stderr))
        exported = export(student, Path(args.out), args.int8, watch)
    if args.json:
        answer = _found(student, found, cost, of_ensemble)
        told = None if exported is None else asdict(exported) | {"out": str(exported.out)}
        print(json.dumps(answer | {"exported": told}))
        return 0
    for line in _lines(student, found, cost, of_ensemble):
        console.print(line, soft_wrap=True)
    for line in () if exported is None else _exported(exported, made.outcome.metric.name):
        console.print(line, soft_wrap=True)
    root = [] if args.root == "." else ["--root", str(args.root)]
    config = [] if args.config is None else ["--config", str(args.config[0])]
    own = ["python", "-m", "pipeline.ensemble", *root, *config, "--runs", student.job.run]
    console.print(f"next: {shlex.join(own)}", soft_wrap=True)
    return 0


def _train(student: "Student", fresh: bool, console: "Console") -> None:
    """Train what is missing of the student's folds."""
    from pipeline.metrics import metric_of
    from pipeline.report import first_lines, fold_line
    from pipeline.report.page import page
    from pipeline.training import check_space
    from pipeline.training.progress import Preparing, Progress
    from pipeline.training.run import cross_validate, start_over, unfinished

    job = student.job
    metric = metric_of(job.competition, job.root)
    if fresh:
        start_over(job)
    missing = unfinished(job)
    counted = ""
    if missing:
        unlabelled = student.lessons().unlabelled
        tables = [*job.tables.all, *([] if unlabelled is None else [unlabelled])]
        counted = job.factory.prepare(tables, Preparing(job.run, page(sys.stderr)))
        check_space(job, missing)
    for line in first_lines(job, counted, len(missing)):
        console.print(line, soft_wrap=True)
    with Progress(job.run, len(missing), page(sys.stderr)) as progress:

        def announce(part: Any, manifest: dict[str, Any], new: bool) -> None:
            if new:
                progress.finished(sum(manifest["seconds"].values()))
            with progress.pause():
                console.print(fold_line(part, manifest), soft_wrap=True)

        cross_validate(job, metric, progress.watch, announce)


def _compared(
    student: "Student", root: Path, competition: Competition, plain: str
) -> "list[Compared]":
    """The student beside itself (no gain), the ensemble, and its recipe without a teacher where
    that run is there."""
    from pipeline.base import Paths
    from pipeline.distil.measure import alone, compared

    own = alone(root, competition, student.job.run)
    others = [(own, student.job.run), (student.made, "the ensemble")]
    if Paths(root, competition.name).run_manifest(plain).exists():
        others.append((alone(root, competition, plain), f"{plain} without teachers"))
    return [compared(own, made, name) for made, name in others]


def _costs(student: "Student", root: Path, competition: Competition) -> "tuple[Cost, Cost]":
    """Of one learner of the student, and of all learners of the ensemble."""
    from pipeline.base import Paths
    from pipeline.distil.measure import cost_of
    from pipeline.oof import read_manifest
    from pipeline.training.new_rows import saved_again

    test, manifests = student.job.tables.test, student.made.outcome.members.manifests
    own = read_manifest(Paths(root, competition.name).run(student.job.run))
    one = cost_of(saved_again(root, competition, [own]), test, most=1)
    return one, cost_of(saved_again(root, competition, manifests), test)


def _found(
    student: "Student", found: "list[Compared]", cost: "Cost", of_ensemble: "Cost"
) -> dict[str, Any]:
    """For programs."""
    own, *others = found
    return {
        "run": student.job.run,
        "metric": student.made.outcome.metric.name,
        "honest": own.honest,
        "teachers": student.teachers,
        "members": student.made.outcome.members.names,
        "beside": [
            {
                "name": each.name,
                "honest": each.honest,
                "gain": each.gain.difference,
                "interval_95": [each.gain.low, each.gain.high],
            }
            for each in others
        ],
        "cost": asdict(cost),
        "cost_of_ensemble": asdict(of_ensemble),
    }


def _lines(
    student: "Student", found: "list[Compared]", cost: "Cost", of_ensemble: "Cost"
) -> Iterator[str]:
    """For people."""
    from pipeline.base.files import size_text

    own, *others = found
    metric = student.made.outcome.metric.name
    yield f"student  {student.job.run}: honest {metric} {_score(own.honest)}"
    for each in others:
        gain = each.gain
        yield (
            f"beside   {each.name}: {_score(each.honest)}; the student is {gain.difference:+.4f} "
            f"(95 %: {gain.low:+.4f} to {gain.high:+.4f}; above 0: better)"
        )
    of = f"the ensemble's {of_ensemble.learners} learners"
    for name, took in (("one learner of the student", cost), (of, of_ensemble)):
        yield (
            f"cost     {name}: {size_text(took.bytes)}, "
            f"{took.rows_per_second:,.0f} rows a second on this machine"
        )


def _exported(exported: "Exported", metric: str) -> Iterator[str]:
    """What was written and what it costs, for people."""
    from pipeline.base.files import size_text

    for name, size in exported.bytes.items():
        yield (
            f"export   {name}: {size_text(size)}, {exported.rows_per_second[name]:,.0f} rows a "
            f"second; predictions of the {exported.rows:,} test rows at most "
            f"{exported.away[name]:.1e} from the learner's"
        )
    if exported.scores is not None:
        before, after = map(_score, exported.scores)
        yield f"int8     {metric} over all out-of-fold rows {before} -> {after}"
    yield f"wrote {exported.out}"


def _score(value: float | None) -> str:
    return "untold" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    raise SystemExit(run(main))
