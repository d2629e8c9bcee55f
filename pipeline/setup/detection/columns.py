"""Which column names the rows, which hold the text; which other files have these columns."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path

import pandas as pd

from pipeline.base import DataError
from pipeline.base.config import ColumnsConfig
from pipeline.data import id_column_of
from pipeline.data.reading.reader import column_names
from pipeline.data.tables import ROW_NUMBER
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.names import (
    GROUPS,
    IDS,
    KNOWN_PAIRS,
    MAIN_TEXTS,
    NO_TEXTS,
    TARGETS,
    TEXTS,
    last_word,
    plain_words,
    skeleton,
    target_rank,
    words,
)
from pipeline.setup.detection.profile import Profile


def find_id(
    train: dict[str, Profile],
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
    overrides: Overrides,
    choices: Choices,
) -> str:
    """The id column of the training file; an empty text where it takes a flag.

    The sample submission's first column leads. Where train has it under another name, that is
    found by its values in test or, at last, by being unique in every row.
    """
    if overrides.id:
        return _wished_id(overrides.id, train, choices)
    shared = {name: profile for name, profile in train.items() if name in test.columns}
    if sample is not None:
        first = id_column_of(sample, "", no_ids(train, test))
        if not first:
            why = "the sample submission has no ids, its rows are those of the test file, in order"
            return _own_id(shared, choices, why)
        if first in train:
            choices.because("columns.id", "The sample submission's first column; train has it too.")
            return first
        if alias := _same_values(train, test, sample[first]):
            reason = f"Its values in the test file are those of {first!r} in the sample submission."
            choices.because("columns.id", reason)
            return alias
        return _own_id(train, choices, f"the test file calls its ids {first!r}")
    return _own_id(shared, choices, "there is no sample submission")


def no_ids(train: dict[str, Profile], test: pd.DataFrame) -> list[str]:
    """The columns of *train* that cannot name a row: *test* has them not, and values come again."""
    return [name for name in train if name not in test.columns and not train[name].unique]


def _wished_id(name: str, train: dict[str, Profile], choices: Choices) -> str:
    if name in train or name == ROW_NUMBER:
        choices.because("columns.id", "Given by --id.")
        return name
    close = get_close_matches(name, train, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "it has"
    choices.ask("--id COLUMN", f"the training file has no column {name!r}; {hint}", list(train))
    return ""


def _same_values(train: dict[str, Profile], test: pd.DataFrame, ids: pd.Series) -> str:
    wanted = set(ids)
    return next((name for name in test.columns if name in train and set(test[name]) == wanted), "")


def _own_id(columns: dict[str, Profile], choices: Choices, why: str) -> str:
    """A column that has another value in every row and looks like an id, or row numbers."""
    unique = [
        name
        for name, profile in columns.items()
        if profile.unique and not profile.natural and not profile.values[0].startswith("[")
    ]
    named = [name for name in unique if IDS & set(words(name)) or words(name)[-1:] == ["id"]]
    exact = [name for name in named if name.lower() == "id"]
    sides = {name for pair in combinations(named, 2) if _alike(*pair) for name in pair}
    best = exact or [name for name in named if name not in sides]  # those name a pair's texts
    if len(best) > 1:
        choices.ask("--id COLUMN", "several columns name every row", best)
        return ""
    if best:
        choices.because("columns.id", f"The only id that is unique in train; {why}.")
        return best[0]
    if unique and unique[0] == next(iter(columns)) and unique[0] not in sides:
        choices.because("columns.id", f"The first column, unique in every row of train; {why}.")
        return unique[0]
    choices.because(
        "columns.id",
        "No column names every row of train: rows are numbered. Keep the file's order from now on.",
    )
    return ROW_NUMBER


# Which one or two columns hold the text.


FLAG = "--text COLUMN"
TWICE = f"{FLAG} (twice for pairs)"


def find_texts(
    shared: dict[str, Profile], overrides: Overrides, choices: Choices
) -> tuple[list[str], list[str]]:
    """The text columns among those that train and test share, and further ones that hold text; no
    text where it takes a flag.

    In this order: a pair by its names (sentence1 and sentence2, premise and hypothesis), columns
    called like a text, columns that hold sentences, and at last any pair by its names.
    """
    if overrides.texts:
        return _wished_texts(overrides.texts, shared, choices), []
    level = {name: _level(profile) for name, profile in shared.items()}
    pairs = pairs_of([name for name in shared if level[name] >= 1])
    if pairs:
        return _pair(pairs, level, choices)
    for least in (3, 2, 1):
        candidates = [name for name in shared if level[name] >= least]
        if candidates:
            return _few(candidates, level, choices)
    return _last_resort(shared, choices), []


def _level(profile: Profile) -> int:
    """How much a column looks like a text: 3 in name and content, 2 content, 1 name, 0 not."""
    kind = last_word(profile.name)
    if kind in NO_TEXTS or {"clean", "cleaned"} & set(plain_words(profile.name)):
        return 0
    named = kind in TEXTS or profile.name.lower() in TEXTS
    if profile.natural:
        return 3 if named else 2
    phrases = profile.sentences > 0.8 and profile.words >= 1.5 and profile.repeats < 5
    if phrases and target_rank(profile.name) <= len(TARGETS):
        return 1  # called like a target, but test has it: it cannot be the target
    return int(named and profile.numbers < 0.5 and profile.length >= 3 and not profile.few)


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs whose names differ in a number or a, b only, or that are known to go together.

    >>> pairs_of(["prompt", "response_a", "response_b"])
    [('response_a', 'response_b')]
    """
    alike = [pair for pair in combinations(names, 2) if _alike(*pair)]
    by_kind = {last_word(name): name for name in reversed(names)}
    known = [
        (by_kind[one], by_kind[other])
        for one, other in KNOWN_PAIRS
        if one in by_kind and other in by_kind
    ]
    return alike or known


