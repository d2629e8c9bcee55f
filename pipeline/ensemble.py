"""Blend the finished runs of a competition, with a score that can be believed, and write a
submission.

    python -m pipeline.ensemble
    python -m pipeline.ensemble --config configs/NAME.yaml --runs linear minilm --method mean

Nothing is trained: only predictions are read, so the command takes seconds.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.command import run
from pipeline.config import Competition, Parser

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from pipeline.results.outcome import Outcome
    from pipeline.results.submission import Written

METHODS = (
    *("auto", "best", "mean", "rank-mean", "simplex", "greedy", "greedy-bag"),
    *("nonnegative-ridge", "ridge", "logistic", "slices", "layers"),
)


def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("ensemble", __doc__ or "")
    options.add_argument(
        "--runs", nargs="+", default=[], metavar="RUN", help="default: every complete run"
    )
    options.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="auto takes the simplest method whose honest score is within noise of the best",
    )
    options.add_argument(
        "--slice-by",
        metavar="COLUMN",
        help="the column whose values may get weights of their own; default: the first of "
        "columns.features that has 2 to 20 values; '' for none",
    )
    options.add_argument(
        "--force",
        action="store_true",
        help="blend runs whose checkpoints were chosen on the held-out rows, too",
    )
    options.add_argument("--message", metavar="TEXT", help="the message of the submit line")
    options.add_argument("--dry-run", action="store_true", help="show everything, write nothing")
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    outcome, content = _read_and_assess(args, competition)
    message = args.message or _message(outcome)
    from pipeline.report.ensemble import print_outcome, print_submission
    from pipeline.report.ensemble_json import as_json
    from pipeline.report.page import page

    console = page(sys.stderr if args.json else sys.stdout)
    print_outcome(outcome, console)
    written = None if args.dry_run else _write(args, outcome, content, message)
    print_submission(outcome, written, message, console)
    if args.json:
        answer = as_json(outcome, written, message)
        print(json.dumps(answer, allow_nan=False))
    return 0


def _read_and_assess(args: "Namespace", competition: Competition) -> "tuple[Outcome, bytes]":
    """Read everything, fit, choose, score; the outcome and the submission's bytes."""
    from pipeline.data.folds import read_frozen
    from pipeline.data.tables import load
    from pipeline.paths import Paths
    from pipeline.results.form import find_form
    from pipeline.results.members import read_members
    from pipeline.results.metrics import get_metric
    from pipeline.results.outcome import conclude, fill
    from pipeline.results.runs import find_runs

    paths = Paths(Path(args.root), competition.name)
    train = _train_command(args)
    runs, notes = find_runs(paths, args.runs, args.force, competition.folds, train)
    metric = get_metric(competition.task.metric, competition.task, paths.root)
    tables = load(competition, paths.root)
    form = find_form(competition, metric.needs, tables.sample)
    folds = read_frozen(competition, paths, tables.train)
    holdout = tables.holdout
    members = read_members(
        paths,
        runs,
        folds,
        competition.outputs,
        tables.test.ids,
        tables.test.ids[:0] if holdout is None else holdout.ids,
    )
    outcome = conclude(
        competition,
        metric,
        tables.train,
        folds,
        members,
        args.method,
        form,
        test=tables.test,
        holdout=holdout,
        slice_by=args.slice_by,
        notes=[*tables.notes, *notes],
    )
    return outcome, fill(outcome, tables.test.ids.tolist(), tables.sample)


def _write(args: "Namespace", outcome: "Outcome", content: bytes, message: str) -> "Written":
    from pipeline.paths import Paths
    from pipeline.results.provenance import provenance
    from pipeline.results.submission import write

    name, method = outcome.competition.name, outcome.assessment.method
    folder = Paths(Path(args.root), name).submissions
    return write(folder, name, method, content, provenance(outcome, message))


def _message(outcome: "Outcome") -> str:
    runs, honest = ", ".join(outcome.members.names), outcome.assessment.headline.honest
    return f"{outcome.assessment.method} of {runs}; honest {outcome.metric.name} {honest:.4f}"


def _train_command(args: "Namespace") -> str:
    """The command that trains a model, as a person would type it."""
    root = [] if args.root == "." else ["--root", str(args.root)]
    config = [] if args.config is None else ["--config", str(args.config[0])]
    return shlex.join(["python", "-m", "pipeline.cv", *root, *config, "--model", "linear"])


if __name__ == "__main__":
    raise SystemExit(run(main))
