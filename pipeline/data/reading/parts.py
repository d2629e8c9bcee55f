"""Several files that are one table: train-00000-of-00002.parquet and its like; train_1.csv, …

Such a table is named by a path with a star where the number of each part stands:
`data/train-*-of-00002.parquet`. Its rows are those of the parts, in the order of their numbers.
A star alone stands for any name: `data/train/*.csv` is every csv file of that folder, by name.

And several tables that are one file: `data/all.xlsx#train` is a sheet of a workbook.

And files that have a line for each row: `train_{text,labels}.txt` is a table of two columns, read
from train_text.txt and train_labels.txt.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.base import DataError

STAR = "*"
SHEET = re.compile(r"(?P<book>.+\.xlsx)#(?P<sheet>.+)", re.IGNORECASE)
SIDES = re.compile(r"(?P<before>.*)\{(?P<names>[^{}]+)\}(?P<after>.*)")
OF = re.compile(r"[-_]of[-_]0*(\d+)")
"""After the number of a part: how many there are."""


def sheet_of(path: Path) -> tuple[Path, str]:
    """The workbook that *path* names a sheet of, and the sheet; itself and an empty text where it
    names none.

    >>> sheet_of(Path("data/all.xlsx#train")), sheet_of(Path("data/all.xlsx"))
    ((PosixPath('data/all.xlsx'), 'train'), (PosixPath('data/all.xlsx'), ''))
    """
    named = SHEET.fullmatch(path.name)
    if named is None or path.exists():
        return path, ""
    return path.with_name(named["book"]), named["sheet"]


def is_pattern(path: Path) -> bool:
    """Whether *path* names the parts of a table, not one file."""
    return STAR in path.name and not path.exists()


def sides_of(path: Path) -> dict[str, Path]:
    """Column -> the file that has a line for each row, where *path* names several side by side.

    >>> sides_of(Path("data/train_{text,labels}.txt"))["labels"]
    PosixPath('data/train_labels.txt')
    """
    found = SIDES.fullmatch(path.name)
    if found is None or path.exists():
        return {}
    return {
        name: path.with_name(f"{found['before']}{name}{found['after']}")
        for name in found["names"].split(",")
    }


def parts_of(path: Path) -> list[Path]:
    """The files that *path* names, in the order of their numbers: itself, where it has no star."""
    if beside := sides_of(path):
        return list(beside.values())
    if not is_pattern(path):
        return [path]
    there = list(path.parent.iterdir()) if path.parent.is_dir() else []
    if path.stem == STAR:
        return sorted(each for each in there if each.is_file() and each.suffix == path.suffix)
    numbered = re.compile(re.escape(path.name).replace(r"\*", r"(\d+)"))
    found = [(each, match) for each in there if (match := numbered.fullmatch(each.name))]
    return [each for each, match in sorted(found, key=lambda one: _numbers(one[1].groups()))]


def whole(path: Path, name: str) -> list[Path]:
    """`parts_of`; DataError where there are none, or fewer than their names say."""
    parts = parts_of(path)
    if not parts:
        stands = "a name" if path.stem == STAR else "a number"
        raise DataError(
            f"{name}: no file in {path.parent} is called so with {stands} in place of the star"
        )
    said = OF.search(path.name) if is_pattern(path) else None
    if said and len(parts) != int(said[1]):
        shown = ", ".join(part.name for part in parts[:4])
        raise DataError(
            f"{name}: {len(parts)} parts are there ({shown}), by their names there are "
            f"{int(said[1])}. Put the others beside them; or name the ones to be read one by one: "
            "one as data.train (init: --train), the others as data.extra_train (init: --extra)"
        )
    return parts


def is_there(path: Path) -> bool:
    """Whether *path* is a file, a folder, or names parts of which one is there."""
    return any(sheet_of(part)[0].exists() for part in parts_of(path))


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Pattern -> the *names* it stands for, two or more, whose numbers follow each other.

    Versions are no parts of each other, and names that already say the number of all parts make a
    pattern whether or not all are there.

    >>> grouped(["train_1.csv", "train_2.csv", "train_v1.csv", "train_v2.csv", "test.csv"])
    {'train_*.csv': ['train_1.csv', 'train_2.csv']}
    >>> grouped(["a-00000-of-00002.parquet", "a-00001-of-00002.parquet"])
    {'a-*-of-00002.parquet': ['a-00000-of-00002.parquet', 'a-00001-of-00002.parquet']}
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        said = OF.search(name)
        places = list(re.finditer(r"\d+", name[: said.start()] if said else name))
        places = [] if SHEET.fullmatch(name) else places
        if places and not re.search(
            r"(?<![a-z])v(er)?(sion)?[._]?$", name[: places[-1].start()], re.I
        ):
            place = places[-1]
            pattern = f"{name[: place.start()]}{STAR}{name[place.end() :]}"
            found.setdefault(pattern, {})[int(place[0])] = name
    return {
        pattern: [parts[number] for number in sorted(parts)]
        for pattern, parts in found.items()
        if len(parts) > 1 and (OF.search(pattern) or _follow(sorted(parts)))
    }


GOLD = re.compile("labels?|y|targets?|class(es)?|gold|tags?", re.IGNORECASE)
"""What a file with a line for each row is called that has its label."""


def side_by_side(files: Sequence[Path]) -> dict[Path, list[Path]]:
    """Pattern -> those of the text *files* that have a line for each row of one table: their names
    differ in a word, one is called like labels, and they have as many lines; and a file that has
    one of these words in its name in the same place, without a partner.
    """
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for path in files:
        for word in re.finditer(r"[^_.\- ]+", path.stem):
            if path.suffix.lower() == ".txt":
                key = (path.stem[: word.start()], f"{path.stem[word.end() :]}{path.suffix}")
                groups.setdefault(key, {})[word[0]] = path
    found = {
        key: group
        for key, group in groups.items()
        if len(group) > 1 and any(map(GOLD.fullmatch, group)) and _as_many(list(group.values()))
    }
    words = {(word, bool(key[0])) for key, group in found.items() for word in group}
    paired = [path for group in found.values() for path in group.values()]
    for key, group in groups.items():
        (name, path), *others = group.items()
        if not others and path not in paired and (name, bool(key[0])) in words:
            found[key] = group
    return {
        path.with_name(f"{before}{{{','.join(group)}}}{after}"): list(group.values())
        for (before, after), group in found.items()
        for path in list(group.values())[:1]
    }


def _as_many(files: Sequence[Path]) -> bool:
    """Whether all *files* have as many lines, and none has a tab in its first."""
    contents = [path.read_bytes() for path in files]
    counts = {content.removesuffix(b"\n").count(b"\n") for content in contents}
    return len(counts) == 1 and not any(b"\t" in each.partition(b"\n")[0] for each in contents)


def _follow(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _numbers(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts]
