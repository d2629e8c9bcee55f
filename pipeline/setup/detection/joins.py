"""Tables beside the rows: which file names the rows, and what is joined to it by which key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pipeline.base import DataError
from pipeline.base.inputs import JoinConfig, Role
from pipeline.data.joined import with_columns
from pipeline.data.reading.packed import FILE_NAME
from pipeline.data.sample import index_columns
from pipeline.setup.detection.choices import Choices
from pipeline.setup.detection.names import words

Read = Callable[[Path], pd.DataFrame]
"""A file's rows; DataError where it cannot be read."""
NAMED: dict[str, tuple[Role, ...]] = {
    "train": ("train", "extra_train"),
    "test": ("test",),
    "dev": ("holdout",),
    "": ("train", "test", "holdout"),
}
"""What a file is called like -> whose rows it may stand beside."""


def main_among(candidates: Sequence[Path], others: Sequence[Path], read: Read) -> Path | None:
    """The one of several files that names the rows, where each other stands beside it; else None.

    Two tables of the same rows: the one that has more columns in common with the *others*, which
    are called like the other role, holds the texts.
    """
    frames = {path: frame for path in candidates if (frame := _read(path, read)) is not None}
    if len(frames) < len(candidates):
        return None
    mains = [
        path
        for path in candidates
        if all(
            key_between(frames[path], frames[other], other) for other in candidates if other != path
        )
    ]
    if len(mains) > 1:
        known = [frame for path in others if (frame := _read(path, read)) is not None]
        shared = {
            path: max((len(set(frames[path]) & set(frame)) for frame in known), default=0)
            for path in mains
        }
        most = max(shared.values())
        mains = [path for path in mains if shared[path] == most]
    return mains[0] if len(mains) == 1 else None


def _read(path: Path, read: Read) -> pd.DataFrame | None:
    try:
        frame = read(path)
    except DataError:  # it is said where the file is needed
        return None
    return frame.drop(columns=index_columns(frame))


def key_between(frame: pd.DataFrame, side: pd.DataFrame, file: Path) -> tuple[str, str] | None:
    """The column of *frame* whose values *side*, a table of *file*, names each once, and what it is
    called there; None where there is none, or *side* has nothing to add.

    Where the column names the rows of *frame* too, both must name the same rows: numbers from 0
    fit into any longer count.
    """
    if FILE_NAME in side.columns:
        pairs = [(str(name), FILE_NAME) for name in frame.columns]
    else:
        pairs = [(str(name), str(name)) for name in frame.columns if name in side.columns]
        pairs += _called_otherwise(frame, side, file)
    for name, other in pairs:
        more = [column for column in side.columns if column not in (*frame.columns, other)]
        keys, own = frame[name], side[other]
        if not more or not len(keys) or not own.is_unique:
            continue
        if not keys.isin(set(own)).all():
            continue
        one_each = keys.is_unique and FILE_NAME not in side.columns
        if one_each and len(keys) != len(own):
            continue
        return name, other
    return None


def _called_otherwise(frame: pd.DataFrame, side: pd.DataFrame, file: Path) -> list[tuple[str, str]]:
    """prompt_id here and id there, where the file is called after prompts."""
    if "id" not in side.columns:
        return []
    named = {word.rstrip("s") for word in words(file.stem)}
    parts = {str(name): [word.rstrip("s") for word in words(str(name))] for name in frame.columns}
    return [
        (name, "id")
        for name, own in parts.items()
        if own[1:] and own[-1] == "id" and set(own[:-1]) <= named
    ]


@dataclass(frozen=True)
class Beside:
    """A table that stands beside rows."""

    path: Path
    frame: pd.DataFrame
    role: str
    """What its name says: train, test, dev, or an empty text."""


def find_joins(
    rows: Mapping[Role, Sequence[pd.DataFrame]],
    others: Sequence[tuple[Path, str]],
    read: Read,
    choices: Choices,
) -> list[JoinConfig]:
    """The joins of *others*, each with the role that its name says, to *rows*: role -> frames."""
    found: list[JoinConfig] = []
    taken: set[str] = set()
    for path, role in others:
        if not any(role == known for known in NAMED):
            continue
        side = _read(path, read)
        if side is None:
            continue
        join = _join(rows, Beside(path, side, role))
        if join is None:
            continue
        names = [f"{each}:{column}" for each in join.to for column in join.columns]
        if taken & set(names):  # two files offer the same column: a person has to say which
            told = f"{path.name} has {', '.join(join.columns)} as well, and is not joined."
            choices.because("data.joins", told)
            continue
        taken |= set(names)
        found.append(join)
        whose = " and ".join(join.to)
        choices.because("data.joins", f"Every {join.key} of {whose} stands once in {path.name}.")
    if found:
        choices.because("data.joins", "--no-joins leaves them out.")
    return found


def _join(rows: Mapping[Role, Sequence[pd.DataFrame]], beside: Beside) -> JoinConfig | None:
    keys: dict[Role, tuple[str, str]] = {}
    for role in NAMED[beside.role]:
        frames = rows.get(role, ())
        fits = [key_between(frame, beside.frame, beside.path) for frame in frames]
        first = fits[0] if fits else None
        if first is not None and all(each == first for each in fits):
            keys[role] = first
    if not keys or ("train" not in keys and "train" in NAMED[beside.role]):
        return None
    key, their = next(iter(keys.values()))
    to = [role for role, pair in keys.items() if pair == (key, their)]
    known = {str(name) for role in to for frame in rows[role] for name in frame.columns}
    columns = [str(name) for name in beside.frame.columns if name not in {*known, their}]
    return JoinConfig(
        file=str(beside.path),
        to=to,
        key=key,
        file_key=their if their not in (key, FILE_NAME) else None,
        columns=columns,
    )


def widened(
    frame: pd.DataFrame, role: Role, joins: Sequence[JoinConfig], read: Read
) -> pd.DataFrame:
    """*frame* with the columns that *joins* give to its *role*."""
    for join in joins:
        if role in join.to:
            side = read(Path(join.file)).rename(columns={FILE_NAME: join.their_key})
            frame, _ = with_columns(frame, "", side, join)
    return frame


def spelled(joins: Sequence[JoinConfig], spell: Callable[[Path], str]) -> list[JoinConfig]:
    """*joins* with their files as the config has them."""
    return [replace(join, file=spell(Path(join.file))) for join in joins]
