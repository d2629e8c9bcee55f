"""Pages that lead through the code name files and functions that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.compile(r"`(pipeline/[\w/]+\.py)`\s+`([\w.]+)`")


def defined(file: Path) -> set[str]:
    """Functions and classes of a file, and methods as Class.method."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            found |= {f"{node.name}.{each.name}" for each in methods}
    return found


@pytest.mark.parametrize("page", ["one-fold.md"])
def test_every_step_of_a_page_is_a_function_that_exists(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    steps = NAMED.findall(text)
    assert len(steps) > 20
    gone = [(file, name) for file, name in steps if name not in defined(ROOT / file)]
    assert gone == []
