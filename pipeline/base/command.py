"""How every command ends: a result and 0, or one clear message and its exit code.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | a bug of ours (with a traceback) |
| 2 | command line or config |
| 3 | input data |
| 4 | disk, memory, GPU memory |
| 5 | one of our files is damaged or belongs to something else |
| 6 | training diverged |
| 75 | try again later: a lock is held, the hub is down, the time is up |
| 130 / 143 | stopped by Ctrl-C / SIGTERM; finished folds are kept |
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pipeline.base.errors import (
    INTERRUPTED,
    TERMINATED,
    BusyError,
    PipelineError,
    ResourceError,
    UsageError,
)
from pipeline.base.files import as_resource_error

Main = Callable[[Sequence[str] | None], int]


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call *main* and turn whatever ends it into an exit code, with a message on stderr."""
    with STOP.listening():
        return _guarded(main, argv)


def _guarded(main: Main, argv: Sequence[str] | None) -> int:
    try:
        return main(argv)
    except PipelineError as error:
        return _say(str(error), error.exit_code)
    except Stopped as stopped:
        return _say(f"stopped by {stopped}. {_again()}", stopped.exit_code, prefix="")
    except KeyboardInterrupt:  # raised without a signal
        return _say(f"stopped by Ctrl-C. {_again()}", INTERRUPTED, prefix="")
    except BrokenPipeError:  # "… | head" has read enough
        _close_stdout()
        return 0
    except MemoryError:
        advice = "not enough memory. Close other programs, or use fewer rows or a smaller model."
        return _say(advice, ResourceError.exit_code)
    except Exception as error:
        if resource := as_resource_error(error, Path.cwd()):
            return _say(str(resource), resource.exit_code)
        traceback.print_exc()
        return _say("this is a bug in Foldstack, please report it with the lines above", 1)


def command_line() -> str:
    """The command that is running, as a person would type it again."""
    program = Path(sys.argv[0])
    if program.name == "predict.py" and (program.parent / "bundle.json").is_file():
        return shlex.join(["python", *sys.argv])
    module = program.parent.name if program.stem == "__main__" else program.stem
    return shlex.join(["python", "-m", f"pipeline.{module}", *sys.argv[1:]])


def _again() -> str:
    return f"What is finished or saved is kept; the same command goes on:\n  {command_line()}"


def _say(message: str, code: int, prefix: str = "error: ") -> int:
    try:
        print(f"{prefix}{message}", file=sys.stderr)
    except (OSError, ValueError):  # nobody is listening any more
        pass
    return code


def _close_stdout() -> None:
    # the interpreter flushes stdout once more at exit; let that go nowhere instead of failing
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Whom to tell that a command has ended (--notify): a program of the user's.


HOOK_SECONDS = 30.0
"""So long a program that is told of the end may take."""
PREFIX = "FOLDSTACK_"


@contextmanager
def notified(
    hook: str | None, command: str, competition: str, root: str
) -> Iterator[dict[str, str]]:
    """Inside, *command* works; at its end, good or bad, the program *hook* is started once.

    It is told in environment variables (FOLDSTACK_STATUS and others, docs/how-to-watch.md); what
    the block puts into the mapping becomes variables too. *hook* is split as a shell would split
    it, but no shell reads it. What it does changes nothing: where it fails or takes too long there
    is a line on stderr. Raises UsageError, before anything runs, where it cannot be started.
    """
    words = _words_of(hook)
    facts = {"COMMAND": command, "COMPETITION": competition, "ROOT": str(Path(root).resolve())}
    began = time.monotonic()
    code, message = 0, ""
    try:
        yield facts
    except BaseException as error:
        code, message = _ended_by(error)
        raise
    finally:
        if words:
            status = "done" if not code else "stopped" if code in STOPPED else "failed"
            facts |= {"STATUS": status, "EXIT_CODE": str(code), "MESSAGE": message}
            facts["SECONDS"] = f"{time.monotonic() - began:.0f}"
            _tell(words, facts)


STOPPED = (BusyError.exit_code, INTERRUPTED, TERMINATED)
"""Exit codes after which the same command goes on."""


def _words_of(hook: str | None) -> list[str]:
    if hook is None:
        return []
    try:
        words = shlex.split(hook)
    except ValueError as error:
        raise UsageError(f"--notify {hook}: {error}. Expected a command and its words") from None
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            f"--notify {hook!r}: there is no program {(words or [''])[0]!r}. Expected one that can "
            "be started, such as 'notify-send Foldstack' or a script of yours"
        )
    return words


