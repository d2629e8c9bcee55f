"""Submissions made again, with the honest out-of-fold predictions behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.config import SubmissionsConfig
from pipeline.base.errors import PipelineError, UsageError
from pipeline.ensemble.outcome import Outcome
from pipeline.submissions.already_sent import sent_files
from pipeline.submissions.build import Made
from pipeline.submissions.entry import Entry
from pipeline.submissions.origin import read_origin
from pipeline.submissions.rebuild import prove, remake
from pipeline.submissions.submission_file import existing


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A file that was made again."""

    csv: Path
    made: Made

    @property
    def outcome(self) -> Outcome:
        """What it was made from."""
        return self.made.outcome


def choose_files(
    folder: Path, competition: str, entries: Sequence[Entry], everything: bool
) -> tuple[list[Path], list[str]]:
    """The files to compare, and why other sent ones cannot be.

    Raises UsageError where there is none.
    """
    if everything:
        files = [path for _, path in sorted(existing(folder, competition).items())]
        if not files:
            raise UsageError(f"there is no submission of {competition} in {folder}")
        return files, []
    if not entries:
        raise UsageError(
            f"nothing of {competition} is in the ledger. Enter what was sent (python -m "
            "pipeline.ledger add FILE), or compare every written file with --all"
        )
    files, foreign = [], []
    for entry, path in zip(entries, sent_files(folder, entries), strict=True):
        if path is None:
            foreign.append(f"{entry.file}: not in {folder} as it was sent")
        elif not path.with_suffix(".json").is_file():
            foreign.append(f"{entry.file}: has no provenance, so its honest score is not known")
        else:
            files.append(path)
    return files, foreign


def private_rows(config: SubmissionsConfig, candidate: Candidate) -> tuple[int, bool]:
    """Rows of the private part, and whether that is a guess: all test rows."""
    test = candidate.outcome.rows["test"]
    parts = config.rows(test)
    return (test, True) if parts is None or parts[1] == 0 else (parts[1], False)


def candidates(root: Path, files: Sequence[Path]) -> tuple[list[Candidate], list[str]]:
    """The files of one competition made again and proved, and why the others cannot be."""
    found: list[Candidate] = []
    left_out = []
    for csv in files:
        try:
            origin = read_origin(csv)
            made = remake(root, origin)
            prove(root, origin, made)
        except PipelineError as error:
            left_out.append(f"{csv.name}: {error}")
            continue
        found.append(Candidate(csv=csv, made=made))
    return found, left_out
