"""How far a run is, for people: a live line on a terminal, a plain line now and then elsewhere.

Everything goes to stderr; nothing here influences the training.

`Journal` writes what happened to a fold down, a JSON object a line, kept through every kill of its
process.
"""

import contextlib
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.base.fault_injection import reach
from pipeline.base.files import raise_resource_error
from pipeline.base.paths import Part
from pipeline.models import Watch

PLAIN_EVERY_SECONDS = 20.0
LIVE_EVERY_SECONDS = 0.25


class Progress:
    """Times the trainings of one run; `watch` gives the Watch of one of them."""

    def __init__(
        self,
        run: str,
        trainings: int,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
        live: bool = True,
        workers: int = 1,
    ) -> None:
        """*live*: replace one line where *console* is a terminal, rather than print many. So many
        *workers* share the trainings, this process among them."""
        self.run = run
        self.trainings, self.workers = trainings, workers
        self.console = console
        self.clock = clock
        self.wants_live = live and console.is_terminal
        self.finished_seconds: list[float] = []
        self.live: Live | None = None

    def __enter__(self) -> "Progress":
        if self.wants_live:
            self.live = Live(console=self.console, refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def watch(self, part: Part) -> "FoldWatch":
        """The Watch of the next training."""
        return FoldWatch(self, part)

    @contextmanager
    def timed(self, part: Part, which: str = "", unit: str = "fold") -> Iterator["FoldWatch"]:
        """The Watch of the next piece of work, *which* one of its part, and its time at the end."""
        began = self.clock()
        yield FoldWatch(self, part, which, unit)
        self.finished(self.clock() - began)

    def finished(self, seconds: float) -> None:
        """One training ended after that many seconds."""
        self.finished_seconds.append(seconds)

    def run_left(self, fold_left: float | None, fold_total: float | None) -> float | None:
        """Seconds until the run ends: this fold's rest and the mean fold for those to come, of
        which each worker takes its share."""
        if fold_left is None or fold_total is None:
            return None
        known = [*self.finished_seconds, fold_total]
        to_come = max(0, self.trainings - self.workers * len(known))
        return fold_left + math.ceil(to_come / self.workers) * sum(known) / len(known)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Take the live line away while something is printed to stdout."""
        if self.live is not None:
            self.live.stop()
        yield
        if self.live is not None:
            self.live.start()

    def show(self, line: str) -> None:
        """Replace the live line, or print a plain one."""
        if self.live is not None:
            self.live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        else:
            self.console.print(line, soft_wrap=True)


class FoldWatch:
    """The Watch of one training (see pipeline.models.learner.Watch)."""

    def __init__(self, progress: Progress, part: Part, which: str = "", unit: str = "fold") -> None:
        """*unit*: what the run is so many of; *which* of them, where a part has several."""
        self.progress = progress
        self.part, self.which, self.unit = part, which, unit
        self.began = self.phase_began = self.shown = progress.clock()
        self.name, self.total, self.before, self.per_epoch = "", 0, 0, 0
        self.steps = self.rows = self.tokens = 0

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """A phase of *total* steps begins, *done* of them taken before."""
        self.name, self.total, self.before, self.per_epoch = name, total, done, per_epoch
        self.steps = self.rows = self.tokens = 0
        self.phase_began = self.progress.clock()

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """Count; show a line when it is time for one."""
        self.steps += steps
        self.rows += rows
        self.tokens += tokens
        live = self.progress.live is not None
        every = LIVE_EVERY_SECONDS if live else PLAIN_EVERY_SECONDS
        if self.progress.clock() - self.shown >= every:
            self.shown = self.progress.clock()
            self.progress.show(self.line())

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Print a lasting line."""
        text = f"  {self.progress.run} {self.part.name}: {message}"
        self.progress.console.print(text, soft_wrap=True)

    def line(self) -> str:
        """Where this training stands: fold, epoch, step, speed, time left."""
        now = self.progress.clock()
        spent = max(now - self.phase_began, 1e-9)
        done = self.before + self.steps
        share = min(1.0, done / self.total) if self.total else 0.0
        pieces = [f"{self.progress.run} {self.part.name}", *filter(None, [self.which]), self.name]
        if self.per_epoch:
            epochs = -(-self.total // self.per_epoch)
            pieces.append(f"epoch {min(epochs, done // self.per_epoch + 1)}/{epochs}")
        pieces.append(f"step {done}/{self.total} ({share:.0%})")
        if self.rows:
            pieces.append(f"{self.rows / spent:.0f} rows/s")
        if self.tokens:
            pieces.append(f"{self.tokens / spent:.0f} tokens/s")
        left = spent * (self.total - done) / self.steps if self.steps and self.total else None
        total = None if left is None else now - self.began + left
        run_left = self.progress.run_left(left, total)
        if left is not None and run_left is not None:
            pieces.append(f"left: {self.unit} {clock_text(left)}, run {clock_text(run_left)}")
        return "  ".join(pieces)


def clock_text(seconds: float) -> str:
    """A duration for people.

    >>> clock_text(59.6), clock_text(3725)
    ('1:00', '1:02:05')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


# What is told while a run's texts are tokenised, before the first fold: nothing if it is quick.


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
        speed = self.done / spent
        return (
            f"{self.run}  {self.name} {there:,}/{self.total:,} ({there / max(self.total, 1):.0%})  "
            f"{speed:,.{0 if speed >= 10 else 1}f} inputs/s  left: {clock_text(left)}"
        )


# How far a training is, for `pipeline.watch` on this or another machine.


PULSE_SECONDS = 5.0
"""Between two times that it is written down; what is over by then leaves no trace."""


class Pulse:
    """A Watch that hands everything on to another, and now and then replaces a small file.

    The file is a convenience: where it cannot be written the training goes on without it.
    """

    def __init__(
        self, path: Path, watch: Watch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path, self.watch, self.clock = path, watch, clock
        self.began = clock()
        self.next = self.began + PULSE_SECONDS
        self._start("", 0, 0, 0)

    def _start(self, name: str, total: int, done: int, per_epoch: int) -> None:
        self.name, self.total, self.before, self.per_epoch = name, total, done, per_epoch
        self.steps = self.rows = self.tokens = 0
        self.phase_began = self.clock()

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """Hand on."""
        self._start(name, total, done, per_epoch)
        self.watch.phase(name, total, done, per_epoch)
        self._beat()

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """Hand on."""
        self.steps += steps
        self.rows += rows
        self.tokens += tokens
        self.watch.advance(steps, rows, tokens)
        self._beat()

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Hand on."""
        self.watch.event(what, message, **facts)

    def _beat(self) -> None:
        """Write it down where it is time to."""
        now = self.clock()
        if now < self.next:
            return
        self.next = now + PULSE_SECONDS
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            beside.write_text(json.dumps(self.standing()), encoding="utf-8")
            beside.replace(self.path)

    def standing(self) -> dict[str, Any]:
        """Phase, steps, speeds, seconds and memory as they are now."""
        now = self.clock()
        spent = max(now - self.phase_began, 1e-9)
        return {
            "phase": self.name,
            "step": self.before + self.steps,
            "steps": self.total,
            "steps_per_epoch": self.per_epoch,
            "steps_per_second": round(self.steps / spent, 4),
            "rows_per_second": round(self.rows / spent, 2),
            "tokens_per_second": round(self.tokens / spent, 1),
            "seconds": round(now - self.began, 1),
            "machine": platform.node(),
            "process": os.getpid(),
            **_memory(),
        }


def _memory() -> dict[str, int]:
    """Bytes that this process holds now: {"ram": …} and, on a GPU, {"gpu": …}."""
    found = {}
    with contextlib.suppress(OSError, ValueError, IndexError):  # no /proc: macOS
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        found["ram"] = pages * os.sysconf("SC_PAGE_SIZE")
    torch = sys.modules.get("torch")  # where it is not loaded, it holds nothing
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        found["gpu"] = int(torch.cuda.memory_allocated())
    return found


class Journal:
    """A Watch that hands everything on to another and writes the events down."""

    def __init__(self, path: Path, watch: Watch) -> None:
        self.path, self.watch = path, watch

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """Hand on."""
        self.watch.phase(name, total, done, per_epoch)

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """Hand on."""
        self.watch.advance(steps, rows, tokens)

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Write it down, then hand on."""
        self.record(what, message, **facts)
        self.watch.event(what, message, **facts)

    def record(self, what: str, message: str, **facts: Any) -> None:
        """Write it down without a word. A line is appended whole or torn, never in between."""
        line = json.dumps({"what": what, "message": message, **facts}, ensure_ascii=False) + "\n"
        reach("event")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            before = self.path.read_bytes() if self.path.exists() else b""
            torn = before != b"" and not before.endswith(b"\n")
            with self.path.open("ab") as stream:
                stream.write(("\n" + line if torn else line).encode())
        except OSError as error:
            raise_resource_error(error, self.path)
            raise

    def entries(self) -> list[dict[str, Any]]:
        """Every event so far; a line that is torn, or could not go into a manifest, is left out."""
        if not self.path.exists():
            return []
        found = []
        # not splitlines: a message may hold other line separators, such as U+2028
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
                if isinstance(entry, dict):
                    found.append(entry)
        return found
