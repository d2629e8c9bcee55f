"""How rows stand to what their learner was trained on, and whether folds ask what test asks.

A score of held-out rows is one of test rows where both have the same relatives in what was learnt
from: rows with the same texts, with a sentence in common, with a nearly equal sentence, with the
same value of a column, or none. Test rows are held against all of train, held-out rows against the
other folds, and the shares are laid side by side. Folds whose shares are other ones than test's ask
another question than the leaderboard: too easy where relatives stand on both sides of a fold but
not of train and test, too hard the other way round.

Near sentences count through chains, as in `groups`: a is near b, b is near c, so a is near c.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.base.config import FoldsConfig
from pipeline.data import Table
from pipeline.folds.groups import near_pairs, normalise_all

EMPTY = -1
NEAR_SENTENCES, NEAR_CHARACTERS = 60_000, 6_000_000
"""With more distinct sentences or characters near ones are not looked for: it takes minutes."""
QUICK = 30_000
"""Texts up to which a command that only checks frozen folds looks for near sentences as well."""
APART = 0.10
"""Shares that differ by more than this, chance aside, are another question."""
CHANCE = 2.0
"""Standard errors of a share that are put down to chance."""
FEWEST = 50
"""Of fewer test rows no share can be told."""
LEVELS = ("same texts", "a shared sentence", "a near sentence", "the same value", "none")


@dataclass(frozen=True, kw_only=True, eq=False)
class Relatives:
    """n rows of one file as numbers that are equal where something is shared, in all files."""

    row: np.ndarray
    """(n,) equal for rows with the same texts on either side; EMPTY where all are empty."""
    sentences: np.ndarray
    """(n, s) number of each text, EMPTY where it is empty."""
    clusters: np.ndarray | None
    """(n, s) number of the sentences that it hangs together with; None where not looked for."""
    columns: Mapping[str, np.ndarray]
    """(n,) number of each value of a column, EMPTY where it is empty."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Shares of rows by the nearest relative in what their learner was trained on."""

    rows: int
    shares: dict[str, float]
    """Each of LEVELS -> share of the rows for which it is the nearest; they add up to 1."""
    seen: dict[str, float] = field(default_factory=dict)
    """Column -> share of the rows, of those with a value, whose value was trained on."""

    @property
    def reached(self) -> dict[str, float]:
        """Share of rows with a relative at least that near, texts first, then each column."""
        same, sentence, near = (self.shares[level] for level in LEVELS[:3])
        texts = (same, same + sentence, same + sentence + near)
        return {**dict(zip(LEVELS, texts, strict=False)), **self.seen}


def relatives(
    tables: Sequence[Table], threshold: float = 0.9, columns: Sequence[str] = (), near: bool = True
) -> list[Relatives]:
    """Number texts and the values of *columns* of several files together.

    Args:
        tables: the files; a column that one of them lacks is left out.
        threshold: similarity from which two sentences are near, in (0, 1].
        columns: further columns to compare.
        near: whether near sentences are looked for; never with more than NEAR_SENTENCES.
    """
    ends = np.cumsum([len(table) for table in tables])[:-1]
    texts = np.concatenate([table.texts for table in tables])
    distinct, number = normalise_all(texts)
    number = np.where(distinct[number] == "", EMPTY, number)
    sides = np.sort(number, axis=1)
    row = np.unique(sides, axis=0, return_inverse=True)[1].ravel()
    row = np.where((sides == EMPTY).all(axis=1), EMPTY, row)
    few = len(distinct) <= NEAR_SENTENCES and sum(map(len, distinct)) <= NEAR_CHARACTERS
    cluster = _clusters(distinct.tolist(), threshold)[number] if near and few else None
    values = {
        name: _values(np.concatenate([table.features[name] for table in tables]))
        for name in columns
        if all(name in table.features for table in tables)
    }
    cut = {name: np.split(each, ends) for name, each in values.items()}
    parts = zip(
        np.split(row, ends),
        np.split(number, ends),
        [None] * len(tables)
        if cluster is None
        else np.split(np.where(number == EMPTY, EMPTY, cluster), ends),
        strict=True,
    )
    return [
        Relatives(
            row=rows,
            sentences=sentences,
            clusters=clusters,
            columns={name: each[place] for name, each in cut.items()},
        )
        for place, (rows, sentences, clusters) in enumerate(parts)
    ]


def _clusters(sentences: list[str], threshold: float) -> np.ndarray:
    links = near_pairs(sentences, threshold)
    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_array((ones, (links[:, 0], links[:, 1])), shape=(len(sentences),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1])


def _values(column: np.ndarray) -> np.ndarray:
    number = pd.factorize(column)[0]
    return np.where(np.array([str(value).strip() == "" for value in column]), EMPTY, number)


def nearest(asked: Relatives, known: Relatives) -> np.ndarray:
    """(n,) for each row of *asked* the place in LEVELS of its nearest relative among *known*."""
    found = np.full(len(asked), len(LEVELS) - 1)
    for name, values in asked.columns.items():
        found[_known(values, known.columns[name])] = 3
    if asked.clusters is not None and known.clusters is not None:
        found[_known(asked.clusters, known.clusters).any(axis=1)] = 2
    found[_known(asked.sentences, known.sentences).any(axis=1)] = 1
    found[_known(asked.row, known.row)] = 0
    return found


