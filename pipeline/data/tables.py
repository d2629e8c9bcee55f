"""A competition's files as checked tables: every problem of every file, told at once.

Rules. Ids and classes are text. An id names one row of its table; the same id in two files is the
same row only if its texts are the same too: then a labelled row would be trained on and scored,
which is refused, while files that merely count from 0 again are fine. Empty texts are allowed.
A label outside task.label_range is an error: the range in the config can be widened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.config import Competition
from pipeline.base.errors import DataError, raise_if
from pipeline.data.findings import listing
from pipeline.data.identity import id_problems, meeting_problems, same_rows, sample_problems
from pipeline.data.parts import (
    ROW_NUMBER,
    Report,
    fold_columns,
    frame_of,
    joined,
    labelled_table,
    test_id_column,
    test_table,
)
from pipeline.data.sample import Sample, made_up, sample_of
from pipeline.data.table import Table

__all__ = ["ROW_NUMBER", "Sample", "Tables", "load"]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All rows of a competition."""

    train: Table
    test: Table
    extra: Table | None
    """Rows of data.extra_train, with targets."""
    holdout: Table | None
    """Rows of data.holdout, with targets."""
    sample: Sample
    notes: tuple[str, ...] = ()
    """What was noticed in the files and is no error."""

    @property
    def all(self) -> list[Table]:
        """Those that are there."""
        tables = (self.train, self.test, self.extra, self.holdout)
        return [table for table in tables if table is not None]


def load(competition: Competition, root: Path) -> Tables:
    """Read and check every file of *competition*; relative paths start at *root*.

    Raises DataError listing all problems of all files.
    """
    report = Report()
    sample = _sample(competition, root, report)
    needed = fold_columns(competition)
    train = joined(_labelled([competition.data.train], competition, root, report, needed), report)
    extra = joined(_labelled(competition.data.extra_train, competition, root, report), report)
    holdout = joined(_labelled(competition.data.holdout, competition, root, report), report)
    test, sample = _test(competition, root, sample, report)
    labelled = [table for table in (train, extra, holdout) if table is not None]
    report.problems += meeting_problems(labelled)
    if test is not None and sample is not None:
        report.about(competition.data.sample_submission, sample_problems(test.ids, sample.ids))
    raise_if(report.problems, DataError)
    unread = "a file that cannot be read is a problem"
    assert train is not None, unread
    assert test is not None, unread
    assert sample is not None, unread
    _note_test_rows(labelled, test, report)
    return Tables(
        train=train,
        test=test,
        extra=extra,
        holdout=holdout,
        sample=sample,
        notes=tuple(report.notes),
    )


def _labelled(
    names: Sequence[str],
    competition: Competition,
    root: Path,
    report: Report,
    features: Sequence[str] = (),
) -> list[Table]:
    tables = []
    for name in names:
        frame = frame_of(name, root, competition.data.encoding, report)
        if frame is not None:
            table = labelled_table(name, frame, competition, report, features)
            tables += [] if table is None else [table]
    return tables


def _test(
    competition: Competition, root: Path, sample: Sample | None, report: Report
) -> tuple[Table | None, Sample | None]:
    """The rows to predict, and the sample: made up where the config names none."""
    name = competition.data.test
    frame = frame_of(name, root, competition.data.encoding, report)
    table = None if frame is None else test_table(name, frame, competition, sample, report)
    if frame is not None and table is not None and not competition.data.sample_submission:
        id_column = test_id_column(frame, competition, None)
        sample = made_up(competition, "id" if id_column == ROW_NUMBER else id_column, table.ids)
        header = ",".join([sample.id_column, *sample.columns])
        report.about(name, [], [f"no sample submission: the submission's header will be {header}"])
    return table, sample


def _sample(competition: Competition, root: Path, report: Report) -> Sample | None:
    """The sample submission; None where there is none or it cannot be read."""
    name = competition.data.sample_submission
    if not name:
        return None
    frame = frame_of(name, root, competition.data.encoding, report)
    if frame is None:
        return None
    sample = sample_of(frame, competition.columns.id)
    problems = id_problems(sample.ids)
    if not sample.columns:
        problems.append(f"there is no column beside {sample.id_column!r}; expected the answers")
    report.about(name, problems)
    return sample


def _note_test_rows(labelled: Sequence[Table], test: Table, report: Report) -> None:
    for table in labelled:
        if ids := same_rows(table, test):
            report.notes.append(
                f"{test.source}: rows that stand in {table.source} with their label (same id, "
                f"same texts): {listing(ids)}"
            )
