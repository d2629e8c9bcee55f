"""Further labelled files: dev files become the holdout, others are only mentioned."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.base.config import ColumnsConfig
from pipeline.base.errors import DataError
from pipeline.data.parts import ROW_NUMBER
from pipeline.data.reading.reader import column_names
from pipeline.setup.detection.choices import Doubts


def find_holdout(
    frames: Mapping[Path, pd.DataFrame], columns: ColumnsConfig, doubts: Doubts
) -> list[Path]:
    """Those of the dev files that have the id, texts and targets of train."""
    needed = _needed(columns)
    holdout = [path for path, frame in frames.items() if needed <= set(frame.columns)]
    for path, frame in frames.items():
        lacking = ", ".join(sorted(needed - set(frame.columns)))
        reason = "has labels" if path in holdout else f"lacks {lacking}, so it is not used"
        doubts.because("data.holdout", f"{path.name} {reason}.")
    return holdout


def mention_others(
    others: Sequence[Path], columns: ColumnsConfig, encoding: str, doubts: Doubts
) -> None:
    """Say which other files have labels too, and which are of no use."""
    needed = _needed(columns)
    more = [path.name for path in others if needed <= set(_columns(path, encoding))]
    rest = [path.name for path in others if path.name not in more]
    if more and columns.targets:
        doubts.because("data.extra_train", f"Labelled too, but not used: {', '.join(more)}.")
    if rest:
        doubts.because("data.train", f"Other files, not used: {', '.join(rest)}.")


def _needed(columns: ColumnsConfig) -> set[str]:
    return {*columns.texts, *columns.targets, columns.id} - {ROW_NUMBER, ""}


def _columns(path: Path, encoding: str) -> list[str]:
    try:
        return column_names(path, encoding)
    except DataError:  # a file that nobody asked for may be whatever it likes
        return []
