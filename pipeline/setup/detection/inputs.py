"""What a model reads of a row: a template where texts are more than two, entities by offsets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.base import UsageError
from pipeline.base.config import ColumnsConfig
from pipeline.base.inputs import MARKED, SEPARATOR, End, EntityConfig, columns_in
from pipeline.data.reading.json_lines import held_in
from pipeline.data.template import with_fields
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.columns import find_texts
from pipeline.setup.detection.names import words
from pipeline.setup.detection.profile import Profile

FLAG = "--template TEXT"
CATEGORY = 5
"""Rows per different text from which a column says what kind a row is, and is no text of it."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What was found."""

    texts: list[str]
    template: list[str] = field(default_factory=list)


def find_inputs(
    shared: dict[str, Profile],
    entities: Sequence[EntityConfig],
    overrides: Overrides,
    choices: Choices,
    joined: Collection[str] = (),
) -> Inputs:
    """The text columns among those that train and test share, and how they are put together.

    Columns that were *joined* and that many rows have in common are no texts of a row: they are
    further columns, which the template names.
    """
    if overrides.template:
        return _wished(shared, entities, overrides, choices)
    if entities and not overrides.texts:
        texts = list(dict.fromkeys(each.text for each in entities))
        where = "it" if len(texts) == 1 else "them"
        choices.because("columns.texts", f"The offsets of entities are places in {where}.")
        choices.because("columns.template", "The sentence with its entities marked.")
        marked = [f"{{{text}{MARKED}}}" for text in texts]
        both = marked if len(texts) <= 2 else [f" {SEPARATOR} ".join(marked)]
        return Inputs(texts=texts, template=both)
    texts, further = find_texts(shared, overrides, choices)
    further += [
        name
        for name, profile in shared.items()
        if name in joined and profile.sentence_like and name not in [*texts, *further]
    ]
    common = [name for name in texts if name in joined and _category(shared[name])]
    if common and common != texts:
        texts, further = [name for name in texts if name not in common], [*common, *further]
    if not further and len(texts) <= 2:
        return Inputs(texts=texts)
    choices.because("columns.template", _why(texts, further, overrides))
    own = [name for name in shared if name in texts or (name in further and _own(shared[name]))]
    if len(texts) > 2:
        own = [name for name in own if not _category(shared[name])] or own
    return Inputs(
        texts=texts if set(own) == set(texts) else own,
        template=proposed(list(shared), texts, further),
    )


def _own(profile: Profile) -> bool:
    return profile.natural and not _category(profile)


def _category(profile: Profile) -> bool:
    return profile.repeats >= CATEGORY


def _why(texts: Sequence[str], further: Sequence[str], overrides: Overrides) -> str:
    if overrides.texts:
        return "The columns of --text, put together."
    if len(texts) == 2:
        return f"The pair, and what else holds text: {', '.join(further)}. For the pair alone: []."
    return "All columns that hold text, in the file's order. Leave out what does not help."


def proposed(order: Sequence[str], texts: Sequence[str], further: Sequence[str]) -> list[str]:
    """One side of all columns in their *order*; for a pair two sides, what comes before the pair
    at the beginning of the first, all else at the end of the second.

    >>> proposed(["prompt", "a", "b"], ["a", "b"], ["prompt"])
    ['{prompt} [SEP] {a}', '{b}']
    >>> proposed(["s1", "s2", "s3"], ["s1", "s2", "s3"], [])
    ['{s1} [SEP] {s2} [SEP] {s3}']
    """
    if len(texts) != 2:
        return [_side([name for name in order if name in texts or name in further])]
    begin = min(order.index(name) for name in texts)
    before = [name for name in order[:begin] if name in further]
    after = [name for name in order[begin:] if name in further]
    return [_side([*before, texts[0]]), _side([texts[1], *after])]


def _side(names: Sequence[str]) -> str:
    return f" {SEPARATOR} ".join(f"{{{name}}}" for name in names)


