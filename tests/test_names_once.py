"""A list of names that may be chosen from stands in one place; others import it."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "pipeline"


def lists_of_names(source: str) -> list[tuple[int, frozenset[str]]]:
    """Line and names of every Literal[…], and of every list of `choices=`, of two names or more."""
    found: list[tuple[int, frozenset[str]]] = []
    if "Literal[" not in source and "choices=" not in source:
        return found  # as in most files: nothing to look through
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        if isinstance(node, ast.keyword) and node.arg == "choices":
            parts = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else []
        names = {part.value for part in parts if isinstance(part, ast.Constant)}
        if len(names) == len(parts) >= 2:
            found.append((getattr(node, "lineno", 0), frozenset(map(str, names))))
    return found


def test_no_list_of_names_is_written_down_twice():
    seen = lists_of_names("a: Literal['x', 'y']\nadd('--a', choices=['y', 'x'])")
    assert [names for _, names in seen] == [{"x", "y"}] * 2
    places = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for line, names in lists_of_names(file.read_text(encoding="utf-8")):
            places[names].append(f"{file.relative_to(PACKAGE)}:{line}")
    assert {tuple(sorted(names)): at for names, at in places.items() if len(at) > 1} == {}
