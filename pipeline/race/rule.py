"""Which fold is trained next when time is short: the rule of `pipeline.race`.

1. First the first fold of everything, the cheapest kinds first: nothing is known of a run without.
2. While no run is complete, the run that can be completed soonest: for a submission in hand.
3. Then the run with the largest expected gain per minute that completing it takes.

The gain of a run over the ensemble of the complete ones is measured on the rows of its finished
folds, honestly, and known up to a standard error. A run that turns out not to help is left out of
the ensemble, so what counts is the expected improvement: E[max(0, gain)] for a normal gain (Mockus
1975; Jones, Schonlau & Welch, "Efficient Global Optimization of Expensive Black-Box Functions", J.
Global Optimization 13, 1998). It is divided by what is left to pay, as in "expected improvement per
second" (Snoek, Larochelle & Adams, "Practical Bayesian Optimization of Machine Learning
Algorithms", NIPS 2012, section 3.2). Runs that cannot be completed in the time left are not begun.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.special import ndtr

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
from pipeline.oof.members import read_members
from pipeline.oof.predictions import FoldPredictions, Wanted, read_fold
from pipeline.oof.texts import read_text_members
from pipeline.tune.bench import Bench


@dataclass(frozen=True, kw_only=True)
class Racer:
    """One run in the race."""

    name: str
    done: int
    """Finished folds."""
    folds: int
    seconds: float | None = None
    """Of one of its folds, the mean; None where none is finished."""
    gain: float = 0.0
    """Measured on the rows of its finished folds, in the metric's unit, above 0 is better."""
    error: float = math.inf
    """Its standard error; infinite where nothing is measured."""
    cost: int = 0
    """Kinds of learners from cheap to dear, for the order of first folds."""
    out: str = ""
    """Why it is not trained any more."""

    @property
    def complete(self) -> bool:
        """Whether the ensemble can use it."""
        return self.done >= self.folds

    @property
    def open(self) -> bool:
        """Whether it can be trained further."""
        return not self.complete and not self.out

    @property
    def seconds_left(self) -> float | None:
        """Until it is complete; None where that is not known."""
        return None if self.seconds is None else (self.folds - self.done) * self.seconds

    @property
    def expected(self) -> float:
        """Of completing it, in the metric's unit: what it adds if it helps, else nothing."""
        return expected_gain(self.gain, self.error)

    @property
    def per_minute(self) -> float:
        """The expected gain of each minute until it is complete."""
        left = self.seconds_left
        return 0.0 if not left else 60 * self.expected / left


def expected_gain(gain: float, error: float) -> float:
    """E[max(0, G)] of a normal G with this mean and standard error.

    >>> round(expected_gain(0.0, 1.0), 4), expected_gain(0.5, 0.0), expected_gain(-0.5, 0.0)
    (0.3989, 0.5, 0.0)
    """
    if not math.isfinite(gain) or not math.isfinite(error):
        return 0.0
    if error <= 0:
        return max(gain, 0.0)
    z = gain / error
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(gain * ndtr(z) + error * density)


def next_of(racers: Sequence[Racer], seconds: float) -> Racer | None:
    """Who is trained next, when so many seconds are left; None where nothing that can still be
    completed is expected to gain anything."""
    begun = [each for each in racers if each.open and each.done]
    new = [each for each in racers if each.open and not each.done]
    if new and seconds > kept_back(racers):
        return min(new, key=lambda each: each.cost)
    fits = [each for each in begun if (each.seconds_left or 0.0) <= seconds]
    if not fits:
        return None
    if not any(each.complete for each in racers):
        return min(fits, key=lambda each: each.seconds_left or 0.0)
    best = max(fits, key=lambda each: each.per_minute)
    return best if best.per_minute > 0 else None


def kept_back(racers: Sequence[Racer]) -> float:
    """Seconds that a first fold must leave: while no run is complete, those of the quickest."""
    if any(each.complete for each in racers):
        return 0.0
    known = [each.seconds_left for each in racers if each.open and each.seconds_left is not None]
    return min(known, default=0.0)


# What a run that is not complete is expected to gain.
#
# The gain is that of the ensemble with the run over the same without it, both fitted, chosen and
# scored honestly on the rows of its finished folds, which are divided by groups for that (no
# learner has seen them, so any division will do).


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
    holdout = ground.tables.test.ids[:0]
    if ground.tables.holdout is not None:
        holdout = ground.tables.holdout.ids
    outputs, test = ground.competition.outputs, ground.tables.test.ids
    members = read_members(bench.paths(), names, ground.folds, outputs, test, holdout).oof
    oof = np.concatenate([each.valid for each in said])[order].astype(float)
    whole = Evidence.gather(
        [*names, recipe.name],
        [*(np.asarray(each[rows]) for each in members), oof],
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
    train, nobody = ground.tables.train.in_order(ground.folds.ids), ground.tables.test.ids[:0]
    holdout = nobody if ground.tables.holdout is None else ground.tables.holdout.ids
    wanted = Wanted.of(ground.folds.ids, ground.tables.test.ids, holdout)
    outputs = ground.competition.outputs
    members = read_text_members(bench.paths(), names, ground.folds, outputs, wanted)
    oof = concatenate_rows([each.texts["valid"] for each in said]).rows(order)
    truth = train.truth
    assert truth is not None
    whole = TextEvidence.gather(
        [*names, recipe.name],
        pooled([*([each.rows(rows) for each in run.oof] for run in members), [oof]], score),
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
