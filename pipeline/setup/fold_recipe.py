"""Which folds `init` proposes: those that ask what test asks, and what others would claim."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.linear_model import Ridge

from pipeline.base import Competition, generator
from pipeline.data import Table
from pipeline.folds.frozen import workable
from pipeline.folds.groups import describe
from pipeline.folds.recipe import Recipe, RecipeChoice, choose_recipe, groups_of
from pipeline.folds.relation import APART, Relation, distance
from pipeline.metrics import Metric, MetricError
from pipeline.setup.detection.columns import MANY, names_rows
from pipeline.setup.detection.profile import Profile, profile_of
from pipeline.setup.inspection.adversarial import hashed_texts, indicators
from pipeline.setup.inspection.row_properties import text_properties

ROWS = 6_000
"""Rows that the quick score is tried on, at most: whole groups."""
STRENGTH = 1.0
"""Of the ridge, on texts of unit length."""
SHOWN = 4
"""Recipes that are told side by side, at most."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One recipe beside test."""

    recipe: str
    relation: Relation
    off: float
    """By how much its shares differ from test's."""
    score: float | None
    """Of a quick model on random folds made so; None where it was not asked or is undefined."""


@dataclass(frozen=True, kw_only=True)
class FoldProposal:
    """What `init` proposes."""

    competition: Competition
    """With the folds that were chosen."""
    reasons: dict[str, str]
    """Field -> why."""
    test: Relation
    chosen: str
    fits: bool
    claims: list[Claim]
    """The chosen recipe first, then others that ask something else."""
    unseen: dict[str, float]
    """Column of few values -> share of test rows whose value train has not: no fold asks that."""
    parted: str = ""
    """What cannot be kept together, or no folds could be made; empty where all is."""


def propose(competition: Competition, train: Table, test: Table, metric: Metric) -> FoldProposal:
    """Choose how folds are made by what *test* has in common with *train*."""
    shared = [name for name in competition.columns.features if name in train.features]
    shared = [name for name in shared if name in test.features]
    profiles = {name: profile_of(pd.Series(train.features[name]), name) for name in shared}
    new = _unseen(profiles, train, test)
    columns = [name for name in profiles if _may_group(profiles[name]) or name in new]
    choice = choose_recipe(train, test, competition.folds, columns)
    folds = choice.chosen.within(competition.folds)
    stratify = [name for name in folds.stratify_by if name not in folds.group_columns]
    chosen = replace(competition, folds=replace(folds, stratify_by=stratify))
    chosen, changed = workable(chosen, train)
    parted = ""
    if changed:
        parted = "" if chosen.folds.count < competition.folds.count else choice.chosen.name
        choice = _as_it_is(choice, chosen)
    others = _others(choice)
    scores = _scores(chosen, train, metric, [choice.chosen, *others]) if others else {}
    return FoldProposal(
        competition=chosen,
        reasons=_reasons(competition, chosen, choice, changed),
        test=choice.test,
        chosen=choice.chosen.name,
        fits=choice.fits,
        claims=[
            Claim(
                recipe=each.name, relation=each.relation, off=each.off, score=scores.get(each.name)
            )
            for each in [choice.chosen, *others]
        ],
        unseen={name: part for name, part in new.items() if name not in folds.group_columns},
        parted=parted,
    )


def _may_group(profile: Profile) -> bool:
    """Whether rows with one value of the column may belong together, and folds can be made so."""
    grouping = 1.5 <= profile.repeats <= profile.rows / 5 and profile.distinct >= MANY
    return grouping and (not profile.numeric or names_rows(profile.name))


def _unseen(profiles: dict[str, Profile], train: Table, test: Table) -> dict[str, float]:
    """Column of few values -> share of test rows whose value train has not, where that is much."""
    found = {}
    for name, profile in profiles.items():
        if not profile.few:
            continue
        values = np.array([str(value) for value in test.features[name]], dtype=object)
        new = ~np.isin(values, np.array(profile.values, dtype=object)) & (values != "")
        if new.mean() > APART:
            found[name] = float(new.mean())
    return found


