"""How the target is spread: a histogram, shares of classes, positives per label."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pipeline.base import Competition
from pipeline.data import Table
from pipeline.setup.inspection.row_properties import sample_within

BINS = 10
FEW = 12
"""Up to so many distinct numbers are shown one by one."""


@dataclass(frozen=True, kw_only=True)
class NumberFacts:
    """One numeric target over the training rows."""

    name: str
    minimum: float
    mean: float
    maximum: float
    deviation: float
    distinct: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Rows per bin, class or label, in each labelled file."""

    names: list[str]
    """Bins of a number ("0.5 to 1"), classes, or labels; empty for several numbers."""
    counts: dict[str, list[int]]
    """File -> rows per name; the training file comes first."""
    totals: dict[str, int]
    """File -> its rows."""
    numbers: list[NumberFacts] = field(default_factory=list)
    """One per numeric target."""
    correlations: list[list[float]] = field(default_factory=list)
    """(k, k) Pearson correlations of several numeric targets or labels."""
    label_sets: int = 0
    """Distinct sets of labels, for multilabel; distinct joined classes, for heads."""
    unlabelled: int = 0
    """Training rows without any label, for multilabel."""
    heads: int = 0
    """Targets, for heads."""

    def moved(self, source: str) -> float:
        """Share of *source*'s rows that would have to change bin to be spread as in training."""
        train, other = (np.array(self.counts[name]) for name in (next(iter(self.counts)), source))
        if not train.sum() or not other.sum():
            return 0.0
        return float(np.abs(train / train.sum() - other / other.sum()).sum() / 2)


def spread(competition: Competition, labelled: Mapping[str, Table]) -> Spread:
    """The spread of the target over *labelled* files, by name, the training file first."""
    targets = {name: table.targets for name, table in labelled.items() if table.targets is not None}
    described = SPREADS[competition.task.problem_type.spread]
    return described(competition, targets)


def _numbers(competition: Competition, targets: Mapping[str, np.ndarray]) -> Spread:
    """One numeric target as a histogram, several by their facts and correlations."""
    names, label_range = competition.columns.targets, competition.task.label_range
    train = next(iter(targets.values()))
    facts = [number_facts(name, train[:, j]) for j, name in enumerate(names)]
    if len(names) > 1:
        return Spread(
            names=[],
            counts={},
            totals=_totals(targets),
            numbers=facts,
            correlations=correlations(train),
        )
    edges, labels = bins(train[:, 0], label_range)
    return Spread(
        names=labels,
        counts={name: histogram(values[:, 0], edges) for name, values in targets.items()},
        totals=_totals(targets),
        numbers=facts,
    )


def _labels(competition: Competition, targets: Mapping[str, np.ndarray]) -> Spread:
    """Positives of each of several labels."""
    train = next(iter(targets.values()))
    return Spread(
        names=list(competition.outputs),
        counts={name: (values > 0).sum(axis=0).tolist() for name, values in targets.items()},
        totals=_totals(targets),
        correlations=correlations(train),
        label_sets=len(np.unique(train, axis=0)),
        unlabelled=int((train == 0).all(axis=1).sum()),
    )


def _heads(competition: Competition, targets: Mapping[str, np.ndarray]) -> Spread:
    """Rows of each class of several targets, and how many joined classes there are."""
    train = next(iter(targets.values()))
    return Spread(
        names=list(competition.outputs),
        counts={name: values.sum(axis=0).astype(int).tolist() for name, values in targets.items()},
        totals=_totals(targets),
        heads=len(competition.task.problem_type.blocks(train.shape[1])),
        label_sets=len(np.unique(train, axis=0)),
    )


def _classes(competition: Competition, targets: Mapping[str, np.ndarray]) -> Spread:
    """Rows of each class."""
    names = competition.task.classes
    counts = {
        name: np.bincount(values[:, 0].astype(int), minlength=len(names)).tolist()
        for name, values in targets.items()
    }
    return Spread(names=list(names), counts=counts, totals=_totals(targets))


SPREADS: dict[str, Callable[[Competition, Mapping[str, np.ndarray]], Spread]] = {
    "numbers": _numbers,
    "labels": _labels,
    "classes": _classes,
    "blocks": _heads,
}
"""How the labels of a problem type are described (`Problem.spread`)."""


