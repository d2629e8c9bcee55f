"""Disturb a command in many ways, one after the other; run as a process of its own.

    python -m tests.faults.sweep ROOT MODEL KIND=COUNT …

Trains MODEL on the competition below ROOT and blends it, undisturbed once, then disturbed. After
each disturbance the doctor must find nothing broken, the same command must end well, finished folds
must not have been touched, and the predictions and the submission must have the bytes of the
undisturbed run. One line of JSON per trial that failed; the last line counts the trials.

KIND and COUNT:
    enospc    the n-th file operation fails as on a full disk; COUNT trials evenly over all n
    kill9     the process is killed in front of the n-th file operation; likewise
    points    the process is killed at a point of `base.fault_injection`, at its first, second,
              fourth … time; COUNT trials evenly over all points and times
    sigkill   kill -9 from outside, at COUNT random times
    sigterm   SIGTERM from outside, at COUNT random times

The way SQLite is tested: https://www.sqlite.org/testing.html. Each trial is a fork of one process
that has everything imported, so that a trial takes no longer than its training.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import pipeline
from pipeline import cv
from pipeline.base import fault_injection as faults
from pipeline.base.command import run
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from tests.faults.operations import Operations
from tests.toy import predictions

Item = TypeVar("Item")
TIMES = (1, 2, 4, 8, 16)
"""At which time a point is struck."""


class Trial(NamedTuple):
    """One disturbance."""

    name: str
    before: Callable[[], None]
    """Called in the fork, in front of the training."""
    codes: tuple[int, ...]
    """How the training may end."""
    after: float = 0.0
    """Send *number* from outside after so many seconds."""
    number: int = 0


def in_fork(work: Callable[[], int], after: float = 0.0, number: int = 0) -> int:
    """The exit code of *work*, or minus the signal that ended it; its output is dropped."""
    child = os.fork()
    if child == 0:
        code = 1
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            if not os.environ.get("SWEEP_SHOWS"):
                os.dup2(nowhere.fileno(), 2)
            with contextlib.suppress(BaseException):
                code = work()
        os._exit(code)
    timer = threading.Timer(after, os.kill, (child, number)) if number else None
    if timer:
        timer.start()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if timer:
        timer.cancel()
    return status


def train(root: Path, model: str) -> int:
    """`pipeline.cv`, then `pipeline.ensemble`."""
    where = ["--root", str(root)]
    code = run(cv.main, [*where, "--model", model, "--checkpoint-every", "0s"])
    return code or run(ensemble.main, where)


def trials(
    root: Path, model: str, kind: str, count: int, reached: dict[str, int]
) -> Iterator[Trial]:
    """What is to be tried; an undisturbed run has *reached* each point so often."""
    if kind in ("enospc", "kill9"):
        total = count_operations(root, model)
        codes = (0, 4) if kind == "enospc" else (-signal.SIGKILL,)
        for at in evenly(range(1, total + 1), count):
            yield Trial(f"{kind} {at} of {total}", Operations(root, kind, at).install, codes)
    elif kind == "points":
        places = [(point, at) for point, most in reached.items() for at in TIMES if at <= most]
        for point, at in evenly(places, count):
            yield Trial(f"{point}:{at}", strike(point, at), (-signal.SIGKILL,))
    else:
        number = {"sigkill": signal.SIGKILL, "sigterm": signal.SIGTERM}[kind]
        began = time.monotonic()
        clean(root)
        in_fork(lambda: train(root, model))
        seconds = time.monotonic() - began
        draw = random.Random(0)
        for _ in range(count):
            after = draw.uniform(0, seconds)
            codes = (0, -signal.SIGKILL, 143)
            yield Trial(f"{kind} after {after:.2f} s", lambda: None, codes, after, number)


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most *count* of the items, the first among them, at even distances."""
    chosen = sorted({len(items) * trial // count for trial in range(count)})
    return [items[place] for place in chosen]


def strike(point: str, at: int) -> Callable[[], None]:
    """Be killed at the *at*-th time that *point* is reached."""

    def prepare() -> None:
        faults._FAULTS[point, at] = "kill9"

    return prepare


def reached_points(root: Path, model: str) -> dict[str, int]:
    """How often an undisturbed run reaches each point."""
    tally = root / "points"

    def work() -> int:
        faults._FAULTS["step", 10**9] = "kill9"  # switches the counting on
        code = train(root, model)
        tally.write_text(json.dumps(faults._REACHED))
        return code

    clean(root)
    assert in_fork(work) == 0
    return Counter(json.loads(tally.read_text()))


def count_operations(root: Path, model: str) -> int:
    """Of an undisturbed run."""
    tally = root / "operations"

    def work() -> int:
        operations = Operations(root, "none", 0)
        operations.install()
        code = train(root, model)
        tally.write_text(str(operations.count))
        return code

    clean(root)
    assert in_fork(work) == 0
    return int(tally.read_text())


def tried(root: Path, model: str, trial: Trial, golden: dict[str, str]) -> str:
    """What went wrong; empty for nothing."""
    clean(root)

    def disturbed() -> int:
        trial.before()
        return train(root, model)

    first = in_fork(disturbed, trial.after, trial.number)
    if first not in trial.codes:
        return f"ended with status {first}"
    if in_fork(lambda: run(doctor.main, ["--root", str(root)])) != 0:
        return "the doctor complains"
    finished = mtimes(root)
    again = in_fork(lambda: train(root, model))
    if again != 0:
        return f"the same command again ended with status {again}"
    if touched := [name for name, time in finished.items() if mtimes(root)[name] != time]:
        return f"finished folds were written again: {touched}"
    if predictions(root) != golden:
        return "other predictions than without the fault"
    if left := [str(path) for path in root.rglob(".tmp-*")]:
        return f"left behind: {left}"
    return ""


def mtimes(root: Path) -> dict[str, int]:
    """When the predictions of each finished fold were written."""
    return {
        path.name: path.with_suffix(".npz").stat().st_mtime_ns
        for path in root.glob("oof/*/*/seed-*/*.json")
    }


def clean(root: Path) -> None:
    """Back to a competition nobody has worked on."""
    for name in ("folds", "oof", "runs", "submissions"):
        shutil.rmtree(root / name, ignore_errors=True)


def import_everything() -> None:
    """Once, before the forks: every module of the package, and so all that they need."""
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if module.name != "pipeline.__main__":
            importlib.import_module(module.name)


def main(root: Path, model: str, counts: dict[str, int]) -> None:
    """Try everything; print what went wrong, and how much was tried."""
    import_everything()
    reached = reached_points(root, model)
    golden = predictions(root)
    done = dict.fromkeys(counts, 0)
    for kind, count in counts.items():
        for trial in trials(root, model, kind, count, reached):
            done[kind] += 1
            if problem := tried(root, model, trial, golden):
                print(json.dumps({"trial": trial.name, "problem": problem}), flush=True)
    print(json.dumps({"trials": done}))


if __name__ == "__main__":
    asked = [each.split("=") for each in sys.argv[3:]]
    main(Path(sys.argv[1]), sys.argv[2], {kind: int(count) for kind, count in asked})
