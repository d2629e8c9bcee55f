"""Which file of a folder is what, by its name."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.base import DataError, UsageError, raise_if
from pipeline.base.config import ColumnsConfig
from pipeline.data.reading.packed import (
    ENDINGS,
    columns_of_texts,
    holds_texts,
    is_archive,
    members,
    names_in,
)
from pipeline.data.reading.parts import OF, grouped, is_there, parts_of, sheet_of, side_by_side
from pipeline.data.reading.reader import CLOSED, FORMATS, column_names, is_table
from pipeline.data.reading.spreadsheet import sheets_of
from pipeline.data.tables import ROW_NUMBER
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.joins import main_among
from pipeline.setup.detection.names import words

ABOUT = {"dataset_info.json", "state.json", "dataset_dict.json", "dataset_infos.json"}
"""Files beside the tables of a saved data set, which describe it."""
DEV = {"dev", "devel", "development", "valid", "val", "validation", "eval", "validate"}
ELSEWHERE = {
    "sample": ("제출", "提出", "提交"),
    "train": ("학습", "훈련", "学習", "訓練", "训练"),
    "dev": ("검증", "検証", "验证"),
    "test": ("평가", "테스트", "시험", "評価", "テスト", "测试", "測試"),
}
"""What stands in the names of files in Korean, Japanese and Chinese."""
PLAIN = {
    "train": {"train", "training"},
    "test": {"test"},
    "sample": {"sample_submission", "samplesubmission", "sample_sub"},
}


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a competition's folder."""

    train: Path
    test: Path
    sample: Path | None
    holdout: list[Path]
    """Given by a flag, or called like a dev file: if they have labels."""
    extra: list[Path]
    """Given by a flag."""
    others: list[Path]
    """Nothing is known of them yet."""
    folders: list[Path]
    """Of text files, or archives of them."""


