"""Which test runs which line of a room, and how long it takes: measured once per test file."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import coverage
import pytest

from benchmarks.mutation.fork import in_fork, loaded_of_others
from benchmarks.mutation.plan import COPY, WORK, digest, tests_of

SLOW_S = 10.0
"""Processor seconds: a longer test judges no mutants."""
PYTEST = [
    *("-q", "-p", "no:cacheprovider", "-m", "not nightly", "--hypothesis-seed=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # plugins are loaded before the fork
]


@dataclass
class Reach:
    """What the tests of a room run.

    `seconds`: processor seconds of each test that passes, by its id.
    `lines`: per file and line, the tests that run it. A line that a fixture or an import runs has
    all the tests of the test files that do so.
    `failed`: tests that fail without any change; they judge nothing.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)

    def tests(self, file: str, lines: Iterable[int]) -> list[str]:
        """Tests that run one of the lines, those of the file's own test file and the quickest
        first; then the rest of their files.

        The rest are needed where tests of a file share what one of them has computed.
        """
        found = set().union(*(self.lines.get(file, {}).get(line, set()) for line in lines))
        homes = {test.partition("::")[0] for test in found}
        rest = {test for test in self.seconds if test.partition("::")[0] in homes} - found
        own = f"test_{Path(file).name}"

        def place(test: str) -> tuple[bool, float]:
            return Path(test.partition("::")[0]).name != own, self.seconds[test]

        return [*sorted(found & self.seconds.keys(), key=place), *sorted(rest, key=place)]


class Watch:
    """A plugin of pytest: whose line is it, and how long did it take?"""

    def __init__(self, cover: coverage.Coverage) -> None:
        self.cover = cover
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self.began = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A fixture may serve every test of the file."""
        self.began = sum(os.times()[:4])
        self.cover.switch_context(item.nodeid.partition("::")[0])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """From here on the lines are this test's own."""
        self.cover.switch_context(item.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """The time ends with the test."""
        self.seconds.setdefault(item.nodeid, sum(os.times()[:4]) - self.began)
        self.cover.switch_context(item.nodeid.partition("::")[0])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Skipped and failed tests judge nothing."""
        if report.outcome != "passed":
            self.seconds.pop(report.nodeid, None)
            if report.outcome == "failed":
                self.failed.append(report.nodeid)


def watch(test_file: str, room: str, output: Path) -> int:
    """In a fork: run a test file, and write what it runs of the room."""
    cover = coverage.Coverage(
        data_file=None, include=[f"{COPY}/pipeline/{room}/*"], config_file=False
    )
    seen = Watch(cover)
    cover.start()
    status = int(pytest.main([*PYTEST, test_file], plugins=[seen]))
    cover.stop()
    data = cover.get_data()
    lines = {
        Path(file).relative_to(COPY).as_posix(): {
            str(line): sorted(contexts) for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    found = {
        "seconds": {test: round(spent, 3) for test, spent in seen.seconds.items()},
        "failed": seen.failed,
        "lines": lines,
        "files": {file: digest(file) for file in (test_file, *lines)},
        "modules": loaded_of_others(),
    }
    output.write_text(json.dumps(found), encoding="utf-8")
    return status


def measure(room: str) -> Reach:
    """The reach of a room's tests; what was measured stands while its files are the same."""
    whole = Reach()
    tests = tests_of(room)
    for number, test_file in enumerate(tests, 1):
        output = WORK / "reach" / room / f"{test_file.replace('/', '.')}.json"
        if not is_true(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            part = output.with_suffix(".part")
            part.unlink(missing_ok=True)
            in_fork(lambda: watch(test_file, room, part), 900, 3600, keep_pyc=True)  # noqa: B023
            if not part.is_file():
                raise SystemExit(f"{test_file} ended before it told anything: {WORK / 'log.txt'}")
            part.rename(output)
            took = time.monotonic() - began
            where = f"{room}, {number} of {len(tests)}"
            print(f"  measured {test_file} ({where}) in {took:.0f} s", flush=True)
        add(whole, test_file, json.loads(output.read_text("utf-8")))
    whole.modules = list(dict.fromkeys(whole.modules))
    return whole


def is_true(output: Path) -> bool:
    """Whether the test file, and what it runs of the room, are as they were measured."""
    if not output.is_file():
        return False
    files = json.loads(output.read_text("utf-8"))["files"]
    return all((COPY / file).is_file() and digest(file) == then for file, then in files.items())


def add(whole: Reach, home: str, found: dict) -> None:
    """The reach of one test file, `home`, to the room's."""
    quick = {test: spent for test, spent in found["seconds"].items() if spent <= SLOW_S}
    whole.seconds |= quick
    whole.failed += found["failed"]
    whole.modules += found["modules"]
    for file, lines in found["lines"].items():
        of_file = whole.lines.setdefault(file, defaultdict(set))
        for line, contexts in lines.items():
            named = {context for context in contexts if "::" in context}
            shared = not named or bool({"", home} & set(contexts))
            of_file[int(line)] |= set(quick) if shared else named & quick.keys()
