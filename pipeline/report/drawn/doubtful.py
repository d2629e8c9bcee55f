"""Which labels may be wrong: a list for people, the most doubtful first, as a csv.

Every row is judged by the ensemble's honest prediction, which nothing was fitted for that saw the
row's fold (`pipeline.metrics.label_doubt`). No label is changed. The file is for a spreadsheet: a
cell that one would take for a formula begins with an apostrophe.
"""

import csv
import io
import re
from pathlib import Path

import numpy as np

from pipeline.base import UsageError
from pipeline.base.files import commit_text
from pipeline.metrics.label_doubt import LabelDoubts
from pipeline.report.drawn.disk import Disk
from pipeline.report.drawn.row_errors import Errors, errors_of

WHAT = {"numbers": "labels", "documents": "documents", "texts": "rows with their right answers"}
TOO_MANY = 0.2
"""Share of labels that look wrong above which models are doubted, not labels: 0.15 to 10 % are
wrong in ten test sets (Northcutt, Athalye & Mueller, "Pervasive Label Errors", NeurIPS 2021)."""
HEADER = ("id", "looks wrong", "doubt", "label", "answer")


def write_doubtful(disk: Disk, path: Path) -> str:
    """Write the list to *path*; a line that says what is in it.

    Raises UsageError where there is no run, or no library that judges labels of classes.
    """
    if path.exists():
        raise UsageError(f"--doubtful {path} is there already; name another file, or delete it")
    disk.need_files()
    disk.need_runs()
    found = errors_of(disk)
    doubts = found.doubts()
    commit_text(path, as_csv(found, doubts, list(found.names)))
    judged = int(np.isfinite(doubts.score).sum())
    share = doubts.flagged.sum() / max(judged, 1)
    wrong = f"{doubts.flagged.sum():,} ({share:.1%})"
    weak = ""
    if share > TOO_MANY:
        weak = ". So many seldom are: the models are too weak to judge them; read the first ones"
    return (
        f"wrote {path}: {judged:,} {WHAT[disk.shape]}, the most doubtful first; {wrong} look "
        f"wrong. Read them before you change any{weak}"
    )


def as_csv(found: Errors, doubts: LabelDoubts, runs: list[str]) -> str:
    """The file's content: each judged row with its label, the ensemble's and each run's answer."""
    known = np.nan_to_num(doubts.score, nan=-1.0)
    order = [row for row in np.argsort(-known, kind="stable").tolist() if known[row] >= 0]
    sides = [f"text {side + 1}" for side in range(found.rows.texts.shape[1])]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*HEADER, *map(for_spreadsheet, runs), *sides])
    for row in order:
        cells = [
            str(found.rows.ids[row]),
            "yes" if doubts.flagged[row] else "",
            f"{doubts.score[row]:.4f}",
            found.label(row),
            found.said(found.predicted[row]),
            *(found.said(member[row]) for member in found.members),
            *map(str, found.rows.texts[row]),
        ]
        writer.writerow(map(for_spreadsheet, cells))
    return stream.getvalue()


NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def for_spreadsheet(text: str) -> str:
    """*text*, behind an apostrophe where a spreadsheet would take it for a formula (OWASP, "CSV
    Injection").

    >>> for_spreadsheet("=1+1"), for_spreadsheet("-0.5"), for_spreadsheet("plain")
    ("'=1+1", '-0.5', 'plain')
    """
    risky = text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") and not NUMBER.fullmatch(text)
    return f"'{text}" if risky else text
