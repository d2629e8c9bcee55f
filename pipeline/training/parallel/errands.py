"""What is handed to a cluster, what comes back, and what a cluster must be able to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Ended(NamedTuple):
    """How an attempt at a fold ended."""

    code: int | None
    """Exit code of its process, negative for a signal; None where its machine went away."""
    node: str = ""
    said: str = ""
    words: str = ""
    """What a person should read."""


class Cluster(Protocol):
    """Machines that train folds."""

    def submit(self, argv: Sequence[str]) -> Any:
        """Start `pipeline.cv` with *argv* where there is room; a handle."""

    def ended(self, handles: Sequence[Any], seconds: float) -> list[Any]:
        """Those that ended, after at most so many seconds; BusyError where the cluster is gone."""

    def result(self, handle: Any) -> Ended:
        """Of one that ended."""

    def cancel(self, handle: Any) -> None:
        """Ask a fold to save and end."""


@dataclass
class Errand:
    """One fold of one model and seed, on its way to being trained."""

    run: str
    name: str
    """Its seed, fold and run, for people."""
    argv: list[str]
    manifests: list[Path]
    """Of its repeats; they are there when it is done."""
    news: Callable[[], list[str]] = list
    """What happened to it since it was last asked, for people."""
    killed: int = 0
    lost: int = 0
    busy_since: float | None = None
    not_before: float = 0.0
