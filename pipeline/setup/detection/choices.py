"""What was chosen and why, and what only a person can decide: questions, and what they say."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

import pandas as pd

from pipeline.base import DataError, UsageError, raise_if
from pipeline.base.inputs import FileConfig
from pipeline.data.reading.packed import (
    ENDINGS,
    holds_texts,
    is_archive,
    members,
    names_in,
)
from pipeline.data.reading.reader import CLOSED, FORMATS, SKIPPED, found_encoding, is_table, read
from pipeline.data.reading.spreadsheet import sheets_of
from pipeline.problems.form import unlabelled_among
from pipeline.problems.label_texts import canonical, is_number, without_case
from pipeline.problems.registry import problem_of

ABOUT = {"dataset_info.json", "state.json", "dataset_dict.json", "dataset_infos.json"}
"""Files beside the tables of a saved data set, which describe it."""


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the person has decided already, by a flag of init; None or empty: decide."""

    name: str | None = None
    train: str | None = None
    test: str | None = None
    sample: str | None = None
    holdout: Sequence[str] = ()
    extra: Sequence[str] = ()
    id: str | None = None
    texts: Sequence[str] = ()
    template: Sequence[str] = ()
    targets: Sequence[str] = ()
    problem: Any = None
    metric: str | None = None
    classes: Sequence[str] = ()
    class_codes: Sequence[str] = ()
    """CLASS=CODE each, or as-is."""
    unlabelled: str | None = None
    short_sample: bool = False
    no_joins: bool = False
    folds: int | None = None
    seed: int | None = None
    encoding: Sequence[str] = ()
    """NAME for all files, FILE=NAME for one; of others it is found."""
    names: Sequence[str] = ()
    """FILE=a,b,c each: the columns of a file without a header; FILE=header: it has one."""
    skip_broken: Sequence[str] = ()
    """Files whose broken lines are left out."""
    decimal: str | None = None
    """What stands for the point in numbers: a comma, or a point."""
    numbers: Mapping[Path, Mapping[str, str]] = field(default_factory=dict)
    """Of files what was found so: columns, and how their numbers are written."""

    def named(self, path: Path) -> str:
        """What --names says of the file *path*; an empty text for nothing."""
        given = (each.rpartition("=") for each in self.names)
        return next((names for file, _, names in given if Path(file).name == path.name), "")

    @property
    def all_encoding(self) -> str | None:
        """The encoding of all files that none of their own is named for; None: find it."""
        return next((each for each in self.encoding if "=" not in each), None)

    def encoding_of(self, path: Path) -> str | None:
        """The encoding of the file *path*, where it is not that of all files."""
        given = (each.rpartition("=") for each in self.encoding if "=" in each)
        own = next((codec for file, _, codec in given if Path(file).name == path.name), None)
        return own or (found_encoding(path) if self.all_encoding is None else None)

    def how(self, path: Path) -> FileConfig:
        """How the file *path* is read."""
        names = self.named(path)
        skip = any(Path(each).name == path.name for each in self.skip_broken)
        return FileConfig(
            file=str(path),
            names=[] if names in ("", "header") else [each.strip() for each in names.split(",")],
            encoding=self.encoding_of(path),
            broken="skip" if skip else "refuse",
            numbers=dict(self.numbers.get(path, {})),
        )

    def read(self, path: Path) -> pd.DataFrame:
        """The rows of the file *path*; DataError as `pipeline.data.reading.reader.read`."""
        how = self.how(path)
        return read(
            path,
            how.encoding or self.all_encoding or "utf-8",
            option=f"--encoding {_literal(path.name)}={{0}}",
            how=how,
            way=SKIPPED,
        ).frame


def _literal(text: str) -> str:
    """*text* as a format has to have it."""
    return text.replace("{", "{{").replace("}", "}}")


@dataclass
class Choices:
    """Questions that stay open, and the reasons of what was decided, by field of the config."""

    questions: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def ask(self, flag: str, why: str, candidates: Sequence[str] = ()) -> None:
        """Leave a choice to the person: *flag* decides it, and these are the *candidates*."""
        named = ", ".join(repr(candidate) for candidate in candidates[:12])
        choices = f" (candidates: {named})" if candidates else ""
        self.questions.append(f"{flag}: {why}{choices}")

    def because(self, key: str, *reasons: str) -> None:
        """Say why the field *key* of the config has its value; called again, it adds a line."""
        lines = [line for line in (self.reasons.get(key, ""), *reasons) if line]
        self.reasons[key] = "\n".join(lines)

    def settle(self) -> None:
        """Raise UsageError with all open questions at once; do nothing where there are none."""
        raise_if(self.questions, UsageError, "init cannot decide this; say it with a flag")


