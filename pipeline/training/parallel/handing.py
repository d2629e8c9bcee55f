"""The command line of those that work for a leader: its own, without what is the leader's alone."""

from collections.abc import Sequence

WITH_VALUE = (
    "--workers",
    "--workers-per-gpu",
    "--cluster",
    "--cluster-cpus",
    "--cluster-gpus",
    "--time-limit",
)
FLAGS = ("--fresh", "--json")


def of_worker(argv: Sequence[str]) -> list[str]:
    """A leader's arguments as its workers get them.

    >>> of_worker(["--model", "linear", "--workers", "2", "--fresh", "--time-limit=9h"])
    ['--model', 'linear']
    """
    return _without(argv, WITH_VALUE, FLAGS)


def of_fold(argv: Sequence[str], model: str, seed: int, fold: int) -> list[str]:
    """A leader's arguments for one fold of one of its models; of an option that stands there
    twice the last counts.

    >>> of_fold(["--model=a", "--model", "b", "--seed", "1", "2", "--cluster", "auto"], "b", 2, 0)
    ['--seed', '1', '2', '--model', 'b', '--seed', '2', '--only-fold', '0', '--worker', '1']
    """
    kept = _without(argv, (*WITH_VALUE, "--model"), FLAGS)
    one = ["--model", model, "--seed", str(seed), "--only-fold", str(fold)]
    return [*kept, *one, "--worker", "1"]


def _without(argv: Sequence[str], with_value: Sequence[str], flags: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for argument in argv:
        option, _, value = argument.partition("=")
        if skip:
            skip = False
        elif option in with_value:
            skip = not value
        elif option not in flags:
            kept.append(argument)
    return kept
