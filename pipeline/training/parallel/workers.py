"""Several processes on one run, each taking folds that nobody holds, and somebody to watch them.

A worker is the same command again. It needs no word from the others: leases say which folds are
free, and a fold that is finished lies on the disk. So a worker may die at any moment; it is started
again, and goes on from the last checkpoint of the fold it held.

joblib runs one thread for each, which lives as long as the worker does. The work itself is in
child processes, which hand over through files: of a pool of joblib's (loky) all results of a batch
are lost with one worker.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import Parallel, delayed

from pipeline.base import UsageError
from pipeline.base.command import STOP, Stop
from pipeline.base.cores import usable_cores
from pipeline.base.errors import BusyError, PipelineError, ResourceError
from pipeline.base.leases import holder_pid
from pipeline.base.paths import Part, Workspace
from pipeline.models.registry import LEARNERS
from pipeline.training.jobs import Job

if TYPE_CHECKING:
    from jsonargparse import Namespace

# Which folds are missing, as far as somebody must know who only hands them out.


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The parts of one run that are to be trained, without the rows and weights of its job."""

    run: str
    model: str
    """As --model names it."""
    on_gpu: bool
    """Whether it would use one."""
    workspaces: dict[Part, Workspace]
    manifests: dict[Part, Path]


def missing_of(job: Job, model: str, parts: Sequence[Part]) -> Missing:
    """*parts* of *job*, which --model calls *model*."""
    return Missing(
        run=job.run,
        model=model,
        on_gpu=LEARNERS[job.recipe.learner].torch,
        workspaces={part: job.workspace(part) for part in parts},
        manifests={part: job.predictions(part).with_suffix(".json") for part in parts},
    )


# The command line of those that work for a leader: its own, without what is the leader's alone.


WITH_VALUE = (
    "--workers",
    "--workers-per-gpu",
    "--cluster",
    "--cluster-cpus",
    "--cluster-gpus",
    "--time-limit",
    "--notify",
    "--track",
)
FLAGS = ("--fresh", "--json", "--report")


def of_worker(argv: Sequence[str]) -> list[str]:
    """A leader's arguments as its workers get them.

    >>> of_worker(["--model", "linear", "--workers", "2", "--fresh", "--time-limit=9h"])
    ['--model', 'linear']
    """
    return without(argv, WITH_VALUE, FLAGS)


def of_fold(argv: Sequence[str], model: str, seed: int, fold: int) -> list[str]:
    """A leader's arguments for one fold of one of its models; of an option that stands there
    twice the last counts.

    >>> of_fold(["--model=a", "--model", "b", "--seed", "1", "2", "--cluster", "auto"], "b", 2, 0)
    ['--seed', '1', '2', '--model', 'b', '--seed', '2', '--only-fold', '0', '--worker', '1']
    """
    kept = without(argv, (*WITH_VALUE, "--model"), FLAGS)
    one = ["--model", model, "--seed", str(seed), "--only-fold", str(fold)]
    return [*kept, *one, "--worker", "1"]


def without(argv: Sequence[str], with_value: Sequence[str], flags: Sequence[str]) -> list[str]:
    """*argv* without these options and their values, and without these flags."""
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


# What each of several workers on one machine gets: a GPU, and its share of the cores.
#
# Nothing here loads torch or touches a GPU: the process that watches the workers must not hold
# memory of one.


VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
LISTED = re.compile(r"^\s*(GPU|MIG) .*\(UUID: ([A-Za-z0-9/-]+)\)", re.MULTILINE)
"""A line of `nvidia-smi -L`; the parts of a GPU follow it."""
ANSWER_SECONDS = 20.0


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Where that variable is set, its list: numbers, UUIDs or MIG names, up to the first that is no
    device (CUDA reads it so). Else all that the driver lists.
    """
    if (asked := environment.get(VISIBLE)) is None:
        return _listed()
    found: list[str] = []
    for name in (each.strip() for each in asked.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[A-Za-z0-9/-]+", name):
            break
        found.append(name)
    return found


def _listed() -> list[str]:
    """UUIDs, because CUDA and the driver may count in different orders; of a GPU that is divided
    (MIG), its parts."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return sorted(path.name.removeprefix("nvidia") for path in DEVICES.glob("nvidia[0-9]*"))
    try:
        done = subprocess.run(
            [tool, "-L"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    found: list[str] = []
    for kind, name in LISTED.findall(done.stdout):
        if kind == "MIG" and found and not found[-1].startswith("MIG-"):
            found.pop()  # the GPU that this is the first part of
        found.append(name)
    return found


def check_gpus(workers: int, gpus: Sequence[str], per_gpu: int) -> None:
    """UsageError where *workers* are more than *per_gpu* on each of *gpus*; none is no problem."""
    if not gpus or workers <= len(gpus) * per_gpu:
        return
    count = len(gpus)
    needed = -(-workers // count)
    raise UsageError(
        f"--workers {workers}: this machine shows {count} {'GPU' if count == 1 else 'GPUs'}, for "
        f"{per_gpu} {'worker' if per_gpu == 1 else 'workers'} each. Use --workers "
        f"{count * per_gpu}, or let them share, if {needed} trainings fit into the memory of one: "
        f"--workers-per-gpu {needed}"
    )


def environment_of(
    number: int, workers: int, gpus: Sequence[str], environment: Mapping[str, str]
) -> dict[str, str]:
    """The environment of worker *number* (from 1) of so many: the leader's, one of *gpus*, and
    its share of the cores unless OMP_NUM_THREADS says how many threads.

    It is a function of the number alone, so a worker that is started again gets the same GPU.
    """
    share = max(1, usable_cores() // workers)
    found = {"OMP_NUM_THREADS": str(share), **environment}
    if gpus:
        found[VISIBLE] = gpus[(number - 1) % len(gpus)]
    return found


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


class Workers:
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
        self.processes: list[subprocess.Popen[bytes]] = []
        self.over = threading.Event()

    def work(self) -> None:
        """Return when no worker is left; raise what made the work end early.

        Raises Stopped where the command was asked to end, ResourceError where a worker was killed
        too often, WorkerError where one failed. Folds that others finished are kept in any case.
        """
        lives = (delayed(self._live)(number) for number in range(1, self.count + 1))
        try:
            with self.stop.at_boundaries():
                Parallel(n_jobs=self.count, require="sharedmem", batch_size=1)(lives)
        finally:
            self.over.set()
            for process in self.processes:
                process.kill()
                process.wait()
        if stopped := self.stop.due():
            raise stopped
        if self.failures:
            raise self.failures[0]

    def _live(self, number: int) -> None:
        """Run worker *number*, in a new process where one was killed, until it ends."""
        deaths, goes_on = 0, True
        while goes_on and not self.over.is_set():
            process = self._start(number)
            self.processes.append(process)
            code = self._wait(process)
            if self.over.is_set() or self.stop.due() or code in (0, BusyError.exit_code):
                return  # 75: others hold what is left
            name = f"worker {number} (process {process.pid})"
            if code > 0:
                self._failed(name, code)
                return
            deaths += 1
            goes_on = self._goes_on(name, process.pid, signal.Signals(-code).name, deaths)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Its status once it ended, which it is asked to where the command is."""
        asked_at: float | None = None
        while (code := process.poll()) is None:
            if asked_at is None and (stopped := self.stop.due()):
                asked_at = time.monotonic()
                process.send_signal(signal.SIGINT if str(stopped) == "Ctrl-C" else signal.SIGTERM)
            late = asked_at is not None and time.monotonic() - asked_at > PATIENCE_SECONDS
            if late or self.over.is_set():
                process.kill()
            time.sleep(POLL_SECONDS)
        return code

    def _failed(self, name: str, code: int) -> None:
        self.say(f"{name} ended with status {code}; the others go on")
        self.failures.append(
            WorkerError(f"{name} ended with status {code}, as it says above", code)
        )

    def _goes_on(self, name: str, pid: int, killer: str, deaths: int) -> bool:
        """Tell of a worker that was killed; whether it lives on in a new process."""
        held = [fold for fold, path in self.leases.items() if holder_pid(path) == pid]
        killed = f"{name} was killed by {killer} while it trained {', '.join(held) or 'no fold'}"
        if deaths < LIVES:
            self.say(f"{killed}; it is started again ({deaths} of {LIVES - 1})")
            return True
        self.say(f"{killed}; that was its last life")
        self.failures.append(
            WorkerError(
                f"{killed}, {deaths} times. The kernel does that when memory runs out: use "
                "fewer --workers, a smaller predict_batch_size, or a machine with more memory. "
                "Finished folds are kept",
                ResourceError.exit_code,
            )
        )
        return False

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        which = ["--workers", str(self.count), "--worker", str(number)]
        command = [sys.executable, "-m", "pipeline.cv", *self.argv, *which]
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


def side_by_side(
    args: "Namespace",
    arguments: Sequence[str],
    missing: Sequence[Missing],
    say: Callable[[str], None],
) -> None:
    """Let --workers processes of this machine train what is missing; they print what they finish.

    See `Workers.work` for what it raises; UsageError where there are too few GPUs for the workers.
    """
    gpus = visible_gpus(os.environ) if any(each.on_gpu for each in missing) else []
    check_gpus(args.workers, gpus, args.workers_per_gpu)
    leases = {
        f"{part.name} of {each.run}": workspace.lease
        for each in missing
        for part, workspace in each.workspaces.items()
    }
    if leases:
        Workers(args.workers, arguments, leases, STOP, say, gpus).work()
