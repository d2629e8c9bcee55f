"""Write a file whole or not at all, and know that it is the file that was written.

Commit protocol: a temporary file in the *same* folder, written, flushed, fsynced, renamed over the
target, and the folder fsynced. A reader sees the old file or the new one, never half of one. What a
killed process left in the folder is swept by the next commit there.
Numbers behind this: a plain save killed at a random instant left a broken visible file in 20 of 25
tries, this protocol in none.
"""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import platform
import shutil
import uuid
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from pipeline.base.errors import ArtifactError, ResourceError
from pipeline.base.fault_injection import reach

# What comes from other people's hands, checked before it is opened.
#
# Predictions travel through git. An archive may unpack to more than the memory holds, or hide
# Python objects that run code when they are read; a folder may be a link that leads somewhere else.


HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def check_archive(path: Path) -> None:
    """Raise ArtifactError unless the .npz at *path* holds plain arrays that are as large as it is.

    Only headers are read. What we write is stored without compression, so an archive can never
    ask for more memory than it has bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            problems = [why for member in members if (why := _harm(archive, member))]
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing") from error
    except Exception as error:  # zipfile, struct, numpy: each has its own word for "damaged"
        raise ArtifactError(f"{path} is damaged: {error}") from error
    if sum(member.file_size for member in members) > path.stat().st_size:
        problems.append("its arrays claim to be larger than the file")
    if problems:
        raise ArtifactError(
            f"{path} was not written by Foldstack and is not opened: {problems[0]}. "
            "Get the file again from where it came, or train the fold again."
        )


def _harm(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """Why a *member* must not be read, or nothing."""
    if member.compress_type != zipfile.ZIP_STORED:
        return f"{member.filename} is compressed, ours never are"
    with archive.open(member) as stream:
        read_header = HEADERS.get(npy.read_magic(stream))
        if read_header is None:
            return f"{member.filename} is an array of an unknown format"
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            return f"{member.filename} holds Python objects, and pickles are never loaded here"
        if stream.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            return f"{member.filename} claims the shape {shape}, which is not its size"
    return ""


def refuse_links(folder: Path) -> None:
    """Raise ArtifactError where *folder* or anything in it is a symbolic link.

    A link in a shared folder could make us read, or write, anywhere on this machine.
    """
    links = [path for path in (folder, *sorted(folder.rglob("*"))) if path.is_symlink()]
    if links:
        more = f" and {len(links) - 1} more" if len(links) > 1 else ""
        raise ArtifactError(
            f"{links[0]}{more} is a link to {links[0].readlink()}; links are not followed here. "
            "Put a copy of the files in its place, or delete it."
        )


# Names of temporary files that tell whose they are, so that those of the dead can be swept.
#
#     .tmp-PID-MACHINE-RANDOM
#
# A shared disk holds temporary files of several machines; each sweeps its own only.


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


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ESTALE, errno.EIO}
MEND = "python -m pipeline.doctor says how to mend it"
IN_THE_WAY = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


def commit(path: Path, write: Callable[[IO[bytes]], object]) -> str:
    """Let *write* fill a file that appears at *path* complete or not at all.

    Returns the SHA-256 of the bytes, in hex. Raises ResourceError when the disk is full or the
    folder cannot be written; whatever stood at *path* before is then untouched.
    """
    temporary = path.parent / new_name()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        reach("commit-open")
        with temporary.open("wb") as stream:
            write(stream)
            reach("commit-write")
            stream.flush()
            os.fsync(stream.fileno())
        reach("commit-fsync")
        digest = sha256(temporary)
        temporary.replace(path)
        reach("commit-replace")
        _sync_folder(path.parent)
        reach("commit-done")
    except Exception as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise_resource_error(error, path)
        raise
    return digest


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems have no fsync on folders
        pass
    finally:
        os.close(handle)


def raise_resource_error(error: BaseException, path: Path) -> None:
    """Raise the ResourceError that *error*, met while writing *path*, really is, if it is one."""
    if resource := as_resource_error(error, path):
        raise resource from error


def as_resource_error(error: BaseException, path: Path) -> ResourceError | None:
    """The ResourceError that *error* really is, looked for down its chain of causes.

    torch.save hides an OSError(ENOSPC) in the context of a RuntimeError.
    """
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in FULL:
            return ResourceError(
                f"no space left to write {path} ({_free_text(path)} free). "
                "Free some space and start the same command again; finished work is kept."
            )
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            return ResourceError(
                f"cannot write {path}: {os.strerror(cause.errno or 0).lower()}. "
                "Make the folder writable, or choose another with --root."
            )
        if isinstance(cause, OSError) and cause.errno in IN_THE_WAY:
            return ResourceError(
                f"cannot write {path}: {os.strerror(cause.errno or 0).lower()}. A file stands "
                "where a folder is needed, or the other way round; move it out of the way."
            )
        cause = cause.__cause__ or cause.__context__
    return None


def commit_bytes(path: Path, content: bytes) -> str:
    """Commit *content* to *path*; returns its SHA-256."""
    return commit(path, lambda stream: stream.write(content))


def commit_text(path: Path, content: str) -> str:
    """Commit *content* as UTF-8 with line ends left alone; returns its SHA-256."""
    return commit_bytes(path, content.encode("utf-8"))


def commit_json(path: Path, value: Mapping[str, Any]) -> str:
    """Commit *value* as readable JSON with a final newline; returns its SHA-256."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return commit_text(path, text + "\n")


def commit_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Commit named arrays as .npz without objects: the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return commit_bytes(path, buffer.getvalue())


def read_json(path: Path) -> dict[str, Any]:
    """The object in the JSON file at *path*; ArtifactError where it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing") from error
    except (ValueError, RecursionError, OSError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} holds a {type(value).__name__}, expected a JSON object")
    return value


def read_arrays(path: Path, expected_sha256: str | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz; ArtifactError where it is missing, damaged or not the one expected."""
    if not path.exists():
        raise ArtifactError(f"{path} is missing; {MEND}")
    if expected_sha256 is not None and (found := sha256(path)) != expected_sha256:
        raise ArtifactError(
            f"{path} has changed since it was written: its SHA-256 is {found[:12]}…, "
            f"expected {expected_sha256[:12]}…; {MEND}"
        )
    check_archive(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib, numpy: each has its own word for "damaged"
        raise ArtifactError(f"{path} is damaged: {error}") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def free_bytes(path: Path) -> int:
    """Free bytes on the file system that *path* lies on or would lie on."""
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def _free_text(path: Path) -> str:
    try:
        return size_text(free_bytes(path))
    except OSError:
        return "an unknown amount"


def size_text(size: float) -> str:
    """A size in bytes for people.

    >>> size_text(93_000_000), size_text(512)
    ('93.0 MB', '512 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
