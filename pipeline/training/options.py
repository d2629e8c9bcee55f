"""The options of `pipeline.cv`, and what they say about trouble. Quick to import: --help needs
nothing else."""

from argparse import SUPPRESS
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pipeline.base import Competition, UsageError, raise_if
from pipeline.base.command import STOP, Stop, seconds_of
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    from jsonargparse import Namespace


OnNan = Literal["stop", "rollback", "skip-fold"]
"""What is done where a training has come to NaN or infinity."""


def add_options(options: Parser) -> None:
    """What is trained, how it behaves in trouble, and by how many."""
    _add_what(options)
    add_trouble(options)
    add_wide(options)


def _add_what(options: Parser) -> None:
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


def add_trouble(options: Parser) -> None:
    """How a training behaves in trouble."""
    options.add_argument(
        "--time-limit",
        metavar="11h30m",
        help="save and end with status 75 before so much time is over",
    )
    options.add_argument(
        "--checkpoint-every", default="10m", metavar="TIME", help="0s: after every step"
    )
    options.add_argument(
        "--on-nan",
        default="stop",
        choices=get_args(OnNan),
        help="after NaN or infinity: end; go back to the start of the epoch with half the rate; "
        "or go on with the other folds",
    )
    options.add_argument(
        "--min-free-gb", type=float, default=0.5, help="leave so much of every disk free"
    )
    options.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits every time on a GPU too, at some cost (a CPU always gives them)",
    )


def add_wide(options: Parser) -> None:
    """By how many processes, or by which cluster."""
    options.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="train so many folds side by side on this machine, each on a GPU of its own",
    )
    options.add_argument(
        "--workers-per-gpu", type=int, default=1, metavar="M", help="let so many share a GPU"
    )
    options.add_argument("--worker", type=int, help=SUPPRESS)
    options.add_argument("--into", default=".", help=SUPPRESS)  # a folder of the root, for a search
    options.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="hand the folds to the Ray cluster at auto, HOST:6379 or ray://HOST:10001 "
        "(docs/cluster.md)",
    )
    options.add_argument(
        "--cluster-cpus",
        type=float,
        metavar="N",
        help="CPUs of a node for each fold (default: an equal share of the smallest node)",
    )
    options.add_argument(
        "--cluster-gpus",
        type=float,
        metavar="N",
        help="GPUs for each fold, such as 0.5 (default: 1 where there are any)",
    )


def check_options(args: "Namespace", competition: Competition) -> None:
    """Refuse what can be seen to be wrong before any file is read."""
    problems = []
    if not args.model:
        from pipeline.models.recipes import available

        names = ", ".join(available(Path(args.root)))
        problems.append(f"--model is missing: which model? Recipes: {names}")
    unknown = [fold for fold in args.only_fold if not 0 <= fold < competition.folds.count]
    if unknown:
        last = competition.folds.count - 1
        problems.append(f"--only-fold {unknown[0]}: the folds are 0 to {last}")
    raise_if([*problems, *check_wide(args)], UsageError)


def check_wide(args: "Namespace") -> list[str]:
    """What is wrong with the options of trouble and of workers."""
    problems = []
    if args.workers < 1:
        problems.append(f"--workers {args.workers}: expected 1 or more")
    if args.workers_per_gpu < 1:
        problems.append(f"--workers-per-gpu {args.workers_per_gpu}: expected 1 or more")
    if args.cluster and args.workers > 1:
        problems.append(
            "--cluster and --workers exclude each other: a node trains what it has room for"
        )
    if args.cluster_cpus is not None and args.cluster_cpus <= 0:
        problems.append(f"--cluster-cpus {args.cluster_cpus:g}: expected more than 0")
    if args.cluster_gpus is not None and args.cluster_gpus < 0:
        problems.append(f"--cluster-gpus {args.cluster_gpus:g}: expected 0 or more")
    if args.min_free_gb < 0:
        problems.append(f"--min-free-gb {args.min_free_gb:g}: expected 0 or more")
    return problems


# How a run behaves when things go wrong: fixed once for all its folds.


@dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """Nothing in here changes a prediction of a training that goes well."""

    on_nan: OnNan = "stop"
    """stop: end with exit code 6. rollback: back to the start of the epoch with half the rate.
    skip-fold: go on with the other folds."""
    checkpoint_seconds: float = 600.0
    """A checkpoint is written this often; 0 for after every step."""
    min_free_bytes: int = 0
    """To be left free on every disk that is written to."""
    deterministic: bool = False
    """On a GPU, only algorithms that give the same bits every time."""
    stop: Stop = field(default=STOP)
    """Asked at every step boundary whether to end."""


def policy_of(args: "Namespace") -> FailurePolicy:
    """How the runs behave when things go wrong; a time limit starts to run here."""
    if args.time_limit:
        STOP.set_limit(args.time_limit)
    return FailurePolicy(
        on_nan=args.on_nan,
        checkpoint_seconds=seconds_of(args.checkpoint_every, "--checkpoint-every"),
        min_free_bytes=int(args.min_free_gb * 1e9),
        deterministic=args.deterministic,
        stop=STOP,
    )
