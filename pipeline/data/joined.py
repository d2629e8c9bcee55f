"""Tables beside the rows, joined to them by a key: prompts of summaries, essays, labels.

A join is said in the config, `data.joins`: which file, which key, which columns, to which rows. It
adds columns to rows and never adds, drops or reorders a row; whatever does not fit is refused.
"""

import json
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from pipeline.base.inputs import JoinConfig
from pipeline.data.join import named
from pipeline.data.reading.packed import FILE_NAME
from pipeline.data.sample import composed
from pipeline.data.table import MENDED, Findings
from pipeline.data.units import units_in
from pipeline.problems.entities import OVERLAP, tags_of_spans

Read = Callable[[str], tuple[pd.DataFrame | None, list[str], list[str]]]
"""A file's name -> its rows (None where they cannot be read), problems and notes."""


def joined(
    frame: pd.DataFrame, name: str, joins: Sequence[JoinConfig], read: Read
) -> tuple[pd.DataFrame | None, list[str], list[str]]:
    """*frame*, the rows of the file *name*, with the columns of all *joins*, one after the other.

    Returns None where a join cannot be made, with the problems; and notes.
    """
    problems, notes = [], []
    for join in joins:
        table, wrong, told = read(join.file)
        notes += told
        problems += wrong
        if table is None:
            continue
        table = table.rename(columns={FILE_NAME: join.their_key})
        wrong = join_problems(frame, name, table, join)
        problems += wrong
        if not wrong:
            frame, more = with_columns(frame, name, table, join)
            notes += more
    return (None if problems else frame), problems, notes


def join_problems(
    frame: pd.DataFrame, name: str, table: pd.DataFrame, join: JoinConfig
) -> list[str]:
    """Why *table* cannot be joined to *frame*, in sentences."""
    there, theirs = list(map(str, frame.columns)), list(map(str, table.columns))
    if join.key not in there:
        return [
            f"{name}: there is no column {join.key!r} to join {join.file} by; it has "
            f"{', '.join(there)}. Name the right one as the key of the join"
        ]
    if lacking := [each for each in (join.their_key, *join.columns) if each not in theirs]:
        return [
            f"{join.file}: there is no column {', '.join(map(repr, lacking))} to be joined to "
            f"{name}; it has {', '.join(theirs)}. Name the right ones in data.joins"
        ]
    if join.spans:
        return _span_problems(frame, name, table, join)
    problems = []
    keys, found = composed(frame[join.key].to_numpy(object)), Findings()
    own = composed(table[join.their_key].to_numpy(object))
    for key, count in pd.Series(own).value_counts(sort=False).items():
        if count > 1:
            found.add(f"{join.their_key} that stand more than once", f"{key} ({count} times)")
    problems += [
        f"{join.file}: {sentence}. A join takes one row for each; take the others out, or join by "
        "a column that names each row"
        for sentence in found.sentences()
    ]
    unknown = ~pd.Index(keys).isin(own)
    if unknown.any():
        missing = list(dict.fromkeys(keys[unknown]))
        problems.append(
            f"{name}: {int(unknown.sum()):,} rows whose {join.key} is not in {join.file}: "
            f"{named(missing)}{_alike(missing, own)}"
        )
    collide = [each for each in join.columns if f"{join.prefix}{each}" in there]
    if collide:
        problems.append(
            f"{join.file} and {name} both have a column {', '.join(map(repr, collide))}: set the "
            "prefix of the join (prefix: other_), or take the column out of its columns"
        )
    return problems


def _alike(missing: Sequence[str], own: np.ndarray) -> str:
    """For a sentence: keys that are there but for case, spaces, a .0 or zeros in front."""

    def plain(text: str) -> str:
        return text.strip().casefold().removesuffix(".0").lstrip("0")

    there = {plain(each): each for each in own}
    near = [each for each in missing if plain(each) in there]
    if not near:
        like = ", ".join(list(dict.fromkeys(own))[:3])
        return f" (there they are like {like}). Add their rows, or leave it out (init: --no-joins)"
    other = there[plain(near[0])]
    return f"; {near[0]!r} is {other!r} there. Write them alike in both files"


