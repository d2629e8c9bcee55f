"""Watch all runs under a root while they train, on whatever machines they do.

    python -m pipeline.watch
    python -m pipeline.watch --root /shared/team --once
    python -m pipeline.watch --json | jq 'select(.state == "died")'

Everything is read from files (progress.json, events.jsonl, leases, logs), so it works over a shared
disk; nothing is written. Ctrl-C ends it, and no training notices.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import UsageError, read_json
from pipeline.base.command import Stopped, run
from pipeline.base.errors import INTERRUPTED, PipelineError
from pipeline.base.files import free_bytes, size_text
from pipeline.base.parser import Parser
from pipeline.base.paths import Workspace

if TYPE_CHECKING:
    from rich.console import Group

STATES = {
    "training": "a living process holds its lease",
    "died": "its lease was left behind: the process is dead, or gave no sign of life for a minute",
    "stopped": "begun, held by nobody: the same command goes on",
    "finished": "its predictions are committed",
}
CELL = 46
"""Characters of the last event that are shown."""


@dataclass(frozen=True, kw_only=True)
class FoldState:
    """One training as its files tell it; None for what they do not."""

    competition: str
    run: str
    part: str
    """seed-42/fold-0."""
    state: str
    """One of `STATES`."""
    machine: str | None = None
    process: int | None = None
    silent_seconds: float | None = None
    """Since the lease was last refreshed, by this machine's clock."""
    phase: str | None = None
    step: int | None = None
    steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    steps_per_second: float | None = None
    rows_per_second: float | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None
    """That the training has taken, since this process began it; of a finished one all of it."""
    left_seconds: float | None = None
    """Until the phase ends, at the speed it has had so far."""
    loss: float | None = None
    learning_rate: float | None = None
    ram: int | None = None
    gpu: int | None = None
    """Bytes: of a living training now, of a finished one at its peak."""
    score: float | None = None
    event: str | None = None
    message: str | None = None
    """The last event, in a word and in a sentence."""


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("watch", __doc__ or "")
    options.add_argument("--once", action="store_true", help="print once and end")
    options.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between two looks"
    )
    options.add_argument(
        "--all", action="store_true", help="a line for every finished fold too; --json has them"
    )
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    root = Path(args.root)
    if not (root / "runs").is_dir() and not (root / "oof").is_dir():
        raise UsageError(
            f"there is neither runs/ nor oof/ under {root.resolve()}: nothing has been trained "
            "there. --root DIR says where"
        )
    if args.every <= 0:
        raise UsageError(f"--every {args.every:g}: expected more than 0 seconds")
    if args.json:
        for fold in folds_under(root):
            print(json.dumps(asdict(fold), ensure_ascii=False))
        return 0
    from pipeline.report.page import page

    console = page()
    if args.once or not console.is_terminal:
        console.print(shown(list(folds_under(root)), root, args.all))
        return 0
    from rich.live import Live

    try:
        with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
            while True:
                live.update(shown(list(folds_under(root)), root, args.all), refresh=True)
                time.sleep(args.every)
    except Stopped as stopped:
        if stopped.exit_code != INTERRUPTED:
            raise
    return 0


# What the files say.


def folds_under(root: Path) -> Iterator[FoldState]:
    """Every training under *root* that has begun, by competition, run and part."""
    found: dict[tuple[str, str, str], None] = {}
    for base, pattern in (("runs", "*/*/seed-*/*/"), ("oof", "*/*/seed-*/*.json")):
        for path in (root / base).glob(pattern):
            if path.is_dir() or path.suffix == ".json":
                competition, name, seed, part = path.relative_to(root / base).parts
                found[competition, name, f"{seed}/{part.removesuffix('.json')}"] = None
    for competition, name, part in sorted(found):
        if not name.startswith("."):
            yield _fold(root, competition, name, part)


def _fold(root: Path, competition: str, name: str, part: str) -> FoldState:
    done = _read(root / "oof" / competition / name / f"{part}.json")
    space = Workspace(root / "runs" / competition / name / part)
    known: dict[str, Any] = {"competition": competition, "run": name, "part": part}
    known |= _last_event(space)
    if done:
        seconds, peak = done.get("seconds") or {}, done.get("peak_memory") or {}
        known |= {"state": "finished", "score": done.get("score")}
        known |= {"seconds": round(sum(seconds.values()), 1), "ram": peak.get("ram")}
        return FoldState(**known, gpu=peak.get("gpu"))
    known |= _standing(space) | _held(space)
    return FoldState(**known | _logged(space))


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of ours; {} where there is none that can be read, as it may just be replaced."""
    with contextlib.suppress(PipelineError, OSError):
        found = read_json(path)
        return found if isinstance(found, dict) else {}
    return {}


def _held(space: Workspace) -> dict[str, Any]:
    """Who trains it, and whether that process lives."""
    from pipeline.doctor.workspace import holder

    with contextlib.suppress(OSError):
        if (found := holder(space.lease)) is not None:
            return {
                "state": "training" if found.living else "died",
                "machine": found.host.partition("?")[0],
                "process": found.process,
                "silent_seconds": round(found.silent, 1),
            }
    return {"state": "stopped"}


def _standing(space: Workspace) -> dict[str, Any]:
    """How far it is, as its process wrote down last."""
    told = _read(space.progress)
    step, steps, per_epoch = told.get("step"), told.get("steps"), told.get("steps_per_epoch")
    found = {name: told.get(name) for name in ("phase", "step", "steps", "seconds", "ram", "gpu")}
    speeds = ("steps_per_second", "rows_per_second", "tokens_per_second")
    found |= {name: told.get(name) or None for name in speeds}
    if per_epoch and steps and step is not None:
        epochs = -(-steps // per_epoch)
        found |= {"epochs": epochs, "epoch": min(epochs, step // per_epoch + 1)}
    speed = found["steps_per_second"]
    if speed and steps and step is not None:
        found["left_seconds"] = round((steps - step) / speed, 1)
    return found


def _last_event(space: Workspace) -> dict[str, Any]:
    from pipeline.models.learner import Silent
    from pipeline.training.progress import Journal

    with contextlib.suppress(OSError):
        entries = Journal(space.events, Silent()).entries()
        if entries:
            last = entries[-1]
            return {"event": str(last.get("what", "")), "message": str(last.get("message", ""))}
    return {}


def _logged(space: Workspace) -> dict[str, Any]:
    """The last loss and rate in TensorBoard's files."""
    from pipeline.training.tracking import curves_at

    curves = curves_at(space.logs)
    last = {tag: curves[tag][max(curves[tag])] for tag in curves if curves[tag]}
    return {"loss": last.get("train_loss"), "learning_rate": last.get("learning_rate")}


