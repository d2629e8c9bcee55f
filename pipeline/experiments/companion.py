"""The process beside a command that keeps a tracker up to date (--track), and who starts it.

It reads the files that a training leaves and writes none that a training reads, in a process of its
own, at a low priority, on no GPU. So whatever a server, a key or a library does, the training takes
the same steps to the same bytes; what could not be sent is sent by the next command, or by
pipeline.track.
"""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.base.errors import PipelineError
from pipeline.base.files import commit_json
from pipeline.base.parser import Parser
from pipeline.base.paths import Paths, safe_name
from pipeline.experiments.services import SERVICES, service_of

PATIENCE_SECONDS = 20.0
"""So long a command that has done its work waits for the tracker; then it sends on by itself."""
FAREWELL = ""
"""The last line that the companion is told: without one the command was killed."""


def add_option(options: Parser) -> None:
    """Add --track."""
    options.add_argument(
        "--track",
        choices=tuple(SERVICES),
        help="keep records at MLflow or Weights & Biases too, beside TensorBoard "
        "(docs/how-to-tracking.md)",
    )


def command_again(service: str, competition: str, root: str | Path) -> str:
    """The command that sends what is missing."""
    where = [] if str(root) == "." else ["--root", str(root)]
    name = ["--competition", safe_name(competition)]
    return shlex.join(["python", "-m", "pipeline.track", "--to", service, *where, *name])


# What a run is asked to be: noted down for those who look while it trains, as a fold's own manifest
# comes with its last byte.


def note_settings(paths: Paths, run: str, settings: Mapping[str, Any]) -> None:
    """Note the settings of a run that is about to be trained; nothing is said where that fails."""
    path = paths.tracked(run) / "settings.json"
    with contextlib.suppress(PipelineError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        commit_json(path, settings)


class Companion:
    """A process that mirrors the runs it is told of, until the command ends."""

    def __init__(
        self,
        service: str,
        competition: str,
        root: str,
        min_free_gb: float,
        say: Callable[[str], Any],
        answer: IO[bytes] | None,
    ) -> None:
        """Start it; what it has to say at its end goes into *answer*."""
        self.service, self.competition, self.root, self.say = service, competition, root, say
        self._answer = answer
        self._expected: set[tuple[str, str]] = set()
        self.process: subprocess.Popen[str] | None = None
        command = ["--to", service, "--competition", safe_name(competition), "--root", root]
        command += ["--min-free-gb", str(min_free_gb), "--follow"]
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.track", *command],
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL if answer is None else answer,
                stderr=subprocess.DEVNULL,  # libraries chatter; what matters is in its answer
                text=True,
                process_group=0,  # Ctrl-C is for the training
            )
        except OSError as error:
            say(f"warning: --track {service}: {error}. {self._remedy}")

    @property
    def _remedy(self) -> str:
        return (
            f"To send what is missing: {command_again(self.service, self.competition, self.root)}"
        )

    def expect(self, run: str, settings: Mapping[str, Any] | None, into: str = ".") -> None:
        """A *run* is about to be trained under *settings*, below the folder *into* of the root;
        None: it was before."""
        if (run, into) in self._expected:
            return
        self._expected.add((run, into))
        if settings is not None:
            note_settings(Paths(Path(self.root) / into, self.competition), run, settings)
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):  # it is gone: its end tells why
                print(f"{into}/{safe_name(run)}", file=self.process.stdin, flush=True)

    def end(self, patience: float) -> None:
        """The command is over: wait *patience* seconds for the last records, tell how it went."""
        process = self.process
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            print(FAREWELL, file=process.stdin, flush=True)
        with contextlib.suppress(OSError, ValueError):
            process.stdin.close()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            self.say(
                f"--track {self.service}: still sending, by process {process.pid}. {self._remedy}"
            )
            return
        said = b""
        if self._answer is not None:
            self._answer.seek(0)
            said = self._answer.read()
        self.say(self._outcome(said.decode(errors="replace").splitlines()))

    def _outcome(self, answer: list[str]) -> str:
        head = f"--track {self.service}"
        try:
            found = json.loads(answer[-1])
        except (IndexError, ValueError):
            return f"warning: {head}: it ended without an answer. {self._remedy}"
        if found["trouble"]:
            return f"warning: {head}: {found['trouble'].rstrip('.')}. {self._remedy}"
        return f"{head}: {found['records']} records brought up to date, {found['link']}"


@contextmanager
def tracked(
    service: str | None, competition: str, root: str, min_free_gb: float, say: Callable[[str], Any]
) -> Iterator[Companion | None]:
    """Inside, the tracker *service* is kept up to date; None for none.

    Raises UsageError, before anything runs, where what it needs on this machine is not there. What
    goes wrong later is told at the end, by *say*, and changes nothing.
    """
    if service is None:
        yield None
        return
    service_of(service).check()
    with _kept_answer() as answer:
        companion = Companion(service, competition, root, min_free_gb, say, answer)
        patience = 0.0
        try:
            yield companion
            patience = PATIENCE_SECONDS
        except PipelineError:  # a sentence follows; people may wait for the record of it
            patience = PATIENCE_SECONDS
            raise
        finally:
            companion.end(patience)


@contextmanager
def _kept_answer() -> Iterator[IO[bytes] | None]:
    """A file that is gone afterwards; None where the disk has no room for one."""
    with contextlib.ExitStack() as stack:
        answer = None
        with contextlib.suppress(OSError):
            answer = stack.enter_context(tempfile.TemporaryFile())
        yield answer
