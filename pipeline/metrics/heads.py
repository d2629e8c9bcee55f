"""Metrics of several targets of classes: the mean over targets, or of the joined class.

Labels are (n, H) class numbers, a column for each target (`Problem.scored`).
"""

import numpy as np

from pipeline.metrics import formulas
from pipeline.metrics import linearised_metrics as linear
from pipeline.metrics.formulas import EPSILON, Score
from pipeline.metrics.linearised_metrics import Finish, LabelSums
from pipeline.metrics.record import Formula, Record


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
    return -float(np.log(np.clip(guess, EPSILON, 1.0))[truth == 1].mean())


def _log_loss_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    logs = np.log(np.clip(predicted, EPSILON, 1.0))
    rows = (logs * truth).sum(axis=1) / truth.sum(axis=1)
    terms = np.stack([rows, np.ones(len(rows))], axis=1)
    return terms, lambda total: np.asarray(total[..., 0] / total[..., 1])


ACCURACY = over_heads(formulas.accuracy, linear.ACCURACY)
MACRO_F1 = over_heads(formulas.macro_f1, linear.MACRO_F1)
WEIGHTED_F1 = over_heads(formulas.weighted_f1, linear.WEIGHTED_F1)
LOG_LOSS = Formula(score=_log_loss, row_sums=_log_loss_sums)


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
