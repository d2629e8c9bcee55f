"""Decisions where documents are read as a whole: what an entity or an answer may be.

Everything is tried on a grid, and taken only for a gain beyond its noise (`beyond_noise`).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule, beyond_noise, gain_of_labels
from pipeline.metrics import Metric
from pipeline.problems.entities import BRIDGE, Inventory, edited, inventory_of, limited
from pipeline.problems.span import PLACE, References
from pipeline.problems.span import limited as limited_answers

# Share of O: how likely "no entity" has to be for a unit, lest the likeliest other tag is taken.
#
# Metrics that count what is missed more than what is too much (F5) want entities at small
# probabilities, entity F1 may want fewer. A unit whose probability of O is below the level loses O,
# and its other tags share what is left; the best path of the document is read off after that.


LEVELS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Probabilities of O that are tried; below a level the next tag is taken."""
LEFT = 1e-9
"""What is left of O where it is not taken."""


@dataclass(frozen=True)
class ShareOfOutside:
    """A level for O; 0 leaves everything as it is."""

    level: float
    outside: int
    """The number of O."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) probabilities, O taken away where it is below the level."""
        if not self.level:
            return predicted
        low = predicted[:, self.outside] < self.level
        changed = np.array(predicted, dtype=float)
        changed[low, self.outside] = LEFT
        changed[low] /= changed[low].sum(axis=1, keepdims=True)
        return changed

    def says(self, names: list[str]) -> str:
        """The level."""
        if not self.level:
            return "no level gains beyond its noise"
        return f"another tag than O where O has less than {self.level:g}"

    def as_dict(self) -> dict[str, Any]:
        """The level."""
        return {"level": self.level}


def outside_for(metric: Metric) -> Rule:
    """The rule that fits the level to *metric*."""
    outside = inventory_of(metric.classes).outside

    def fit(rows: Labelled) -> ShareOfOutside:
        def labels(level: float) -> np.ndarray:
            decided = ShareOfOutside(level, outside).apply(rows.predicted)
            return metric.labels(rows.truth, decided)

        def gain(level: float) -> float:
            return gain_of_labels(metric, rows.truth, labels(level))

        best, classes = max(LEVELS, key=gain), rows.predicted.shape[1]
        before, after = labels(0.0), labels(best)
        better = beyond_noise(metric, rows.truth, before, after, rows.group_of_row, classes)
        return ShareOfOutside(best if better else 0.0, outside)

    return fit


# Limits of entities: two entities of a type with little between them are often one that was torn,
# and what is shorter than almost every entity of its type is often none. Joined first, then left
# out, type by type. They count beside a level for O, which is fitted first.