def _known(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.isin(values, known) & (values != EMPTY)


def of_test(test: Relatives, train: Relatives) -> Relation:
    """How test rows stand to all of train."""
    seen = {}
    for name, values in test.columns.items():
        filled = values != EMPTY
        seen[name] = float(_known(values, train.columns[name])[filled].mean()) if any(filled) else 1
    return _counted(nearest(test, train), seen)


def of_folds(train: Relatives, fold_of_row: np.ndarray) -> Relation:
    """How held-out rows stand to the other folds, for folds (n,) or (R, n)."""
    levels, seen = [], []
    for folds in np.atleast_2d(fold_of_row):
        level, known = held_out(train, folds)
        levels.append(level)
        seen.append(known)
    means = {}
    for name, values in train.columns.items():
        filled = values != EMPTY
        shares = [float(each[name][filled].mean()) for each in seen] if filled.any() else [1.0]
        means[name] = float(np.mean(shares))
    return _counted(np.concatenate(levels), means, len(train))


def held_out(train: Relatives, fold_of_row: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """For each row (n,) the place in LEVELS of its nearest relative in the other folds; and for
    each column whether its value stands there."""
    level = np.full(len(train), len(LEVELS) - 1)
    seen = {name: np.zeros(len(train), dtype=bool) for name in train.columns}
    for fold in np.unique(fold_of_row):
        asked, known = np.flatnonzero(fold_of_row == fold), np.flatnonzero(fold_of_row != fold)
        ours, theirs = _rows(train, asked), _rows(train, known)
        level[asked] = nearest(ours, theirs)
        for name, values in ours.columns.items():
            seen[name][asked] = _known(values, theirs.columns[name])
    return level, seen


def _rows(every: Relatives, which: np.ndarray) -> Relatives:
    return Relatives(
        row=every.row[which],
        sentences=every.sentences[which],
        clusters=None if every.clusters is None else every.clusters[which],
        columns={name: values[which] for name, values in every.columns.items()},
    )


def _counted(level: np.ndarray, seen: dict[str, float], rows: int | None = None) -> Relation:
    share = np.bincount(level, minlength=len(LEVELS)) / max(len(level), 1)
    shares = dict(zip(LEVELS, share.tolist(), strict=True))
    return Relation(rows=len(level) if rows is None else rows, shares=shares, seen=seen)


def distance(one: Relation, other: Relation) -> float:
    """By how much the two differ in the share of rows with a relative at least that near."""
    ours, theirs = one.reached, other.reached
    return max(abs(ours[name] - theirs[name]) for name in ours if name in theirs)


def chance(test: Relation) -> float:
    """By how much shares of so few test rows may be off."""
    most = max(share * (1 - share) for share in test.reached.values())
    return CHANCE * float(np.sqrt(most / max(test.rows, 1)))


def differ(test: Relation, folds: Relation) -> str | None:
    """In a sentence what test asks and folds do not; None where they ask the same."""
    if test.rows < FEWEST or distance(test, folds) <= APART + chance(test):
        return None
    ours, theirs = folds.reached, test.reached
    name = max(theirs, key=lambda each: abs(theirs[each] - ours.get(each, theirs[each])))
    asked, told = f"{100 * theirs[name]:.0f} %", f"{100 * ours[name]:.0f} %"
    what = {
        LEVELS[0]: "have the texts of a row of train",
        LEVELS[1]: "share a sentence with a row of train",
        LEVELS[2]: "have a sentence near to one of train",
    }.get(name, f"have a value of {name} that train has")
    easier = "easier" if theirs[name] > ours[name] else "harder"
    return (
        f"{asked} of the test rows {what}, {told} of the held-out rows with their training part: "
        f"test is {easier} than what the folds ask"
    )


def shares_line(relation: Relation) -> str:
    """The shares that matter, for a person.

    >>> shares = dict(zip(LEVELS, (0.0, 0.18, 0.02, 0.0, 0.8)))
    >>> shares_line(Relation(rows=100, shares=shares, seen={"author": 0.25}))
    'a shared sentence 18.0 %, at least a near sentence 20.0 %, a known author 25.0 %'
    """
    found = relation.reached
    told = [(LEVELS[1], LEVELS[1]), (LEVELS[2], f"at least {LEVELS[2]}")]
    told += [(name, f"a known {name}") for name in relation.seen]
    return ", ".join(f"{words} {100 * found[name]:.1f} %" for name, words in told)


def compare_folds(
    train: Table,
    test: Table,
    fold_of_row: np.ndarray,
    threshold: float = 0.9,
    columns: Sequence[str] = (),
) -> tuple[Relation, Relation]:
    """The relations of test and of held-out rows, for *fold_of_row* (n,) or (R, n)."""
    near = train.texts.size + test.texts.size <= QUICK
    ours, theirs = relatives([train, test], threshold, columns, near)
    return of_test(theirs, ours), of_folds(ours, fold_of_row)


def questions(
    train: Table, test: Table, fold_of_row: np.ndarray, settings: FoldsConfig
) -> list[str]:
    """What test asks and the folds made by *settings* do not, in a sentence; [] where they do."""
    columns = settings.group_columns
    found = compare_folds(train, test, fold_of_row, settings.near_threshold, columns)
    apart = differ(*found)
    way = "python -m pipeline.init proposes folds that ask what test asks"
    return [] if apart is None else [f"{apart} ({way})"]