def _ended_by(error: BaseException) -> tuple[int, str]:
    """Exit code and message of a command that *error* ends."""
    if isinstance(error, PipelineError | Stopped):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "Ctrl-C"
    if isinstance(error, MemoryError):
        return ResourceError.exit_code, "not enough memory"
    known = as_resource_error(error, Path.cwd()) if isinstance(error, Exception) else None
    return (1, f"{type(error).__name__}: {error}") if known is None else (4, str(known))


def _tell(words: Sequence[str], facts: dict[str, str]) -> None:
    told = {PREFIX + name: value.replace("\0", "") for name, value in facts.items()}
    problem = ""
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__ or subprocess.DEVNULL,  # stdout is the command's own: --json
            timeout=HOOK_SECONDS,
            check=False,
        )
        if done.returncode:
            problem = f"it ended with status {done.returncode}"
    except subprocess.TimeoutExpired:
        problem = f"it took more than {HOOK_SECONDS:.0f} s and was stopped"
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem:
        _say(f"--notify {shlex.join(words)}: {problem}", 0, prefix="warning: ")


# When and how a command ends before its work is done: Ctrl-C, SIGTERM, the time limit.
#
# Outside of training a signal ends the command at once. While steps are taken it only asks: the
# training looks at every step boundary, saves and ends there. A second signal ends it at once.


DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
UNITS = (86_400, 3_600, 60, 1)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The command was asked to end. Not an Exception, so that no library takes it for a failure."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def by_signal(number: int) -> Stopped:
    """The end that a signal asks for."""
    if number == signal.SIGINT:
        return Stopped("Ctrl-C", INTERRUPTED)
    return Stopped(signal.Signals(number).name, TERMINATED)


class Stop:
    """Whether, and why, the work shall end at the next good moment."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self.asked: Stopped | None = None
        self.limit = ""
        self.deadline: float | None = None
        self.leader: int | None = None
        """The process that this one works for: where it is gone, the work ends."""
        self._waits = False

    def begin(self) -> None:
        """Another command begins in this process, as in a notebook: its time starts to run."""
        self.began, self.asked, self.limit, self.deadline = self.clock(), None, "", None

    def set_limit(self, text: str) -> None:
        """End *text* (such as 11h30m) after this process began; UsageError where it is none."""
        self.limit, self.deadline = text, self.began + seconds_of(text, "--time-limit")

    def left(self) -> float | None:
        """Seconds until the time limit; None where there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock())

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: ask where somebody looks at `due`, else raise."""
        stopped = by_signal(number)
        if self._waits and self.asked is not None and number == signal.SIGHUP:
            return  # a terminal that goes away says so more than once
        if not self._waits or self.asked is not None:
            raise stopped
        self.asked = stopped
        message = f"\n{stopped}: saving at the next step; once more stops at once\n"
        with contextlib.suppress(OSError):  # the terminal may be gone, which is why we are here
            os.write(2, message.encode())  # print is not safe in a signal handler

    @contextmanager
    def at_boundaries(self) -> Iterator[None]:
        """Inside, the first signal only asks; whoever enters looks at `due` after every step."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def due(self, reserve: float = 0.0) -> Stopped | None:
        """Why to end now, if at all; *reserve* seconds are still needed to save."""
        if self.leader is not None and os.getppid() != self.leader:
            return Stopped("the end of its leader", TERMINATED)
        late = self.deadline is not None and self.clock() + reserve >= self.deadline
        if self.asked is None and late:
            return Stopped(f"the time limit of {self.limit}", BusyError.exit_code)
        return self.asked

    def check(self) -> None:
        """Raise Stopped where it is time to end."""
        if stopped := self.due():
            raise stopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, Ctrl-C, SIGTERM and SIGHUP (a terminal that went away) come to `handle`.

        A SIGHUP that is ignored stays so: the command was started with nohup.
        """
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        wanted = [number for number in SIGNALS if not (nohup and number == signal.SIGHUP)]
        before = {number: signal.signal(number, self.handle) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


STOP = Stop()
"""The stop of this process's command: signals come to a process, not to an object."""


def seconds_of(text: str, option: str) -> float:
    """A duration in seconds; a plain number counts seconds.

    >>> seconds_of("11h30m", "--time-limit"), seconds_of("90", "--time-limit")
    (41400.0, 90.0)
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = DURATION.fullmatch(text)
    if not text or found is None:
        raise UsageError(f"{option} {text}: expected a duration such as 11h30m, 45m or 90s")
    return float(
        sum(int(part or 0) * unit for part, unit in zip(found.groups(), UNITS, strict=True))
    )