def _alike(one: str, other: str) -> bool:
    return skeleton(one) == skeleton(other) and "#" in skeleton(one)


def _pair(
    pairs: list[tuple[str, str]], level: dict[str, int], choices: Choices
) -> tuple[list[str], list[str]]:
    ranked = sorted(pairs, key=lambda pair: -level[pair[0]] - level[pair[1]])
    best = [pair for pair in ranked if sum(level[name] for name in pair) == _sum(ranked[0], level)]
    if len(best) > 1:
        named = {name for pair in best for name in pair}
        choices.because("columns.texts", "More than a pair, by the names; all hold text.")
        return [name for name in level if name in named], _texts_beside(named, level)
    choices.because("columns.texts", "A pair, by the names; both hold text in train and in test.")
    return list(best[0]), _texts_beside(set(best[0]), level)


def _sum(pair: tuple[str, str], level: dict[str, int]) -> int:
    return level[pair[0]] + level[pair[1]]


def _texts_beside(chosen: set[str], level: dict[str, int], least: int = 1) -> list[str]:
    return [name for name in level if level[name] >= least and name not in chosen]


def _few(
    candidates: list[str], level: dict[str, int], choices: Choices
) -> tuple[list[str], list[str]]:
    main = [name for name in candidates if last_word(name) in MAIN_TEXTS]
    chosen = candidates if len(candidates) <= 2 or len(main) != 1 else main
    told = {
        1: "It holds the text in train and in test.",
        2: "Both hold text: they are given to a model as a pair.",
    }
    choices.because("columns.texts", told.get(len(chosen), "All hold text in train and in test."))
    return chosen, _texts_beside(set(chosen), level, least=2)


def _last_resort(shared: dict[str, Profile], choices: Choices) -> list[str]:
    paths = pairs_of([name for name, profile in shared.items() if profile.numbers < 0.5])
    paths = [pair for pair in paths if not {"id", "qid"} & set(plain_words(pair[0]))]
    if len(paths) == 1:
        choices.because("columns.texts", "A pair, by the names.")
        if shared[paths[0][0]].sentences < 0.5:
            choices.because(
                "columns.texts",
                "But the values are no sentences. If they are names of files, put the files' "
                "content into these columns first.",
            )
        return list(paths[0])
    natural = [name for name, profile in shared.items() if profile.natural]
    if len(natural) == 1:
        choices.because("columns.texts", "The only column with sentences, whatever its name says.")
        return natural
    if not shared or all(profile.numbers > 0.9 for profile in shared.values()):
        only = "; call a text alike in both files, where it has two names"
    else:
        only = ""
    why = f"no column of train and test is clearly a text{only}"
    choices.ask(TWICE, why, natural or list(shared))
    return []


def _wished_texts(names: Sequence[str], shared: dict[str, Profile], choices: Choices) -> list[str]:
    missing = [name for name in names if name not in shared]
    if missing:
        choices.ask(FLAG, f"{missing[0]!r} is not in train and test; they share", list(shared))
        return []
    choices.because("columns.texts", "Given by --text.")
    return list(names)