# How it is shown.


def shown(folds: Sequence[FoldState], root: Path, everything: bool = False) -> "Group":
    """The page: a line for each training that is not finished, and one for each run."""
    from rich.console import Group

    from pipeline.report.page import empty_grid

    lines = [fold for fold in folds if everything or fold.state != "finished"]
    grid = empty_grid("Trainings", "run", "part", "state", "epoch", "step", "speed", "loss")
    for column in ("left", "memory"):
        grid.add_column(column, justify="right")
    grid.add_column("where")
    grid.add_column("last event", overflow="ellipsis")
    for fold in lines:
        grid.add_row(*_row(fold))
    states = [fold.state for fold in folds]
    counts = ", ".join(f"{states.count(name)} {name}" for name in STATES if name in states)
    parts: list[Any] = [f"{root.resolve()}  {time.strftime('%H:%M:%S')}  {_room(root)}"]
    parts.append(f"folds: {counts or 'none has begun'}")
    parts += [grid] if lines else []
    died = [fold for fold in folds if fold.state == "died"]
    for fold in died:
        where = f"process {fold.process} on {fold.machine}"
        parts.append(
            f"! {fold.run} {fold.part} died: {where}, last sign of life "
            f"{_clock(fold.silent_seconds)} ago; the same command goes on from its last checkpoint"
        )
    return Group(*parts, *_runs(folds, root))


def _row(fold: FoldState) -> list[str]:
    from pipeline.report.page import name

    share = f" ({fold.step / fold.steps:.0%})" if fold.steps and fold.step is not None else ""
    speeds = [(fold.rows_per_second, "rows"), (fold.tokens_per_second, "tok")]
    if not fold.rows_per_second:  # a learner that counts no rows
        speeds = [(fold.steps_per_second, "steps")]
    speed = [f"{value:,.{0 if value >= 10 else 2}f} {unit}/s" for value, unit in speeds if value]
    memory = [
        f"{kind} {size_text(value)}"
        for kind, value in (("ram", fold.ram), ("gpu", fold.gpu))
        if value
    ]
    step = "" if fold.step is None else f"{fold.phase} {fold.step:,}/{fold.steps or 0:,}{share}"
    event = "" if fold.event is None else f"{fold.event}: {fold.message}"
    where = "" if fold.machine is None else f"{name(fold.machine, 20)}:{fold.process}"
    return [
        name(fold.run),
        fold.part,
        fold.state,
        "" if fold.epoch is None else f"{fold.epoch}/{fold.epochs}",
        step or ("" if fold.score is None else f"score {fold.score:.4f}"),
        ", ".join(speed),
        "" if fold.loss is None else f"{fold.loss:.4f}",
        _clock(fold.left_seconds) if fold.state != "died" else "",
        ", ".join(memory),
        where,
        name(event, CELL),
    ]


def _clock(seconds: float | None) -> str:
    from pipeline.training.progress import clock_text

    return "" if seconds is None else clock_text(seconds)


def _room(root: Path) -> str:
    """What is left of the disk and of this machine's memory."""
    said = f"disk {size_text(free_bytes(root))} free"
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                said += f", memory here {size_text(int(line.split()[1]) * 1024)} free"
    return said


def _runs(folds: Sequence[FoldState], root: Path) -> Iterator[str]:
    """A line for each run: how many of its folds are there, and its score once all are."""
    from pipeline.report.page import name

    for competition, run_name in sorted({(fold.competition, fold.run) for fold in folds}):
        of_run = [fold for fold in folds if (fold.competition, fold.run) == (competition, run_name)]
        done = sum(fold.state == "finished" for fold in of_run)
        manifest = _read(root / "oof" / competition / run_name / "run.json")
        said = f"{name(competition)}/{name(run_name)}: "
        if manifest:
            score = manifest.get("oof_score")
            said += f"complete, {done} folds"
            said += f", {manifest.get('metric')} {score:.4f}" if isinstance(score, float) else ""
        else:
            facts = _read(root / "folds" / f"{competition}.json").get("facts") or {}
            seeds = {fold.part.partition("/")[0] for fold in of_run}
            count = facts.get("folds", 0) * facts.get("repeats", 1) * len(seeds)
            whole = f" of {count}" if count else ""
            said += f"{done}{whole} folds finished"
        yield said


if __name__ == "__main__":
    raise SystemExit(run(main))
