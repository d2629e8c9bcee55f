"""One mutant before its tests: killed where one of them fails, or does not end."""

import json
from collections.abc import Sequence

import pytest
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

from benchmarks.mutation.fork import CRASHED, TOO_LONG, in_fork
from benchmarks.mutation.plan import WORK, Mutant, digest
from benchmarks.mutation.reach import PYTEST, Reach

BUDGET_S = 30.0
"""Processor seconds of tests that a mutant has to survive."""
KILLER, LOG = WORK / "killer.txt", WORK / "log.txt"
PASSED, NO_TESTS = 0, 5
"""Exit statuses of pytest."""


class Choice:
    """A plugin of pytest: these tests, in this order, and the name of the one that failed."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.place = {test: number for number, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was chosen."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.place),
            key=lambda item: self.place[item.nodeid],
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Who noticed."""
        if report.outcome == "failed":
            KILLER.write_text(report.nodeid, encoding="utf-8")


def chosen(mutant: Mutant, file: str, reach: Reach) -> list[str]:
    """Tests that the mutant meets, as far as the budget goes."""
    spent = 0.0
    found: list[str] = []
    for test in reach.tests(file, mutant.lines):
        spent += reach.seconds[test]
        if found and spent > BUDGET_S:
            break
        found.append(test)
    return found


def is_open(mutant: Mutant, results: dict[str, WorkResult], tests: Sequence[str]) -> bool:
    """Not judged yet; or it survived, and its tests are not those of then."""
    result = results.get(mutant.item)
    if result is None:
        return True
    told = json.loads(result.output or "{}")
    return not result.is_killed and told.get("tests") != fingerprint(tests)


def fingerprint(tests: Sequence[str]) -> str:
    """Of the test files that judge."""
    homes = sorted({test.partition("::")[0] for test in tests})
    return digest(*homes)


def meet(tests: Sequence[str], reach: Reach) -> int:
    """Run tests in a fork, up to the first that fails; the exit status."""
    homes = list(dict.fromkeys(test.partition("::")[0] for test in tests))

    def job() -> int:
        return int(pytest.main([*PYTEST, "-x", "--tb=short", *homes], plugins=[Choice(tests)]))

    KILLER.unlink(missing_ok=True)
    limit = 20 + 5 * sum(reach.seconds[test] for test in tests)
    status = in_fork(job, limit, 20 * limit, keep_pyc=False)
    if status in (NO_TESTS, CRASHED):
        raise SystemExit(f"the tests of {homes} could not be run: {LOG} says why")
    return status


def check(reach: Reach) -> None:
    """Without a change the tests pass in a fork too: the quickest of each test file are run."""
    quickest: dict[str, str] = {}
    for test in sorted(reach.seconds, key=reach.seconds.__getitem__):
        quickest.setdefault(test.partition("::")[0], test)
    if meet(list(quickest.values()), reach) != PASSED:
        raise SystemExit(f"a test fails without any change: {LOG} says which")


def judge(mutant: Mutant, work: WorkDB, reach: Reach, tests: Sequence[str]) -> WorkResult:
    """Change the copy, run the tests in a fork, put the copy back, keep the answer."""
    path = mutant.spec.module_path
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    status = PASSED
    if tests:
        operator = get_operator(mutant.spec.operator_name)()
        with use_mutation(path, operator, mutant.spec.occurrence):
            status = meet(tests, reach)
    told = {
        "tests": fingerprint(tests),
        "count": len(tests),
        "killer": "time" if status == TOO_LONG else KILLER.read_text() if KILLER.is_file() else "",
    }
    result = WorkResult(
        worker_outcome=WorkerOutcome.NORMAL if tests else WorkerOutcome.NO_TEST,
        test_outcome=TestOutcome.SURVIVED if status == PASSED else TestOutcome.KILLED,
        output=json.dumps(told),
        diff=f"- {mutant.before}\n+ {mutant.after}",
    )
    work.set_result(mutant.item, result)
    return result
