"""The ledger: what was sent, one entry a line, sorted, so that two branches merge.

    submissions/COMP-ledger.jsonl

Every change reads the file, changes it and commits it whole while it holds a lease, so of two
commands at once neither loses its entry.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.base.errors import ArtifactError, raise_if
from pipeline.base.files import commit_text
from pipeline.base.leases import lease
from pipeline.base.paths import safe_name
from pipeline.submissions.entry import Entry, entry_of, joined

MARKERS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
PATIENCE = 10.0
"""Seconds to wait for another command: a change takes a moment."""
Change = Callable[[list[Entry]], list[Entry]]


def ledger_path(folder: Path, competition: str) -> Path:
    """The ledger of *competition* in the *folder* of submissions."""
    return folder / f"{safe_name(competition)}-ledger.jsonl"


def read_ledger(folder: Path, competition: str) -> list[Entry]:
    """The entries by day and name; [] where nothing was sent.

    Raises ArtifactError naming every line that is no entry or contradicts another.
    """
    path = ledger_path(folder, competition)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if any(line.startswith(MARKERS) for _, line in lines):
        raise ArtifactError(
            f"{path} holds the marks of a merge that was not finished. Keep the lines of both "
            "sides, in any order, and delete the lines that begin with <<<<<<<, ======= and >>>>>>>"
        )
    found: dict[str, Entry] = {}
    problems = []
    for number, line in lines:
        entry = entry_of(line)
        if isinstance(entry, str):
            problems.append(f"line {number} {entry}")
            continue
        both = joined(found.get(entry.sha256, entry), entry)
        if both is None:
            problems.append(
                f"line {number} contradicts another line of the same submission "
                f"({entry.said}; {found[entry.sha256].said})"
            )
        else:
            found[entry.sha256] = both
    advice = f"{path} is damaged; mend or delete the lines, or restore it (git)"
    raise_if(problems, ArtifactError, advice)
    return _sorted(list(found.values()))


def change_ledger(folder: Path, competition: str, change: Change) -> None:
    """Let *change* make new entries of the old ones; BusyError while another command does."""
    claim = folder / f".{safe_name(competition)}-ledger.lease"
    with lease(claim, f"the ledger of {competition}", PATIENCE) as held:
        entries = change(read_ledger(folder, competition))
        text = "".join(f"{entry.line}\n" for entry in _sorted(entries))
        held.check()
        commit_text(ledger_path(folder, competition), text)


def _sorted(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.day, entry.file, entry.sha256))