def ways_of(
    files: Sequence[Path], overrides: Overrides, spell: Callable[[Path], str], choices: Choices
) -> tuple[str, list[FileConfig]]:
    """The encoding of all *files*, and those that are read in a way of their own."""
    ways = {path: overrides.how(path) for path in files}
    of_all = overrides.all_encoding or "utf-8"
    found = {path: way.encoding for path, way in ways.items() if way.encoding}
    if found:
        told = ", ".join(f"{path.name} {encoding}" for path, encoding in found.items())
        why = f"By its bytes: {told}. --encoding FILE=NAME says otherwise."
        choices.because("data.encoding", "Given by --encoding." if overrides.encoding else why)
    if len(set(found.values())) == 1 and len(found) == len(files):
        of_all = next(iter(found.values()))
        ways = {path: replace(way, encoding=None) for path, way in ways.items()}
    elif found and "data.files" not in choices.reasons:
        choices.because("data.files", "Not encoded as the others.")
    named = [replace(way, file=spell(path)) for path, way in ways.items()]
    return of_all, [way for way in named if way != FileConfig(file=way.file)]


# What the submission writes for a class, and which rows have no label: only a person knows.


CODES = "--class-codes CLASS=CODE …"
AS_IS = "as-is"


UNKNOWN = {"nan", "n/a", "#n/a", "<na>", "unlabeled", "unlabelled"}
"""What stands for a label that nobody gave."""


def ask_unlabelled(
    name: str, values: Sequence[str], shown: Sequence[str], overrides: Overrides, choices: Choices
) -> bool:
    """Whether -1, or N/A, among the *values* of the target *name* may mean that a row has no label,
    by what the sample has *shown*; then it is asked, unless flags have said."""
    if overrides.unlabelled is not None or overrides.class_codes:
        return False
    if overrides.problem and not problem_of(overrides.problem).named_classes:
        return False
    unknown = {value for value in values if value.strip().lower() in UNKNOWN} - {*shown}
    words = len(values) > 2 and not all(map(is_number, {*values} - unknown))
    mark = "-1" if unlabelled_among(values, shown) else ""
    if len(unknown) == 1 and words:
        (mark,) = unknown
    if not shown or not mark:
        return False
    others = ", ".join(sorted(set(values) - {mark})[:4])
    choices.ask(
        f"--unlabelled={mark}, or --class-codes {AS_IS}",
        f"{name!r} has {mark} beside {others}"
        ", and the sample submission does not show it: rows without a label, which are left out, "
        "or a class like any other?",
    )
    return True


def ask_alike(
    name: str, values: Sequence[str], shown: Sequence[str], overrides: Overrides, choices: Choices
) -> bool:
    """Ask where *values* of the target *name* differ in case or spaces only, and the sample has
    not *shown* them all."""
    if overrides.class_codes:
        return False
    groups: dict[str, set[str]] = {}
    for value in map(canonical, values):
        groups.setdefault(" ".join(value.casefold().split()), set()).add(value)
    had = set(map(canonical, shown))
    alike = [sorted(group) for group in groups.values() if len(group) > 1 and not group <= had]
    if alike:
        both = "; ".join(" and ".join(map(repr, group)) for group in alike[:5])
        choices.ask(
            f"--class-codes {AS_IS}",
            f"{name!r} has classes that differ in case or spaces only: {both}. Where they are one, "
            "write them alike in the training file; where each is a class, say so",
        )
    return bool(alike)


def find_codes(
    classes: Sequence[str],
    shown: Sequence[str],
    folder: Path,
    overrides: Overrides,
    choices: Choices,
) -> list[str]:
    """(c,) what is written for each of *classes*; empty where nothing was said of it.

    Where the sample has *shown* none of them, another file of the *folder* may say which is which.
    """
    if not overrides.class_codes:
        strange = classes and shown and not without_case(classes) & without_case(shown)
        for path in sorted(folder.iterdir()) if strange else ():
            if codes := _codes_in(path, classes, shown):
                choices.because("task.class_codes", f"As {path.name} has them.")
                return codes
        return []
    choices.because("task.class_codes", "Given by --class-codes.")
    if list(overrides.class_codes) == [AS_IS]:
        return list(classes)
    known = {canonical(name): name for name in classes}
    code_of: dict[str, str] = {}
    for given in overrides.class_codes:
        name, equals, code = given.rpartition("=")
        if not equals or canonical(name) not in known:
            choices.ask(CODES, f"{given!r} names no class of train with its code", list(classes))
            return []
        code_of[known[canonical(name)]] = code
    if left := [name for name in classes if name not in code_of]:
        choices.ask(CODES, "these classes have no code", left)
        return []
    return [code_of[name] for name in classes]


MAPS = (".json", ".txt", ".csv", ".tsv")
"""Endings of files that may say which code is which class."""
LARGEST_MAP = 100_000
"""Bytes of one."""


def _codes_in(path: Path, classes: Sequence[str], shown: Sequence[str]) -> list[str]:
    """(c,) what the file *path* has for each of *classes*, where it has all that were *shown* and
    nothing twice; else empty."""
    if path.suffix.lower() not in MAPS or path.stat().st_size > LARGEST_MAP:
        return []
    try:
        text = path.read_bytes().decode("utf-8-sig")
        pairs = _pairs(json.loads(text)) if path.suffix.lower() == ".json" else _lines(text)
    except ValueError:
        return []
    for both in (pairs, [(code, name) for name, code in pairs]):
        code_of = {canonical(name): code for name, code in both}
        codes = [code_of.get(canonical(name), "") for name in classes]
        once = len(set(codes)) == len(classes) and len(code_of) == len(both)
        if once and all(codes) and {*map(canonical, shown)} <= {*map(canonical, codes)}:
            return codes
    return []


