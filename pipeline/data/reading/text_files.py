"""A folder of text files, or an archive of them, as one table: essays named by their ids.

train/E0001.txt   ->   id E0001, text: what stands in it
"""

from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.base import DataError
from pipeline.data.reading.encoding import IN_CONFIG, decode
from pipeline.data.reading.packed import is_archive, members
from pipeline.data.table import Findings

FILE_NAME = "name of the file"
"""The column with the names of the files, without .txt, until somebody gives it another name."""
TEXT = "text"
ENDING = ".txt"


def holds_texts(path: Path) -> bool:
    """Whether *path* is a folder with a text file, or an archive of several."""
    if path.is_dir():
        return any(_is_text(each.name) for each in path.iterdir())
    if not path.is_file() or not is_archive(path):
        return False
    try:
        return sum(_is_text(name) for name, _ in members(path, path.name)) > 1
    except DataError:
        return False


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
    stems = [PurePosixPath(each).stem for each in contents]
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
    frame = frame.sort_values(FILE_NAME, kind="stable", ignore_index=True)
    return frame, [f"{len(frame):,} text files read as one table", *notes.sentences()]


def _contents(path: Path, name: str, read: bool = True) -> dict[str, bytes]:
    """Name of each text file -> its bytes (none unless *read*)."""
    if path.is_dir():
        files = [each for each in path.iterdir() if _is_text(each.name)]
        return {each.name: each.read_bytes() if read else b"" for each in files}
    return {each: open_() if read else b"" for each, open_ in members(path, name) if _is_text(each)}


def _is_text(name: str) -> bool:
    return name.lower().endswith(ENDING) and not PurePosixPath(name).name.startswith(".")
