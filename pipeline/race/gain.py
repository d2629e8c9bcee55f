"""What a run that is not complete is expected to gain.

The gain is that of the ensemble with the run over the same without it, both fitted, chosen and
scored honestly on the rows of its finished folds, which are divided by groups for that (no learner
has seen them, so any division will do).
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from pipeline.base.seeding import generator
from pipeline.data.candidates import concatenate_rows
from pipeline.data.join import shared
from pipeline.ensemble import Gain
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.honest import AUTO, Nest, difference
from pipeline.ensemble.texts.nest import METHODS, TextEvidence, TextNest
from pipeline.ensemble.texts.pool import pooled
from pipeline.metrics import MetricError
from pipeline.metrics.metric import judging
from pipeline.models import Recipe
from pipeline.oof.predictions import FoldPredictions, read_fold
from pipeline.tune.bench import Bench

PARTS = 4
"""Parts that the rows of finished folds are divided into, to fit on three and score on one."""
UNKNOWN = Gain(0.0, np.inf, -np.inf, np.inf)


def of_numbers(bench: Bench, recipe: Recipe, done: Sequence[int], names: Sequence[str]) -> Gain:
    """What the ensemble of the runs *names* gains by that of *recipe*, on its folds *done*."""
    ground = bench.ground
    rows, order, parts, said = _held_out(bench, recipe, done)
    if len(np.unique(parts)) < 2:
        return UNKNOWN
    train = ground.tables.train.in_order(ground.folds.ids)
    assert train.targets is not None
    oof = np.concatenate([each.valid for each in said])[order].astype(float)
    whole = Evidence.gather(
        [*names, recipe.name],
        [*(each[rows] for each in bench.said(names)), oof],
        train.targets[rows],
        parts,
        ground.folds.group_of_row[rows],
        judging(bench.metric),
        ground.competition.task.problem_type.name,
    )
    after = Nest(whole, ground.competition.folds.seed)
    return _difference(after, Nest(whole.without(len(names)), after.seed, after.methods))


def of_texts(bench: Bench, recipe: Recipe, done: Sequence[int], names: Sequence[str]) -> Gain:
    """The same where runs say texts."""
    ground = bench.ground
    rows, order, parts, said = _held_out(bench, recipe, done)
    score = bench.metric.formula.texts
    assert score is not None, "a metric of texts"
    if len(np.unique(parts)) < 2:
        return UNKNOWN
    oof = concatenate_rows([each.texts["valid"] for each in said]).rows(order)
    truth = ground.tables.train.in_order(ground.folds.ids).truth
    assert truth is not None
    members = [[each.rows(rows) for each in sets] for sets in bench.texts_said(names)]
    whole = TextEvidence.gather(
        [*names, recipe.name],
        pooled([*members, [oof]], score),
        truth[rows],
        parts,
        ground.folds.group_of_row[rows],
        bench.metric,
    )
    after = TextNest(cast(Any, whole), ground.competition.folds.seed, METHODS)
    return _difference(after, after.beside(whole.without(len(names))))


MEASURED: dict[str, Callable[[Bench, Recipe, Sequence[int], Sequence[str]], Gain]] = {
    "numbers": of_numbers,
    "texts": of_texts,
}
"""What predictions are (`Problem.predictions`) -> how the gain is measured."""


def _difference(after: Nest, before: Nest) -> Gain:
    try:
        found = difference(after, AUTO, before, AUTO).gain()
    except MetricError:
        return UNKNOWN
    return found if np.isfinite(found.difference) else UNKNOWN


def _held_out(
    bench: Bench, recipe: Recipe, done: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[FoldPredictions]]:
    """Of the folds *done* of a run: their rows (r,), as ascending places in the order of the folds;
    how predictions, one fold after the other, are brought into that order (r,); the part of each
    row (r,); and what each fold says."""
    folds, seed = bench.ground.folds, bench.ground.competition.folds.seed
    said = [
        read_fold(bench.parts(recipe, fold)[0].with_suffix(".npz"))[0]  # of the first repeat
        for fold in done
    ]
    rows = np.concatenate([shared(each.valid_ids, folds.ids)[1] for each in said])
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    return rows, order, parts_by_group(folds.group_of_row[rows], seed), said


def parts_by_group(groups: np.ndarray, seed: int) -> np.ndarray:
    """(n,) 0 … PARTS - 1: the rows of a group, given by its number (n,), in one part."""
    known, place = np.unique(groups, return_inverse=True)
    part_of_group = generator(seed, "race", len(known)).permutation(len(known)) % PARTS
    return np.asarray(part_of_group[place])