def with_columns(
    frame: pd.DataFrame, name: str, table: pd.DataFrame, join: JoinConfig
) -> tuple[pd.DataFrame, list[str]]:
    """*frame* with the columns of *join*, and a note about rows of *table* that nobody has."""
    if join.spans:
        tags, _ = tags_of(frame, table, join)
        return frame.assign(**{f"{join.prefix}{join.columns[2]}": tags}), []
    keys = composed(frame[join.key].to_numpy(object))
    own = pd.Index(composed(table[join.their_key].to_numpy(object)))
    places = own.get_indexer(pd.Index(keys))
    cells = {f"{join.prefix}{each}": table[each].to_numpy(object)[places] for each in join.columns}
    unused = int((~own.isin(keys)).sum())
    more = [f"{join.file}: {unused:,} of its rows belong to no row of {name}"] if unused else []
    return frame.assign(**cells), more


# Spans: a row per span of a text becomes tags of its units.

WHOLE = re.compile(r"\s*(\d+)(\.0*)?\s*")


def span_of(start: str, end: str, join: JoinConfig) -> tuple[int, int] | None:
    """Its first unit and the one after its last; None where a cell is no whole number."""
    first, last = WHOLE.fullmatch(start), WHOLE.fullmatch(end)
    if not (first and last):
        return None
    return int(first[1]), int(last[1]) + (join.end_is == "last")


def _span_problems(
    frame: pd.DataFrame, name: str, table: pd.DataFrame, join: JoinConfig
) -> list[str]:
    """Why the spans in *table* are not those of the rows in *frame*, in sentences."""
    there = list(map(str, frame.columns))
    if join.text not in there:
        told = f"there is no column {join.text!r} that the spans of {join.file} are of"
        return [f"{name}: {told}. Name the right one as the text of the join"]
    if f"{join.prefix}{join.columns[2]}" in there:
        return [
            f"{join.file} and {name} both have a column {join.columns[2]!r}: set a prefix (tag_)"
        ]
    own = composed(table[join.their_key].to_numpy(object))
    unknown = list(dict.fromkeys(own[~pd.Index(own).isin(composed(frame[join.key].to_numpy()))]))
    told = f"rows whose {join.key} is not in {name}: {named(unknown)}. Take them out"
    problems = [told] if unknown else []
    _, found = tags_of(frame, table, join)
    return [f"{join.file}: {sentence}" for sentence in problems + found.sentences()]


def tags_of(
    frame: pd.DataFrame, table: pd.DataFrame, join: JoinConfig
) -> tuple[list[str], Findings]:
    """The tags (IOB2) of each row of *frame*, as a list in a cell, of its spans in *table*; and the
    spans that cannot be tags. A text without a span has O everywhere, also where a row of *table*
    names it with all three of start, end and label empty."""
    assert join.spans, "a join of spans"
    found = Findings()
    spans: dict[str, list[list[str]]] = {}
    keys = composed(table[join.their_key].to_numpy(object)).tolist()
    for key, cells in zip(keys, table[join.columns].to_numpy(object).tolist(), strict=True):
        if any(cell.strip() for cell in cells):
            spans.setdefault(key, []).append(cells)
    rows = []
    ids = composed(frame[join.key].to_numpy(object)).tolist()
    for key, text in zip(ids, frame[join.text].tolist(), strict=True):
        units = units_in(text, join.spans)
        whole = []
        for start, end, label in spans.get(key, []):
            span = span_of(start, end, join)
            if span is None or not label.strip():
                what = "spans without a whole number as start and end, or a label"
                found.add(what, f"{join.key} {key} ({start} to {end}, {label})", MENDED)
            else:
                whole.append((*span, label))
        tags, wrong = tags_of_spans(len(units[0] if units else []), whole)
        for what, (begin, behind, label) in wrong:
            last = behind - (join.end_is == "last")
            what += "" if what == OVERLAP else f", in {join.spans}s"
            remedy = "" if what == OVERLAP else MENDED
            found.add(what, f"{join.key} {key} ({begin} to {last}, {label})", remedy)
        rows.append(json.dumps(tags, ensure_ascii=False))
    return rows, found