def _wished(
    shared: dict[str, Profile],
    entities: Sequence[EntityConfig],
    overrides: Overrides,
    choices: Choices,
) -> Inputs:
    """As --template says; its texts are those of --text, else those it names that hold text."""
    sides, nothing = list(overrides.template), Inputs(texts=list(shared)[:1])
    try:
        named = [name.removesuffix(MARKED) for side in sides for name in columns_in(side, "it")]
    except UsageError as error:
        choices.ask(FLAG, str(error))
        return nothing
    named = list(dict.fromkeys(named))
    unknown = [name for name in named if name not in shared]
    marked = any(f"{MARKED}}}" in side for side in sides)
    if unknown or not named or len(sides) > 2:
        why = f"{unknown[0]!r} is not in train and test" if unknown else "it names no column"
        why = f"{len(sides)} were given; it takes one, or two for pairs" if len(sides) > 2 else why
        choices.ask(FLAG, f"{why}; they share", list(shared))
        return nothing
    if marked and not entities:
        choices.ask(FLAG, f"no offsets of entities were found that {MARKED} could mark")
        return nothing
    choices.because("columns.template", "Given by --template.")
    if overrides.texts:
        return Inputs(texts=find_texts(shared, overrides, choices)[0], template=sides)
    texts = [name for name in named if _own(shared[name])]
    choices.because("columns.texts", "The texts that --template names.")
    return Inputs(texts=texts or named[:1], template=sides)


# Entities: columns that say where they begin and end in a text.


STARTS = {"start": "end", "begin": "end", "starts": "ends", "from": "to"}
KINDS = ("type", "label", "ner", "kind", "tag")
NAMES = ("word", "text", "name", "surface", "mention")
SURE = 0.9
MARKS = ("@ * {type} * {text} @", "# ^ {type} ^ {text} #")
"""Of the first and of the second entity: Zhou and Chen (2021), arXiv:2102.01373."""
LOOKED_AT = 200


def opened(frame: pd.DataFrame) -> pd.DataFrame:
    """*frame* with the fields of objects that say where something begins in columns of their own:
    subject_entity.start_idx."""
    for column in list(frame.columns):
        first = held_in(str(frame[column].iloc[0]), dict) if len(frame) else None
        if first is None or not any(_begins(name) for name in first):
            continue
        wide = with_fields(frame, [f"{column}.{name}" for name in first])
        if all(f"{column}.{name}" in wide.columns for name in first):
            frame = wide.drop(columns=column)
    return frame


def find_entities(
    train: pd.DataFrame, shared: dict[str, Profile], choices: Choices
) -> list[EntityConfig]:
    """The entities whose offsets the columns hold that train and test share; none where offsets
    do not fall on words."""
    found: list[EntityConfig] = []
    for start in shared:
        end = _partner(start, list(shared))
        if end and all(_whole(train[name]) for name in (start, end)):
            where = _where(train, shared, start, end)
            if where is not None:
                place = len(found)
                kind = _sibling(start, KINDS, list(shared))
                mark = MARKS[place] if place < 2 else f"<{place + 1}> {{type}}: {{text}} </>"
                mark = mark if kind else _untyped(mark)
                text, end_is = where
                found.append(
                    EntityConfig(
                        text=text, start=start, end=end, end_is=end_is, type=kind, mark=mark
                    )
                )
    if found:
        ends = f"{found[0].end!r} is the {found[0].end_is} character"
        ends = ends if found[0].end_is == "last" else f"{found[0].end!r} is the one after it"
        choices.because("columns.entities", f"By offsets; {ends}, as most words show.")
    return found


def _begins(name: str) -> bool:
    return bool(set(words(name.rpartition(".")[2])) & set(STARTS))


