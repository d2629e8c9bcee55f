"""Files in files. A packed file is the one table inside it: train.csv.zip, ratings.tsv.gz; a folder
of text files, or an archive of them, is a table with a row for each.

Organisers ship files like this, so they are read where they lie. What an archive says about its
own size is not believed: no more is unpacked than `MOST_BYTES`.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pandas as pd

from pipeline.base import DataError
from pipeline.base.files import size_text
from pipeline.data.reading.encoding import IN_CONFIG, decode
from pipeline.data.table import Findings

MOST_BYTES = 8_000_000_000
"""Of one unpacked table."""
STREAMS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda stream: gzip.GzipFile(fileobj=stream),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
"""Ending of a file that holds one packed file -> how it is opened."""
TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
ENDINGS = (".zip", ".tar", ".tgz", *STREAMS)
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


def is_packed(path: Path) -> bool:
    """Whether the ending of *path* is one that `unpacked` can open."""
    return path.suffix.lower() in ENDINGS


def is_archive(path: Path) -> bool:
    """Whether the ending of *path* is that of an archive, which may hold several files."""
    return path.name.lower().endswith((*TARS, ".zip"))


def members(path: Path, name: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Path and reader of each file in the archive *path*; DataError as `unpacked`."""
    with _damage_told(name), path.open("rb") as stream:
        for each, open_ in _members(stream, path.name.lower()):
            yield each, lambda open_=open_: _bounded(open_(), name)  # type: ignore[misc]


def inner_name(path: Path, name: str) -> str:
    """What the table inside is called; DataError as `unpacked`."""
    lower = path.name.lower()
    if not is_archive(path):
        return path.name[: -len(path.suffix)]
    with _damage_told(name), path.open("rb") as stream:
        return _only([each for each, _ in _members(stream, lower)], name)


def unpacked(path: Path, name: str) -> bytes:
    """The bytes of the one table in the packed file *path*, which messages call *name*.

    Raises DataError where it is damaged, holds no table or several, or more than `MOST_BYTES`.
    """
    lower, wanted = path.name.lower(), inner_name(path, name)
    with _damage_told(name), path.open("rb") as stream:
        if not is_archive(path):
            return _bounded(STREAMS[path.suffix.lower()](stream), name)
        for each, open_ in _members(stream, lower):
            if each == wanted:
                return _bounded(open_(), name)
    raise AssertionError("its name was found before")


def _members(stream: IO[bytes], lower: str) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """Path and opener of each file in an archive, without what macOS leaves beside them."""
    if lower.endswith(".zip"):
        archive = zipfile.ZipFile(stream)
        for entry in archive.infolist():
            if not entry.is_dir() and not _left_over(entry.filename):
                yield entry.filename, lambda entry=entry: archive.open(entry)  # type: ignore[misc]
        return
    tar = tarfile.open(fileobj=stream)  # noqa: SIM115 (its members are read by the caller)
    for member in tar:
        if member.isfile() and not _left_over(member.name):
            yield member.name, lambda member=member: tar.extractfile(member) or io.BytesIO()  # type: ignore[misc]


def _left_over(entry: str) -> bool:
    parts = PurePosixPath(entry).parts
    return "__MACOSX" in parts or (parts != () and parts[-1].startswith("."))


def _only(names: list[str], name: str) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise DataError(f"{name} is an archive without a file in it; download it again")
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    raise DataError(
        f"{name} holds {len(names)} files ({shown}); expected one table. Unpack it, and give the "
        "folder with its files"
    )


def _bounded(stream: IO[bytes], name: str) -> bytes:
    with stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(
            f"{name} unpacks to more than {size_text(MOST_BYTES)}; unpack it yourself if that is "
            "right"
        )
    return content


