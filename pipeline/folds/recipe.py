"""Which way of making folds asks what test asks.

Candidates are plain ways (rows that share a sentence stay together nearly, exactly or not at all;
with or without columns whose values stay together) and mixtures, in which only a share of the
groups stays whole and the rest is split, as in a test file of which a part is known to train. Each
is tried with random folds, and the one whose held-out rows stand to their training part as test
rows stand to train is taken; of those that do so equally well the most cautious.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from pipeline.base import generator
from pipeline.base.config import FoldsConfig
from pipeline.data import Table
from pipeline.folds.groups import How, connect, first_appearance
from pipeline.folds.relation import (
    APART,
    EMPTY,
    FEWEST,
    Relation,
    Relatives,
    chance,
    distance,
    of_folds,
    of_test,
    relatives,
)

MARGIN = 0.03
"""A bolder recipe is taken only where its shares are nearer to test's by more than this."""
GOOD = 0.05
"""Shares so near to test's, chance aside, need no mixture."""
STEPS = 6
"""Halvings when the share of whole groups is searched for."""
HOWS: tuple[How, ...] = get_args(How)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way of making folds, and how its held-out rows stand to their training part."""

    groups: How
    group_columns: tuple[str, ...]
    whole: float
    relation: Relation
    off: float
    """By how much its shares differ from test's."""

    @property
    def name(self) -> str:
        """In words, as a table has it.

        >>> Recipe(groups="none", group_columns=("author",), whole=0.6, relation=None, off=0).name
        'none, author, 60 % of the groups whole'
        """
        part = [f"{100 * self.whole:.0f} % of the groups whole"] if self.whole < 1 else []
        return ", ".join([self.groups, *self.group_columns, *part])

    def within(self, folds: FoldsConfig) -> FoldsConfig:
        """*folds* made in this way."""
        columns = list(self.group_columns)
        return replace(folds, groups=self.groups, group_columns=columns, whole=self.whole)


@dataclass(frozen=True, kw_only=True)
class RecipeChoice:
    """What was tried, and what was taken."""

    test: Relation
    chosen: Recipe
    tried: list[Recipe]
    """All of them, the chosen one included, the cautious ones first."""
    fits: bool
    """Whether the chosen one's shares are those of test, chance aside."""
    reason: str


def choose_recipe(
    train: Table, test: Table, folds: FoldsConfig, columns: Sequence[str]
) -> RecipeChoice:
    """The recipe whose held-out rows stand to train as *test* does.

    Args:
        train: n rows.
        test: m rows; of fewer than FEWEST no share can be told and *folds* stay as they are.
        folds: the cautious way: what is taken where nothing is nearer to test.
        columns: columns whose values may name groups of rows.
    """
    compared = list(dict.fromkeys([*folds.group_columns, *columns]))
    ours, theirs = relatives([train, test], folds.near_threshold, compared)
    asked = of_test(theirs, ours)
    trial = _Trial(train, ours, asked, folds)
    cautious = trial.of(folds.groups, tuple(folds.group_columns), folds.whole)
    if len(test) < FEWEST:
        reason = f"{len(test)} test rows are too few to tell what they have in common with train."
        return RecipeChoice(test=asked, chosen=cautious, tried=[cautious], fits=True, reason=reason)
    tried = [cautious]
    for kept in dict.fromkeys([tuple(folds.group_columns), ()]):
        tried += [trial.of(how, kept, 1.0) for how in HOWS]
    tried = list({each.name: each for each in tried}.values())
    if min(each.off for each in tried) > GOOD + chance(asked):
        tried += trial.mixtures(columns)
    best = min(tried, key=lambda each: each.off)
    allowed = best.off + MARGIN
    chosen = next(each for each in tried if each.off <= allowed)
    if chosen.whole < 1:  # of mixtures the nearest, not the first
        chosen = best
    fits = chosen.off <= APART + chance(asked)
    return RecipeChoice(
        test=asked, chosen=chosen, tried=tried, fits=fits, reason=_why(chosen, fits)
    )


def _why(chosen: Recipe, fits: bool) -> str:
    if not fits:
        return (
            "No recipe gives held-out rows the relatives that test rows have in train; this one "
            f"comes nearest (shares differ by up to {100 * chosen.off:.0f} points)."
        )
    return "Held-out rows then stand to their training part as test rows stand to train."


