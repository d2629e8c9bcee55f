"""Look at a competition's folder, write configs/NAME.yaml and say what was seen.

    python -m pipeline.init data/my-competition
    python -m pipeline.init data/my-competition --target score --metric rmse
    python -m pipeline.init --benchmark klue-sts data/klue-sts-v1.1

Whatever it cannot decide it asks for, naming the flag and the candidates.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
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


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("init", __doc__ or "")
    options.add_argument(
        "dir", metavar="DIR", nargs="?", help="folder with train, test, sample submission"
    )
    options.add_argument(
        "--benchmark",
        metavar="NAME",
        help="DIR holds the official files of klue-sts, klue-ynat, klue-nli, klue-re, cola, sst2, "
        "mrpc, stsb, qqp, mnli, qnli, rte or wnli",
    )
    options.add_argument(
        "--from-hub", action="store_true", help="with --benchmark: load it by datasets, no DIR"
    )
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
    options.add_argument(
        "--no-joins", action="store_true", help="leave out tables that stand beside the rows"
    )
    options.add_argument("--folds", type=int, help="number of folds; 5 if not given")
    options.add_argument("--seed", type=int, help="seed of the folds; 42 if not given")
    _repeatable(options, "--names", "FILE=A,B,C", "names of the columns of a file without a header")
    _repeatable(options, "--skip-broken", "FILE", "leave out lines of it that are no whole rows")
    options.add_argument(
        "--decimal", choices=[",", "."], help="what stands for the point in numbers such as 1,234"
    )
    _repeatable(options, "--encoding", "NAME|FILE=NAME", "of all files, of one; found if not given")
    options.add_argument("--force", action="store_true", help="overwrite an existing config")
    return options


def _repeatable(options: Parser, flag: str, value: str, what: str) -> None:
    options.add_argument(flag, action="append", metavar=value, help=f"{what}; repeatable")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    root, folder, name = _place(args)
    config = root / "configs" / f"{safe_name(name)}.yaml"
    if config.exists() and not args.force:
        raise UsageError(
            f"{config} is there already. --force overwrites it, --name writes another one."
        )
    from pipeline.data import load
    from pipeline.data.labels import single_rows
    from pipeline.metrics import metric_of
    from pipeline.metrics.metric import fitting
    from pipeline.setup.config_file import render
    from pipeline.setup.detection.detect import detect
    from pipeline.setup.detection.tags import by_documents, of_units
    from pipeline.setup.fold_recipe import propose
    from pipeline.setup.inspection.inspect import look
    from pipeline.submissions.submission_file import conversion, try_submission

    wishes, told = _wishes(args, name), list[str]()
    if args.benchmark:
        wishes, told = _prepare(args, wishes, folder)
    detected = detect(folder, wishes, speller(folder, root))
    if args.benchmark:
        detected = _as_benchmark(args, detected)
    task = detected.competition.task
    metric = metric_of(detected.competition, root)
    if metric.record.ordered_labels and task.problem_type.exclusive and not args.classes:
        _check_order(task.metric, task.classes)
    root.mkdir(
        parents=True, exist_ok=True
    )  # "../data" means nothing under a folder that is not there
    tables = load(detected.competition, root)
    if single_rows(tables.train, detected.competition).any():
        detected = detected.with_rare_rows()
        tables = load(detected.competition, root)
    form = try_submission(detected.competition, tables, metric)
    told += conversion(detected.competition.data.sample_submission, tables.sample.id_column)
    asked, rows = by_documents(detected.competition, tables)
    if asked is not detected.competition:
        metric = metric_of(asked, root)
    folds = propose(asked, rows.train, rows.test, metric)
    found = replace(detected.competition, folds=folds.competition.folds)
    detected = replace(detected, competition=found, reasons=detected.reasons | folds.reasons)
    commit_text(config, render(detected.competition, detected.reasons, fitting(task.problem)))
    competition = read_section(Competition, config)
    inspection = look(*by_documents(competition, tables), root, detected.headers, folds)
    inspection = of_units(inspection, competition, tables, root)
    notes = [*told, *tables.notes, *form.notes]
    if args.json:
        print(json.dumps(_as_json(config, detected, notes, inspection)))
    else:
        _show(config, detected, notes, inspection)
        _print(f"\nNext:\n  {_next_command(config, args, competition)}")
    return 0


def _check_order(metric: str, classes: Sequence[str]) -> None:
    """Refuse classes whose order nobody gave, for a *metric* that counts how far they are apart."""
    try:
        known = list(map(float, classes)) == sorted(map(float, classes))
    except ValueError:
        known = False
    if not known:
        raise UsageError(
            f"{metric} counts how far classes are apart, and the files do not say in which order "
            f"{', '.join(classes[:10])} stand. Give them from the lowest to the highest: "
            "--classes LOWEST … HIGHEST"
        )


def _place(args: "Namespace") -> tuple[Path, Path, str]:
    """The root, the folder of the competition's files, and its name."""
    root = Path(args.root)
    if args.from_hub and not args.benchmark:
        raise UsageError("--from-hub loads a benchmark: say which with --benchmark NAME")
    if args.dir is None and not args.from_hub:
        raise UsageError("a DIR is missing: the folder with the files, right after the command")
    if not args.benchmark:
        return root, Path(args.dir), args.name or default_name(Path(args.dir))
    from pipeline.setup.benchmarks import benchmark_of

    full, _ = benchmark_of(args.benchmark)
    return root, root / "data" / full, args.name or full


