"""What can go wrong, and the exit code each kind ends a command with.

A message says what was found, what was expected and what to do next. Where several things are
wrong they are collected and raised once (`raise_if`).
"""

from collections.abc import Sequence


class PipelineError(Exception):
    """Something a person can mend. Commands print it without a traceback."""

    exit_code = 1


class UsageError(PipelineError):
    """The command line or a config file asks for something that does not exist."""

    exit_code = 2


class DataError(PipelineError):
    """A competition file is not what it should be."""

    exit_code = 3


class ResourceError(PipelineError):
    """Too little disk, memory or GPU memory, or a folder that cannot be written."""

    exit_code = 4


class ArtifactError(PipelineError):
    """A file of ours (folds, predictions, weights) is damaged or belongs to something else."""

    exit_code = 5


class DivergedError(PipelineError):
    """Training produced NaN or infinity, or the same prediction for every row."""

    exit_code = 6


class BusyError(PipelineError):
    """Someone else holds the lock, or a service is down: the same command may work later."""

    exit_code = 75


INTERRUPTED = 130
TERMINATED = 143


def raise_if(problems: Sequence[str], kind: type[PipelineError], headline: str = "") -> None:
    """Raise *kind* listing every one of *problems*; do nothing when there are none.

    >>> raise_if([], DataError)
    >>> raise_if(["row 3 is short"], DataError, "train.csv cannot be read")
    Traceback (most recent call last):
    ...
    pipeline.base.errors.DataError: train.csv cannot be read: row 3 is short
    """
    if not problems:
        return
    if len(problems) == 1:
        raise kind(f"{headline}: {problems[0]}" if headline else problems[0])
    bullets = "\n".join(f"  - {problem}" for problem in problems)
    raise kind(f"{headline or f'{len(problems)} problems'}:\n{bullets}")


def some(names: Sequence[str], most: int = 12) -> str:
    """*names* as a list has them; of more than *most* the first ones and how many they are.

    >>> some(["a", "b"]), some("abcd", 3)
    ("['a', 'b']", "['a', 'b', 'c', … (4)]")
    """
    if len(names) <= most:
        return str(list(names))
    return f"[{', '.join(map(repr, names[:most]))}, … ({len(names)})]"
