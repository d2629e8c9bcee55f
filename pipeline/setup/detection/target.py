"""Which columns are to be predicted, which rows have no label, what is written for a class."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import DataError
from pipeline.base.errors import some
from pipeline.data import id_column_of
from pipeline.data.reading.json_lines import held_in
from pipeline.data.sample import index_columns
from pipeline.problems.entities import TAG
from pipeline.problems.form import match
from pipeline.problems.label_texts import canonical, is_number
from pipeline.problems.multilabel import separator_of
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.heads import joined_columns
from pipeline.setup.detection.names import ASIDE, MIDDLES, TARGETS, plain_words, target_rank, words
from pipeline.setup.detection.profile import Profile

FLAG = "--target COLUMN"
SURE_NAMES = 3
"""Ranks of names (target, label, score) that a column which test has is a target by."""
SURE = 0.99
"""A column that follows from another one in this share of rows says nothing new."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The value columns of the sample submission."""

    columns: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    """Distinct dummy answers per column."""

    @property
    def shown(self) -> list[str]:
        """The values of all columns."""
        return [text for texts in self.values.values() for text in texts]

    def without_kept(self, targets: Sequence[str]) -> "Answers":
        """Only the columns of the *targets*, where they have some: others are kept as they are."""
        own = [name for name in self.columns if name in targets]
        return (
            Answers(columns=own, values={name: self.values[name] for name in own}) if own else self
        )


def answers_of(
    sample: pd.DataFrame | None,
    id_column: str,
    test: pd.DataFrame | None = None,
    no_ids: Sequence[str] = (),
) -> Answers:
    """The sample submission's value columns with up to 50 of their values.

    Its first column is one of them where it is one of *no_ids*. Beside others, those that repeat
    a column of *test* row by row, such as the text, are no answers: they are kept as they are.
    """
    if sample is None:
        return Answers()
    named = id_column_of(sample, id_column, no_ids)
    kept = {named, *index_columns(sample)}
    columns = [str(name) for name in sample.columns if name not in kept]
    if test is not None:
        own = [name for name in columns if not _repeats(sample, test, name, named)]
        columns = own or columns
    shown = {name: map(str, pd.unique(sample[name])[:50]) for name in columns}
    values = {name: [text for text in texts if text.strip()] for name, texts in shown.items()}
    return Answers(columns=columns, values=values)


def _repeats(sample: pd.DataFrame, test: pd.DataFrame, name: str, id_column: str) -> bool:
    """Whether the column *name* of the *sample* has in each row what *test* has there."""
    if name not in test.columns or id_column not in test.columns or sample[name].nunique() < 2:
        return False
    there = dict(zip(test[id_column], test[name], strict=True))
    return all(
        there.get(key) == cell for key, cell in zip(sample[id_column], sample[name], strict=True)
    )


def find_targets(
    train: pd.DataFrame,
    profiles: dict[str, Profile],
    only_train: Sequence[str],
    answers: Answers,
    overrides: Overrides,
    choices: Choices,
) -> list[str]:
    """The target columns; empty where it takes a flag.

    The sample submission's columns where train has them; one column whose values are the
    sample's columns; else the best of the columns that are in train only.
    """
    if overrides.targets:
        return _wished(overrides.targets, profiles, choices)
    if answers.columns and all(column in profiles for column in answers.columns):
        choices.because("columns.targets", "The columns of the sample submission, all in train.")
        return list(answers.columns)
    known = [column for column in answers.columns if column in only_train]
    kept = [column for column in answers.columns if column not in profiles]
    if known and all(not any(map(is_number, answers.values[column])) for column in kept):
        told = f"The columns of the sample submission that train has too; kept: {', '.join(kept)}."
        choices.because("columns.targets", told)
        return known
    candidates = list(only_train)
    if not candidates:
        known = [name for name in profiles if target_rank(name) <= len(TARGETS)]
        sure = [name for name in known if target_rank(name) < SURE_NAMES]
        if len(sure) == 1 and answers.columns in ([], sure):
            told = "Called like a target, and test has it too: labels of test are not looked at."
            choices.because("columns.targets", told)
            return sure
        plain = [name for name, seen in profiles.items() if not (seen.unique or seen.natural)]
        choices.ask(FLAG, "no column is in train only", known or plain or list(profiles))
        return []
    spread = [name for name in candidates if class_of_column(profiles[name], answers.columns)]
    if len(spread) == 1:
        choices.because("columns.targets", "Its values are the columns of the sample submission.")
        return spread
    shown = [text for values in answers.values.values() for text in values]
    if len(answers.columns) == 1 and (
        joined := joined_columns(shown, [profiles[name] for name in candidates])
    ):
        told = f"The sample submission joins one class of each: {shown[0][:60]!r}."
        choices.because("columns.targets", told)
        return joined
    if len(candidates) == 1:
        choices.because("columns.targets", "The only column that is in train but not in test.")
        return candidates
    if len(answers.columns) > 1:
        raise DataError(
            f"the sample submission has the columns {some(answers.columns)} after the id, which "
            f"the training file lacks; beside what test has it has {some(candidates)}. Call the "
            "columns that are predicted alike in both files"
        )
    return _narrowed(train, profiles, candidates, answers, choices)


