"""Metrics of several classes a row: tags (entities as a whole, or units one by one), and targets.

Targets of tags are (n, 2), the tag's number and the unit's place in its document; labels are
(n, 1), as `pipeline.problems.tags` decodes them. An entity is right where its first and last unit
and its type are; it is counted at the row where it begins, so a bootstrap draw of whole documents
is a product of counts.

Entities are read as strict IOB2, as seqeval's mode="strict", scheme=IOB2 does. What a tag means is
in its name, so most formulas are made once the names are known (`Formula.of_classes`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from pipeline.metrics import formulas
from pipeline.metrics import linearised_metrics as linear
from pipeline.metrics.formulas import MetricError, Score
from pipeline.metrics.linearised_metrics import Finish, LabelSums
from pipeline.metrics.record import Formula, Record
from pipeline.problems.entities import Inventory, inventory_of

OfClasses = Callable[[tuple[str, ...]], Formula]
NO_ENTITY = "there is no entity, neither among the labels nor predicted"


def unbound(truth: np.ndarray, guess: np.ndarray) -> float:
    """What stands in for the formula until the names of the tags are known."""
    raise MetricError("the names of the tags are not known")


def named(of_classes: OfClasses) -> Formula:
    """The formula that *of_classes* gives once the tags' names are known."""
    return Formula(score=unbound, of_classes=lru_cache(maxsize=16)(of_classes))


def record_of(formula: Formula, place: int | None = None, usual: str = "") -> Record:
    """The record of a metric of tags alone; *usual* is said where it is the usual one."""
    return Record(
        formulas={"tags": formula},
        greater_is_better=True,
        needs="label",
        bounds=(0.0, 1.0),
        usual_for={"tags": usual} if usual else {},
        place={} if place is None else {"tags": place},
    )


# Entities. Terms are, type by type: right, in the truth, in the labels.


def entity_f(
    beta: float = 1.0, macro: bool = False, joined: bool = False, types: Sequence[str] = ()
) -> Formula:
    """F-beta of entities: all together, or the mean over the types that occur.

    Args:
        beta: recall counts beta times as much as precision.
        macro: whether types count alike.
        joined: whether all documents are read as one, as KLUE's baseline does.
        types: those that count; none: all.
    """

    def of_classes(names: tuple[str, ...]) -> Formula:
        inventory = inventory_of(names)
        asked = np.isin(inventory.types, list(types or inventory.types))

        def finish(total: np.ndarray) -> np.ndarray:
            right, true, found = np.moveaxis(total.reshape(*total.shape[:-1], -1, 3), -1, 0)
            right, true, found = right[..., asked], true[..., asked], found[..., asked]
            if not macro:
                right, true, found = (each.sum(axis=-1) for each in (right, true, found))
            with np.errstate(invalid="ignore", divide="ignore"):
                each = (1 + beta**2) * right / (beta**2 * true + found)
            return each if not macro else _mean_of_known(each)

        return _of_sums(
            lambda truth, labels: _matched(inventory, truth, labels, joined),
            3 * len(inventory.types),
            finish,
            NO_ENTITY,
        )

    return named(of_classes)


def _matched(
    inventory: Inventory, truth: np.ndarray, labels: np.ndarray, joined: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each count of 1."""
    first = truth[:, 1] == 0
    if joined:
        first = np.arange(len(truth)) == 0
    begin, end, kind = inventory.entities(truth[:, 0].astype(int), first)
    start, stop, type_ = inventory.entities(labels[:, 0].astype(int), first)
    ends, kinds = np.full(len(truth), -1), np.full(len(truth), -1)
    ends[begin], kinds[begin] = end, kind
    right = (ends[start] == stop) & (kinds[start] == type_)
    rows = np.concatenate([start[right], begin, start])
    return rows, np.concatenate([3 * type_[right], 3 * kind + 1, 3 * type_ + 2])


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1))


# Units: each is right or wrong, whatever stands beside it.


def unit_f(beta: float) -> Formula:
    """F-beta of all units whose tag is not O, as competitions of personal data have it."""

    def of_classes(names: tuple[str, ...]) -> Formula:
        outside = inventory_of(names).outside

        def counts(truth: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            own, given = truth[:, 0], labels[:, 0]
            true, found = np.flatnonzero(own != outside), np.flatnonzero(given != outside)
            right = found[own[found] == given[found]]
            columns = np.repeat([0, 1, 2], [len(right), len(true), len(found)])
            return np.concatenate([right, true, found]), columns

        def finish(total: np.ndarray) -> np.ndarray:
            right, true, found = np.moveaxis(total, -1, 0)
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray((1 + beta**2) * right / (beta**2 * true + found))

        return _of_sums(counts, 3, finish, "all tags are O, and so are all predictions")

    return named(of_classes)


def klue_characters() -> Formula:
    """The mean F1 over all tags, O among them; a tag that is nowhere counts as 1.

    So KLUE's baseline computes it (`klue_ner_char_macro_f1`: scikit-learn's f1_score with
    average="macro" and zero_division=True), although its description says "except O".
    """

    def of_classes(names: tuple[str, ...]) -> Formula:
        size = len(names)

        def counts(truth: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            own, given = truth[:, 0].astype(int), labels[:, 0].astype(int)
            rows, right = np.arange(len(own)), np.flatnonzero(own == given)
            columns = np.concatenate([2 * own[right], 2 * own + 1, 2 * given + 1])
            return np.concatenate([right, rows, rows]), columns

        def finish(total: np.ndarray) -> np.ndarray:
            right, either = np.moveaxis(total.reshape(*total.shape[:-1], -1, 2), -1, 0)
            each = np.divide(2 * right, either, out=np.ones_like(either), where=either > 0)
            return np.asarray(each.mean(axis=-1))

        return _of_sums(counts, 2 * size, finish, "")

    return named(of_classes)


Counts = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(truth (n, 2), labels (n, 1)) -> row and column of each 1 that is counted."""


