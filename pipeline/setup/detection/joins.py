"""Tables beside the rows: which file names the rows, and what is joined to it by which key."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pipeline.base import DataError
from pipeline.base.inputs import End, JoinConfig, Role, SpanUnit
from pipeline.data.joined import WHOLE, span_of, tags_of, with_columns
from pipeline.data.reading.packed import FILE_NAME
from pipeline.data.sample import (
    by_joined_keys,
    by_keys,
    composed,
    id_column_of,
    index_columns,
)
from pipeline.data.sample import widened as wide_of
from pipeline.setup.detection.choices import Choices
from pipeline.setup.detection.names import words

Read = Callable[[Path], pd.DataFrame]
"""A file's rows; DataError where it cannot be read."""
NAMED: dict[str, tuple[Role, ...]] = {
    "train": ("train", "extra_train"),
    "test": ("test",),
    "dev": ("holdout",),
    "": ("train", "test", "holdout", "extra_train"),
}
"""What a file is called like -> whose rows it may stand beside."""


def main_among(candidates: Sequence[Path], others: Sequence[Path], read: Read) -> Path | None:
    """The one of several files that names the rows, where each other stands beside it; else None.

    Two tables of the same rows: the one that has more columns in common with the *others*, which
    are called like the other role, holds the texts.
    """
    frames = {path: frame for path in candidates if (frame := read_side(path, read)) is not None}
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
        known = [frame for path in others if (frame := read_side(path, read)) is not None]
        shared = {
            path: max((len(set(frames[path]) & set(frame)) for frame in known), default=0)
            for path in mains
        }
        most = max(shared.values())
        mains = [path for path in mains if shared[path] == most]
    return mains[0] if len(mains) == 1 else None


def read_side(path: Path, read: Read) -> pd.DataFrame | None:
    """The rows of *path* without columns of an index; None where it cannot be read."""
    try:
        frame = read(path)
    except DataError:  # it is said where the file is needed
        return None
    return frame.drop(columns=index_columns(frame))


def key_between(
    frame: pd.DataFrame, side: pd.DataFrame, file: Path, repeated: Collection[str] = ()
) -> tuple[str, str] | None:
    """The column of *frame* whose values *side*, a table of *file*, names each once, and what it is
    called there; None where there is none, or *side* has nothing to add.

    Where the column names the rows of *frame* too, both must name the same rows: numbers from 0
    fit into any longer count. Not so of columns that are *repeated* in other rows: that a short
    test file has each of their values once is chance.
    """
    for name, other in key_pairs(frame, side, file):
        more = [column for column in side.columns if column not in (*frame.columns, other)]
        keys, own = frame[name], side[other]
        if not more or not len(keys) or not own.is_unique:
            continue
        if not keys.isin(set(own)).all():
            continue
        one_each = keys.is_unique and name not in repeated and FILE_NAME not in side.columns
        if one_each and len(keys) != len(own):
            continue
        return name, other
    return None


def key_pairs(frame: pd.DataFrame, side: pd.DataFrame, file: Path) -> list[tuple[str, str]]:
    """Columns of *frame* and of *side*, a table of *file*, that may be a key."""
    if FILE_NAME in side.columns:
        return [(str(name), FILE_NAME) for name in frame.columns]
    same = [(str(name), str(name)) for name in frame.columns if name in side.columns]
    return same + (_called_otherwise(frame, side, file) or _same_names(frame, side))


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


def _same_names(frame: pd.DataFrame, side: pd.DataFrame) -> list[tuple[str, str]]:
    """The column that names the same rows in both under another name; numbers alone do not tell,
    and two columns that do, such as both sides of a pair, name something else than rows."""
    found = [
        (str(name), str(other))
        for name in frame.columns
        for other in side.columns
        if name != other
        and len(frame) == len(side)
        and not frame[name].iloc[:1].str.isdecimal().any()
        and frame[name].is_unique
        and set(frame[name]) == set(side[other])
    ]
    return found if len(found) == 1 else []


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
    for path, role in sorted(others, key=lambda other: other[1] != "train"):
        if not any(role == known for known in NAMED):
            continue
        side = read_side(path, read)
        if side is None:
            continue
        if role == "test" and any(each.spans for each in found) and span_columns(side):
            continue  # the answers
        beside = Beside(path, side, role)
        one = _spans(rows, beside, found, choices) or _join(rows, beside)
        for join in [one] if one else _references(rows, beside):
            names = [f"{each}:{join.prefix}{name}" for each in join.to for name in join.columns]
            if taken & set(names):  # two files offer the same column: a person has to say which
                told = f"{path.name} has {', '.join(join.columns)} as well, and is not joined."
                choices.because("data.joins", told)
                continue
            taken |= set(names)
            found.append(join)
            whose = " and ".join(join.to)
            if not join.spans:
                choices.because(
                    "data.joins", f"Every {join.key} of {whose} stands once in {path.name}."
                )
    if found:
        choices.because("data.joins", "--no-joins leaves them out.")
    return found