PAIRS = (
    "the training file has two texts of a row, {0!r} and {1!r}, which test has not, and no answer "
    "for a single text, such as {2!r} of the sample submission. Where one of the two is preferred, "
    "write a training file with a row for each text: the text, called as in test, and a number "
    "{2!r}, higher for the preferred one (1 and 0, or how often it was)"
)


def class_of_column(profile: Profile, columns: Sequence[str]) -> dict[str, str]:
    """Sample column -> class, where each class of a target has a column of its own; else empty.

    The columns may carry what is the same in all their names: prob_A, prob_B.
    """
    classes = {canonical(value): value for value in profile.values}
    if len(columns) < 2 or len(classes) != len(columns):
        return {}
    for bare in (list(columns), _without_common(columns)):
        if {canonical(name) for name in bare} == set(classes):
            pairs = zip(columns, bare, strict=True)
            return {column: classes[canonical(name)] for column, name in pairs}
    found = match(list(classes.values()), columns) or {}
    return {column: list(classes.values())[found[column]] for column in columns if found}


def _without_common(columns: Sequence[str]) -> list[str]:
    """The names without the beginning and the end that they share, up to a separator."""
    parts = [name.replace("-", "_").split("_") for name in columns]
    while all(len(part) > 1 and part[0] == parts[0][0] for part in parts):
        parts = [part[1:] for part in parts]
    while all(len(part) > 1 and part[-1] == parts[0][-1] for part in parts):
        parts = [part[:-1] for part in parts]
    return ["_".join(part) for part in parts]