# Which further columns the folds should look at.


FINE = 100
"""Rows of train per value that a column needs on average to be stratified on."""
SEEN = 0.5
"""Share of test rows with a value known from train, from which the test file is "the same"."""
STRANGE = 0.02
"""… up to which test has other values, so that folds have to keep train's whole."""
MANY = 50
"""Values of train that a column needs for that, or folds could not be equal."""


def find_strata(
    train: dict[str, Profile], test: pd.DataFrame, further: Sequence[str], choices: Choices
) -> list[str]:
    """At most one of the *further* columns: few values, most of test's rows have one of them."""
    few = [
        name
        for name in further
        if train[name].few
        and train[name].repeats >= FINE
        and _seen(train[name], test[name]) >= SEEN
    ]
    if not few:
        return []
    finest = max(few, key=lambda name: train[name].distinct)
    seen = f"{train[finest].distinct} values in train, most of test's rows have one of them."
    choices.because("folds.stratify_by", seen)
    if others := [name for name in few if name != finest]:
        choices.because("folds.stratify_by", f"Could be added: {', '.join(others)}.")
    return [finest]


def find_groups(
    train: dict[str, Profile], test: pd.DataFrame, columns: Sequence[str], choices: Choices
) -> list[str]:
    """The *columns* whose rows have to stay together: those that test has all but none of.

    An author of whom test has other texts never stands in train: only folds that keep authors whole
    ask the question that test asks. Other columns that may name such groups are told.
    """
    chosen = []
    for name in columns:
        profile = train[name]
        grouping = 1.5 <= profile.repeats <= profile.rows / 5
        if not grouping or (profile.numeric and not names_rows(name)):
            continue
        seen = _seen(profile, test[name]) if name in test.columns else None
        values = f"{name!r} ({profile.distinct:,} values)"
        new = 0.0 if seen is None else 1 - seen
        share = f"{100 * new:.0f} % of test's rows have a value that train has not"
        if new >= 1 - STRANGE and profile.distinct >= MANY:
            chosen.append(name)
            choices.because("folds.group_columns", f"{values}: {share}, so folds keep it whole.")
        elif new > SEEN:
            told = f"Consider {values}: {share}."
            choices.because("folds.group_columns", told)
        elif names_rows(name):
            choices.because("folds.group_columns", f"{values} may name such rows.")
    return chosen


def names_rows(name: str) -> bool:
    """Whether a column is called like one that names groups of rows (an author, an id)."""
    parts = set(words(name))
    return bool(parts & GROUPS) or "id" in parts


def _seen(profile: Profile, column: pd.Series) -> float:
    """The share of rows with a value of train, of those that have one."""
    filled = column[column.astype(str).str.strip() != ""]
    return float(filled.isin(set(profile.values)).mean()) if len(filled) else 1.0


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


def ask_beside(rows: int, others: Sequence[Path], overrides: Overrides, choices: Choices) -> None:
    """Ask where no target was found, and another file has as many rows and names none of them."""
    for path in others:
        try:
            frame = overrides.read(path)
        except DataError:  # a file that nobody asked for may be whatever it likes
            continue
        if len(frame) == rows and len(frame.columns) == 1:
            choices.ask(
                f"{frame.columns[0]!r} into the training file",
                f"{path.name} has {rows:,} rows, as many as train, and nothing that names them: "
                "where they are the same rows in the same order, write its column beside theirs",
            )


def mention_others(
    others: Sequence[Path], columns: ColumnsConfig, overrides: Overrides, choices: Choices
) -> None:
    """Say which other files have labels too, and which are of no use."""
    needed = _needed(columns)
    more = [path.name for path in others if needed <= set(columns_of(path, overrides))]
    rest = [path.name for path in others if path.name not in more]
    if more and columns.targets:
        choices.because("data.extra_train", f"Labelled too, but not used: {', '.join(more)}.")
    if rest:
        choices.because("data.train", f"Other files, not used: {', '.join(rest)}.")


def _needed(columns: ColumnsConfig) -> set[str]:
    return {*columns.texts, *columns.targets, columns.id} - {ROW_NUMBER, ""}


def columns_of(path: Path, overrides: Overrides) -> list[str]:
    """The names of the columns of the file *path*; none where it cannot be read."""
    try:
        how = overrides.how(path)
        return how.names or column_names(path, how.encoding or overrides.all_encoding or "utf-8")
    except DataError:  # a file that nobody asked for may be whatever it likes
        return []