def _join(rows: Mapping[Role, Sequence[pd.DataFrame]], beside: Beside) -> JoinConfig | None:
    keys: dict[Role, tuple[str, str]] = {}
    everywhere = [frame for frames in rows.values() for frame in frames]
    repeated = {str(name) for each in everywhere for name in each if not each[name].is_unique}
    for role in NAMED[beside.role]:
        frames = rows.get(role, ())
        fits = [key_between(frame, beside.frame, beside.path, repeated) for frame in frames]
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


def _references(rows: Mapping[Role, Sequence[pd.DataFrame]], beside: Beside) -> list[JoinConfig]:
    """A join for each column of the rows that names rows of the table under another name: the
    first and the second text of a pair, by their ids. Such a column is in train and in test, and
    holds more than numbers, which name rows of any longer table."""
    if beside.role or FILE_NAME in beside.frame.columns:
        return []
    to: list[Role] = [role for role in NAMED[""] if rows.get(role)]
    frames = [frame for role in to for frame in rows[role]]
    if not {"train", "test"} <= set(to):
        return []
    for their in map(str, beside.frame.columns):
        own = set(beside.frame[their])
        keys = [
            str(name)
            for name in frames[0].columns
            if all(name in frame and frame[name].isin(own).all() for frame in frames)
            and not frames[0][name].map(str.isdecimal).any()
        ]
        columns = [str(name) for name in beside.frame.columns if name != their]
        if keys and columns and beside.frame[their].is_unique:
            return [
                JoinConfig(
                    file=str(beside.path),
                    to=to,
                    key=key,
                    file_key=their if their != key else None,
                    columns=columns,
                    prefix=f"{key}_",
                )
                for key in keys
            ]
    return []


LABELS = ("label", "tag", "type", "class", "category", "entity", "kind")
"""Words in the name of the column of a span's label, the likeliest first."""
Way = tuple[SpanUnit, End]
"""What spans count, and what their end is."""
WAYS: list[Way] = [(unit, end) for unit in ("word", "character") for end in ("after", "last")]


def _spans(
    rows: Mapping[Role, Sequence[pd.DataFrame]],
    beside: Beside,
    others: Sequence[JoinConfig],
    choices: Choices,
) -> JoinConfig | None:
    """The join of a file with a row per span of a text: a key, a start, an end and a label. It is
    read as the spans of *others* are, which have more of them: those of train."""
    if not (found := span_columns(beside.frame)):
        return None
    start, end, label = found
    ways = [(join.spans, join.end_is) for join in others if join.spans][:1] or WAYS
    for role in NAMED[beside.role]:
        for frame in rows.get(role, ()) if role != "test" else ():
            for key in [str(name) for name in frame.columns if name in beside.frame.columns]:
                same = beside.frame[key].isin(set(frame[key])).all()
                if key in found or not same or not frame[key].is_unique:
                    continue
                fits = _fitting(
                    frame,
                    beside.frame,
                    JoinConfig(
                        file=str(beside.path), to=[role], key=key, columns=[start, end, label]
                    ),
                    ways,
                )
                if fits is None:
                    continue
                what = "the unit after it" if fits.end_is == "after" else "its last unit"
                choices.because(
                    "data.joins",
                    f"{beside.path.name} has a row per span of {fits.text!r}, in {fits.spans}s; "
                    f"the end is {what}.",
                )
                return fits
    return None


