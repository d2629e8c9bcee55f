"""Nested settings as one flat table, for telling two of them apart."""

from collections.abc import Mapping
from typing import Any


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """*nested* with one key per value.

    >>> flat({"task": {"type": "binary", "labels": [0, 1]}, "seed": 3})
    {'task.type': 'binary', 'task.labels': [0, 1], 'seed': 3}
    """
    table: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            table |= flat(value, f"{prefix}{key}.")
        else:
            table[f"{prefix}{key}"] = value
    return table


def short(value: Any) -> str:
    """*value* for a line of text: a digest, say, is cut.

    >>> short(0.1), short("0123456789" * 5)
    ('0.1', '012345678901…')
    """
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
