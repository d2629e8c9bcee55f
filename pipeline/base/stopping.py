"""When and how a command ends before its work is done: Ctrl-C, SIGTERM, the time limit.

Outside of training a signal ends the command at once. While steps are taken it only asks: the
training looks at every step boundary, saves and ends there. A second signal ends it at once.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.base.errors import INTERRUPTED, TERMINATED, BusyError, UsageError

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
