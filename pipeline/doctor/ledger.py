"""The ledger of what was sent, against the files it speaks of."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.base.files import sha256
from pipeline.doctor.finding import LOOK_AGAIN, Finding, attempt, problem
from pipeline.doctor.whole import not_as_written
from pipeline.submissions.entry import Entry
from pipeline.submissions.ledger import ledger_path, read_ledger

SUFFIX = "-ledger.jsonl"


def ledger_of(path: Path) -> str:
    """The competition whose ledger *path* is by its name; empty where it is none.

    >>> ledger_of(Path("toy-ledger.jsonl")), ledger_of(Path("toy-001-mean.csv"))
    ('toy', '')
    """
    return path.name.removesuffix(SUFFIX) if path.name.endswith(SUFFIX) else ""


def check_ledger(folder: Path, competition: str, quick: bool) -> Iterator[Finding]:
    """Look at the ledger in *folder*, which may be missing, and at the files it names."""
    path = ledger_path(folder, competition)
    advice = f"Mend the lines by hand or restore it (git, or a teammate's copy), {LOOK_AGAIN}."
    entries, failed = attempt(path, partial(read_ledger, folder, competition), advice)
    yield from failed
    for entry in [] if quick else entries or []:
        csv = folder / Path(entry.file).name
        if csv.is_file() and not_as_written(csv, entry.sha256, quick):
            yield problem(
                csv,
                f"is not the file that was sent under this name on {entry.day}",
                f"Restore the file (git, or a teammate's copy); or mend the name in {path.name}.",
            )


def was_sent(csv: Path, quick: bool) -> bool:
    """Whether a ledger beside *csv* holds it; *quick* goes by its name."""
    entries: list[Entry] = []
    for path in sorted(csv.parent.glob(f"*{SUFFIX}")):
        found, _ = attempt(path, partial(read_ledger, csv.parent, ledger_of(path)))
        entries += found or []
    if quick:
        return csv.name in {entry.file for entry in entries}
    return bool(entries) and sha256(csv) in {entry.sha256 for entry in entries}
