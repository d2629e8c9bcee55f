"""Which file of a folder is what, by its name."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import pandas as pd

from pipeline.base import DataError, UsageError, raise_if
from pipeline.data.reading.packed import (
    ENDINGS,
    columns_of_texts,
    holds_texts,
    of_lines,
)
from pipeline.data.reading.parts import OF, grouped, is_there, parts_of, sheet_of, side_by_side
from pipeline.data.reading.reader import is_table
from pipeline.data.reading.spreadsheet import sheets_of
from pipeline.setup.detection.choices import (
    ABOUT,
    Choices,
    Overrides,
    odd_endings,
    only_dev,
    only_one,
    parted,
    some_of,
    what_lies,
)
from pipeline.setup.detection.columns import columns_of
from pipeline.setup.detection.joins import key_pairs, main_among, read_side
from pipeline.setup.detection.names import words

DEV = {"dev", "devel", "development", "valid", "val", "validation", "eval", "validate"}
UNLABELLED = {"unlabeled", "unlabelled", "unsup", "unsupervised"}
"""Texts beside those of train that nobody labelled."""
ELSEWHERE = {
    "sample": ("제출", "提出", "提交"),
    "train": ("학습", "훈련", "学習", "訓練", "训练"),
    "dev": ("검증", "検証", "验证"),
    "test": ("평가", "테스트", "시험", "評価", "テスト", "测试", "測試"),
}
"""What stands in the names of files in Korean, Japanese and Chinese."""
ANSWERS = {"baseline", "answer", "answers", "prediction", "predictions", "pred", "preds", "example"}
ANSWERS |= {"format", "result", "results", "solution", "template", "dummy", "random", "benchmark"}
"""Words in the names of files that show what is to be handed in."""
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

    @property
    def tables(self) -> list[Path]:
        """All that are read, whether or not other tables stand beside them."""
        sample = [self.sample] if self.sample else []
        return [self.train, self.test, *self.holdout, *self.extra, *sample]


def find_files(folder: Path, overrides: Overrides, choices: Choices) -> Files:
    """Find train, test, sample submission and dev files; UsageError where it takes a flag."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; give the one that has train and test files")
    folder = _deeper(folder)
    there, parts = _tables_of(folder, overrides)
    folders = [path for path in sorted(folder.iterdir()) if _of_texts(path)]
    given = _given(folder, overrides)
    roles = {path: role_of(path) for path in there}
    for each in sorted(folder.iterdir()):  # train/, test/ with a table in each
        if each.is_dir() and each not in folders and (role := role_of(each)):
            inside, more = _tables_of(_deeper(each), overrides, named=False)
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
    if chosen["sample"] is None:
        chosen["sample"] = _like_a_sample(seen, chosen["train"], chosen["test"], choices)
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


def _deeper(folder: Path) -> Path:
    """*folder*, or the one folder that lies in it with nothing that is a table beside it, such as
    open/ or data/: what an archive was unpacked to."""
    there = [path for path in folder.iterdir() if path.name[0] not in "._"]
    inside = [path for path in there if path.is_dir()]
    if len(inside) != 1 or any(is_table(path) and path.name not in ABOUT for path in there):
        return folder
    return folder if role_of(inside[0]) or holds_texts(inside[0]) else _deeper(inside[0])


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
    return [pattern], {pattern: [f"All {len(files)} tables of its folder, one: {some_of(names)}."]}


def _are_parts(files: Sequence[Path], overrides: Overrides) -> bool:
    """Whether *files* have the same columns, and no row stands in two of them."""
    if len({tuple(sorted(columns_of(path, overrides))) for path in files}) > 1:
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
    """Whether each text file of *folder* is a row: none of them is called like a table."""
    named = any(role_of(each) for each in folder.iterdir() if each.suffix == ".txt")
    return len(columns_of_texts(folder)) == 2 and not named


def _unpacked(path: Path) -> bool:
    """Whether *path* is packed, and what is in it lies beside it."""
    return path.with_suffix("").suffix != "" and path.with_suffix("").is_file()