def _others(choice: RecipeChoice) -> list[Recipe]:
    """Recipes that ask something else than the chosen one, the plainest of each kind."""
    kept = [choice.chosen]
    for each in choice.tried:
        if all(distance(each.relation, other.relation) > APART / 2 for other in kept):
            kept.append(each)
    return kept[1:SHOWN]


def _as_it_is(choice: RecipeChoice, competition: Competition) -> RecipeChoice:
    """The *choice*, with the recipe of *competition*, where it was tried."""
    folds = competition.folds
    own = [each for each in choice.tried if each.within(folds) == folds]
    return replace(choice, chosen=own[0]) if own else choice


def _reasons(
    before: Competition, after: Competition, choice: RecipeChoice, impossible: str
) -> dict[str, str]:
    if impossible:
        usual = f"{before.folds.count} folds with groups: {before.folds.groups}"
        names = ("count", "groups", "group_columns", "rare")
        differ = [
            name for name in names if getattr(before.folds, name) != getattr(after.folds, name)
        ]
        return {f"folds.{name}": f"{usual} cannot be made ({impossible})." for name in differ}
    changed = before.folds.groups != after.folds.groups or after.folds.whole < 1
    reasons = {"folds.groups": choice.reason} if changed or not choice.fits else {}
    if before.folds.group_columns != after.folds.group_columns:
        named = ", ".join(after.folds.group_columns) or "No column"
        reasons["folds.group_columns"] = f"{named}: {choice.reason[0].lower()}{choice.reason[1:]}"
    if after.folds.whole < 1:
        told = f"{100 * after.folds.whole:.0f} % of the groups stay whole."
        reasons["folds.whole"] = told
    return reasons


def _scores(
    competition: Competition, train: Table, metric: Metric, recipes: Sequence[Recipe]
) -> dict[str, float | None]:
    """Of a ridge on character trigrams and simple properties, by random folds of each recipe."""
    every = groups_of(train, replace(competition.folds, whole=1.0))
    part = train.rows(_whole_groups(every, competition.folds.seed))
    assert part.targets is not None
    views = [hashed_texts(part.texts), indicators(text_properties(part.texts))]
    view = sparse.hstack(views, format="csr")
    target = competition.task.problem_type.expand(part.targets, len(competition.outputs))
    found: dict[str, float | None] = {}
    for recipe in recipes:
        groups = groups_of(part, recipe.within(competition.folds))
        if groups.max() < 1:  # all rows belong together: nothing is left to train on
            found[recipe.name] = None
            continue
        turn = generator(competition.folds.seed, "claim").permutation(describe(groups).count)
        predicted = _predicted(view, target, (turn % competition.folds.count)[groups])
        if not competition.task.problem_type.numeric:
            predicted = np.clip(predicted, 1e-3, 1 - 1e-3)
        try:
            found[recipe.name] = metric.score(part.targets, predicted)
        except MetricError:
            found[recipe.name] = None
    return found


def _whole_groups(groups: np.ndarray, seed: int) -> np.ndarray:
    """(n,) bool: groups in random order until they have about ROWS rows."""
    size = np.bincount(groups)
    turn = generator(seed, "claim rows").permutation(len(size))
    taken = turn[np.cumsum(size[turn]) - size[turn] < ROWS]
    return np.isin(groups, taken)


def _predicted(view: sparse.csr_array, target: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(n, k) each row by a ridge on the rows of the other folds."""
    found = np.zeros_like(target, dtype=float)
    for each in np.unique(fold):
        asked = fold == each
        model = Ridge(STRENGTH, solver="lsqr", tol=1e-3).fit(view[~asked], target[~asked])
        found[asked] = model.predict(view[asked]).reshape(-1, target.shape[1])
    return found
