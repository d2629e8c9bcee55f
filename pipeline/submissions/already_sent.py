"""Before a file is written: was it sent before, or one that is as good as the same?"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import DataError
from pipeline.base.files import sha256
from pipeline.submissions.alike import Likeness, likeness
from pipeline.submissions.entry import Entry
from pipeline.submissions.ledger import read_ledger


@dataclass(frozen=True)
class Alike:
    """A sent file that the new one hardly differs from."""

    entry: Entry
    likeness: Likeness

    @property
    def warning(self) -> str:
        """For the page."""
        return (
            f"this file {self.likeness.said} with {self.entry.said}: "
            "sending it will tell next to nothing new"
        )


def sent_before(folder: Path, competition: str, content: bytes) -> Entry | None:
    """The ledger's entry of these very bytes."""
    digest = hashlib.sha256(content).hexdigest()
    entries = read_ledger(folder, competition)
    return next((entry for entry in entries if entry.sha256 == digest), None)


def refuse_sent(folder: Path, competition: str, content: bytes) -> None:
    """Raise DataError where these very bytes were sent."""
    if entry := sent_before(folder, competition, content):
        raise DataError(
            f"nothing was written: these are the bytes of {entry.said}. Sending them again would "
            "cost a submission and give the same score. To see the page only: --dry-run"
        )


def alike(folder: Path, competition: str, content: bytes) -> list[Alike]:
    """The sent files that *content* hardly differs from, the most alike first.

    Files that are no longer there, or have changed, cannot be compared and are passed over.
    """
    digest = hashlib.sha256(content).hexdigest()
    entries = [entry for entry in read_ledger(folder, competition) if entry.sha256 != digest]
    found = []
    for entry, path in zip(entries, sent_files(folder, entries), strict=True):
        same = None if path is None else likeness(content, path.read_bytes())
        if same is not None and same.same:
            found.append(Alike(entry, same))
    return sorted(found, key=lambda each: -each.likeness.figure)


def sent_files(folder: Path, entries: Sequence[Entry]) -> list[Path | None]:
    """Where the bytes of each entry lie in *folder*; None where they do not."""
    paths = [folder / Path(entry.file).name for entry in entries]
    return [
        path if path.is_file() and sha256(path) == entry.sha256 else None
        for path, entry in zip(paths, entries, strict=True)
    ]