class _Trial:
    """Tries recipes on one train and test file."""

    def __init__(self, train: Table, ours: Relatives, asked: Relation, folds: FoldsConfig) -> None:
        self.train, self.ours, self.asked, self.folds = train, ours, asked, folds

    def of(self, how: How, columns: tuple[str, ...], whole: float) -> Recipe:
        groups = split_some(self._groups(how, columns), self._inner(how, columns), whole,
                            self.train.ids, self.folds.seed)  # fmt: skip
        count = int(groups.max()) + 1
        fold = generator(self.folds.seed, "relation").permutation(count) % self.folds.count
        found = of_folds(self.ours, fold[groups])
        off = distance(self.asked, found)
        return Recipe(groups=how, group_columns=columns, whole=whole, relation=found, off=off)

    def mixtures(self, columns: Sequence[str]) -> list[Recipe]:
        """Recipes with a share of whole groups, each with the share that comes nearest to test."""
        ways: list[tuple[How, tuple[str, ...]]] = [("near", ()), ("exact", ())]
        loose = self.of("none", (), 1.0).relation.seen
        missing = {name: loose[name] - self.asked.seen[name] for name in columns if name in loose}
        if missing:
            most = max(missing, key=lambda name: missing[name])
            ways += [("near", (most,)), ("none", (most,))]
        return [self._mixed(how, kept) for how, kept in ways]

    def _mixed(self, how: How, columns: tuple[str, ...]) -> Recipe:
        """The share by halving: the more groups stay whole, the fewer relatives are known."""
        low, high = 0.0, 1.0
        tried = [self.of(how, columns, high)]
        for _ in range(STEPS):
            tried.append(self.of(how, columns, round((low + high) / 2, 2)))
            known, wanted = _known(tried[-1].relation, columns), _known(self.asked, columns)
            low, high = (tried[-1].whole, high) if known > wanted else (low, tried[-1].whole)
        return min(tried, key=lambda each: each.off)

    def _groups(self, how: How, columns: tuple[str, ...]) -> np.ndarray:
        clusters = self.ours.clusters
        number = clusters if how == "near" and clusters is not None else self.ours.sentences
        values = [self.train.features[name] for name in columns]
        return connect(_names(number), "none" if how == "none" else "exact", columns=values)

    def _inner(self, how: How, columns: tuple[str, ...]) -> np.ndarray:
        return self._groups(how, ()) if columns else np.arange(len(self.train))


def _known(found: Relation, columns: tuple[str, ...]) -> float:
    """The share of rows with a relative of the kind that a mixture is about."""
    return found.seen[columns[0]] if columns else list(found.reached.values())[2]


def _names(number: np.ndarray) -> np.ndarray:
    names = ["" if each == EMPTY else str(each) for each in number.ravel().tolist()]
    return np.array(names, dtype=object).reshape(number.shape)


def groups_of(train: Table, folds: FoldsConfig) -> np.ndarray:
    """(n,) the number of each row's group, as *folds* ask for it."""
    columns = [train.features[name] for name in folds.group_columns]
    groups = connect(train.texts, folds.groups, folds.near_threshold, columns)
    if folds.whole == 1:
        return groups
    inner = connect(train.texts, folds.groups, folds.near_threshold) if columns else None
    alone = np.arange(len(train)) if inner is None else inner
    return split_some(groups, alone, folds.whole, train.ids, folds.seed)


def split_some(
    groups: np.ndarray, inner: np.ndarray, whole: float, ids: np.ndarray, seed: int
) -> np.ndarray:
    """(n,) *groups* of which only as many stay whole as make up a share of their rows.

    The other groups fall into their *inner* ones (n,), which lie inside them. Rows that stand alone
    count neither way. Which groups stay whole depends on the ids, not on the order of the rows.

    >>> pairs = np.array([0, 0, 1, 1, 2])
    >>> names = np.array(list("abcde"), dtype=object)
    >>> split_some(pairs, np.arange(5), 0.5, names, seed=0).tolist()
    [0, 1, 2, 2, 3]
    """
    if whole >= 1:
        return groups
    order = np.argsort(ids.astype(object), kind="stable")
    by_id = np.empty(len(groups), dtype=np.int64)
    by_id[order] = first_appearance(groups[order])  # a group's number goes by its smallest id
    size = np.bincount(by_id)
    turn = generator(seed, "whole groups").permutation(len(size))
    turn = turn[size[turn] > 1]
    kept = np.zeros(len(size), dtype=bool)
    kept[turn[np.cumsum(size[turn]) <= whole * size[turn].sum() + 0.5]] = True
    return first_appearance(np.where(kept[by_id], by_id, len(size) + inner))