def _of_sums(counts: Counts, width: int, finish: Finish, undefined: str) -> Formula:
    """The formula that makes its score of sums over rows, (*width*,) of them."""

    def score(truth: np.ndarray, guess: np.ndarray) -> float:
        total = np.bincount(counts(truth, guess)[1], minlength=width).astype(float)
        found = float(finish(total[None])[0])
        if not np.isfinite(found):
            raise MetricError(undefined)
        return found

    def terms(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
        rows, columns = counts(truth, labels)
        flat = np.bincount(rows * width + columns, minlength=len(truth) * width)
        return flat.reshape(len(truth), width).astype(float)

    return Formula(score=score, label_sums=LabelSums(terms, finish))


# What is said of single rows elsewhere, with the place taken from the targets.

ACCURACY = Formula(
    score=lambda truth, guess: formulas.accuracy(truth[:, :1], guess),
    label_sums=LabelSums(
        lambda truth, labels, classes: linear.ACCURACY.terms(truth[:, :1], labels, classes),
        linear.ACCURACY.finish,
    ),
)
LOG_LOSS = Formula(
    score=lambda truth, guess: formulas.class_log_loss(truth[:, :1], guess),
    row_sums=lambda truth, guess: linear.class_log_loss_sums(truth[:, :1], guess),
)


# Several targets of classes: the mean over targets, or of the joined class. Labels are (n, H) class
# numbers, a column for each target (`Problem.scored`).


def over_heads(score: Score, sums: LabelSums) -> Formula:
    """The mean over targets of a metric of each alone."""

    def mean(truth: np.ndarray, guess: np.ndarray) -> float:
        columns = zip(truth.T[:, :, None], guess.T[:, :, None], strict=True)
        return float(np.mean([score(*pair) for pair in columns]))

    def sums_of_each(truth: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, Finish]:
        columns = zip(truth.T[:, :, None], found.T[:, :, None], strict=True)
        terms = [sums.terms(t, f, int(max(t.max(), f.max())) + 1) for t, f in columns]
        return linear.side_by_side([(own, sums.finish) for own in terms])

    return Formula(score=mean, columns="mean", label_sums=sums, answer_sums=sums_of_each)


def of_joined(score: Score, sums: LabelSums) -> Formula:
    """A metric of one class for each combination of all targets' classes that occurs."""

    def joined_sums(truth: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, Finish]:
        numbers = joined_numbers(truth, found)
        return sums.terms(*numbers, int(np.max(numbers)) + 1), sums.finish

    return Formula(
        score=lambda truth, guess: score(*joined_numbers(truth, guess)),
        label_sums=sums,
        answer_sums=joined_sums,
    )


def joined_numbers(truth: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 1) a number for each combination that occurs in either, from class numbers (n, H).

    >>> joined_numbers(np.array([[0, 1], [1, 1]]), np.array([[0, 1], [0, 0]]))[0].ravel().tolist()
    [1, 2]
    """
    both = np.concatenate([truth, guess]).astype(np.int64)
    code = np.ravel_multi_index(tuple(both.T), tuple(both.max(axis=0) + 1))
    number = np.unique(code, return_inverse=True)[1].ravel()[:, None]
    return number[: len(truth)], number[len(truth) :]


def _log_loss(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over rows and targets of minus the log chance of the true class; *truth* is 0/1 with a 1
    for each target, *guess* sums to one for each, both (n, k)."""
    return -float(np.log(np.clip(guess, formulas.EPSILON, 1.0))[truth == 1].mean())


def _log_loss_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    logs = np.log(np.clip(predicted, formulas.EPSILON, 1.0))
    rows = (logs * truth).sum(axis=1) / truth.sum(axis=1)
    terms = np.stack([rows, np.ones(len(rows))], axis=1)
    return terms, lambda total: np.asarray(total[..., 0] / total[..., 1])


HEADS_ACCURACY = over_heads(formulas.accuracy, linear.ACCURACY)
HEADS_MACRO_F1 = over_heads(formulas.macro_f1, linear.MACRO_F1)
HEADS_WEIGHTED_F1 = over_heads(formulas.weighted_f1, linear.WEIGHTED_F1)
HEADS_LOG_LOSS = Formula(score=_log_loss, row_sums=_log_loss_sums)


def _joint(score: Score, sums: LabelSums, usual: str = "") -> Record:
    """*usual* is said where it is the usual metric."""
    return Record(
        formulas={"heads": of_joined(score, sums)},
        greater_is_better=True,
        needs="label",
        bounds=(0.0, 1.0),
        usual_for={"targets of classes, joined": usual} if usual else {},
    )


JOINT = {
    "joint-accuracy": _joint(formulas.accuracy, linear.ACCURACY),
    "joint-macro-f1": _joint(formulas.macro_f1, linear.MACRO_F1),
    "joint-weighted-f1": _joint(
        formulas.weighted_f1,
        linear.WEIGHTED_F1,
        "The joined class is the answer, as in Dacon's contest of sentence types.",
    ),
}
"""Of the joined class."""
