"""Runs a job in a fork that finds the copy of the checkout where Python looks for our modules.

The parent has loaded the libraries that the tests use, none of our modules, so that a job pays
for our modules and its tests alone.
"""

import importlib
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks.mutation.plan import COPY, WORK

OURS = ("pipeline", "tests", "demo", "benchmarks", "__main__")
TOO_LONG, CRASHED = -1, 70
"""Instead of the job's exit status: seconds or patience ran out; it failed, log.txt says how."""


def warm(modules: list[str]) -> None:
    """Import what tests import of others; what does not go is left to the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            if name not in sys.modules:
                try:
                    importlib.import_module(name)
                except Exception:  # a part of a library for another machine
                    continue


def loaded_of_others() -> list[str]:
    """Modules in memory that are neither ours nor one of pytest's plugins."""
    return [
        name
        for name, module in sys.modules.items()
        if name.partition(".")[0] not in OURS
        and getattr(module, "__spec__", None) is not None
        and not name.startswith(("_pytest", "pytest", "xdist", "test_", "conftest"))
    ]


def in_fork(job: Callable[[], int], processor_s: float, wall_s: float, keep_pyc: bool) -> int:
    """Exit status of a job, or TOO_LONG.

    Args:
        job: what to do; its answer is the exit status, 0 to 255.
        processor_s: limit of processor seconds of each process of the job.
        wall_s: limit on the clock, for a job that sleeps; what it started ends with it.
        keep_pyc: write compiled files, for code that is not a mutant.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = CRASHED
        try:
            os.setsid()
            log = os.open(WORK / "log.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(descriptor, target)
            limit = int(processor_s) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            os.chdir(COPY)
            root = str(Path(COPY).parents[1])
            sys.path[:] = [str(COPY), *(p for p in sys.path if p not in ("", root, str(COPY)))]
            os.environ["PYTHONPATH"] = str(COPY)
            sys.dont_write_bytecode = not keep_pyc
            if not keep_pyc:
                os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            for name in [name for name in sys.modules if name.partition(".")[0] in OURS[:4]]:
                del sys.modules[name]
            status = job()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            sys.stdout.flush()
            os._exit(status)
    until = time.monotonic() + wall_s
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < until:
        time.sleep(0.02)
        done, status = os.waitpid(child, os.WNOHANG)
    try:
        os.killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    if not done:
        os.waitpid(child, 0)
        return TOO_LONG
    code = os.waitstatus_to_exitcode(status)
    return TOO_LONG if code in (-signal.SIGXCPU, -signal.SIGKILL) else code