def _partner(start: str, names: Sequence[str]) -> str:
    """The column called like *start* but for the word that says where it ends."""
    for begins, ends in STARTS.items():
        if begins in words(start):
            at = start.lower().rindex(begins)
            partner = start[:at] + ends + start[at + len(begins) :]
            return next((name for name in names if name.lower() == partner.lower()), "")
    return ""


def _sibling(start: str, kinds: Sequence[str], names: Sequence[str]) -> str | None:
    """The column of the same entity that is called like one of the *kinds*."""
    begins = next(word for word in STARTS if word in words(start))
    stem = start[: start.lower().rindex(begins)]
    own = {name[len(stem) :].lower(): name for name in names if name.startswith(stem) and stem}
    return next((own[kind] for kind in kinds if kind in own), None)


def _whole(column: pd.Series) -> bool:
    return all(cell.strip().removesuffix(".0").isdecimal() for cell in column)


def _untyped(mark: str) -> str:
    """
    >>> _untyped("@ * {type} * {text} @"), _untyped("# ^ {type} ^ {text} #")
    ('@ {text} @', '# {text} #')
    """
    return f"{mark[0]} {{text}} {mark[-1]}"


def _where(
    train: pd.DataFrame, shared: dict[str, Profile], start: str, end: str
) -> tuple[str, End] | None:
    """The text that the offsets are places in, and whether the end is the last character."""
    some = train.iloc[:: max(1, len(train) // LOOKED_AT)]
    firsts, ends = (some[name].astype(float).astype(int).to_numpy() for name in (start, end))
    name = _sibling(start, NAMES, list(shared))
    texts = [each for each, profile in shared.items() if profile.natural and each != name]
    ways: tuple[tuple[End, int], ...] = (("last", 1), ("after", 0))
    best: tuple[float, str, End] = (0.0, "", "last")
    for text in texts:
        for end_is, more in ways:
            rows = zip(some[text], firsts, ends + more, strict=True)
            cut = [
                row[first:after] if 0 <= first < after <= len(row) else ""
                for row, first, after in rows
            ]
            share = float(np.mean([bool(each.strip()) for each in cut]))
            if share >= SURE:
                named = list(some[name]) if name else None
                best = max(best, (_evidence(cut, named, list(some[text])), text, end_is))
    return (best[1], best[2]) if best[0] >= SURE else None


def _evidence(cut: Sequence[str], named: Sequence[str] | None, texts: Sequence[str]) -> float:
    """How well what offsets *cut* out fits: to the name of the entity in length, else to words."""
    if named is not None:
        alike = [len(one) == len(other) for one, other in zip(cut, named, strict=True)]
        equal = [one == other for one, other in zip(cut, named, strict=True)]
        return float(np.mean(alike) + np.mean(equal))
    whole = [f" {one} " in f" {text} " for one, text in zip(cut, texts, strict=True)]
    return float(np.mean(whole))


def say_unused(
    headers: Mapping[str, Sequence[str]],
    columns: ColumnsConfig,
    left_out: Mapping[str, Sequence[str]],
    choices: Choices,
) -> None:
    """Name every column that no model reads as text, and why; *left_out*: reason -> columns."""
    train, test = headers["train"], headers["test"]
    shown = {name.removesuffix(MARKED) for side in columns.template for name in columns_in(side)}
    places = [name for entity in columns.entities for name in (entity.start, entity.end)]
    aside = [name for name in columns.features if name not in shown]
    told = {
        "Not in the text that a model reads (a template can name them)": aside,
        "Where entities stand": [name for name in places if name in train],
        **left_out,
    }
    said = {name for names in told.values() for name in names}
    said |= {columns.id, *columns.texts, *columns.targets, *columns.features}
    told["Only in train"] = [name for name in train if name not in test and name not in said]
    told["Only in test"] = [name for name in test if name not in train and name not in said]
    told["Not used"] = [name for name in train if name in test and name not in said]
    for why, names in told.items():
        if names:
            choices.because("columns.features", f"{why}: {', '.join(dict.fromkeys(names))}.")