BRIDGES = (1, 2, 3, 4, 6, 9, 16)
"""Two entities of a type with fewer units than that between them are one."""
SHORTER = (0.002, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Of a type's entities: those that are shorter than the lengths that are tried."""


@dataclass(frozen=True)
class EntityLimits:
    """What an entity may be, beside a level for O."""

    share: ShareOfOutside
    inventory: Inventory
    shortest: tuple[int, ...]
    """(t,) the fewest units of each type; 1 for any number."""
    bridges: tuple[int, ...]
    """(t,) see BRIDGES; 0 for never."""

    @property
    def marks(self) -> np.ndarray:
        """(t,) as `entities.edited` reads them."""
        return np.array(self.shortest) + BRIDGE * np.array(self.bridges)

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) probabilities with these limits, as `entities.decoded` reads them."""
        shared = self.share.apply(predicted)
        if (self.marks < 2).all():
            return shared
        return limited(shared, self.inventory, self.shortest, self.bridges)

    def says(self, names: list[str]) -> str:
        """Those that are set."""
        told = [self.share.says(names)] if self.share.level else []
        for name, bridge, least in zip(
            self.inventory.types, self.bridges, self.shortest, strict=True
        ):
            if bridge:
                told.append(f"{name} with fewer than {bridge} units between are one")
            if least > 1:
                told.append(f"{name} of at least {least} units")
        return "; ".join(told) or "no limit gains beyond its noise"

    def as_dict(self) -> dict[str, Any]:
        """All that is fitted."""
        types = self.inventory.types
        return self.share.as_dict() | {
            "shortest": dict(zip(types, self.shortest, strict=True)),
            "bridges": dict(zip(types, self.bridges, strict=True)),
        }


def entity_limits_for(metric: Metric) -> Rule:
    """The rule that fits the level, then bridges and lengths type by type, to *metric*."""
    inventory, level_of = inventory_of(metric.classes), outside_for(metric)

    def fit(rows: Labelled) -> EntityLimits:
        share, first = level_of(rows), rows.truth[:, 1] == 0
        assert isinstance(share, ShareOfOutside)
        plain = metric.labels(rows.truth, share.apply(rows.predicted))
        tags = plain[:, 0].astype(int)

        def better(
            found: EntityLimits, before: np.ndarray, tried: list[EntityLimits]
        ) -> tuple[EntityLimits, np.ndarray]:
            made = [edited(tags, first, inventory, each.marks)[:, None] for each in tried]
            gains = [
                gain_of_labels(metric, rows.truth, each) if (each != before).any() else -np.inf
                for each in made
            ]
            if not gains or max(gains) == -np.inf:
                return found, before
            best = int(np.argmax(gains))
            after, groups, count = made[best].astype(float), rows.group_of_row, len(metric.classes)
            real = beyond_noise(metric, rows.truth, before, after, groups, count)
            return (tried[best], after) if real else (found, before)

        types = len(inventory.types)
        found, labels = EntityLimits(share, inventory, (1,) * types, (0,) * types), plain
        begin, end, kind = inventory.entities(rows.truth[:, 0].astype(int), first)
        for own in range(types):
            sizes = (end - begin + 1)[kind == own]
            joined = [replace(found, bridges=_with(found.bridges, own, each)) for each in BRIDGES]
            found, labels = better(found, labels, joined)
            if not len(sizes):
                continue
            lengths = np.unique(np.quantile(sizes, SHORTER, method="higher"))
            lengths = lengths[(lengths > 1) & (lengths < BRIDGE)].astype(int)
            longer = [
                replace(found, shortest=_with(found.shortest, own, each))
                for each in lengths.tolist()
            ]
            found, labels = better(found, labels, longer)
        return found

    return fit


def _with(values: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    return (*values[:place], value, *values[place + 1 :])


# Limits of answers in a text: how long one may be, and how likely "no answer" has to be.
#
# The likeliest answer of a text is now and then a start and an end that have nothing to do with
# each other, far apart; a greatest length keeps them from each other. How sure members are that
# there is no answer is not on the scale of how sure they are of one, so no answer counts a fitted
# number of times before it is compared (the threshold of Rajpurkar, Jia & Liang, "Know What You
# Don't Know", ACL 2018, that everybody tunes). Lengths are those of answers among the rows that
# are fitted on.


NO_LONGER = (0.8, 0.9, 0.95, 0.99, 1.0)
"""Of the answers that are no longer than the lengths that are tried."""
FACTORS = (0.0, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""How often no answer may count; 1 is as members say it."""
CLASSES = 2
"""Labels of characters: of an answer, or not."""


@dataclass(frozen=True)
class AnswerLimits:
    """What an answer may be."""

    longest: int = 0
    """Characters; 0 for any number."""
    factor: float = 1.0
    """How often no answer counts."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, 3) predictions with these limits, as `best_spans` reads them."""
        if self == AnswerLimits():
            return predicted
        return limited_answers(predicted, self.longest, self.factor)

    def says(self, names: list[str]) -> str:
        """Those that are set."""
        told = [f"at most {self.longest} characters"] if self.longest else []
        if self.factor == 0:
            told.append("always an answer")
        elif self.factor != 1:
            told.append(f"no answer counts {self.factor:g} times")
        return "; ".join(told) or "no limit gains beyond its noise"

    def as_dict(self) -> dict[str, Any]:
        """Both."""
        return {"longest": self.longest, "factor": self.factor}


def answer_limits_for(metric: Metric) -> Rule:
    """The rule that fits both limits to *metric*: how often no answer counts, then the length."""

    def fit(rows: Labelled) -> AnswerLimits:
        def labels(limits: AnswerLimits) -> np.ndarray:
            return metric.labels(rows.truth, limits.apply(rows.predicted))

        def better(found: AnswerLimits, tried: list[AnswerLimits]) -> AnswerLimits:
            gains = [gain_of_labels(metric, rows.truth, labels(each)) for each in tried]
            if not tried:
                return found
            best = tried[int(np.argmax(gains))]
            before, after = labels(found), labels(best)
            real = beyond_noise(metric, rows.truth, before, after, rows.group_of_row, CLASSES)
            return best if real else found

        references = References.of(rows.truth)
        lengths = references.end - references.begin + 1
        found = AnswerLimits()
        if len(np.unique(references.document)) < (rows.truth[:, PLACE] == 0).sum():
            found = better(found, [AnswerLimits(factor=each) for each in FACTORS])
        if len(lengths):
            longest = np.unique(np.quantile(lengths, NO_LONGER, method="higher").astype(int))
            found = better(found, [AnswerLimits(each, found.factor) for each in longest.tolist()])
        return found

    return fit
