"""Processes of this machine as a `Cluster`: folds go to them as they go to Ray.

`pipeline.cv --workers` lets each worker take folds by itself, as all of them are known beforehand;
a search decides on the next fold when one ends.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from pipeline.training.parallel.scheduler import Ended
from pipeline.training.parallel.workers import environment_of

POLL_SECONDS = 0.05
TAIL_BYTES = 4000
"""Of what a failed fold said."""


@dataclass(eq=False)
class Process:
    """One fold that is trained."""

    number: int
    """From 1: says which GPU and which share of the cores it has."""
    child: subprocess.Popen[bytes]
    words: IO[bytes]


class Processes:
    """See `pipeline.training.parallel.scheduler.Cluster`; *count* folds are trained at once."""

    def __init__(
        self, count: int, gpus: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """Each process sees one of the *gpus*, in turn; *environment*: the leader's own."""
        self.count, self.gpus = count, gpus
        self.environment = os.environ if environment is None else environment
        self.free = list(range(1, count + 1))
        self.running: list[Process] = []

    def at_once(self) -> int:
        """How many folds there is room for."""
        return self.count

    def submit(self, argv: Sequence[str]) -> Process:
        """Start a fold; the caller keeps to `at_once`."""
        number = self.free.pop(0)
        words = tempfile.TemporaryFile()  # noqa: SIM115  # closed when its fold has ended
        child = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cv", *argv],
            env=environment_of(number, self.count, self.gpus, self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            process_group=0,  # Ctrl-C on a terminal reaches the leader alone, which passes it on
        )
        self.running.append(Process(number, child, words))
        return self.running[-1]

    def ended(self, handles: Sequence[Process], seconds: float) -> list[Process]:
        """Those that ended, after at most so many seconds."""
        until = time.monotonic() + seconds
        while True:
            found = [each for each in handles if each.child.poll() is not None]
            if found or time.monotonic() >= until:
                return found
            time.sleep(POLL_SECONDS)

    def result(self, handle: Process) -> Ended:
        """Of one that ended; its number is free again."""
        code = handle.child.wait()
        handle.words.seek(max(0, handle.words.seek(0, os.SEEK_END) - TAIL_BYTES))
        words = handle.words.read().decode("utf-8", "replace").strip()
        handle.words.close()
        self.running.remove(handle)
        self.free = sorted([*self.free, handle.number])
        if code < 0:
            words = f"was killed by {signal.Signals(-code).name}"
        return Ended(code, "this machine", "", words)

    def cancel(self, handle: Process) -> None:
        """Ask a fold to save and end."""
        handle.child.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """End what still runs."""
        for each in self.running:
            each.child.kill()
            each.child.wait()
            each.words.close()