def _wished(names: Sequence[str], profiles: dict[str, Profile], choices: Choices) -> list[str]:
    for name in names:
        if name not in profiles:
            close = get_close_matches(name, profiles, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            choices.ask(FLAG, f"the training file has no column {name!r}{hint}", list(profiles))
            return []
    choices.because("columns.targets", "Given by --target.")
    return list(names)


def _narrowed(
    train: pd.DataFrame,
    profiles: dict[str, Profile],
    candidates: list[str],
    answers: Answers,
    choices: Choices,
) -> list[str]:
    """One of several columns that are in train only, or all where they are labels of a row."""
    texts = [name for name in candidates if profiles[name].natural]
    others = [name for name in profiles if profiles[name].natural and name not in candidates]
    if len(texts) == 2 and not others and answers.columns:
        raise DataError(PAIRS.format(*texts, answers.columns[0]))
    left = [name for name in candidates if name.lower() in map(str.lower, answers.columns)]
    if len(left) == 1:
        choices.because("columns.targets", "Called as in the sample submission.")
        return left
    left = [name for name in candidates if not _aside(profiles[name])] or candidates
    copies = {name: source for name in left if (source := _follows(train, profiles, name, left))}
    if not answers.columns and _labels(left, profiles):  # a rare label may have one value here
        copies = {name: source for name, source in copies.items() if profiles[name].distinct > 1}
    for name, source in list(copies.items()):
        told = f"{name!r} follows from {source!r} and is left out."
        if MIDDLES & set(words(name)) and not MIDDLES & set(words(source)):
            del copies[name]
            copies[source] = name
            told = f"{source!r} is what {name!r} was made of, and is left out."
        choices.because("columns.targets", told)
    left = [name for name in left if name not in copies]
    shown = set(answers.shown)
    alike = [name for name in left if shown and shown <= set(profiles[name].values)]
    if len(alike) == 1 and not profiles[alike[0]].numeric:
        left = alike
    if not answers.columns and len(left) > 1 and _labels(left, profiles):
        choices.because("columns.targets", "All are 0 or 1: the labels of a multi-label problem.")
        return left
    return _best_named(left, [name for name in candidates if name not in copies], choices)


def _best_named(left: list[str], candidates: list[str], choices: Choices) -> list[str]:
    best = min(target_rank(name) for name in left)
    chosen = [name for name in left if target_rank(name) == best]
    if len(chosen) > 1:
        choices.ask(FLAG, "several columns are in train only", chosen)
        return []
    reason = "Of the columns that are in train only it is the one that looks like the target."
    choices.because("columns.targets", reason)
    if others := [name for name in candidates if name not in chosen]:
        choices.because("columns.targets", f"In train only too, and not used: {', '.join(others)}.")
    return chosen


def _aside(profile: Profile) -> bool:
    """Is it a text, a name of rows or a remark on the label rather than a label?"""
    lists = all(value.startswith("[") for value in profile.values)
    if lists or profile.natural or (profile.unique and not profile.numeric):
        return True
    parts = words(profile.name)
    return (
        bool(ASIDE & set(parts)) or parts[:1] == ["qid"] or plain_words(profile.name)[-1:] == ["id"]
    )


def _labels(names: Sequence[str], profiles: dict[str, Profile]) -> bool:
    return all(profiles[name].flags and target_rank(name) > 0 for name in names)


def _follows(
    train: pd.DataFrame, profiles: dict[str, Profile], name: str, others: Sequence[str]
) -> str:
    """The richer column from which *name* follows (a rounded or cut copy of it), or ''."""
    for other in others:
        richer = profiles[other].distinct > profiles[name].distinct
        if richer and profiles[other].repeats >= 2 and _decided(train[other], train[name]) >= SURE:
            return other
    return ""


def other_form(
    train: pd.DataFrame, profiles: dict[str, Profile], name: str, targets: Sequence[str]
) -> bool:
    """Whether the column *name* is one of the *targets* in another form, which a test file with
    labels has as well: a field of the same structure (labels.label, labels.binary-label), or a
    column that follows from it or that it follows from (label, label_text)."""
    if name not in profiles or name in targets or profiles[name].natural:
        return False
    for target in targets:
        structure = target.rpartition(".")[0]
        if structure and name.rpartition(".")[0] == structure:
            return True
        one, other = train[target], train[name]
        told = profiles[target].repeats >= 2 and profiles[name].repeats >= 2
        varied = profiles[name].distinct > 1
        if told and varied and max(_decided(one, other), _decided(other, one)) >= SURE:
            return True
    return False


def name_column(train: pd.DataFrame, profiles: Mapping[str, Profile], target: str) -> str:
    """The column of *train* that has a word of its own for each value of *target*; '' for none."""
    own = profiles[target]
    for name, profile in profiles.items():
        words_alone = profile.numbers == 0 and profile.distinct == own.distinct > 2
        if name != target and words_alone and own.repeats >= 2 and not profile.natural:
            pairs = train[[name, target]].drop_duplicates()
            if len(pairs) == own.distinct and pairs[name].is_unique:
                return name
    return ""


def _decided(source: pd.Series, copy: pd.Series) -> float:
    """Share of rows whose *copy* is the most frequent one of rows with the same *source*."""
    groups = pd.DataFrame({"source": source.to_numpy(), "copy": copy.to_numpy()})
    counts = groups.value_counts().groupby(level="source").max()
    return float(np.sum(counts) / max(len(groups), 1))


# Token-tagging competitions, recognised in order to be refused in plain words.


LOOKED_AT = 200
BY_WORD = (
    "{0} has a row per word: column {1!r} holds the tag of one. Expected a row per text. Write "
    "train and test as train.txt and test.txt, a word and its tag (of test the word) per line, "
    "parted by a tab, with an empty line between two texts (docs/how-to-tags.md)"
)
BY_SPAN = (
    "{0}: column {1!r} holds a list of spans (start, end, label) in each row. Write them into "
    "train_spans.csv beside it (id, start, end, label), a row for each, and leave the column out: "
    "they become tags"
)
BY_PLACE = (
    "{0}: column {1!r} holds places of characters in each row (start and end, such as 0 10). Write "
    "them into train_spans.csv beside it (id, start, end, label), a row for each place, and leave "
    "out the column and what repeats its words: they become tags, whose spans are to be written as "
    "the sample has them"
)
PLACES = re.compile(r"\d+ \d+(;\d+ \d+)*")
IOB = re.compile(rf"({TAG.pattern})( ({TAG.pattern}))+")


def refuse_tags(train: pd.DataFrame, only_train: Sequence[str], name: str) -> None:
    """Raise DataError where a column holds a tag per token, or where all hold lists."""
    listed = []
    for column in only_train:
        cells = [held_in(value, list) or [] for value in train[column].iloc[:LOOKED_AT]]
        places = [place for cell in cells for place in cell]
        if places and all(PLACES.fullmatch(str(place)) for place in places):
            raise DataError(BY_PLACE.format(name, column))
    for column in only_train:
        values = train[column].iloc[:LOOKED_AT]
        alone = {value.strip() for value in values}
        if {tag[:2] for tag in alone} >= {"O", "B-"} and all(map(TAG.fullmatch, alone)):
            raise DataError(BY_WORD.format(name, column))
        lists = [held_in(value, list) for value in values]
        if all(value is not None for value in lists):
            tags = [tag for value in lists for tag in value or []]
            if tags and all(isinstance(tag, str) and re.fullmatch(TAG, tag) for tag in tags):
                partner = _partner(train, column, lists) or "the units"
                raise DataError(_tagging(name, column, partner))
            if partner := _partner(train, column, lists):
                raise DataError(_tagging(name, column, partner))
            if any(map(_spans, lists)):
                raise DataError(BY_SPAN.format(name, column))
            if not separator_of(list(map(str, pd.unique(train[column])))):
                listed.append(column)
        if all(IOB.fullmatch(value.strip()) or value.strip() == "O" for value in values):
            raise DataError(_tagging(name, column, "the words"))
    if listed and listed == list(only_train):
        raise DataError(_listing(name, listed[0]))


def _spans(found: list[Any] | None) -> bool:
    """Whether a list holds spans of a text, such as [[0, 4, "PER"]]."""
    return bool(found) and all(
        isinstance(span, list)
        and len(span) == 3
        and all(type(place) is int for place in span[:2])
        and isinstance(span[2], str)
        for span in found or []
    )


def _partner(train: pd.DataFrame, column: str, lists: list[list[Any] | None]) -> str:
    """The column whose lists are as long, row by row."""
    lengths = [len(value or []) for value in lists]
    for other in train.columns:
        if other != column:
            found = [held_in(value, list) for value in train[other].iloc[:LOOKED_AT]]
            if [None if value is None else len(value) for value in found] == lengths:
                return repr(str(other))
    return ""


def _tagging(name: str, column: str, partner: str) -> str:
    return (
        f"{name}: column {column!r} holds one tag for each of {partner} of a row, but no column of "
        "train and test has lists, words or characters, as many as there are tags. Name the right "
        "one with --text, or write such a column into both files"
    )


def _listing(name: str, column: str) -> str:
    return (
        f"{name}: column {column!r} holds a list in each row. Expected one label per row or, "
        "where several can be right, one column of 0 and 1 per label. Where they are several right "
        "answers in words, say so: --problem text"
    )
