"""Train the models that are worth their time: so many hours, and a submission at the end.

    python -m pipeline.race --hours 8 --model linear --model boosting --model klue/roberta-large

The first fold of everything, then whatever has the best expected honest gain per minute. It ends in
time, with the ensemble written; the same command again goes on with what lies on the disk, for
another --hours. docs/how-to-race.md.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, UsageError, raise_if
from pipeline.base.command import STOP, Stopped, notified, run
from pipeline.base.errors import BusyError, ResourceError
from pipeline.base.parser import Parser
from pipeline.experiments.companion import add_option
from pipeline.training.options import add_trouble, add_wide, check_wide

if TYPE_CHECKING:
    from jsonargparse import Namespace
    from rich.console import Console

    from pipeline.experiments.companion import Companion
    from pipeline.race.race import Race
    from pipeline.submissions.submission_file import Written


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("race", __doc__ or "")
    options.add_argument("--hours", type=float, metavar="H", help="from now on, such as 8 or 0.5")
    options.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="a recipe, a Hugging Face id or a folder, as pipeline.cv takes it; repeatable",
    )
    options.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="change a setting of all recipes, such as epochs=1; repeatable",
    )
    options.add_argument("--seed", type=int, default=42, help="of the trainings")
    options.add_argument("--no-weights", action="store_true", help="keep no trained weights")
    options.add_argument("--dry-run", action="store_true", help="say how it stands, train nothing")
    add_trouble(options)
    add_wide(options)
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
    _check(args)
    for name, value in {"fresh": False, "only_fold": []}.items():
        args[name] = value
    args.seed = [args.seed]
    from pipeline.tune.bench import tracked_by

    with (
        notified(args.notify, "race", competition.name, args.root) as news,
        tracked_by(args, competition) as companion,
    ):
        race = _race(args, arguments, competition, companion)
        if companion is not None:
            for name in race.kept:
                companion.expect(name, None)
        news["RUNS"] = " ".join(race.kept)
        if race.honest is not None:
            news["SCORE"] = f"{race.honest:.6f}"
    return 0


def _check(args: "Namespace") -> None:
    """Refuse what can be seen to be wrong before any file is read."""
    problems = []
    if not args.model:
        problems.append("--model is missing: which models take part? Name two or more")
    if args.hours is None or args.hours <= 0:
        found = "is missing" if args.hours is None else f"{args.hours:g}"
        problems.append(f"--hours {found}: expected the time there is, such as 8 or 0.5")
    if args.time_limit:
        problems.append("--time-limit: --hours says when a race ends; leave --time-limit out")
    raise_if([*problems, *check_wide(args)], UsageError)


def _race(
    args: "Namespace",
    arguments: list[str],
    competition: Competition,
    companion: "Companion | None",
) -> "Race":
    from pipeline.models.registry import LEARNERS
    from pipeline.race.page import print_race, race_as_json
    from pipeline.race.race import Entrant, Race
    from pipeline.report.page import page
    from pipeline.training.ground import Ground
    from pipeline.training.jobs import check_kind, models_of, recipes_of
    from pipeline.tune.bench import Bench

    recipes, models = recipes_of(args), models_of(args)
    for recipe in recipes.values():
        check_kind(recipe, competition)
    ground = Ground.of(args, competition)
    on_gpu = any(LEARNERS[recipe.learner].torch for recipe in recipes.values())
    bench = Bench(ground, arguments, page(sys.stderr), on_gpu, companion)
    console = page(sys.stderr if args.json else sys.stdout)

    def say(line: str) -> None:
        with bench.progress.pause():
            console.print(line, soft_wrap=True)

    say(f"{competition.name}: {args.hours:g} hours for {', '.join(recipes)}")
    race = Race(
        bench=bench,
        entrants=[Entrant(model=models[name], recipe=each) for name, each in recipes.items()],
        sets=tuple(args.set or ()),
        seconds=args.hours * 3600,
        say=say,
        dry=args.dry_run,
    )
    written = None
    if not args.dry_run:
        _run(race)
        written = _written(race, console)
    print_race(race, console)
    if args.json:
        print(json.dumps(race_as_json(race, None if written is None else written.path)))
    if args.report:
        from pipeline.report.drawn.pages import report_line

        console.print(report_line(competition, ground.root, args.report), soft_wrap=True)
    return race


def _run(race: "Race") -> None:
    """Until nothing is worth its time, or the time is up; what was under way has saved then."""
    goes_on = True
    while goes_on:
        goes_on = False
        try:
            race.bench.work(race.ask, race.told)
        except Stopped as stopped:
            if stopped.exit_code != BusyError.exit_code:  # a person's wish, not the time
                raise
            goes_on = race.interrupted("the time for it is up; what it has is saved")
        except ResourceError as error:
            goes_on = race.interrupted(str(error))
            if not goes_on and not race.complete():
                raise
        finally:
            STOP.deadline, STOP.limit = None, ""
            race.bench.close()


def _written(race: "Race", console: "Console") -> "Written | None":
    """The submission of the complete runs, printed as pipeline.ensemble does."""
    from pipeline.base.errors import DataError
    from pipeline.report.ensemble import print_outcome, print_submission
    from pipeline.report.texts.ensemble import print_texts
    from pipeline.submissions.built import provenance_any
    from pipeline.submissions.submission_file import write

    names = race.kept
    if not names:
        console.print("no run is complete, so there is nothing to submit yet", soft_wrap=True)
        return None
    made = race.made(names)
    outcome, paths = made.outcome, race.bench.paths()
    method = made.method
    message = f"{method} of {', '.join(outcome.names)}"
    if outcome.honest is not None and not outcome.doubts:
        message += f"; honest {outcome.metric.name} {outcome.honest:.4f}"
    show: dict[str, Any] = {"numbers": print_outcome, "texts": print_texts}
    show[outcome.competition.task.problem_type.predictions](outcome, console)
    origin = provenance_any(made, message, Path(race.bench.args.root))
    try:
        written = write(paths.submissions, outcome.competition.name, method, made.content, origin)
    except DataError as error:
        console.print(f"no new file: {error}", soft_wrap=True)
        return None
    print_submission(outcome.competition, written, message, console)
    return written


if __name__ == "__main__":
    raise SystemExit(run(main))
