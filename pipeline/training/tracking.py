"""Where the numbers of a training go: to TensorBoard, and to every other tracker that is listed.

    with track(workspace.logs, watch, hide_from=0) as tracking:
        tracking.log({"train_loss": 0.41, "learning_rate": 2e-5}, step=50)

A new tracker is a class with `log` and `close`, in a file of its own, and one line in `TRACKERS`;
where it has a method `settings` too, it is told once what the fold was trained with. It may raise,
wait for a server, or never answer again: it works in a thread of its own, so the training goes on
at its own speed, and what became of the log is told as an event.

    tensorboard --logdir runs/
"""

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import Any, Protocol, Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from pipeline.models import Watch

WAITING = 10_000
"""Calls that may wait for a slow tracker; those beyond are dropped."""
PATIENCE_SECONDS = 5.0
"""So long the end of a training waits for a tracker that has not taken everything yet."""


class Tracker(Protocol):
    """Takes the numbers of one training; may raise whatever it likes."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Take *numbers*, name -> value, as they were after *step* optimiser steps."""

    def close(self) -> None:
        """Nothing more will come: keep what was taken."""


class TensorBoard:
    """Events straight in one folder."""

    def __init__(self, logs: Path, hide_from: int | None) -> None:
        self._file = EventFileWriter(str(logs))
        if hide_from is not None:
            start = SessionLog(status=SessionLog.START)
            self._file.add_event(Event(wall_time=time.time(), step=hide_from, session_log=start))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """See Tracker.log."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._file.add_event(event)

    def settings(self, run: str, values: Mapping[str, Any]) -> None:
        """A line of the HParams page: folds of one *run* are one group there, and the scores that
        they logged stand beside their settings."""
        plain = {name: _plain(value) for name, value in values.items()}
        self._file.add_event(Event(wall_time=time.time(), summary=hparams_pb(plain, run)))

    def close(self) -> None:
        """See Tracker.close."""
        self._file.close()


def _plain(value: Any) -> bool | int | float | str:
    """*value* as the HParams page takes it.

    >>> _plain(2e-5), _plain("cls"), _plain(None), _plain([1, 4])
    (2e-05, 'cls', 'null', '[1, 4]')
    """
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


TRACKERS: dict[str, Callable[[Path, int | None], Tracker]] = {"TensorBoard": TensorBoard}
"""Name -> what starts the tracker. It is given the training's folder for logs, and the step from
which on the numbers of an earlier, killed attempt are to be hidden; None to hide nothing."""


class Tracking:
    """All trackers of one training: told of its numbers, waited for at its end only."""

    def __init__(self, watch: Watch, starts: Mapping[str, Callable[[], Tracker]]) -> None:
        self._watch = watch
        self._posts = [_Post(name, start) for name, start in starts.items()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the trackers; those that do not answer are left behind after some seconds."""
        until = time.monotonic() + PATIENCE_SECONDS
        for post in self._posts:
            post.end(until)
        self._tell()

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Hand on *numbers*, name -> value, as they are after *step* optimiser steps."""
        for post in self._posts:
            post.send("log", dict(numbers), step)
        self._tell()

    def settings(self, run: str, values: Mapping[str, Any]) -> None:
        """Tell those that ask for it what a fold of *run* was trained with: JSON-ready *values*."""
        for post in self._posts:
            post.send("settings", run, dict(values))
        self._tell()

    def _tell(self) -> None:
        """An event for each tracker that has failed, which is then done with."""
        failed = {post: problem for post in self._posts if (problem := post.problem())}
        for post, problem in failed.items():
            self._watch.event("no log", f"no {post.name} log{problem}")
        self._posts = [post for post in self._posts if post not in failed]


def track(logs: Path, watch: Watch, hide_from: int | None = None) -> Tracking:
    """Start every tracker for the training whose logs lie in *logs*; use it in a `with`.

    Numbers of the step *hide_from* and later ones that an earlier attempt has logged are hidden.
    What goes wrong with a tracker is told to *watch*.
    """
    starts = {name: partial(start, logs, hide_from) for name, start in TRACKERS.items()}
    return Tracking(watch, starts)


class _Post:
    """One tracker in its own thread, and the calls that wait for it."""

    def __init__(self, name: str, start: Callable[[], Tracker]) -> None:
        self.name = name
        self._calls: Queue[tuple[Any, ...] | None] = Queue(WAITING)
        self._error: Exception | None = None
        self._taken = self._dropped = 0
        self._ended = False
        # a daemon: a tracker that hangs must not keep the process from ending
        self._thread = Thread(target=self._work, args=(start,), daemon=True)
        self._thread.start()

    def send(self, method: str, *given: Any) -> None:
        """Let the call wait for the tracker; drop it where too many do."""
        try:
            self._calls.put_nowait((method, *given))
        except Full:
            self._dropped += 1

    def end(self, until: float) -> None:
        """Give it until then (`time.monotonic`) to take what still waits."""
        try:
            self._calls.put(None, timeout=max(0.0, until - time.monotonic()))
        except Full:
            pass  # it has stopped answering: it ends with the process
        self._thread.join(max(0.0, until - time.monotonic()))
        self._ended = True

    def problem(self) -> str:
        """How a sentence about what went wrong goes on; empty for nothing."""
        if self._error is not None:
            return f"{' from here on' if self._taken else ''}: {self._error}"
        if self._ended and self._thread.is_alive():
            return f" after {self._taken} entries: it does not answer"
        if self._ended and self._dropped:
            return f" of {self._dropped} entries: it could not keep up"
        return ""

    def _work(self, start: Callable[[], Tracker]) -> None:
        try:
            tracker = start()
            while (call := self._calls.get()) is not None:
                method, *given = call
                if method == "log" or hasattr(tracker, method):
                    getattr(tracker, method)(*given)
                self._taken += 1
            tracker.close()
        except Exception as error:  # whatever a tracker raises, the training goes on
            self._error = error


# What TensorBoard's files hold, for those who draw it.


def _begun(file: Path) -> tuple[int, int, str]:
    """When an attempt began, by its file's name: the second, then the count of the process."""
    parts = file.name.split(".")
    second, count = (int(each) if each.isdigit() else 0 for each in (parts[3], parts[-1]))
    return second, count, file.name