def refuse_spans(train: pd.DataFrame, test: pd.DataFrame, id_column: str, name: str) -> None:
    """Raise DataError where the rows of *train* are spans of texts that stand elsewhere."""
    found = span_columns(train)
    key = id_column if id_column in train.columns else str(train.columns[0])
    if found and not set(found) & set(test.columns) and not train[key].is_unique:
        columns = ", ".join(found)
        raise DataError(
            f"{name} has a row per span ({columns}), several for one {key!r}; expected a row per "
            f"text. Write the texts into train.csv ({key} and the text, one row each) and these "
            f"rows into train_spans.csv ({key}, {columns}) beside it: they become tags"
        )


def span_columns(side: pd.DataFrame) -> tuple[str, str, str] | None:
    """The columns of start, end and label of spans, where a table has them.

    >>> span_columns(pd.DataFrame({"id": ["a"], "start": ["0"], "end": ["2"], "label": ["PS"]}))
    ('start', 'end', 'label')
    """
    parts = {str(name): set(words(str(name))) for name in side.columns}
    whole = {
        name
        for name in parts
        if side[name].map(lambda cell: not cell or bool(WHOLE.fullmatch(cell))).all()
    }
    starts = [name for name in parts if parts[name] & {"start", "begin"} and name in whole]
    ends = [name for name in parts if "end" in parts[name] and name in whole]
    labels = [name for word in LABELS for name in parts if word in parts[name]]
    labels = [name for name in labels if name not in (*starts, *ends, "id")]
    return (starts[0], ends[0], labels[0]) if starts and ends and labels else None


def _fitting(
    frame: pd.DataFrame, side: pd.DataFrame, join: JoinConfig, tried: Sequence[Way]
) -> JoinConfig | None:
    """*join* with the text, and of those *tried* the unit and the end, under which
    all spans are within the texts, none empty and none over another, and which `_agreeing` likes
    best; None for none. DataError where that is so for most spans, but not all."""
    lengths = {str(name): frame[name].str.len().mean() for name in frame.columns}
    nearly: dict[int, list[str]] = {}
    for text in sorted(lengths, key=lambda name: -lengths[name]):
        ways = []
        for unit, end in tried if text != join.key else ():
            way = replace(join, spans=unit, text=text, end_is=end)
            cells, found = tags_of(frame, side, way)
            told = found.sentences()
            nearly.setdefault(sum(cell.count('"B-') for cell in cells), told)
            ways += [] if told else [way]
        if ways:
            return max(ways, key=lambda way: _agreeing(frame, side, way))
    most = max(nearly, default=0)
    if most > len(side) / 2:
        raise DataError(
            f"{Path(join.file).name} has a row per span ({', '.join(join.columns)}), of which "
            f"{most:,} of {len(side):,} can be tags of the rows with this {join.key}. "
            f"{'; '.join(nearly[most])}. Mend these, or leave the file out (--no-joins)"
        )
    return None


def _agreeing(frame: pd.DataFrame, side: pd.DataFrame, join: JoinConfig) -> tuple[int, bool, int]:
    """How well spans are read by *join*: how many of them another column of *side* has the text of,
    whether they are of words, and how many end with a letter or digit that none follows."""
    texts = dict(zip(frame[join.key], frame[join.text], strict=True))
    more = side.drop(columns=[join.key, *join.columns]).to_numpy(object).tolist()
    of_words, same, borders = join.spans == "word", 0, 0
    rows = zip(*(side[name] for name in (join.key, *join.columns[:2])), more, strict=True)
    for key, start, end, others in rows:
        if span := span_of(start, end, join):
            begin, behind = span
            text = texts[key]
            if of_words:
                same += text.split()[begin:behind] in [other.split() for other in others]
                continue
            same += text[begin:behind] in others
            borders += text[behind - 1 : behind].isalnum() > text[behind : behind + 1].isalnum()
    return same, of_words, borders


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


def wide_sample(sample: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A sample with a row per class, or per id of *test* and column, as one with a column for each;
    any other as it is. Of ids and columns that are joined in keys also the first key."""
    id_column = id_column_of(sample, "")
    if found := wide_of(sample, id_column):
        return found[0], ""
    for name in test.columns:
        ids = composed(test[name].to_numpy(object))
        if set(map(str, sample.columns)) <= set(ids):
            return by_keys(sample, str(name)), ""
        if test[name].is_unique and (found := by_joined_keys(sample, id_column, ids)):
            return found[0].rename(columns={id_column: str(name)}), str(sample[id_column].iloc[0])
    return sample, ""
