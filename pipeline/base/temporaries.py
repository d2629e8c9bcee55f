"""Names of temporary files that tell whose they are, so that those of the dead can be swept.

    .tmp-PID-MACHINE-RANDOM

A shared disk holds temporary files of several machines; each sweeps its own only.
"""

import contextlib
import hashlib
import os
import platform
import uuid
from functools import cache
from pathlib import Path
from typing import NamedTuple

PREFIX = ".tmp-"


class Owner(NamedTuple):
    """Who writes, or wrote, a temporary file."""

    process: int
    """0 where the name does not tell."""
    here: bool
    """Whether that is a process of this machine."""

    @property
    def living(self) -> bool:
        """Whether it is a process that runs on this machine."""
        return self.here and alive(self.process)


def new_name() -> str:
    """A name that nobody has used."""
    return f"{PREFIX}{os.getpid()}-{_machine()}-{uuid.uuid4().hex[:8]}"


def owner_of(path: Path) -> Owner | None:
    """The owner of a temporary file; None for any other file.

    >>> owner_of(Path(".tmp-77-0badc0de-1")), owner_of(Path("fold-0.npz"))
    (Owner(process=77, here=False), None)
    """
    if not path.name.startswith(PREFIX):
        return None
    process, _, rest = path.name.removeprefix(PREFIX).partition("-")
    known = process.isascii() and process.isdigit()
    return Owner(int(process) if known else 0, here=rest.partition("-")[0] == _machine())


def sweep(folder: Path) -> None:
    """Delete the temporary files in *folder* of processes of this machine that are dead."""
    for path in folder.glob(f"{PREFIX}*"):
        owner = owner_of(path)
        if owner is not None and owner.here and not owner.living:
            with contextlib.suppress(OSError):
                path.unlink()


def alive(process: int) -> bool:
    """Whether a process of this number runs on this machine."""
    if process <= 0:
        return False
    try:
        os.kill(process, 0)  # sends nothing, only asks
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it runs, but is somebody else's
        return True
    return True


@cache
def _machine() -> str:
    """Eight hex digits for this machine and, in a container, the container's processes."""
    space = Path("/proc/self/ns/pid")
    names = [platform.node(), str(space.readlink()) if space.exists() else ""]
    return hashlib.sha256(":".join(names).encode()).hexdigest()[:8]