class _damage_told:
    """What goes wrong while unpacking, as a DataError that says which file it was."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NotImplementedError | RuntimeError):  # other methods, a password
            raise DataError(f"{self.name} cannot be unpacked: {error}. Unpack it first") from error
        if isinstance(error, DAMAGE) and not isinstance(error, PermissionError):
            raise DataError(
                f"{self.name} cannot be unpacked, it is damaged or not what its ending says: "
                f"{error}. Download it again"
            ) from error


# A folder of text files, or an archive of them, as one table: essays named by their ids.
#
# train/E0001.txt       ->   id E0001, text: what stands in it
# train/pos/0_9.txt     ->   id pos/0_9, text, and folder pos: a class has a folder


FILE_NAME = "name of the file"
"""The column with the names of the files, without .txt, until somebody gives it another name."""
TEXT = "text"
FOLDER = "folder"
"""The column with the names of folders, where each class has its own."""
ENDING = ".txt"


def holds_texts(path: Path) -> bool:
    """Whether *path* is a folder with a text file, or with folders of them, or an archive of
    several."""
    if path.is_dir():
        return any(_is_text(each.name) for each in path.iterdir()) or bool(_folders_in(path))
    if not path.is_file() or not is_archive(path):
        return False
    try:
        return sum(_is_text(name) for name, _ in members(path, path.name)) > 1
    except DataError:
        return False


def _folders_in(path: Path) -> list[Path]:
    """The folders with text files in the folder *path*, where there are two or more and no text
    file beside them: classes."""
    beside = [each for each in path.iterdir() if not each.name.startswith(".")]
    inside = [each for each in beside if each.is_dir()]
    if any(_is_text(each.name) for each in beside):
        return []
    found = [each for each in inside if any(_is_text(file.name) for file in each.iterdir())]
    return sorted(found) if len(found) > 1 else []


def columns_of_texts(path: Path) -> list[str]:
    """The names of the columns of the table that *path* holds as text files."""
    return [FILE_NAME, TEXT, *([FOLDER] if path.is_dir() and _folders_in(path) else [])]


def texts_in(path: Path) -> list[bytes]:
    """What stands in each text file of *path*."""
    return list(_contents(path, path.name).values())


def of_lines(folder: Path) -> bool:
    """Whether the few text files of *folder* hold many lines, as many as another of them: columns,
    not rows."""
    counts = [content.count(b"\n") for content in texts_in(folder)]
    return len(counts) <= 50 and min(counts) >= 10 and all(counts.count(n) > 1 for n in counts)


def names_in(path: Path) -> list[str]:
    """The names of the files in *path*, without their ending, sorted."""
    return sorted(PurePosixPath(each).stem for each in _contents(path, path.name, read=False))


def read_texts(
    path: Path, encoding: str, name: str, option: str = IN_CONFIG
) -> tuple[pd.DataFrame, list[str]]:
    """A row for each text file in *path*, in the order of names, and notes.

    DataError where one is in another encoding, or a name stands twice.
    """
    contents = _contents(path, name)
    classes = len(columns_of_texts(path)) > 2
    stems = [each[: -len(ENDING)] if classes else PurePosixPath(each).stem for each in contents]
    if twice := [stem for stem, count in Counter(stems).items() if count > 1]:
        raise DataError(
            f"{name} holds several files called {twice[0]}{ENDING}: unpack it, and name the folder "
            "that is meant"
        )
    notes, texts = Findings(), []
    for each, content in contents.items():
        text, told = decode(content, encoding, f"{name}: {each}", option)
        texts.append(text)
        for note in told:
            notes.add(note, each)
    frame = pd.DataFrame({FILE_NAME: stems, TEXT: texts}, dtype=object)
    if classes:
        frame[FOLDER] = [stem.rpartition("/")[0] for stem in stems]
    frame = frame.sort_values(FILE_NAME, kind="stable", ignore_index=True)
    return frame, [f"{len(frame):,} text files read as one table", *notes.sentences()]


def _contents(path: Path, name: str, read: bool = True) -> dict[str, bytes]:
    """Name of each text file -> its bytes (none unless *read*)."""
    if path.is_dir():
        files = [each for each in path.iterdir() if _is_text(each.name)]
        if not files:
            files = [each for one in _folders_in(path) for each in one.iterdir()]
        named = {each.relative_to(path).as_posix(): each for each in files if _is_text(each.name)}
        return {name: each.read_bytes() if read else b"" for name, each in named.items()}
    return {each: open_() if read else b"" for each, open_ in members(path, name) if _is_text(each)}


def _is_text(name: str) -> bool:
    return name.lower().endswith(ENDING) and not PurePosixPath(name).name.startswith(".")
