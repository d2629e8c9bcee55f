"""Serving a bundle beside transformers' pipeline behind FastAPI, on the same weights in one run.

    python -m benchmarks.serve --folder serve                # trains and packs, then measures
    python -m benchmarks.serve --folder serve --seconds 30 --rounds 5 --write
    python -m benchmarks.serve --folder serve --litserve other/bin/python

The built-in competition, `minilm` with pooling cls and head layers (the layers of transformers' own
BertForSequenceClassification) in two folds: both sides answer with the mean of the same two
learners, and their answers are compared before anything is measured. Both are one process of
uvicorn on the loopback with the same threads. Load is locust's, on the same machine: so many users,
each sending one row and waiting for its answer. The sides take turns, round after round; figures
are the median of the rounds, and the lowest and highest. Memory is what the server's processes hold
(resident) after the load, and what they held at most.

`--litserve` names the Python of an environment that has litserve besides (it brings uvloop and
httptools, which uvicorn would take for the other sides too): our learners behind that framework.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.shared.children import environment, spread
from benchmarks.shared.machine import PROJECT, keep, machine_line

OURS, PIPELINES, LITSERVE = (
    "foldstack serve",
    "transformers pipeline + FastAPI",
    "our learners behind LitServe",
)
MEMBER = ["--model", "minilm", "--set", "pooling=cls", "--set", "head=layers"]
FOLDS = ["--folds.count", "2"]
ALIKE = 1e-3
"""By which the answers of both sides may differ: rows that are batched together round otherwise."""
PATIENCE, GRACE = 120.0, 10.0
"""Seconds until a server is ready, and until one that is asked to end is killed."""


def main() -> int:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.serve", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--folder", type=Path, default=Path("serve"))
    parser.add_argument("--epochs", type=int, default=1, help="of the member's training")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=int, default=20, help="of load, each time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="of each server")
    parser.add_argument("--litserve", metavar="PYTHON", help="a Python that has litserve besides")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    root = args.folder.absolute()
    bundle = packed(root, args.epochs)
    rows = test_rows(root)
    sides = [OURS, PIPELINES, *([LITSERVE] if args.litserve else [])]
    commands = {side: command(side, bundle, args.litserve) for side in sides}
    away = compared(commands, rows[:20], args.threads[0])
    figures = measured(commands, root, rows, args)
    page = written(figures, sides, args, away)
    print(page)
    if args.write:
        keep("serve", page, figures)
    return 0


def packed(root: Path, epochs: int) -> Path:
    """The bundle that is served, made where it is not there."""
    bundle = root / "bundle"
    if bundle.exists():
        return bundle
    for name in ("demo", "configs"):
        shutil.copytree(PROJECT / name, root / name, dirs_exist_ok=True)
    _run(root, "cv", *MEMBER, "--set", f"epochs={epochs}", *FOLDS)
    _run(root, "ensemble", "--method", "best", *FOLDS)
    (submission,) = sorted((root / "submissions").glob("*.csv"))
    _run(root, "bundle", submission.name, "-o", str(bundle))
    return bundle


def _run(root: Path, name: str, *words: str) -> None:
    line = [sys.executable, "-m", f"pipeline.{name}", "--root", str(root), *words]
    done = subprocess.run(line, cwd=root, env=_environment(1), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return environment(threads, os.environ.get("TMPDIR", "/tmp")) | {"PYTHONPATH": path}


def test_rows(root: Path) -> list[dict[str, str]]:
    """Rows of the test file, as they are asked."""
    with (root / "demo" / "test.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: value for key, value in row.items() if key != "id"} for row in rows]


def command(side: str, bundle: Path, litserve: str) -> list[str]:
    """What starts a side, but for its port."""
    if side == OURS:
        return [sys.executable, "-m", "pipeline.serve", str(bundle), "--port"]
    if side == LITSERVE:
        return [litserve, "-m", "benchmarks.serve.litserve_peer"]
    uvicorn = [sys.executable, "-m", "uvicorn", "benchmarks.serve.peer:app", "--no-access-log"]
    return [*uvicorn, "--log-level", "warning", "--port"]


@contextmanager
def started(line: Sequence[str], bundle: Path, threads: int) -> Iterator[tuple[str, int]]:
    """The address and process number of a server that is ready; it is ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where, variables = f"http://127.0.0.1:{port}", _environment(threads) | {"BUNDLE": str(bundle)}
    with subprocess.Popen(
        [*line, str(port)],
        env=variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            until = time.monotonic() + PATIENCE
            while not _answers(f"{where}/readyz"):
                if server.poll() is not None or time.monotonic() > until:
                    server.kill()
                    said = server.stderr.read().decode() if server.stderr else ""
                    raise SystemExit(f"{' '.join(line)} is not ready:\n{said[-2000:]}")
                time.sleep(0.2)
            yield where, server.pid
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(GRACE)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # LitServe does not end by SIGTERM
            server.communicate()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as found:
            return bool(found.status == 200)
    except OSError:
        return False


def compared(commands: dict[str, list[str]], rows: Sequence[dict[str, str]], threads: int) -> float:
    """By how much the sides' answers differ at most; SystemExit where these are not the same
    weights."""
    bundle = Path(commands[OURS][3])
    answers = []
    for line in commands.values():
        with started(line, bundle, threads) as (where, _):
            answers.append([_asked(where, row) for row in rows])
    away = max(max(each) - min(each) for each in zip(*answers, strict=True))
    if away > ALIKE:
        raise SystemExit(f"the sides answer otherwise, {away:g} apart: not the same weights")
    return away


def _asked(where: str, row: dict[str, str]) -> float:
    content = json.dumps(row).encode()
    asked = urllib.request.Request(
        f"{where}/predict", content, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=30) as found:
        return float(json.load(found)["prediction"]["label"])


def measured(
    commands: dict[str, list[str]], root: Path, rows: list[dict[str, str]], args: Any
) -> list[dict[str, Any]]:
    """One dictionary for each round, side and number of users."""
    place = root / "rows.json"
    place.write_text(json.dumps(rows), encoding="utf-8")
    bundle, figures = Path(commands[OURS][3]), []
    for number in range(args.rounds):
        sides = list(commands)
        for side in sides if number % 2 == 0 else sides[::-1]:
            for users, threads in product(args.users, args.threads):
                with started(commands[side], bundle, threads) as (where, process):
                    loaded(where, place, 2, 3, root / "warm")
                    found = loaded(where, place, users, args.seconds, root / "load")
                    found |= {"round": number, "side": side, "users": users, "threads": threads}
                    figures.append(found | memory_of(process))
                print(figures[-1], file=sys.stderr, flush=True)
    return figures


def loaded(where: str, rows: Path, users: int, seconds: int, prefix: Path) -> dict[str, Any]:
    """What locust says of so many *users* for so many *seconds*."""
    line = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("load.py"))]
    line += ["--headless", "--users", str(users), "--spawn-rate", str(users)]
    line += ["--run-time", f"{seconds}s", "--host", where, "--csv", str(prefix), "--only-summary"]
    variables = _environment(1) | {"ROWS": str(rows)}
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False)
    path = prefix.with_name(f"{prefix.name}_stats.csv")
    if not path.is_file():
        raise SystemExit(f"{' '.join(line)}\n{done.stderr[-2000:]}")
    with path.open(encoding="utf-8", newline="") as stream:
        total = next(row for row in csv.DictReader(stream) if row["Name"] == "Aggregated")
    path.unlink()
    return {
        "rows": int(total["Request Count"]),
        "failed": int(total["Failure Count"]),
        "rows_per_second": float(total["Requests/s"]),
        "p50_ms": float(total["50%"]),
        "p99_ms": float(total["99%"]),
    }


