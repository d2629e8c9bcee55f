"""What is told while a run's texts are tokenised, before the first fold: nothing if it is quick."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from pipeline.training.progress import PLAIN_EVERY_SECONDS, clock_text

QUIET_SECONDS = 5.0
"""Work that is over by then is not spoken of."""


class Preparing:
    """A `pipeline.models.learner.Watch` that prints a line now and then."""

    def __init__(
        self, run: str, console: Console, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.run, self.console, self.clock = run, console, clock
        self.phase("", 0)

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """A phase of *total* inputs begins, *done* of them before."""
        self.name, self.total, self.before, self.done = name, total, done, 0
        self.began = self.clock()
        self.next = self.began + QUIET_SECONDS

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """So many inputs more; show a line when it is time for one."""
        self.done += steps
        if self.clock() >= self.next:
            self.next = self.clock() + PLAIN_EVERY_SECONDS
            self.console.print(self.line(), soft_wrap=True)

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Print a lasting line."""
        self.console.print(f"  {self.run}: {message}", soft_wrap=True)

    def line(self) -> str:
        """Where it stands: inputs, speed, time left."""
        spent = max(self.clock() - self.began, 1e-9)
        there = self.before + self.done
        left = spent * (self.total - there) / max(self.done, 1)
        return (
            f"{self.run}  {self.name} {there:,}/{self.total:,} ({there / max(self.total, 1):.0%})  "
            f"{self.done / spent:,.0f} inputs/s  left: {clock_text(left)}"
        )
