"""Who trains a fold right now: the marker of a lease, read without taking the lease."""

import time
from dataclasses import dataclass
from pathlib import Path

from filelock import SoftFileLease

from pipeline.base.leases import this_machine
from pipeline.base.temporaries import alive
from pipeline.doctor.finding import LOOK_AGAIN, Finding, note


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What the marker of a lease says about its holder."""

    process: int
    host: str
    here: bool
    """Whether that is this machine."""
    silent: float
    """Seconds since its last sign of life, by this machine's clock."""
    limit: float
    """Seconds of silence after which the next run takes the lease over."""

    @property
    def living(self) -> bool:
        """Whether the holder may still be writing."""
        return self.silent <= self.limit and (alive(self.process) if self.here else True)


def holder(path: Path) -> Holder | None:
    """The holder of the lease at *path*; None where the marker names none."""
    lease = SoftFileLease(path, thread_local=False)  # never acquired: only read
    owner = lease.owner
    if owner is None:
        return None
    return Holder(
        process=owner.pid,
        host=owner.hostname,
        here=owner.hostname == this_machine(),
        silent=max(0.0, time.time() - path.stat().st_mtime),
        limit=owner.lease_duration or lease.lease_duration,
    )


def lease_note(path: Path, what: str, finished: bool) -> tuple[bool, list[Finding]]:
    """Whether a living process trains *what*, and a note about the lease at *path*, if it is there.

    Of a *finished* fold nobody will take the lease over.
    """
    if not path.is_file():
        return False, []
    found = holder(path)
    if found is None:
        advice = f"Nothing if it has just appeared; else delete it, {LOOK_AGAIN}."
        return False, [note(path, "is a lease that names no holder", advice)]
    where = "this machine" if found.here else "another machine"
    who = f"process {found.process} on {found.host.partition('?')[0]} ({where})"
    silence = f"last sign of life {found.silent:.0f} s ago"
    if found.living:
        what_is = f"says that {what} is being trained by {who}, {silence}"
        return True, [note(path, what_is, f"Nothing; wait for it, {LOOK_AGAIN}.")]
    dead = found.here and not alive(found.process)
    why = "which is dead" if dead else f"{silence}, over the limit of {found.limit:.0f} s"
    what_was = f"is the lease of {who}, {why}"
    gone = f"Delete it: {what} is finished." if finished else "Nothing: the next run takes it over."
    return False, [note(path, what_was, gone)]
