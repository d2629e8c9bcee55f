"""What comes from other people's hands, checked before it is opened.

Predictions travel through git. An archive may unpack to more than the memory holds, or hide Python
objects that run code when they are read; a folder may be a link that leads somewhere else.
"""

import math
import zipfile
from pathlib import Path

from numpy.lib import format as npy

from pipeline.base.errors import ArtifactError

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
