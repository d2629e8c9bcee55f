"""What the leaderboard will say: the expected score and a 90 % range.

The folds' score is of single learners on rows like those of train. Three things move it, each said
by itself: test is predicted by the mean of K learners (`mean_of_learners`); test may have other
label shares, as the outputs tell (`label_shift`); its texts may be others (`shift`). A holdout file
is evidence: where test is more like it than like train, the score is expected from it, and where
the two contradict each other the range holds both. Where the evidence says that something else has
changed, nothing is promised. The range adds up how a score on the test file's rows varies, how
uncertain the folds' score itself is, and the doubt of every move (`ranges`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from pipeline.data.table import Table
from pipeline.ensemble.assessment import as_score
from pipeline.ensemble.forecast.label_shift import LabelShift, find_label_shift
from pipeline.ensemble.forecast.mean_of_learners import Outputs, mean_gain
from pipeline.ensemble.forecast.ranges import (
    Labelled,
    Move,
    Range,
    Scored,
    can_weigh,
    hull,
    ranges,
    weighed_gain,
    wider,
    within,
)
from pipeline.ensemble.forecast.shift import (
    Shift,
    copied,
    find_shift,
    left_of_shift,
    shift_between,
    shift_of_folds,
)
from pipeline.folds.relation import Relation, differ, distance
from pipeline.metrics.metric import Metric
from pipeline.setup.inspection.adversarial import ALIKE, UNLIKE
from pipeline.setup.inspection.duplicates import code

NEVER = 99  # percent of holdout files whose score does, before train is no longer believed
FEWEST = 30  # rows below which a range would not hold
NEARER = 0.03  # by so much less a holdout file must be told from test than train is, in AUC
FAR = 0.3  # folds whose relatives differ by so much say nothing of test
EASE = 0.3  # share of the way to a perfect score that relatives of every row may be worth
STRANGE = 0.85  # AUC left once rows are weighed above which most test rows are like none of train
EXCESS = 0.04  # AUC by which test may be told from train better than one fold from the others


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """What is to be expected."""

    parts: dict[str, Range] = field(default_factory=dict)
    """whole, and where the public share is known public and private; none where withheld."""
    auc: float | None = None
    """Of telling train from test; None where that was not possible."""
    basis: Literal["train", "holdout"] = "train"
    """Which labelled rows it was expected from."""
    notes: list[str] = field(default_factory=list)
    """What a person should know: widened, withheld, and why."""
    folds: float | None = None
    """The score that the moves start from: that of the folds, or of the holdout file."""
    moves: list[Move] = field(default_factory=list)
    """What moved it, in the order told."""


@dataclass(frozen=True, kw_only=True)
class Further:
    """What else is known, beside the rows themselves."""

    outputs: Outputs | None = None
    """Of the learners on test."""
    measured: tuple[float, float] | None = None
    """The gain of the mean on labelled rows, and its standard error."""
    together: Move | None = None
    """What all learners gain over one of them, of what has no mean; 0 for nothing."""
    refit: float = 0.0
    """What fitting the weights on all rows may gain."""
    relation: tuple[Relation, Relation] | None = None
    """How test rows and held-out rows stand to what was learnt from."""
    names: Sequence[str] = ()
    """(k,) of the prediction columns."""
    adjust: float = 0.0
    """What the members without a holdout file add to the others."""
    absent: Sequence[str] = ()
    """Members that do not predict the holdout file."""


def leaderboard(
    train: Labelled,
    holdout: Labelled | None,
    test: Table,
    parts: Mapping[str, int],
    seed: int,
    grouped_by: Sequence[str] = (),
    further: Further | None = None,
) -> Leaderboard:
    """Expect scores on *test*; *parts* are whole, public, private -> rows. Columns that folds are
    *grouped_by* are another one's in every fold, as they are in test: that is no shift.
    """
    return _Forecast(train, holdout, test, parts, seed, grouped_by, further or Further()).made()


class _Forecast:
    """One forecast in the making: what is known, then what is believed."""

    def __init__(
        self,
        train: Labelled,
        holdout: Labelled | None,
        test: Table,
        parts: Mapping[str, int],
        seed: int,
        grouped_by: Sequence[str],
        further: Further,
    ) -> None:
        self.train, self.test, self.parts, self.seed = train, test, parts, seed
        self.grouped_by, self.further = grouped_by, further
        usable = holdout is not None and len(holdout.table) >= FEWEST and np.isfinite(holdout.gain)
        self.holdout = holdout if usable else None
        self.notes: list[str] = []
        self.of_any_basis: list[str] = []  # those that hold whatever it is expected from
        if self.holdout is not None and further.absent:
            self.notes.append(
                f"{', '.join(further.absent)} has no predictions of the holdout file: what the "
                "file tells is told by the other runs"
            )

    @property
    def metric(self) -> Metric:
        return self.train.scored.metric

    def made(self) -> Leaderboard:
        """The forecast, or why there is none."""
        train = self.train
        if not np.isfinite(train.gain) or len(train.table) < FEWEST:
            return Leaderboard(notes=["withheld: too few training rows to say"])
        ours, theirs = code([train.table.texts, self.test.texts])
        shift = shift_between(train.table, self.test, ours, theirs, self.grouped_by)
        self.auc = None if shift is None else shift.auc
        copies = copied(ours, train.groups, theirs)
        if copies.many:
            return self._withheld(copies.told)
        if (why := self._other_question()) is not None:
            return self._withheld(why)
        if shift is None:
            self.notes.append(
                "too few rows to tell whether train and test are alike: taken as alike"
            )
        labels, self.of_any_basis = self._labels(), [*self.notes]
        from_train = self._from_train(shift, labels)
        return from_train if self.holdout is None else self._with_holdout(from_train, self.holdout)

    def _withheld(self, why: str) -> Leaderboard:
        return Leaderboard(auc=self.auc, notes=[*self.notes, f"withheld: {why}"])

    def _other_question(self) -> str | None:
        """Why the folds say nothing of test: their rows have other relatives by far."""
        if self.further.relation is None:
            return None
        asked, ours = self.further.relation
        apart = differ(asked, ours)
        if apart is None:
            return None
        if distance(asked, ours) > FAR:
            return f"{apart}. Freeze folds as python -m pipeline.init proposes them"
        self.notes.append(f"{apart}: the range is widened to that side")
        return None

    def _labels(self) -> LabelShift | None:
        outputs, raw = self.further.outputs, self.train.raw
        if outputs is None or raw is None:
            return None
        scored = self.train.scored
        names = list(self.further.names)
        found = find_label_shift(scored.truth, raw, outputs.raw, scored.problem, names, self.seed)
        return found if found is not None and found.changed else None

    def _from_train(self, shift: Shift | None, labels: LabelShift | None) -> Leaderboard:
        """Expected from the folds' score."""
        scored, gain = self.train.scored, self.train.gain
        usual = shift is not None and self._as_folds_are(shift)
        alike = usual or shift is None or shift.verdict == "alike"
        weighs = can_weigh(scored.metric)
        fold = self.train.fold_of_row
        if usual and labels is not None and fold is not None:
            labels = None if labels.unlike <= labels.between_folds(fold) else labels
        if labels is None:
            if alike:
                return self._expected(scored, gain, [])
            assert shift is not None
            if shift.auc > UNLIKE and not self._would_see_moved_predictions:
                return self._withheld(_apart(shift.auc))
            if not weighs:
                return self._withheld(f"{_apart(shift.auc)}, and {_no_way(scored.metric)}")
            return self._widened(shift)
        left = ALIKE if shift is None else left_of_shift(shift, labels.weights)
        if not labels.explained or (left > ALIKE + EXCESS and not alike):
            weighed = shift is not None and shift.auc <= UNLIKE and weighs and not alike
            if shift is not None and weighed and labels.explained_by(shift.weights):
                return self._widened(shift)
            more = "" if shift is None else f" (texts are told apart with AUC {shift.auc:.2f})"
            return self._withheld(
                f"the predictions of test are others than those of train{more}, and not only "
                f"because labels have other shares (they would be {labels.told})"
            )
        if not weighs:
            return self._withheld(
                f"test seems to have other label shares ({labels.told}), and "
                f"{_no_way(scored.metric)}"
            )
        self.notes.append(
            f"predictions of test say that its labels have other shares ({labels.told}): expected "
            "for those"
        )
        moved = weighed_gain(scored, labels.weights) - gain
        again = [weighed_gain(scored, each) for each in labels.redrawn]
        move = Move(name="label shares", gain=moved, doubt=float(np.nanstd(again)))
        found = self._expected(scored, gain, [move], labels.weights)
        if alike or left <= ALIKE or shift is None or not labels.explained_by(shift.weights):
            return found
        other = self._widened(shift)
        both = "other texts would explain it as well: the range holds both"
        return replace(found, parts=hull(found.parts, other.parts), notes=[*self.notes, both])

    @property
    def _would_see_moved_predictions(self) -> bool:
        """Whether predictions of test and of train are compared; those of units are not."""
        return self.further.outputs is not None and self.train.document is None

    def _as_folds_are(self, shift: Shift) -> bool:
        """Whether one fold is told from the others as well as test is from train, by its groups."""
        fold = self.train.fold_of_row
        if fold is None or not len(self.grouped_by):
            return False
        between = shift_of_folds(self.train.table, fold, self.grouped_by)
        return between is not None and shift.auc <= between + EXCESS

    def _expected(
        self, scored: Scored, gain: float, moves: list[Move], weights: np.ndarray | None = None
    ) -> Leaderboard:
        """The ranges with all that moves them; *weights* are those of a shift in labels."""
        start, further = gain + sum(each.gain for each in moves), self.further
        moves = [*moves, *self._of_all_learners(scored, start, further.measured)]
        if further.refit > 0:
            moves = [*moves, Move(name="weights", gain=further.refit, doubt=further.refit)]
        found = ranges(scored, gain, self.parts, self.seed, weights, moves=moves)
        return Leaderboard(
            parts={name: self._eased(each) for name, each in found.items()},
            auc=self.auc,
            notes=self.notes,
            folds=as_score(scored.metric, gain),
            moves=moves,
        )

    def _of_all_learners(
        self, scored: Scored, start: float, measured: tuple[float, float] | None = None
    ) -> list[Move]:
        """What they gain over one of them that scores *start*, where that is known."""
        known, outputs = self.further.together, self.further.outputs
        if outputs is not None:
            known = mean_gain(scored, start, outputs, self.seed, measured)
        return [] if known is None or not known.gain else [known]

    def _eased(self, part: Range) -> Range:
        """Wider where test rows have more, or fewer, relatives in train than folds ask about."""
        relation = self.further.relation
        if relation is None or differ(*relation) is None:
            return part
        asked, ours = (np.array(list(each.reached.values())) for each in relation)
        apart = float((asked - ours)[np.abs(asked - ours).argmax()])
        ends = self.metric.record.bounds
        best = ends[1] if self.metric.greater_is_better else ends[0]
        way = abs(best - part.score) if np.isfinite(best) else abs(part.score)
        reach = EASE * abs(apart) * way
        upwards = (apart > 0) == self.metric.greater_is_better
        low = part.low if upwards else part.low - reach
        high = part.high + reach if upwards else part.high
        return within(self.metric, replace(part, low=low, high=high))

    def _widened(self, shift: Shift) -> Leaderboard:
        """The score of rows weighed as in test; the range holds that of rows as they are, too."""
        scored, gain = self.train.scored, self.train.gain
        plain = self._expected(scored, gain, [])
        weights = self.train.of_rows(shift.weights)
        known = np.flatnonzero(np.isfinite(weights))
        part, weights = scored.rows(known), weights[known]
        moved = weighed_gain(part, weights) - gain
        left = left_of_shift(shift, np.nan_to_num(shift.weights))
        if not np.isfinite(moved) or shift.counts_as < FEWEST or left > STRANGE:
            return self._withheld(f"{_apart(shift.auc)}, and hardly a training row is as in test")
        move = Move(name="texts as in test", gain=moved, doubt=abs(moved) / 2)
        weighed = self._expected(part, gain, [move], weights)
        self.notes.append(
            f"{_apart(shift.auc)}: expected with training rows weighed as they are found in test "
            f"({shift.known:,} rows, which then tell as much as {shift.counts_as:,}); the range "
            "also holds the score without. Labels that go another way in test would not show"
        )
        parts = hull(weighed.parts, plain.parts)
        if left > ALIKE + EXCESS:
            parts = {name: wider(self.metric, each) for name, each in parts.items()}
            self.notes.append("some test rows are like no training row: half as wide again")
        return replace(weighed, parts=parts, notes=self.notes, auc=self.auc)

    def _with_holdout(self, found: Leaderboard, holdout: Labelled) -> Leaderboard:
        """*found*, or what the holdout file says, or both, as the evidence is."""
        score = as_score(self.metric, holdout.gain)
        assert score is not None
        known = find_shift(holdout.table, self.test, self.grouped_by)
        ours = 0.5 if self.auc is None else self.auc
        theirs = None if known is None else known.auc
        nearer = theirs is not None and ours >= ALIKE and theirs <= ours - NEARER
        other = self._unlike_outputs(holdout)
        strange = self._contradiction(holdout, score)
        own = Move(name="other runs", gain=self.further.adjust, doubt=abs(self.further.adjust))
        moves = [own] if own.gain else []
        parts = ranges(holdout.scored, holdout.gain, self.parts, self.seed, moves=moves)
        told = "" if theirs is None else f" (AUC {theirs:.2f})"
        from_holdout = replace(
            found, parts=parts, basis="holdout", folds=score, moves=moves, auc=self.auc
        )
        if known is not None and known.verdict == "unlike" and not nearer:
            if strange is None:
                return found
            if not found.parts:
                return replace(found, notes=[*found.notes, f"{strange}; nor is test like it{told}"])
            notes = [*found.notes, f"{strange}; test is not like it{told}: the range holds both"]
            return replace(found, parts=hull(found.parts, parts), notes=notes)
        if other is not None and found.parts and (nearer or strange is not None):
            told = f"test is more like the holdout file{told}" if nearer else str(strange)
            notes = [*found.notes, f"{told}, but {other}: the range holds both"]
            return replace(found, parts=hull(found.parts, parts), notes=notes)
        if not found.parts or nearer:
            before = self.of_any_basis if found.parts else found.notes
            why = [each.removeprefix("withheld: ") for each in before]
            if known is not None and known.verdict != "alike":
                parts = {name: wider(self.metric, each) for name, each in parts.items()}
            notes = [*why, f"test is more like the holdout file{told}: expected from it"]
            return replace(from_holdout, parts=parts, notes=notes)
        if strange is None:
            return found
        if known is not None and known.verdict == "alike" and ours >= ALIKE:
            notes = [
                *found.notes,
                f"{strange}. Test is like the holdout file{told}: expected from it",
            ]
            return replace(from_holdout, notes=notes)
        notes = [*found.notes, f"{strange}: expected from the file, and the range holds both"]
        return replace(from_holdout, parts=hull(parts, found.parts), notes=notes)

    def _unlike_outputs(self, holdout: Labelled) -> str | None:
        """What is wrong where predictions of test are others than those of the holdout file."""
        outputs, scored = self.further.outputs, holdout.scored
        if outputs is None or holdout.raw is None:
            return None
        mean = outputs.raw_mean[None]
        names = list(self.further.names)
        found = find_label_shift(scored.truth, holdout.raw, mean, scored.problem, names, self.seed)
        if found is None or not found.changed:
            return None
        return f"its predictions say that its labels are others than the file's ({found.told})"

    def _contradiction(self, holdout: Labelled, score: float) -> str | None:
        """What is wrong where the holdout's score is one that train makes all but impossible."""
        train, rows = self.train, {"holdout": len(holdout.scored.truth)}
        moves = self._of_all_learners(train.scored, train.gain)
        part = ranges(train.scored, train.gain, rows, self.seed, inside=NEVER, moves=moves)
        found = part.get("holdout")
        if found is None or found.low <= score <= found.high:
            return None
        return (
            f"the holdout file scores {score:.4f}, and {found.low:.4f} to {found.high:.4f} would "
            f"be expected of {found.rows:,} rows like train ({NEVER} %)"
        )


def _apart(auc: float | None) -> str:
    return f"train and test are told apart with AUC {auc:.2f}"


def _no_way(metric: Metric) -> str:
    return f"{metric.name} here has no way to weigh rows"
