"""docs/reliability.md names a test for every fault, and each of them exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
ROWS = [line.strip("| ").split(" | ") for line in LINES if re.match(r"\| \d+ \|", line)]
NAMED = [
    (row[0], path, name)
    for row in ROWS
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1])
]


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_its_row_in_order():
    assert [int(row[0]) for row in ROWS] == list(range(1, 33))
    assert {len(row) for row in ROWS} == {4}


def test_every_row_names_a_test():
    with_tests = {number for number, _, _ in NAMED}
    assert [row[0] for row in ROWS if row[0] not in with_tests] == []


@pytest.mark.parametrize("path", sorted({path for _, path, _ in NAMED}))
def test_every_test_that_is_named_exists(path):
    wanted = {name for _, other, name in NAMED if other == path}
    assert sorted(wanted - functions_of(path)) == []