def _prepare(args: "Namespace", wishes: "Overrides", folder: Path) -> tuple["Overrides", list[str]]:
    """Write the benchmark's files into *folder*; what is known of them, and notes."""
    from pipeline.setup.benchmark_files import prepare
    from pipeline.setup.benchmarks import benchmark_of

    full, record = benchmark_of(args.benchmark)
    source = None if args.dir is None else Path(args.dir)
    made = prepare(full, record, source, args.from_hub, folder)
    known = replace(
        wishes,
        train="train.csv",
        test="test.csv",
        sample="sample_submission.csv",
        holdout=wishes.holdout or (["dev.csv"] if (folder / "dev.csv").is_file() else []),
        id="id",
        texts=wishes.texts or list(record.texts),
        targets=["label"],
        problem=record.problem,
        metric=wishes.metric or record.metric,
        classes=list(record.classes),
    )
    return known, [f"{folder} holds {record.title} as tables now", *made.notes]


def _as_benchmark(args: "Namespace", detected: "Detected") -> "Detected":
    from pipeline.setup.benchmarks import benchmark_of

    full, record = benchmark_of(args.benchmark)
    said = {f"columns.{name}": f"As {record.title} has it." for name in ("id", "texts", "targets")}
    named = ["problem", "classes"] if record.classes else ["problem"]
    said |= {f"task.{name}": f"As {record.title} has it." for name in named}
    if record.template:
        said |= dict.fromkeys(["columns.template", "columns.entities"], "Entities are marked.")
    said["task.metric"] = f"{record.title} is scored by {record.scored}."
    found = detected.competition
    return replace(
        detected,
        competition=replace(
            found,
            columns=replace(
                found.columns, template=list(record.template), entities=list(record.entities)
            ),
            submissions=replace(found.submissions, benchmark=full),
        ),
        reasons={**detected.reasons, **said},
    )


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
        no_joins=args.no_joins,
        folds=args.folds,
        seed=args.seed,
        encoding=args.encoding or [],
        decimal=args.decimal,
        names=args.names or [],
        skip_broken=args.skip_broken or [],
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

    lines = [f"{config} is written. What was chosen, and why:"]
    lines.append(summary(detected.competition, detected.reasons))
    if notes:
        lines += ["Noticed in the files:", *(f"  {note}" for note in notes)]
    _print("\n".join(lines))
    show(inspection, sys.stdout)


def _print(text: str) -> None:
    from pipeline.report.page import writable

    print(writable(text, sys.stdout.encoding or "utf-8"))


SECOND_RECIPE = "naive-bayes"
"""What is proposed beside the first recipe for classes of single texts: it is as soon done, and
errs in another way."""


def _next_command(config: Path, args: "Namespace", competition: Competition) -> str:
    command = ["python", "-m", "pipeline.cv"]
    if args.root != ".":
        command += ["--root", args.root]
    kind = competition.task.problem_type
    models = ["--model", kind.first_recipe]
    if competition.task.classes and kind.learnt_as == "rows" and len(competition.columns.texts) < 2:
        models += ["--model", SECOND_RECIPE]
    return shlex.join([*command, "--config", str(config), *models])


if __name__ == "__main__":
    raise SystemExit(run(main))
