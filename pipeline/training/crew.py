"""Several processes on one run, each taking folds that nobody holds, and somebody to watch them.

A worker is the same command again. It needs no word from the others: leases say which folds are
free, and a fold that is finished lies on the disk. So a worker may die at any moment; it is started
again, and goes on from the last checkpoint of the fold it held.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BusyError, PipelineError, ResourceError
from pipeline.leases import holder_pid
from pipeline.stopping import Stop, Stopped
from pipeline.training.handing import of_worker
from pipeline.training.shares import environment_of

LIVES = 3
"""How often a worker may be killed before it is left dead."""
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 120.0
"""For workers to save and end, once they were asked to."""


class WorkerError(PipelineError):
    """A worker ended with a failure that it has explained itself."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class Worker:
    """One process and those it replaced."""

    number: int
    process: subprocess.Popen[bytes]
    deaths: int = 0


class Crew:
    """Workers on the folds that are missing."""

    def __init__(
        self,
        count: int,
        argv: Sequence[str],
        leases: Mapping[str, Path],
        stop: Stop,
        say: Callable[[str], None],
        gpus: Sequence[str] = (),
    ) -> None:
        """*count* workers, or as many as folds are missing; *argv* are the leader's arguments to
        pipeline.cv, and *leases* says where the claim on each missing fold lies. Each worker
        sees one of the *gpus*, in turn."""
        self.asked, self.count = count, min(count, len(leases))
        self.argv = of_worker(argv)
        self.leases, self.stop, self.say, self.gpus = leases, stop, say, gpus
        # what the leader prints with --json is for a program to read
        self.stdout = sys.stderr if "--json" in argv else None
        self.failures: list[WorkerError] = []

    def work(self) -> None:
        """Return when no worker is left; raise what made the work end early.

        Raises Stopped where the command was asked to end, ResourceError where a worker was killed
        too often, WorkerError where one failed. Folds that others finished are kept in any case.
        """
        crew = [Worker(number, self._start(number)) for number in range(1, self.count + 1)]
        try:
            with self.stop.at_boundaries():
                self._watch(crew)
        finally:
            for worker in crew:
                worker.process.kill()
                worker.process.wait()
        if stopped := self.stop.due():
            raise stopped
        if self.failures:
            raise self.failures[0]

    def _watch(self, crew: list[Worker]) -> None:
        asked_at: float | None = None
        while crew:
            if asked_at is None and (stopped := self.stop.due()):
                asked_at = time.monotonic()
                self._ask(crew, stopped)
            if asked_at is not None and time.monotonic() - asked_at > PATIENCE_SECONDS:
                return
            for worker in list(crew):
                code = worker.process.poll()
                if code is not None and not self._goes_on(worker, code, asked_at is not None):
                    crew.remove(worker)
            time.sleep(POLL_SECONDS)

    def _ask(self, crew: list[Worker], stopped: Stopped) -> None:
        """Pass the wish to end on."""
        number = signal.SIGINT if str(stopped) == "Ctrl-C" else signal.SIGTERM
        for worker in crew:
            worker.process.send_signal(number)

    def _goes_on(self, worker: Worker, code: int, ending: bool) -> bool:
        """Look at how a process ended; whether its worker lives on in a new one."""
        if ending or code in (0, BusyError.exit_code):  # 75: others hold what is left
            return False
        name = f"worker {worker.number} (process {worker.process.pid})"
        if code > 0:
            self.say(f"{name} ended with status {code}; the others go on")
            self.failures.append(
                WorkerError(f"{name} ended with status {code}, as it says above", code)
            )
            return False
        held = [n for n, path in self.leases.items() if holder_pid(path) == worker.process.pid]
        folds = ", ".join(held) or "no fold"
        worker.deaths += 1
        killed = f"{name} was killed by {signal.Signals(-code).name} while it trained {folds}"
        if worker.deaths < LIVES:
            self.say(f"{killed}; it is started again ({worker.deaths} of {LIVES - 1})")
            worker.process = self._start(worker.number)
            return True
        self.say(f"{killed}; that was its last life")
        self.failures.append(
            WorkerError(
                f"{killed}, {worker.deaths} times. The kernel does that when memory runs out: use "
                "fewer --workers, a smaller predict_batch_size, or a machine with more memory. "
                "Finished folds are kept",
                ResourceError.exit_code,
            )
        )
        return False

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pipeline.cv", *self.argv, "--worker", str(number)]
        if (left := self.stop.left()) is not None:
            command += ["--time-limit", f"{left:.0f}s"]
        return subprocess.Popen(
            command,
            # by the number asked for: the same share of the cores whatever is missing
            env=environment_of(number, self.asked, self.gpus, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=self.stdout,
            # Ctrl-C on a terminal reaches the leader alone, which passes it on: twice would be
            # a second one, which ends a worker at once
            process_group=0,
        )
