"""Folds that are handed to a cluster: which are on their way, which are tried again, and how often.

Knows nothing of Ray: a `Cluster` takes a fold, says when it ended, and how. A fold may be lost at
any moment; it lies on shared storage, and whoever trains it next goes on from its last checkpoint.

A cluster gets folds, not functions: the same command runs once more per fold, as the child of a
Ray task. So signals find a main thread, a crash takes nothing along, and a node needs nothing
that a person's terminal does not. Claims, checkpoints and results go through shared storage; Ray
finds room and says what died. Its own retries are off (they know no budget per cause), its object
store stays empty, and what it would print is replaced by what the journals say. This file decides
what is sent again and knows nothing of Ray.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pipeline.base.command import Stop
from pipeline.base.errors import INTERRUPTED, TERMINATED, BusyError, ResourceError
from pipeline.base.leases import LEASE_SECONDS
from pipeline.base.paths import Part
from pipeline.models.learner import Silent
from pipeline.training.parallel.workers import LIVES, Missing, WorkerError, of_fold
from pipeline.training.progress import Journal

# What is handed to a cluster, what comes back, and what a cluster must be able to do.


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
class FoldTask:
    """One fold of one model and seed, on its way to being trained."""

    run: str
    name: str
    """Its seed, fold and run, for people."""
    argv: list[str]
    manifests: list[Path]
    """Of its repeats; they are there when it is done."""
    news: Callable[[], list[str]] = list
    """What happened to it since it was last asked, for people."""
    leases: list[Path] = field(default_factory=list)
    """Of its repeats; one is there while a process holds that part."""
    killed: int = 0
    lost: int = 0
    busy_since: float | None = None
    not_before: float = 0.0


LOSSES = 10
"""How often the machine of one fold may go away before the fold is given up."""
BUSY_SECONDS = 3 * LEASE_SECONDS
"""How long a fold that somebody else holds is asked for again: a dead holder's claim ends within
LEASE_SECONDS."""
AGAIN_SECONDS = 10.0
"""Between two such attempts."""
RESERVE_SECONDS = 30.0
"""Left of a time limit for folds to save; a tenth of it where that is less."""
POLL_SECONDS = 1.0
VISIBLE_SECONDS = 90.0
"""For a file written on one machine to be seen on another; NFS remembers for up to 60 s that there
was none."""
PATIENCE_SECONDS = 120.0
"""For folds to save and end, once they were asked to."""
SAVING_SECONDS = 20.0
"""For folds whose tasks are over to let go of their parts; one that was killed leaves its lease."""


class Scheduler:
    """Errands, each handed to the cluster until it is done or given up."""

    def __init__(
        self,
        cluster: Cluster,
        tasks: Sequence[FoldTask],
        stop: Stop,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster, self.stop, self.say, self.clock = cluster, stop, say, clock
        self.waiting, self.under_way = list(tasks), dict[Any, FoldTask]()
        self.failures: list[WorkerError] = []
        self.held: list[str] = []

    def work(self) -> None:
        """Return when every fold is trained; raise what kept one from it, after the others.

        Raises Stopped where the command was asked to end (folds have saved), WorkerError with the
        exit code of a fold that failed, or 4 for one that was killed or lost too often, BusyError
        for folds that others hold.
        """
        with self.stop.at_boundaries():
            while self.waiting or self.under_way:
                if stopped := self.stop.due(self._reserve()):
                    self._recall()
                    raise stopped
                self._send()
                for handle in self.cluster.ended(list(self.under_way), POLL_SECONDS):
                    self._look(self.under_way.pop(handle), self.cluster.result(handle))
                for task in self.under_way.values():
                    self._tell(task)
        if self.failures:
            raise self.failures[0]
        if self.held:
            raise BusyError("\n".join(self.held))

    def _reserve(self) -> float:
        if self.stop.deadline is None:
            return 0.0
        return min(RESERVE_SECONDS, (self.stop.deadline - self.stop.began) / 10)

    def _send(self) -> None:
        now = self.clock()
        for task in [each for each in self.waiting if each.not_before <= now]:
            self.waiting.remove(task)
            self.under_way[self.cluster.submit(task.argv)] = task

    def _recall(self) -> None:
        """Ask every fold to save and end, and wait for it."""
        for handle in self.under_way:
            self.cluster.cancel(handle)
        until = self.clock() + PATIENCE_SECONDS
        left = list(self.under_way)
        while left and self.clock() < until:
            over = self.cluster.ended(left, POLL_SECONDS)
            left = [handle for handle in left if handle not in over]
        self._await_leases()
        for task in self.under_way.values():
            self._tell(task)

    def _await_leases(self) -> None:
        """A task that was cancelled may count as over while its fold still saves."""
        until = self.clock() + SAVING_SECONDS
        leases = [lease for task in self.under_way.values() for lease in task.leases]
        while any(lease.exists() for lease in leases) and self.clock() < until:
            self.cluster.ended([], POLL_SECONDS)

    def _tell(self, task: FoldTask) -> None:
        for line in task.news():
            self.say(line)

    def _look(self, task: FoldTask, end: Ended) -> None:
        """Tell how an attempt ended; send the task again, or note why not."""
        self._tell(task)
        for line in end.said.splitlines():
            self.say(f"  {task.run} {line.strip()}  on {end.node}")
        if end.code == 0:
            self._expect(task, end.node)
        elif end.code == BusyError.exit_code:
            self._wait_for_holder(task, end)
        elif end.code is None or end.code in (INTERRUPTED, TERMINATED):
            task.lost += 1
            self._again(task, f"{task.name}: {end.words}", task.lost, LOSSES)
        elif end.code < 0:
            task.killed += 1
            self._again(task, f"{task.name} {end.words}", task.killed, LIVES)
        else:
            self.say(f"{task.name} on {end.node} ended with status {end.code}:\n{end.words}")
            message = f"{task.name} ended with status {end.code}, as it says above"
            self.failures.append(WorkerError(message, end.code))

    def _expect(self, task: FoldTask, node: str) -> None:
        """A node says the fold is finished: wait until shared storage shows it here too."""
        until = self.clock() + VISIBLE_SECONDS
        while missing := [path for path in task.manifests if not path.exists()]:
            if self.clock() > until:
                self.held.append(
                    f"{node} says that {task.name} is finished, but {missing[0]} is not to be "
                    "seen here. Is it on the shared disk? Look, and start the same command again."
                )
                return
            time.sleep(POLL_SECONDS)

    def _wait_for_holder(self, task: FoldTask, end: Ended) -> None:
        now = self.clock()
        if task.busy_since is None:
            task.busy_since = now
            self.say(f"{task.name} is held by another process; it is asked for again")
        if now - task.busy_since > BUSY_SECONDS:
            self.held.append(end.words.strip().removeprefix("error: "))
            return
        task.not_before = now + AGAIN_SECONDS
        self.waiting.append(task)

    def _again(self, task: FoldTask, what: str, times: int, limit: int) -> None:
        task.busy_since = None
        if times < limit:
            self.say(f"{what}; it is sent again ({times} of {limit - 1})")
            self.waiting.append(task)
            return
        self.say(f"{what}; that was the last attempt")
        self.failures.append(
            WorkerError(
                f"{what}, {times} times. A process is killed when memory runs out: give each fold "
                "more (--cluster-cpus, so that fewer share a machine), or use a smaller "
                "predict_batch_size. Finished folds are kept; the same command goes on",
                ResourceError.exit_code,
            )
        )


# The errands that the missing folds are.


def errands_of(missing: Missing, arguments: Sequence[str]) -> list[FoldTask]:
    """One for each seed and fold, in all its repeats."""
    grouped: dict[tuple[int, int], list[Part]] = {}
    for part in missing.manifests:
        grouped.setdefault((part.seed, part.fold), []).append(part)
    return [
        FoldTask(
            run=missing.run,
            name=f"seed-{seed}/fold-{fold} of {missing.run}",
            argv=of_fold(arguments, missing.model, seed, fold),
            manifests=[missing.manifests[part] for part in parts],
            news=News(missing, parts),
            leases=[missing.workspaces[part].lease for part in parts],
        )
        for (seed, fold), parts in grouped.items()
    ]


class News:
    """What the journals of some parts say since they were last asked, line by line."""

    def __init__(self, missing: Missing, parts: Sequence[Part]) -> None:
        self.journals = {
            f"{missing.run} {part.name}": Journal(missing.workspaces[part].events, Silent())
            for part in parts
        }
        self.told = {name: len(journal.entries()) for name, journal in self.journals.items()}

    def __call__(self) -> list[str]:
        """The lines, without those that were there when it was made."""
        lines = []
        for name, journal in self.journals.items():
            entries = journal.entries()
            for entry in entries[self.told[name] :]:
                started = "started, " if entry.get("what") == "started" else ""
                lines.append(f"  {name}: {started}{entry.get('message', '')}")
            self.told[name] = len(entries)
        return lines
