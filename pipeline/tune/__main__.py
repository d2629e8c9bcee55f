"""Search for better settings of one recipe, on some of the frozen folds, and see what of it holds.

    python -m pipeline.tune --model linear
    python -m pipeline.tune --model klue/roberta-base --space my-space.yaml --trials 40 --workers 2

The best few are then trained on all folds beside the default; the winner becomes a recipe in
configs/models/. The same command again goes on where the last one stopped, with more --trials it
goes further; a finished fold of a trial is not trained twice. docs/how-to-tune.md.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base import Competition, UsageError, raise_if
from pipeline.base.command import notified, run
from pipeline.base.parser import Parser
from pipeline.experiments.companion import add_option
from pipeline.training.options import add_trouble, add_wide, check_wide

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from pipeline.experiments.companion import Companion
    from pipeline.tune.space import Space
    from pipeline.tune.study import Search


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("tune", __doc__ or "")
    _add_search(options)
    add_trouble(options)
    add_wide(options)
    options.add_afterwards()
    add_option(options)
    options.add_competition()
    return options


def _add_search(options: Parser) -> None:
    options.add_argument(
        "--model", metavar="NAME", help="what the search starts from, as pipeline.cv takes it"
    )
    options.add_argument(
        "--space",
        metavar="FILE",
        help="the settings to search (docs/how-to-tune.md); default: what is shipped for the "
        "recipe's kind of learner, configs/spaces/",
    )
    options.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="a setting of all trials and of what they are compared with; repeatable",
    )
    options.add_argument("--trials", type=int, default=40, metavar="N", help="in all, with earlier")
    options.add_argument(
        "--search-folds",
        type=int,
        metavar="N",
        help="the folds 0 to N-1 are searched on, the others show what holds (default: half)",
    )
    options.add_argument(
        "--confirm", type=int, default=3, metavar="N", help="train so many of the best on all folds"
    )
    options.add_argument(
        "--no-prune", action="store_true", help="end no trial before its last fold"
    )
    options.add_argument("--seed", type=int, default=42, help="of the trainings, and of the search")
    options.add_argument("--no-weights", action="store_true", help="keep no trained weights")
    options.add_argument("--dry-run", action="store_true", help="check, and say what would be done")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parser()
    args = options.read(arguments)
    competition = options.competition(args)
    folds = _check(args, competition)
    from pipeline.tune.space import read_space
    from pipeline.tune.study import optuna

    optuna()  # where it is missing, that is said first
    root = Path(args.root)
    space = read_space(args.space, args.model, root, tuple(args.set or ()))
    for name, value in {"fresh": False, "only_fold": [], "into": "."}.items():
        args[name] = value
    args.seed = [args.seed]
    from pipeline.tune.bench import tracked_by

    with (
        notified(args.notify, "tune", competition.name, args.root) as news,
        tracked_by(args, competition) as companion,
    ):
        found = _tuned(args, arguments, competition, space, folds, companion)
        if found is not None:
            news |= found
    return 0


def _check(args: "Namespace", competition: Competition) -> int:
    """Refuse what can be seen to be wrong before any file is read; the number of folds to search
    on."""
    count = competition.folds.count
    folds: int = (count + 1) // 2 if args.search_folds is None else args.search_folds
    problems = []
    if not args.model:
        problems.append("--model is missing: the recipe whose settings are searched")
    if args.trials < 1:
        problems.append(f"--trials {args.trials}: expected 1 or more")
    if args.confirm < 1:
        problems.append(f"--confirm {args.confirm}: expected 1 or more")
    if not 1 <= folds < count:
        problems.append(
            f"--search-folds {folds}: expected 1 to {count - 1}, since of {count} folds at least "
            "one must stay out of the search to show what holds"
        )
    raise_if([*problems, *check_wide(args)], UsageError)
    return folds


def _tuned(
    args: "Namespace",
    arguments: list[str],
    competition: Competition,
    space: "Space",
    folds: int,
    companion: "Companion | None",
) -> dict[str, str] | None:
    from pipeline.base.leases import lease
    from pipeline.models.registry import LEARNERS
    from pipeline.report.page import page
    from pipeline.training.ground import Ground
    from pipeline.training.jobs import check_kind, check_weights
    from pipeline.tune.bench import Bench
    from pipeline.tune.confirm import confirm, rows_searched, write_recipe
    from pipeline.tune.page import as_json, print_confirmation, print_search
    from pipeline.tune.study import Search, folder_of

    check_kind(space.default, competition)
    check_weights(space.default)
    ground = Ground.of(args, competition)
    if rows_searched(ground.folds, folds).all():
        raise UsageError(
            f"--search-folds {folds}: with {competition.folds.repeats} repeats these folds hold "
            "every row, and none is left to show what holds. Search on fewer"
        )
    into = folder_of(ground.settings_of(space.default), competition.name)
    console = page(sys.stderr if args.json else sys.stdout)
    on_gpu = LEARNERS[space.default.learner].torch
    bench = Bench(ground, arguments, page(sys.stderr), on_gpu, companion)

    def say(line: str) -> None:
        with bench.progress.pause():
            console.print(line, soft_wrap=True)

    say(f"{space.model} on {competition.name}: {args.trials} trials of {', '.join(space.settings)}")
    say(f"  searched on folds 0 to {folds - 1} of {competition.folds.count}; trials in {into}")
    if args.dry_run:
        say("  nothing is trained: --dry-run")
        return None
    with lease(ground.root / into / f"{space.default.name}.lease", f"the search of {space.model}"):
        search = Search(
            bench=bench,
            space=space,
            folds=folds,
            trials=args.trials,
            keep=args.confirm,
            prune=not args.no_prune,
            into=into,
            say=say,
        )
        bench.work(search.ask, search.told)
        print_search(search, console)
        if not search.best(1):
            raise UsageError(
                "no trial but the default has come to its last fold, so there is nothing to "
                "confirm: widen the space, or ask for more --trials"
            )
        found = confirm(search, args.confirm)
        file = None
        if found.winner.trial is not None:
            file = write_recipe(search, found.winner, _source(search, found.winner))
        print_confirmation(search, found, file, console)
    if args.json:
        print(json.dumps(as_json(search, found, file), allow_nan=False))
    if args.report:
        from pipeline.report.drawn.pages import report_line

        console.print(report_line(competition, ground.root, args.report), soft_wrap=True)
    return {"RUNS": found.winner.run, "SCORE": f"{found.winner.score:.6f}"}


def _source(search: "Search", winner: object) -> str:
    """Where a recipe comes from, for its file."""
    trials = len(search.standings())
    base = search.space.model
    return (
        f"pipeline.tune from {base} on {search.bench.ground.competition.name}: the best of "
        f"{trials} trials on {search.folds} folds, confirmed on all "
        f"(passport {search.bench.ground.folds.digest[:12]})"
    )


if __name__ == "__main__":
    raise SystemExit(run(main))
