"""Would the tests notice? Mutants of the rooms that carry the promise, before their own tests.

    python -m benchmarks.mutation                      # 10 mutants a file, or `make mutants`
    python -m benchmarks.mutation --share 40 metrics pipeline/folds/splitter.py
    python -m benchmarks.mutation --write              # and the table of docs/mutation.md

What was judged stays judged while the file is the same (.mutants/ keeps it): stop it when you like
and start it again. A survivor is judged again when its tests have changed. docs/mutation.md
"""

import argparse
import os
import time
from collections import Counter
from dataclasses import dataclass, field

from cosmic_ray.work_item import WorkResult
from filelock import FileLock, Timeout

from benchmarks.mutation.explained import Explained, read_explained
from benchmarks.mutation.fork import warm
from benchmarks.mutation.judge import check, chosen, is_open, judge
from benchmarks.mutation.page import write_page
from benchmarks.mutation.plan import ROOMS, WORK, Mutant, files_of, refresh_copy, sample, session
from benchmarks.mutation.reach import Reach, measure


@dataclass
class Tally:
    """Of a room: how many were judged, by outcome; who survived without a reason."""

    counts: Counter[str] = field(default_factory=Counter)
    survivors: list[Mutant] = field(default_factory=list)

    def enter(self, file: str, mutant: Mutant, result: WorkResult, explained: Explained) -> str:
        """Count one; its outcome."""
        outcome = "killed"
        if not result.is_killed:
            outcome = "explained" if explained.has(file, mutant) else "survived"
        if outcome == "survived":
            self.survivors.append(mutant)
        self.counts[outcome] += 1
        return outcome


@dataclass
class Clock:
    """Says how long the rest takes, from what the judged ones took."""

    left: int
    began: float = field(default_factory=time.monotonic)
    done: int = 0

    def tick(self) -> str:
        """One more is done."""
        self.done += 1
        minutes = (time.monotonic() - self.began) / self.done * (self.left - self.done) / 60
        return f"{self.done} of {self.left}, about {minutes:.0f} min left"


def main() -> int:
    """Judge what is open; exit status 1 where a mutant survives without a reason."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.mutation", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "what", nargs="*", default=list(ROOMS), help=f"rooms ({', '.join(ROOMS)}) or files of them"
    )
    parser.add_argument("--share", type=int, default=10, help="mutants a file, 10 by default")
    parser.add_argument("--seed", type=int, default=0, help="of the draw, 0 by default")
    parser.add_argument(
        "--judged", action="store_true", help="judge nothing, count what was judged"
    )
    parser.add_argument("--write", action="store_true", help="write docs/mutation.md")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    WORK.mkdir(exist_ok=True)
    lock = FileLock(WORK / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        parser.error(f"another run is changing {WORK}")
    refresh_copy()
    plan = {
        room: [f for f in files_of(room) if room in args.what or f in args.what] for room in ROOMS
    }
    unknown = set(args.what) - set(ROOMS) - {file for files in plan.values() for file in files}
    if unknown:
        parser.error(
            f"{', '.join(sorted(unknown))}: name rooms ({', '.join(ROOMS)}) or their files"
        )
    explained = read_explained()
    tallies = {
        room: judge_room(room, files, explained, args) for room, files in plan.items() if files
    }
    for room, tally in tallies.items():
        print(f"{room}: {line_of(tally)}")
        for mutant in tally.survivors:
            print(f"  survived: {mutant.name}")
    if args.write:
        write_page({r: t.counts for r, t in tallies.items()}, explained, args.share, args.seed)
    return int(any(tally.survivors for tally in tallies.values()))


def open_ones(file: str, reach: Reach, args: argparse.Namespace) -> list[Mutant]:
    """Of the sample of a file, the mutants that are to be judged."""
    work = session(file)
    results = dict(work.results)
    drawn = sample(file, work, args.share, args.seed)
    found = [each for each in drawn if is_open(each, results, chosen(each, file, reach))]
    work.close()
    return found


def judge_room(
    room: str, files: list[str], explained: Explained, args: argparse.Namespace
) -> Tally:
    """Judge the samples of files of a room, a line a file."""
    if args.judged:
        return count_judged(files, explained, args)
    reach = measure(room)
    for test in reach.failed:
        print(f"  fails without any change and judges nothing: {test}")
    warm(reach.modules)
    clock = Clock(sum(len(open_ones(file, reach, args)) for file in files))
    print(f"{room}: {clock.left} mutants are to be judged", flush=True)
    if clock.left:
        check(reach)
    tally = Tally()
    for file in files:
        work = session(file)
        results = dict(work.results)
        mine: Counter[str] = Counter()
        told = ""
        for mutant in sample(file, work, args.share, args.seed):
            tests = chosen(mutant, file, reach)
            result = results.get(mutant.item)
            if result is None or is_open(mutant, results, tests):
                result = judge(mutant, work, reach, tests)
                told = f"  {clock.tick()}"
                if not result.is_killed:
                    print(f"  survived {len(tests)} tests: {mutant.name}", flush=True)
            mine[tally.enter(file, mutant, result, explained)] += 1
        work.close()
        if told:
            print(f"{file}: {line_of(Tally(mine))}{told}", flush=True)
    return tally


def count_judged(files: list[str], explained: Explained, args: argparse.Namespace) -> Tally:
    """What earlier runs said of the samples of these files."""
    tally = Tally()
    for file in files:
        work = session(file)
        results = dict(work.results)
        for mutant in sample(file, work, args.share, args.seed):
            if mutant.item in results:
                tally.enter(file, mutant, results[mutant.item], explained)
        work.close()
    return tally


def line_of(tally: Tally) -> str:
    """Counts in words."""
    counts = tally.counts
    return (
        f"{counts.total()} mutants, {counts['killed']} killed, {counts['survived']} survived, "
        f"{counts['explained']} with a reason"
    )


if __name__ == "__main__":
    raise SystemExit(main())
