"""The front door of a room: its `__init__` hands on the names that other rooms use most.

    from typing import TYPE_CHECKING
    from pipeline.base.doors import door
    if TYPE_CHECKING:
        from pipeline.oof.members import Members as Members
    __getattr__ = door(__name__, __file__)

`from pipeline.oof import Members` then loads pipeline.oof.members, and nothing else of the room: so
`--help` stays as quick as without a door (PEP 562). The names stand once, where type checkers read
them too. And `load`: from "module:object" in a table to the object.
"""

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def door(room: str, file: str) -> Callable[[str], Any]:
    """The `__getattr__` of the package *room*, whose `__init__` is *file*."""
    places = handed_on(Path(file).read_text(encoding="utf-8"))

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(import_module(places[name]), name)
        setattr(sys.modules[room], name, value)
        return value

    return find


def handed_on(source: str) -> dict[str, str]:
    """Name -> the module it stands in, for each import below `if TYPE_CHECKING:`.

    >>> handed_on("if TYPE_CHECKING:\\n    from a.b import C as C, d as d")
    {'C': 'a.b', 'd': 'a.b'}
    """
    return {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


@cache
def load(place: str) -> Any:
    """The object at *place*, "module:object": names are known before anything is imported.

    >>> load("math:sqrt")(9)
    3.0
    """
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
