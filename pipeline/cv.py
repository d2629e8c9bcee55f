"""Train models fold by fold and keep their out-of-fold and test predictions.

    python -m pipeline.cv --model linear
    python -m pipeline.cv --config configs/NAME.yaml --model minilm --model klue/roberta-large
    python -m pipeline.cv --model minilm --set epochs=2 --seed 42 43

The same command again goes on where the last one stopped, in the middle of a fold too; a finished
fold is not trained twice.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, UsageError, raise_if
from pipeline.base.command import notified, run
from pipeline.base.errors import BusyError, DivergedError, PipelineError
from pipeline.base.parser import Parser
from pipeline.experiments.companion import add_option
from pipeline.training.options import add_options, check_options

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from jsonargparse import Namespace
    from rich.console import Console

    from pipeline.experiments.companion import Companion
    from pipeline.training import Job, Part


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("cv", __doc__ or "")
    add_options(options)
    options.add_afterwards()
    add_option(options)
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parser()
    args = options.read(arguments)
    competition = options.competition(args)
    check_options(args, competition)
    if args.worker:
        return _as_worker(args, competition)
    with (
        notified(args.notify, "cv", competition.name, args.root) as news,
        _tracked(args, competition) as companion,
    ):
        if (args.workers > 1 or args.cluster) and not args.dry_run:
            _hand_out(args, competition, arguments, companion)
            args.fresh = False
        from pipeline.report.page import page

        console = page(sys.stderr if args.json else sys.stdout)
        manifests = _run_all(args, competition, console, companion)
        news["RUNS"] = " ".join(manifests)
        news["SCORE"] = " ".join(f"{each['oof_score']:.6f}" for each in manifests.values())
        if not args.dry_run:
            _finish(args, competition, manifests, console)
    return 0


def _as_worker(args: "Namespace", competition: Competition) -> int:
    """Train what nobody else holds; the leader tells how it all ended."""
    from pipeline.base.command import STOP, Stopped
    from pipeline.report.page import page

    STOP.leader = os.getppid()
    try:
        _run_all(args, competition, page())
    except (BusyError, Stopped) as ended:
        return ended.exit_code
    return 0


def _tracked(
    args: "Namespace", competition: Competition
) -> "AbstractContextManager[Companion | None]":
    """What keeps the records of --track; its last line goes to stderr."""
    from pipeline.experiments.companion import tracked
    from pipeline.report.page import page

    service = None if args.dry_run else args.track
    say = partial(page(sys.stderr).print, soft_wrap=True)
    return tracked(service, competition.name, args.root, args.min_free_gb, say)


def _run_all(
    args: "Namespace",
    competition: Competition,
    console: "Console",
    companion: "Companion | None" = None,
) -> dict[str, dict[str, Any]]:
    """Train every model; the manifests of the complete runs, by name."""
    from pipeline.training import jobs_of

    manifests = {}
    postponed: list[PipelineError] = []
    for job in jobs_of(args, competition):
        if companion is not None:
            companion.expect(job.run, job.settings)
        try:
            if (manifest := _run(job, args, console)) is not None:
                manifests[job.run] = manifest
        except (BusyError, DivergedError) as error:  # the other models are trained all the same
            if isinstance(error, DivergedError) and args.on_nan != "skip-fold":
                raise
            postponed.append(error)
    raise_if([str(error) for error in postponed], type(postponed[0]) if postponed else BusyError)
    return manifests


def _hand_out(
    args: "Namespace",
    competition: Competition,
    arguments: Sequence[str],
    companion: "Companion | None",
) -> None:
    """Let --workers processes, or a --cluster, train what is missing; they tell what they do."""
    from pipeline.report.page import page
    from pipeline.training import check_space, jobs_of
    from pipeline.training.jobs import models_of
    from pipeline.training.parallel.ray_cluster import on_cluster
    from pipeline.training.parallel.workers import missing_of, side_by_side
    from pipeline.training.run import start_over, unfinished

    models, missing = models_of(args), []
    for job in jobs_of(args, competition):
        if companion is not None:
            companion.expect(job.run, job.settings)
        if args.fresh:
            _ask_before_deleting(job, args)
            start_over(job, args.only_fold)
        parts = unfinished(job, args.only_fold)
        if not parts:
            continue
        _prepare(job)  # the others find it done
        check_space(job, parts, len(parts) if args.cluster else args.workers)
        missing.append(missing_of(job, models[job.run], parts))
    say = page(sys.stderr).print
    work = on_cluster if args.cluster else side_by_side
    work(args, arguments, missing, lambda line: say(line, soft_wrap=True))


def _run(job: "Job", args: "Namespace", console: "Console") -> dict[str, Any] | None:
    """Train what is missing of one model; its manifest, or None while folds are missing."""
    from pipeline.metrics import metric_of
    from pipeline.report import first_lines, fold_line
    from pipeline.report.page import page
    from pipeline.training import check_space
    from pipeline.training.progress import Progress
    from pipeline.training.run import cross_validate, start_over, unfinished

    metric = metric_of(job.competition, Path(args.root))
    if args.fresh and not args.dry_run:
        _ask_before_deleting(job, args)
        start_over(job, args.only_fold)
    missing = unfinished(job, args.only_fold)
    counted = _prepare(job) if missing else ""
    check_space(job, missing, args.workers)  # after the token store, which takes space as well
    for line in [] if args.worker else first_lines(job, counted, len(unfinished(job))):
        console.print(line, soft_wrap=True)
    if args.dry_run:
        todo = ", ".join(part.name for part in missing) or "nothing"
        console.print(f"  would train {todo}", soft_wrap=True)
        return None

    live, workers = not args.worker, args.workers
    with Progress(job.run, len(missing), page(sys.stderr), live=live, workers=workers) as progress:

        def announce(part: "Part", manifest: dict[str, Any], new: bool) -> None:
            if new:
                progress.finished(sum(manifest["seconds"].values()))
            elif args.worker or args.workers > 1 or args.cluster:  # printed by who trained it
                return
            with progress.pause():
                console.print(fold_line(part, manifest), soft_wrap=True)

        return cross_validate(job, metric, progress.watch, announce, args.only_fold)


def _prepare(job: "Job") -> str:
    """What all folds share, told on stderr where it takes its time; a line about the texts."""
    from pipeline.report.page import page
    from pipeline.training.progress import Preparing

    return job.factory.prepare(job.tables.all, Preparing(job.run, page(sys.stderr)))


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
    from pipeline.report import print_summary

    if args.json:
        print(json.dumps({"competition": competition.name, "runs": manifests}))
    if not manifests:
        console.print("no run is complete yet: train the folds that are missing", soft_wrap=True)
        return
    from pipeline.base import Paths

    paths = Paths(Path(args.root), competition.name)
    print_summary(manifests, console)
    console.print(f"predictions in {paths.runs}, weights and logs in {paths.workspaces}")
    root = [] if args.root == "." else ["--root", str(args.root)]
    config = [] if args.config is None else ["--config", str(args.config[0])]
    again = shlex.join(["python", "-m", "pipeline.ensemble", *root, *config])
    from pipeline.report.drawn.pages import report_line

    console.print(report_line(competition, paths.root, args.report), soft_wrap=True)
    console.print(f"next: {again}", soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(run(main))
