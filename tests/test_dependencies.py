"""Whoever installs the package downloads nothing that it does not use, and all that it does."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
USED_BY_OTHERS = {
    "sentencepiece": "transformers reads the vocabularies of xlm-roberta and mdeberta with it",
    "protobuf": "transformers reads the file format of these vocabularies with it",
}
"""Core dependencies that a library imports for us, only where it is there."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    return {plain(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in requirements}


def imported() -> set[str]:
    """Distributions, other than our own, that a module of the package imports anywhere."""
    owners = packages_distributions()
    found = set()
    for file in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
            found |= {name.partition(".")[0] for name in names}
    found -= {*sys.stdlib_module_names, "pipeline", ""}
    return {plain(owner) for name in found for owner in owners.get(name, [name])}


def test_what_is_declared_is_imported_and_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = declared(project["dependencies"])
    extras = set().union(*map(declared, project["optional-dependencies"].values()))
    used = imported()
    assert core - used - USED_BY_OTHERS.keys() == set()
    assert used - core - extras == set()
    assert USED_BY_OTHERS.keys() <= core, "what no longer is a dependency needs no reason"