def find_files(folder: Path, overrides: Overrides, choices: Choices) -> Files:
    """Find train, test, sample submission and dev files; UsageError where it takes a flag."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; give the one that has train and test files")
    there, parts = _tables_of(folder, overrides)
    folders = [path for path in sorted(folder.iterdir()) if _of_texts(path)]
    given = _given(folder, overrides)
    roles = {path: role_of(path) for path in there}
    for each in sorted(folder.iterdir()):  # train/, test/ with a table in each
        if each.is_dir() and each not in folders and (role := role_of(each)):
            inside, more = _tables_of(each, overrides, named=False)
            inside, together = _one_table(inside, overrides)
            if len(inside) == 1 and role not in roles.values():
                roles[inside[0]] = role
                parts |= more | together
    seen = Looked(folder, roles, folders, overrides)
    chosen = {
        role: given[role][0] if given[role] else _choose(role, seen, choices)
        for role in ("train", "test", "sample")
    }
    choices.settle()
    taken = [*(path for path in chosen.values() if path), *given["holdout"], *given["extra"]]
    for role, chosen_path in chosen.items():
        choices.because(f"data.{_key(role)}", *(parts.get(chosen_path, []) if chosen_path else []))
    dev = [path for path in roles if roles[path] == "dev" and not _in(path, taken)]
    asked = [path for path, role in roles.items() if role == "test"]
    if len(dev) > 1 and (main := main_among(dev, asked, overrides.read)):
        dev = [main]  # the others stand beside it
    holdout = given["holdout"] or dev
    train, test = chosen["train"], chosen["test"]
    assert train is not None, "settled"
    assert test is not None, "settled"
    return Files(
        train=train,
        test=test,
        sample=chosen["sample"],
        holdout=holdout,
        extra=given["extra"],
        others=[path for path in roles if not _in(path, [*taken, *holdout])],
        folders=[path for path in folders if not _in(path, taken)],
    )


@dataclass(frozen=True)
class Looked:
    """What a folder holds."""

    folder: Path
    roles: dict[Path, str]
    """Table -> what its name says."""
    texts: list[Path]
    """Folders and archives of text files."""
    overrides: Overrides


def _tables_of(
    folder: Path, overrides: Overrides, named: bool = True
) -> tuple[list[Path], dict[Path, list[str]]]:
    """The tables of *folder*, and why some of them are several files: those that are *named* like
    a role, or any."""
    there = sorted(path for path in folder.iterdir() if is_table(path) and not _unpacked(path))
    there = [each for path in there if path.name not in ABOUT for each in _sheets(path)]
    said = {}
    for pattern, names in grouped(
        [path.name for path in there if role_of(path) or not named]
    ).items():
        together = [folder / name for name in names]
        if _are_parts(together, overrides):
            told = f"{len(names)} files that are one table, from {names[0]} to {names[-1]}."
            said[folder / pattern] = [told]
            there = [path for path in there if path not in together] + [folder / pattern]
    for path, beside in side_by_side([path for path in there if role_of(path)]).items():
        said[path] = [f"A line of each is a row: {', '.join(each.name for each in beside)}."]
        there = [each for each in there if each not in beside] + [path]
    return sorted(there), said


def _sheets(path: Path) -> list[Path]:
    """The sheets of a workbook that are called like roles, where it is not; else *path* itself."""
    if path.suffix.lower() != ".xlsx" or role_of(path):
        return [path]
    named = [path.with_name(f"{path.name}#{sheet}") for sheet in sheets_of(path)]
    known = [each for each in named if role_of(each)]
    return known or [path]


def _one_table(files: list[Path], overrides: Overrides) -> tuple[list[Path], dict[Path, list[str]]]:
    """*files*, all tables of a folder that is called like a role, as one where they are parts:
    train/en.csv and train/ko.csv; and why."""
    if (
        len(files) < 2
        or len({path.suffix for path in files}) > 1
        or not _are_parts(files, overrides)
    ):
        return files, {}
    pattern = files[0].with_name(f"*{files[0].suffix}")
    names = [path.name for path in files]
    return [pattern], {pattern: [f"All {len(files)} tables of its folder, one: {_some(names)}."]}


def _are_parts(files: Sequence[Path], overrides: Overrides) -> bool:
    """Whether *files* have the same columns, and no row stands in two of them."""
    if len({tuple(sorted(_columns(path, overrides))) for path in files}) > 1:
        return False
    if OF.search(files[0].name):
        return True
    try:
        frames = [overrides.read(path) for path in files]
    except DataError:  # it is said where the file is needed
        return False
    firsts = [frame[frame.columns[0]].tolist() for frame in frames]
    again = all(sorted(first) == sorted(firsts[0]) for first in firsts)  # versions of one table
    return not again and not pd.concat(frames).duplicated().any()


def _of_texts(path: Path) -> bool:
    """Whether *path* holds text files itself, or a folder of them for each class."""
    return holds_texts(path) and (path.is_file() or bool(role_of(path)) or _flat(path))


def _flat(folder: Path) -> bool:
    return len(columns_of_texts(folder)) == 2


def _unpacked(path: Path) -> bool:
    """Whether *path* is packed, and what is in it lies beside it."""
    return path.with_suffix("").suffix != "" and path.with_suffix("").is_file()


def role_of(path: Path) -> str:
    """train, test, sample or dev by the words of a file's name, else an empty text.

    >>> [role_of(Path(name)) for name in ("gender_submission.csv", "ratings_train.tsv", "dev.csv")]
    ['sample', 'train', 'dev']
    >>> role_of(Path("all.xlsx#test")), role_of(Path("학습데이터.csv"))
    ('test', 'train')
    """
    parts = words(_stem(path))
    joined = "".join(parts)
    if "submi" in joined or ("sample" in parts and ("sub" in parts or "answer" in parts)):
        return "sample"
    stem = unicodedata.normalize("NFC", _stem(path))
    for role, known in ELSEWHERE.items():
        if any(word in stem for word in known):
            return role
    if any(part.startswith("train") for part in parts):
        return "train"
    if DEV & set(parts):
        return "dev"
    return "test" if any(part in ("test", "tests", "testing", "testset") for part in parts) else ""


def _stem(path: Path) -> str:
    """The name of a file without its ending; of a sheet its own."""
    return sheet_of(path)[1] or path.stem


def _choose(role: str, seen: Looked, choices: Choices) -> Path | None:
    """The one file for *role*; a plain name such as train.csv wins over train_v2.csv, and of tables
    that stand beside each other the one that names the rows."""
    candidates = [path for path, found in seen.roles.items() if found == role]
    plain = [path for path in candidates if _stem(path).lower() in PLAIN[role]]
    if role == "sample" and not plain:
        plain = [path for path in candidates if {"sample", "format"} & set(words(_stem(path)))]
    best = plain or candidates
    if len(best) == 1:
        others = ", ".join(path.name for path in candidates if path != best[0])
        also = f", rather than {others}" if others else ""
        choices.because(f"data.{_key(role)}", f"By its name{also}.")
        return best[0]
    if best and role != "sample":
        other = "test" if role == "train" else "train"
        beside = [path for path, found in seen.roles.items() if found == other]
        if main := main_among(best, beside, seen.overrides.read):
            rest = ", ".join(path.name for path in best if path != main)
            choices.because(f"data.{role}", f"It names the rows; {rest} stands beside it.")
            return main
    if best:
        told = f"{len(best)} files could be it{_together(role, best, seen)}"
        choices.ask(f"--{role} FILE", told, [path.name for path in best])
    elif role == "sample":
        choices.because("data.sample_submission", "No file is called like one.")
    elif len(texts := [path for path in seen.texts if role_of(path) == role]) == 1:
        choices.because(f"data.{role}", "A folder of text files: a row for each, named by it.")
        return texts[0]
    else:
        there = [path.relative_to(seen.folder).as_posix() for path in seen.roles]
        why = f"no file of {seen.folder} is called like a {role} file"
        known = {path.parent for path in seen.roles}
        lies = "; ".join(what_lies(seen.folder, seen.texts, known) or only_one(there))
        said = not lies or any(lies in each for each in choices.questions)
        told = why if said else f"{why}. {lies}"
        choices.ask(f"--{role} FILE", told, there)
    return None


def _together(role: str, files: Sequence[Path], seen: Looked) -> str:
    """What to do with several *files* that may be one table, where that can be seen."""
    if role == "sample":
        return ""
    if _are_parts(files, seen.overrides):
        return f". Where they are one table, put them all into a folder {role}"
    lines = all(path.suffix == ".txt" for path in files)
    return f". Where a row has a line in each, write them side by side into {role}.csv" * lines


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
                told.append(f"the folder {path.name} holds {_some(inside)}: give {path} instead")
        elif is_archive(path) and not is_table(path):
            if inside := _tables_in(path):
                told.append(f"{path.name} is packed and holds {_some(inside)}: unpack it")
        elif path.suffix.lower() == ".xlsx" and len(sheets := sheets_of(path)) > 1:
            told.append(
                f"{path.name} has the sheets {_some(sheets)}: name one as '{path.name}#{sheets[0]}'"
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


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _key(role: str) -> str:
    return "sample_submission" if role == "sample" else role


def _given(folder: Path, overrides: Overrides) -> dict[str, list[Path]]:
    """The files that flags name, looked for in the folder and then as they stand."""
    problems: list[str] = []
    named: dict[str, Sequence[str]] = {
        "train": [overrides.train] if overrides.train else [],
        "test": [overrides.test] if overrides.test else [],
        "sample": [overrides.sample] if overrides.sample else [],
        "holdout": overrides.holdout,
        "extra": overrides.extra,
    }
    found: dict[str, list[Path]] = {role: [] for role in named}
    for role, names in named.items():
        for name in names:
            places = (folder / name, Path(name))
            path = next((path for path in places if _readable(path)), None)
            if path is None:
                there = ", ".join(sorted(each.name for each in folder.iterdir())[:12])
                told = f"there is no such file in {folder}; it has {there or 'nothing'}"
                problems.append(f"--{role} {name}: {told}")
            else:
                found[role].append(path)
    raise_if(problems, UsageError)
    return found


def _readable(path: Path) -> bool:
    return path.is_file() or holds_texts(path) or (not path.is_dir() and is_there(path))


def _in(path: Path, paths: Sequence[Path]) -> bool:
    own = {each.resolve() for each in parts_of(path)}
    return any(own & {each.resolve() for each in parts_of(other)} for other in paths)


# Further labelled files: dev files become the holdout, others are only mentioned.


def find_holdout(
    frames: Mapping[Path, pd.DataFrame], columns: ColumnsConfig, choices: Choices
) -> list[Path]:
    """Those of the dev files that have the id, texts and targets of train."""
    needed = _needed(columns)
    holdout = [path for path, frame in frames.items() if needed <= set(frame.columns)]
    for path, frame in frames.items():
        lacking = ", ".join(sorted(needed - set(frame.columns)))
        reason = "has labels" if path in holdout else f"lacks {lacking}, so it is not used"
        choices.because("data.holdout", f"{path.name} {reason}.")
    return holdout


def mention_others(
    others: Sequence[Path], columns: ColumnsConfig, overrides: Overrides, choices: Choices
) -> None:
    """Say which other files have labels too, and which are of no use."""
    needed = _needed(columns)
    more = [path.name for path in others if needed <= set(_columns(path, overrides))]
    rest = [path.name for path in others if path.name not in more]
    if more and columns.targets:
        choices.because("data.extra_train", f"Labelled too, but not used: {', '.join(more)}.")
    if rest:
        choices.because("data.train", f"Other files, not used: {', '.join(rest)}.")


def _needed(columns: ColumnsConfig) -> set[str]:
    return {*columns.texts, *columns.targets, columns.id} - {ROW_NUMBER, ""}


def _columns(path: Path, overrides: Overrides) -> list[str]:
    try:
        how = overrides.how(path)
        return how.names or column_names(path, how.encoding or overrides.all_encoding or "utf-8")
    except DataError:  # a file that nobody asked for may be whatever it likes
        return []