def memory_of(process: int) -> dict[str, float]:
    """Megabytes that the process and its children have now, and had at most: while the learners
    were loaded."""
    held = {"resident_mb": 0.0, "peak_mb": 0.0}
    for each in [process, *children_of(process)]:
        status = Path(f"/proc/{each}/status").read_text(encoding="ascii")
        words = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        for name, kind in (("resident_mb", "VmRSS"), ("peak_mb", "VmHWM")):
            held[name] += int(words[kind].split()[0]) * 1024 / 1e6
    return held


def children_of(process: int) -> list[int]:
    """All processes below *process*."""
    told = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    below = [int(word) for word in told.split()]
    return below + [one for each in below for one in children_of(each)]


def written(figures: list[dict[str, Any]], sides: Sequence[str], args: Any, away: float) -> str:
    """The page."""
    lines = [
        "| users | threads | side | rows a second | p50, ms | p99, ms | failed | MB | peak |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for users, threads, side in product(args.users, args.threads, sides):
        which = {"users": users, "threads": threads, "side": side}
        own = [each for each in figures if which.items() <= each.items()]
        cells = [
            spread([each[name] for each in own], digits)
            for name, digits in (("rows_per_second", 1), ("p50_ms", 0), ("p99_ms", 0))
        ]
        failed = sum(each["failed"] for each in own)
        held = [
            f"{statistics.median(each[name] for each in own):.0f}"
            for name in ("resident_mb", "peak_mb")
        ]
        cells += [str(failed), *held]
        lines.append(f"| {users} | {threads} | {side} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "# Serving",
            "",
            f"`python -m benchmarks.serve --seconds {args.seconds} --rounds {args.rounds} "
            f"--threads {' '.join(map(str, args.threads))}"
            f"{' --litserve PYTHON' if args.litserve else ''} --write`. "
            + machine_line("torch", "transformers", "fastapi", "uvicorn", "locust"),
            "",
            *(__doc__ or "").split("\n\n")[2:],
            f"Answers of all sides to the same rows: at most {away:.1e} apart.",
            "",
            *lines,
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