def _totals(targets: Mapping[str, np.ndarray]) -> dict[str, int]:
    return {name: len(values) for name, values in targets.items()}


def bins(
    values: np.ndarray, label_range: tuple[float, float] | None
) -> tuple[np.ndarray, list[str]]:
    """Lower edges (b,) and names (b,) of the bins for a numeric target (n,).

    A target of few values gets a bin for each; others get BINS bins of equal width over the
    label range (widened where values lie outside it).
    """
    distinct = np.unique(values)
    if len(distinct) <= FEW:
        return distinct, [f"{value:g}" for value in distinct]
    low, high = label_range or (distinct[0], distinct[-1])
    edges = np.linspace(min(low, distinct[0]), max(high, distinct[-1]), BINS + 1)
    # linspace leaves 0.30000000000000004, which would put a label of 0.3 below its own edge
    edges = np.array([float(f"{edge:.10g}") for edge in edges])
    names = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    return edges[:-1], names


def histogram(values: np.ndarray, lower_edges: np.ndarray) -> list[int]:
    """Rows per bin; values outside fall into the first or the last."""
    place = np.searchsorted(lower_edges, values, side="right") - 1
    counts = np.bincount(np.maximum(place, 0), minlength=len(lower_edges))
    return [int(count) for count in counts]


def number_facts(name: str, values: np.ndarray) -> NumberFacts:
    """Least, mean, largest and spread of one numeric target (n,)."""
    return NumberFacts(
        name=name,
        minimum=float(values.min()),
        mean=float(values.mean()),
        maximum=float(values.max()),
        deviation=float(values.std()),
        distinct=len(np.unique(values)),
    )


def correlations(targets: np.ndarray) -> list[list[float]]:
    """(k, k) Pearson correlations of targets (n, k); 0 where a column is constant."""
    centred = targets - targets.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(scale > 0, scale, 1)
    return [[float(value) for value in row] for row in unit.T @ unit]


# How long the texts are, in characters, words and (estimated) tokens, and how many are empty.