def role_of(path: Path) -> str:
    """train, test, sample or dev by the words of a file's name, else an empty text.

    >>> [role_of(Path(name)) for name in ("gender_submission.csv", "ratings_train.tsv", "dev.csv")]
    ['sample', 'train', 'dev']
    >>> role_of(Path("all.xlsx#test")), role_of(Path("학습데이터.csv"))
    ('test', 'train')
    >>> role_of(Path("unlabeledTrainData.tsv")), role_of(Path("SemEval2018-T3_test.txt"))
    ('', 'test')
    """
    parts = words(_stem(path).replace("SemEval", ""))
    joined = "".join(parts)
    if "submi" in joined or ("sample" in parts and ("sub" in parts or "answer" in parts)):
        return "sample"
    stem = unicodedata.normalize("NFC", _stem(path))
    for role, known in ELSEWHERE.items():
        if any(word in stem for word in known):
            return role
    if any(part.startswith("train") for part in parts):
        return "" if UNLABELLED & set(parts) else "train"
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
        if nearly := nearly_main(best, seen.overrides):
            main, told = nearly
            if seen.overrides.no_joins:
                choices.because(f"data.{role}", "It names the rows.")
                return main
            choices.ask(f"--{role} FILE", told, [path.name for path in best])
            return None
    if best:
        told = f"{len(best)} files could be it{_together(role, best, seen)}"
        choices.ask(f"--{role} FILE", told, [path.name for path in best])
    elif role == "sample":
        choices.because("data.sample_submission", "No file is called like one.")
    elif len(texts := [path for path in seen.texts if role_of(path) == role]) == 1:
        if of_lines(texts[0]):
            told = (
                f"the text files in {texts[0].name} have as many lines as each other: where a row "
                f"has a line in each, write them side by side into {role}.csv, below a header"
            )
            choices.ask(f"--{role} FILE", told)
            return None
        choices.because(f"data.{role}", "A folder of text files: a row for each, named by it.")
        return texts[0]
    else:
        named = {path.relative_to(seen.folder).as_posix(): own for path, own in seen.roles.items()}
        there = list(named)
        why = f"no file of {seen.folder} is called like a {role} file"
        known = {path.parent for path in seen.roles}
        odd = [path for path in seen.folder.rglob("*") if role_of(path) and not is_table(path)]
        lying = [*what_lies(seen.folder, seen.texts, known), *parted(seen.roles, seen.overrides)]
        lying += odd_endings(
            [path for path in odd if path.is_file() and path.suffix not in ENDINGS]
        )
        lies = "; ".join(lying or only_one(there) or only_dev(named, role))
        said = not lies or any(lies in each for each in choices.questions)
        told = why if said else f"{why}. {lies}"
        choices.ask(f"--{role} FILE", told, there)
    return None


def _like_a_sample(
    seen: Looked, train: Path | None, test: Path | None, choices: Choices
) -> Path | None:
    """The one table of no other role whose first column has the ids of *test*, each once, and no
    other column that test has, nor one that would be an input: it is called like answers, or has a
    column that only train has."""
    asked, labelled = (columns_of(path, seen.overrides) if path else [] for path in (test, train))
    found = []
    for path in [path for path, role in seen.roles.items() if not role]:
        own = columns_of(path, seen.overrides)
        known = bool(ANSWERS & set(words(_stem(path))) or set(own[1:]) & set(labelled))
        if test and own[1:] and own[0] in asked and not set(own[1:]) & set(asked) and known:
            ids, wanted = (seen.overrides.read(each)[own[0]] for each in (path, test))
            found += [path] * (ids.is_unique and set(ids) == set(wanted))
    if len(found) != 1:
        return None
    choices.reasons["data.sample_submission"] = "It has an answer for each id of the test file."
    return found[0]


def nearly_main(candidates: Sequence[Path], how: Overrides) -> tuple[Path, str] | None:
    """The one of two files that names the rows, where the other would stand beside it but for some
    keys that it lacks, and what to do about these; else None."""
    found = []
    for path, other in permutations(candidates) if len(candidates) == 2 else ():
        frame, side = read_side(path, how.read), read_side(other, how.read)
        if frame is None or side is None:
            continue
        for name, their in key_pairs(frame, side, other):
            keys, own = frame[name], set(side[their])
            lacking = [key for key in keys.unique() if key not in own]
            if keys.is_unique or not side[their].is_unique or not 0 < len(lacking) <= len(own) / 2:
                continue
            shown = ", ".join(map(repr, lacking[:3])) + ", …" * (len(lacking) > 3)
            rows = int(keys.isin(lacking).sum())
            told = (
                f"{other.name} stands beside {path.name} but lacks the {their} {shown} of {rows:,} "
                "of its rows: add what is missing, or do without that table (--no-joins)"
            )
            found.append((path, told))
    return found[0] if len(found) == 1 else None


def _together(role: str, files: Sequence[Path], seen: Looked) -> str:
    """What to do with several *files* that may be one table, where that can be seen."""
    if role == "sample":
        return ""
    if _are_parts(files, seen.overrides):
        return f". Where they are one table, put them all into a folder {role}"
    lines = all(path.suffix == ".txt" for path in files)
    return f". Where a row has a line in each, write them side by side into {role}.csv" * lines


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