def _pairs(found: Any) -> list[tuple[str, str]]:
    """Of {"art": 0}, {"label2id": {"art": 0}}, or ["art", "music"]."""
    if isinstance(found, list):
        return [(str(each), str(place)) for place, each in enumerate(found)]
    if not isinstance(found, dict):
        return []
    inner = [each for each in found.values() if isinstance(each, dict)]
    found = inner[0] if inner else found
    return [(str(name), str(code)) for name, code in found.items()]


def _lines(text: str) -> list[tuple[str, str]]:
    """Of lines such as 0<tab>art; art,0; art: 0."""
    parted = [
        re.split(r"\s*[\t,;:=]\s*|\s+", line.strip(), maxsplit=1) for line in text.splitlines()
    ]
    return [(each[0], each[1]) for each in parted if len(each) == 2]


# What is said of a folder in which train or test is not found.


MOST_NAMED = 4
"""Names of files that are told of each folder."""


def only_one(tables: Sequence[str]) -> list[str]:
    """What to do where all rows seem to stand in one of the *tables*."""
    if len(tables) != 1:
        return []
    return [
        f"If {tables[0]} holds the rows of train and of test, part it into two files, train.csv "
        "and test.csv"
    ]


ROLES = ("train", "test")


def parted(tables: Mapping[Path, str], overrides: Overrides) -> list[str]:
    """What to do where a column of one of the *tables* (with the role of each) says which rows are
    those of train, and which of test."""
    for path in [path for path, role in tables.items() if not role]:
        try:
            frame = overrides.read(path)
        except DataError:  # it is said where the file is needed
            continue
        for name in frame.columns:
            values = {value.strip().lower() for value in frame[name].unique()[:10]}
            if values >= set(ROLES):
                return [
                    f"{path.name} has the rows of both: its column {name!r} says which are which. "
                    "Part it into two files, train.csv and test.csv, by that column"
                ]
    return []


def odd_endings(files: Sequence[Path]) -> list[str]:
    """What to do with *files* that are called like train or test, and end as no table does."""
    if not files:
        return []
    named = some_of(sorted(path.name for path in files))
    one = sorted(files)[0]
    return [
        f"{named}: no table ends so. Where it is one, call it {one.stem}.txt; where it has nothing "
        f"but a text or a label in each line, {one.stem}_{one.suffix[1:] or 'text'}.txt, and those "
        "beside it likewise (train_text.txt, train_labels.txt: how-to-inputs.md)"
    ]


def only_dev(tables: Mapping[str, str], role: str) -> list[str]:
    """What to do without a test file, beside labelled rows for validation."""
    dev = [name for name, own in tables.items() if own == "dev"]
    if role != "test" or not dev:
        return []
    return [
        f"Where there is none, predict the rows of {dev[0]}: --test {quote(dev[0])}, and --target "
        "COLUMN where it has the labels and no sample submission names them"
    ]


def what_lies(folder: Path, texts: Sequence[Path], known: Collection[Path] = ()) -> list[str]:
    """What *folder* holds beside tables, and what to do about it: packed files of several tables,
    folders with tables in them that are not *known*, text files that may be the rows."""
    told = []
    for path in sorted(folder.iterdir()):
        if path in texts:
            count = len(names_in(path))
            told.append(f"{path.name} holds {count:,} text files, which can be a table (--test)")
        elif path in known:
            continue
        elif path.is_dir():
            if inside := sorted(each.name for each in path.iterdir() if _usable(each)):
                way = f"give {path} instead"
                if len(inside) > MOST_NAMED and all(name.endswith(".json") for name in inside):
                    way = f"where each is a row, write their texts into one table, {path.name}.csv"
                told.append(f"the folder {path.name} holds {some_of(inside)}: {way}")
        elif is_archive(path) and not is_table(path):
            if inside := _tables_in(path):
                told.append(f"{path.name} is packed and holds {some_of(inside)}: unpack it")
        elif path.suffix.lower() == ".xlsx" and len(sheets := sheets_of(path)) > 1:
            told.append(
                f"{path.name} has the sheets {some_of(sheets)}: "
                f"name one as '{path.name}#{sheets[0]}'"
            )
        elif path.suffix.lower() in CLOSED:
            told.append(f"{path.name} is packed: unpack it")
    return told


def _usable(path: Path) -> bool:
    return (is_table(path) and path.name not in ABOUT) or (path.is_dir() and holds_texts(path))


def _tables_in(path: Path) -> list[str]:
    try:
        names = [name for name, _ in members(path, path.name)]
    except DataError:
        return []
    return sorted(name for name in names if Path(name).suffix.lower() in (*FORMATS, *ENDINGS))


def some_of(names: Sequence[str]) -> str:
    """The first of the *names*, and how many there are more."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