def curves_at(logs: Path) -> dict[str, dict[int, float]]:
    """Tag -> step -> value of the TensorBoard files in *logs*; {} where there are none.

    Steps of an attempt that was killed are hidden from where the next one went on.
    """
    files = sorted(logs.glob("events.out.tfevents.*"), key=_begun) if logs.is_dir() else []
    if not files:
        return {}
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: dict[str, dict[int, float]] = {}
    for file in files:
        try:
            for event in LegacyEventFileLoader(str(file)).Load():
                if event.session_log.status == 1:  # START: what is logged from here on counts
                    for known in found.values():
                        for step in [step for step in known if step >= event.step]:
                            del known[step]
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        found.setdefault(value.tag, {})[event.step] = float(value.simple_value)
        except Exception:  # a torn or foreign file: curves are a nicety, and others may be whole
            continue
    return found


def numbers_of(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Score, seconds, peak memory and the learner's numbers, under names that trackers group by.

    >>> numbers_of({"score": 0.5, "metric": "auc", "seconds": {"fit": 2}, "learner": {"steps": 7}})
    {'fold/auc': 0.5, 'fold/seconds_fit': 2.0, 'learner/steps': 7.0}
    """
    numbers = {}
    if manifest.get("score") is not None:
        numbers[f"fold/{manifest['metric']}"] = float(manifest["score"])
    for group in ("seconds", "peak_memory"):
        for name, value in manifest.get(group, {}).items():
            numbers[f"fold/{group}_{name}"] = float(value)
    for name, value in manifest.get("learner", {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[f"learner/{name}"] = float(value)
    return numbers
