"""Bring the records at MLflow or Weights & Biases up to date with the files under a root.

    python -m pipeline.track --to mlflow
    python -m pipeline.track --to wandb --competition klue-sts --run minilm

`cv`, `tune`, `race` and `ensemble` with --track do it as they go. This sends what they could not:
the server was away, the key was wrong, the run was trained without. What is there already is not
sent again.
"""

import contextlib
import json
import os
import sys
import threading
import time
from argparse import SUPPRESS
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.base import UsageError
from pipeline.base.command import run
from pipeline.base.errors import ArtifactError, BusyError
from pipeline.base.parser import Parser
from pipeline.base.paths import Paths, safe_name
from pipeline.experiments.companion import FAREWELL
from pipeline.experiments.services import SERVICES, service_of

if TYPE_CHECKING:
    from pipeline.experiments.mirror import Mirror

EVERY_SECONDS = 10.0
"""Between two looks at the files of a training; longer after each that failed."""
MOST_SECONDS = 300.0
LAST_SECONDS = 900.0
"""So long it tries once the command is over that it goes beside."""
DEATH_SECONDS = 2.0
"""So long a killed process may take to be gone: what it trained was stopped only then."""
NICENESS = 10


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("track", __doc__ or "")
    options.add_argument("--to", choices=tuple(SERVICES), required=True, help="the tracker")
    options.add_argument(
        "--competition", action="append", metavar="NAME", help="only this one; repeatable"
    )
    options.add_argument("--run", action="append", metavar="NAME", help="only this run; repeatable")
    options.add_argument(
        "--min-free-gb", type=float, default=0.5, help="write nothing where less disk is free"
    )
    options.add_argument("--follow", action="store_true", help=SUPPRESS)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    from pipeline.experiments.mirror import told

    root, min_free = Path(args.root), int(args.min_free_gb * 1e9)
    service_of(args.to).check()
    if args.follow:
        print(json.dumps(follow(args.to, args.competition[0], root, min_free)))
        return 0
    answers = []
    for name in names_below(root, args.competition):
        runs = runs_below(Paths(root, name), args.run)
        if args.run and not runs:
            raise UsageError(f"{name} has no run {' or '.join(args.run)}")
        try:
            mirror = make_mirror(args.to, name, root, min_free)
            try:
                mirror.sync(runs)
            finally:
                mirror.close()
        except Exception as error:  # a service raises whatever it likes
            raise BusyError(
                f"{args.to}: {told(error)}. Nothing is lost: the same command sends what is missing"
            ) from error
        answers.append({"competition": name, "records": mirror.sent, "link": mirror.service.link})
    if args.json:
        print(json.dumps({"to": args.to, "sent": answers}))
        return 0
    for answer in answers:
        print(
            f"{answer['competition']}: {len(answer['records'])} records brought up to date, "
            f"{answer['link']}"
        )
    return 0


def names_below(root: Path, wanted: list[str] | None) -> list[str]:
    """The competitions that have runs below *root*, or those *wanted*; ArtifactError for none."""
    found = {
        path.name
        for base in ("oof", "runs")
        for path in (root / base).glob("*/")
        if path.is_dir() and not path.name.startswith(".") and path != root / "runs" / "tokens"
    }
    names = [safe_name(name) for name in wanted or sorted(found)]
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        there = ", ".join(sorted(found)) or "none"
        which = f"of {unknown[0]} " if unknown else ""
        raise ArtifactError(f"there are no runs {which}below {root.resolve()}; there are: {there}")
    return names


def runs_below(paths: Paths, wanted: list[str] | None) -> list[str]:
    """The runs of a competition, or those *wanted* that are there."""
    folders = [*paths.runs.glob("*/"), *paths.workspaces.glob("*/")]
    found = {path.name for path in folders if path.is_dir() and not path.name.startswith(".")}
    return sorted(found if not wanted else found & {safe_name(name) for name in wanted})


# Beside a command that trains.


def follow(service: str, competition: str, root: Path, min_free_bytes: int) -> dict[str, Any]:
    """Mirror the runs that stdin names, line by line, until it ends; what became of it."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    from pipeline.experiments.mirror import Attempts

    heard = Heard()
    threading.Thread(target=heard.listen, args=(sys.stdin,), daemon=True).start()
    attempts = Attempts(lambda into: make_mirror(service, competition, root, min_free_bytes, into))
    wait = EVERY_SECONDS
    while not heard.ended.wait(wait):
        wait = EVERY_SECONDS if attempts.sync(heard.runs, True) else min(2 * wait, MOST_SECONDS)
    last = threading.Timer(LAST_SECONDS, os._exit, (1,))
    last.daemon = True
    last.start()
    if not heard.farewell:
        time.sleep(DEATH_SECONDS)
    attempts.sync(heard.runs, False)
    attempts.close()
    return attempts.answer()


class Heard:
    """What a command tells of itself."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        """Each below its folder of the root: ./linear, runs/tune/toy-1f0c/linear-3b."""
        self.farewell = False
        """Whether it has said that it ends."""
        self.ended = threading.Event()

    def listen(self, stream: IO[str]) -> None:
        """Until the stream ends, with the command or by its death."""
        for line in stream:
            if (run := line.strip()) == FAREWELL:
                self.farewell = True
            elif run not in self.runs:
                self.runs.append(run)
        self.ended.set()


def make_mirror(
    service: str, competition: str, root: Path, min_free_bytes: int, into: str = "."
) -> "Mirror":
    """The mirror of *competition* below the folder *into* of *root*, where runs are trials unless
    it is the root itself; the service's library is loaded here."""
    from pipeline.experiments.mirror import Mirror

    trials_of = "" if into == "." else into
    return Mirror(service, Paths(root / into, competition), min_free_bytes, trials_of)


if __name__ == "__main__":
    raise SystemExit(run(main))