ROWS = 100_000
CHARACTERS = 10_000_000
"""Words and tokens are counted in at most so many rows and characters of a file."""
BUDGETS = (128, 256, 512)
"""Usual longest inputs, in tokens."""
SPECIAL_TOKENS = {1: 2, 2: 3}


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """The lengths of many texts."""

    median: float
    mean: float
    high: float
    """95 % are not longer."""
    maximum: float


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """One text column, per file."""

    column: str
    characters: dict[str, Quantiles]
    words: dict[str, Quantiles]
    empty: dict[str, int]
    """Rows whose text is empty or only blanks."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """All text columns, and whole rows in tokens."""

    columns: list[TextFacts]
    tokens: dict[str, Quantiles]
    """File -> estimated tokens of a row as one input, special tokens included."""
    beyond: dict[str, dict[str, float]]
    """File -> budget in tokens (as text) -> estimated share of rows that are longer."""
    sampled: bool
    """Words and tokens were counted in a sample of some file."""


def lengths(
    columns: Sequence[str],
    files: Mapping[str, Table],
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Lengths:
    """Lengths of the text *columns* (s,) of *files* by name, none of them without rows.

    *inputs*: file -> (n, 1 or 2) what a model reads of its rows, where that is not the texts.
    Characters are counted in all rows, words and tokens in a sample of very many.
    """
    texts = {name: table.texts for name, table in files.items()}
    chosen = {
        name: part[sample_within(part, ROWS, CHARACTERS, "inspect-lengths")]
        for name, part in texts.items()
    }
    read = {
        name: part[sample_within(part, ROWS, CHARACTERS, "inspect-lengths")]
        for name, part in (inputs or {}).items()
    }
    tokens = {name: row_tokens(read.get(name, part)) for name, part in chosen.items()}
    return Lengths(
        columns=[text_facts(name, j, texts, chosen) for j, name in enumerate(columns)],
        tokens={name: quantiles(counts) for name, counts in tokens.items()},
        beyond={
            name: {str(budget): float((counts > budget).mean()) for budget in BUDGETS}
            for name, counts in tokens.items()
        },
        sampled=any(len(chosen[name]) < len(part) for name, part in texts.items()),
    )


def text_facts(
    column: str, j: int, texts: Mapping[str, np.ndarray], chosen: Mapping[str, np.ndarray]
) -> TextFacts:
    """Lengths of the *j*-th text column of files of texts (n, s), words of the *chosen* rows."""
    return TextFacts(
        column=column,
        characters={file: quantiles(map(len, part[:, j])) for file, part in texts.items()},
        words={
            file: quantiles(len(text.split()) for text in part[:, j])
            for file, part in chosen.items()
        },
        empty={
            file: sum(not text or text.isspace() for text in part[:, j])
            for file, part in texts.items()
        },
    )


def quantiles(values: Iterable[float]) -> Quantiles:
    """Median, mean, 95 % and maximum of the lengths of one or more texts."""
    array = np.fromiter(values, dtype=float)
    median, high = np.quantile(array, [0.5, 0.95])
    return Quantiles(
        median=float(median), mean=float(array.mean()), high=float(high), maximum=float(array.max())
    )


def row_tokens(texts: np.ndarray) -> np.ndarray:
    """(n,) estimated tokens of rows of texts (n, s), special tokens included."""
    counts = np.sum([tokens(column) for column in texts.T], axis=0)
    return np.asarray(np.ceil(counts) + SPECIAL_TOKENS[texts.shape[1]])


def tokens(texts: np.ndarray) -> np.ndarray:
    """(n,) roughly how many subword tokens each text has, from the kinds of its characters.

    Within 3 % of an English WordPiece vocabulary on the mean and the 95 % quantile of news,
    captions and forum sentences; other vocabularies and languages may differ by a third.
    """
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    used = np.flatnonzero(np.bincount(codes, minlength=1))
    weight = np.zeros(int(used.max(initial=0)) + 1, dtype=np.float32)
    weight[used] = [_weight(chr(code)) for code in used.tolist()]
    until = np.concatenate([[0.0], np.cumsum(weight[codes], dtype=float)])
    ends = np.cumsum([0, *map(len, texts)])
    return np.asarray(np.diff(until[ends]))


def _weight(character: str) -> float:
    """Tokens per character of its kind."""
    point = ord(character)
    if character.isspace():
        return 0.0
    if 0xAC00 <= point <= 0xD7A3:  # Hangul syllables
        return 0.55
    if 0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF:  # kana, Chinese characters
        return 0.8
    if character.isdigit():
        return 0.4
    return 0.22 if character.isalpha() else 1.0


# Which columns, and which of their values, only one of the files has.


SHOWN = 6
"""Values that are named; `more` counts the others."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """The values of one further column that only train or only test has."""

    name: str
    train_values: int
    test_values: int
    only_train: dict[str, int]
    """Value -> its rows, the most frequent first, at most SHOWN."""
    only_test: dict[str, int]
    only_train_rows: int
    """Training rows with a value that test does not have."""
    only_test_rows: int
    more_train: int
    """Further values only in train, beyond those named."""
    more_test: int


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns and values that not both files have."""

    only_train: list[str]
    """Further columns of the training file that the test file lacks."""
    only_test: list[str]
    values: list[Values]


def columns(
    headers: Mapping[str, Sequence[str]],
    used: Sequence[str],
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
) -> Columns:
    """Compare the *headers* of train and test, and the further columns both have by value.

    Columns that are *used* as targets or ids are not further columns.
    """
    first, second = headers["train"], headers["test"]
    return Columns(
        only_train=[name for name in first if name not in second and name not in used],
        only_test=[name for name in second if name not in first and name not in used],
        values=[values(name, train[name], test[name]) for name in train if name in test],
    )


def values(name: str, train: np.ndarray, test: np.ndarray) -> Values:
    """Compare the values of one column in train (n,) and test (m,)."""
    first, second = _counted(train), _counted(test)
    lost = {value: count for value, count in first.items() if value not in second}
    new = {value: count for value, count in second.items() if value not in first}
    return Values(
        name=name,
        train_values=len(first),
        test_values=len(second),
        only_train=_first(lost),
        only_test=_first(new),
        only_train_rows=sum(lost.values()),
        only_test_rows=sum(new.values()),
        more_train=max(0, len(lost) - SHOWN),
        more_test=max(0, len(new) - SHOWN),
    )


def _counted(column: np.ndarray) -> dict[str, int]:
    distinct, counts = np.unique(column.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(distinct[place]): int(counts[place]) for place in order}


def _first(counts: dict[str, int]) -> dict[str, int]:
    return dict(list(counts.items())[:SHOWN])
