"""The fold file: `id,fold,group`, with more repeats `id,fold,fold_2,…,group`.

Readable, diffable, joined by id. Fold files of your own need only `id,fold`.

The group stands beside id and fold: a bootstrap over groups, weeks later on a laptop, needs the
very groups the folds were made from, not a second search.
"""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.data.reading.encoding import guess

DIGITS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class FoldFile:
    """The rows of a fold file, in its order."""

    ids: np.ndarray
    """(n,) str objects."""
    fold_of_row: np.ndarray
    """(R, n) int."""
    group_of_row: np.ndarray | None
    """(n,) int; None where the file has no group column."""


def as_text(rows: FoldFile) -> str:
    """The file's content; equal rows give equal bytes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    assert rows.group_of_row is not None
    writer.writerow(["id", *fold_columns(len(rows.fold_of_row)), "group"])
    writer.writerows(
        zip(
            rows.ids.tolist(),
            *rows.fold_of_row.tolist(),
            rows.group_of_row.tolist(),
            strict=True,
        )
    )
    return stream.getvalue()


def fold_columns(repeats: int) -> list[str]:
    """Names of the fold columns.

    >>> fold_columns(3)
    ['fold', 'fold_2', 'fold_3']
    """
    return ["fold", *(f"fold_{number}" for number in range(2, repeats + 1))]


def read_fold_file(path: Path, repeats: int, error: type[PipelineError]) -> FoldFile:
    """Read a fold file with *repeats* fold columns; *error* where it is not one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *lines = list(csv.reader(stream, strict=True)) or [[]]
    except FileNotFoundError as cause:
        raise error(f"the fold file {path} is missing") from cause
    except UnicodeDecodeError as cause:
        looks = guess(path.read_bytes())
        raise error(
            f"the fold file {path} is not UTF-8{f', it looks like {looks}' if looks else ''}. "
            "Save it as UTF-8."
        ) from cause
    except (OSError, csv.Error) as cause:
        raise error(f"the fold file {path} cannot be read: {cause}") from cause
    wanted = ["id", *fold_columns(repeats)]
    if absent := [name for name in wanted if name not in header]:
        raise error(
            f"the fold file {path} has no column {absent[0]!r}; "
            f"its header is {','.join(header)}, expected {','.join(wanted)}"
        )
    lines = [line for line in lines if line]
    if short := [number for number, line in enumerate(lines, 2) if len(line) != len(header)]:
        raise error(
            f"the fold file {path} has {len(header)} columns, but row {short[0]} "
            f"has {len(lines[short[0] - 2])} fields"
        )
    columns = dict(zip(header, zip(*lines, strict=True), strict=True)) if lines else {}
    group = _numbers(columns["group"], "group", path, error) if "group" in columns else None
    folds = [_numbers(columns.get(name, ()), name, path, error) for name in wanted[1:]]
    return FoldFile(
        ids=np.array(columns.get("id", ()), dtype=object),
        fold_of_row=np.stack(folds),
        group_of_row=group,
    )


def _numbers(
    values: tuple[str, ...], name: str, path: Path, error: type[PipelineError]
) -> np.ndarray:
    wrong = [row for row, value in enumerate(values) if not DIGITS.fullmatch(value)]
    if wrong:
        raise error(
            f"the fold file {path} has {values[wrong[0]]!r} as {name} in row {wrong[0] + 2}; "
            "expected a whole number from 0"
        )
    return np.array(values, dtype=np.int64)
