"""Token-tagging competitions, recognised in order to be refused in plain words."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipeline.base.errors import DataError

LOOKED_AT = 200
IOB = re.compile(r"(O|[BIESLU]-\S+)( (O|[BIESLU]-\S+))+")


def refuse_tags(train: pd.DataFrame, only_train: Sequence[str], name: str) -> None:
    """Raise DataError where a column holds a tag per token, or where all hold lists."""
    listed = []
    for column in only_train:
        values = train[column].iloc[:LOOKED_AT]
        lists = [_list(value) for value in values]
        if all(value is not None for value in lists):
            if partner := _partner(train, column, lists):
                raise DataError(_tagging(name, column, partner))
            listed.append(column)
        if all(IOB.fullmatch(value.strip()) or value.strip() == "O" for value in values):
            raise DataError(_tagging(name, column, "the words"))
    if listed and listed == list(only_train):
        raise DataError(_listing(name, listed[0]))


def _list(value: str) -> list[Any] | None:
    if not value.startswith("["):
        return None
    try:
        found = json.loads(value)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, list) else None


def _partner(train: pd.DataFrame, column: str, lists: list[list[Any] | None]) -> str:
    """The column whose lists are as long, row by row."""
    lengths = [len(value or []) for value in lists]
    for other in train.columns:
        if other != column:
            found = [_list(value) for value in train[other].iloc[:LOOKED_AT]]
            if [None if value is None else len(value) for value in found] == lengths:
                return repr(str(other))
    return ""


def _tagging(name: str, column: str, partner: str) -> str:
    return (
        f"{name}: column {column!r} holds one tag for each of {partner} of a row: this is a "
        "token-tagging competition. Foldstack predicts one answer per row (a number, a class, "
        "several labels) and cannot do token tags yet."
    )


def _listing(name: str, column: str) -> str:
    return (
        f"{name}: column {column!r} holds a list in each row. Expected one label per row or, "
        "where several can be right, one column of 0 and 1 per label."
    )
