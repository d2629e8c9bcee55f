"""Fitted objects as plain values and back: JSON, and arrays by name; no pickle.

A dataclass of this package becomes its module, its name and its fields; nothing else is ever made
from a file, and nothing is called but the dataclass.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from pipeline import __name__ as PACKAGE
from pipeline.base import ArtifactError


def to_plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """*value* for JSON; arrays of numbers are put into *arrays* and stand in it by name."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        held = {each.name: to_plain(getattr(value, each.name), arrays) for each in fields(value)}
        return {"object": f"{kind.__module__}:{kind.__qualname__}", "fields": held}
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return {"texts": value.tolist()}
        name = f"array-{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if isinstance(value, pd.DataFrame):
        return {"frame": [list(map(str, value.columns)), value.to_numpy(dtype=object).tolist()]}
    if isinstance(value, Mapping):
        return {"items": [[key, to_plain(inner, arrays)] for key, inner in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [to_plain(inner, arrays) for inner in value]}
    if isinstance(value, list):
        return [to_plain(inner, arrays) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be written")


def from_plain(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `to_plain` was given; ArtifactError where it is nothing of this package."""
    if isinstance(value, list):
        return [from_plain(inner, arrays) for inner in value]
    if not isinstance(value, dict):
        return value
    if "object" in value:
        held = {name: from_plain(inner, arrays) for name, inner in value["fields"].items()}
        return _kind(value["object"])(**held)
    if "texts" in value:
        return _texts(value["texts"])
    if "array" in value:
        return arrays[value["array"]]
    if "frame" in value:
        names, rows = value["frame"]
        return pd.DataFrame(rows, columns=names, dtype=object)
    if "items" in value:
        return {key: from_plain(inner, arrays) for key, inner in value["items"]}
    return tuple(from_plain(inner, arrays) for inner in value["tuple"])


def _texts(values: list[Any]) -> np.ndarray:
    """(n,) or (n, c) str objects, however long the texts are."""
    wide = bool(values) and isinstance(values[0], list)
    shape = (len(values), len(values[0])) if wide else (len(values),)
    flat = [each for row in values for each in row] if wide else values
    found = np.empty(len(flat), dtype=object)
    found[:] = flat
    return found.reshape(shape)


def _kind(name: str) -> Any:
    """The dataclass that *name* (module:class) means."""
    module, _, wanted = name.partition(":")
    if not module.startswith(f"{PACKAGE}."):
        raise ArtifactError(f"a bundle asks for {name}, which is nothing of this package")
    try:
        kind = getattr(import_module(module), wanted)
    except (ImportError, AttributeError) as error:
        raise ArtifactError(
            f"a bundle asks for {name}, which this version of the package does not have. Use the "
            "wheel in the bundle's folder wheels"
        ) from error
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ArtifactError(f"a bundle asks for {name}, which is no dataclass")
    return kind
