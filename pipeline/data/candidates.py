"""Texts as predictions: for each row some candidates, with what a member thinks of each.

On disk one line of JSON a row, by id:

    {"id": "a-7", "candidates": [{"text": "A pub by the river.", "logp": -3.25}, …]}

`logp` is the natural logarithm of the probability of the whole candidate; null where a member has
none. Reading is strict, as files travel.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base import ArtifactError
from pipeline.data.join import doubled, named


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a member says of n rows: one or more texts for each, the best first."""

    texts: list[list[str]]
    """(n,) the candidates of each row, at least one."""
    log_probabilities: list[list[float]]
    """Of each candidate; NaN where the member has none."""

    def __post_init__(self) -> None:
        assert len(self.texts) == len(self.log_probabilities), "one list each for every row"
        for texts, logs in zip(self.texts, self.log_probabilities, strict=True):
            assert texts, "every row has a candidate"
            assert len(texts) == len(logs), "a log-probability, or NaN, for every candidate"

    @classmethod
    def single(cls, texts: Sequence[str]) -> "Candidates":
        """One candidate for each row, without a probability."""
        return cls([[text] for text in texts], [[math.nan] for _ in texts])

    def __len__(self) -> int:
        return len(self.texts)

    def __eq__(self, other: object) -> bool:
        """Whether rows, candidates and log-probabilities are the same; NaN equals NaN."""
        if not isinstance(other, Candidates):
            return NotImplemented
        return self.texts == other.texts and all(
            np.array_equal(mine, theirs, equal_nan=True)
            for mine, theirs in zip(self.log_probabilities, other.log_probabilities, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def best(self) -> np.ndarray:
        """(n,) str objects: the first candidate of each row."""
        return np.array([row[0] for row in self.texts] + [None], dtype=object)[:-1]

    def rows(self, which: np.ndarray) -> "Candidates":
        """The rows selected by a boolean mask (n,) or by positions."""
        places = np.arange(len(self))[which].tolist()
        return Candidates(
            [self.texts[row] for row in places], [self.log_probabilities[row] for row in places]
        )

    def lines(self, ids: Sequence[str]) -> str:
        """The content of a file of the rows with these *ids*; the same rows give the same bytes."""
        assert len(ids) == len(self), "an id for every row"
        made = []
        for row, texts, logs in zip(ids, self.texts, self.log_probabilities, strict=True):
            each = [
                {"text": text, "logp": None if math.isnan(log) else float(log)}
                for text, log in zip(texts, logs, strict=True)
            ]
            line = {"id": str(row), "candidates": each}
            made.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        return "".join(made)


def concatenate_rows(parts: Sequence[Candidates]) -> Candidates:
    """The rows of the first of *parts*, then those of the next."""
    return Candidates(
        [row for part in parts for row in part.texts],
        [row for part in parts for row in part.log_probabilities],
    )


def read_lines(content: str, name: str) -> tuple[np.ndarray, Candidates]:
    """The ids (n,) and candidates in the *content* of the file *name*, as `Candidates.lines` made
    it; ArtifactError, with the line, where it is anything else."""
    ids, texts, logs = [], [], []
    lines = content.split("\n")
    if lines.pop():
        raise ArtifactError(f"{name} is cut off: its last line has no end")
    for number, line in enumerate(lines, start=1):
        row, found, weights = _row_of(line, f"{name}, line {number}")
        ids.append(row)
        texts.append(found)
        logs.append(weights)
    if twice := list(doubled(ids)):
        raise ArtifactError(f"{name} names rows twice: {named(twice)}")
    return np.array([*ids, None], dtype=object)[:-1], Candidates(texts, logs)


EXPECTED = '{"id": "…", "candidates": [{"text": "…", "logp": -1.5 or null}, …]}'


def _row_of(line: str, where: str) -> tuple[str, list[str], list[float]]:
    try:
        row = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{where}: {error}. Expected {EXPECTED}") from error
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise ArtifactError(f"{where}: expected {EXPECTED}")
    try:
        return row["id"], *candidates_of(row.get("candidates"))
    except ArtifactError as error:
        raise ArtifactError(f"{where}: {error}") from None


def candidates_of(found: Any) -> tuple[list[str], list[float]]:
    """The texts and log-probabilities in a list as JSON has it; ArtifactError where it is anything
    else, or empty."""
    if not isinstance(found, list) or not found:
        raise ArtifactError(f"expected {EXPECTED}")
    if not all(map(_is_candidate, found)):
        raise ArtifactError(f"a candidate that is not as expected: {EXPECTED}")
    logs = [math.nan if each["logp"] is None else float(each["logp"]) for each in found]
    return [each["text"] for each in found], logs


def _is_candidate(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return False
    log = value.get("logp", "")
    if log is None:
        return True
    return isinstance(log, int | float) and not isinstance(log, bool) and math.isfinite(log)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
