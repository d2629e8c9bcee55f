"""How doubtful each label is, by predictions of learners that did not see it.

Labels of classes are judged by confident learning (Northcutt, Jiang and Chuang, "Confident
Learning: Estimating Uncertainty in Dataset Labels", 2021), as cleanlab computes it: every row by
the margin between what its label and the best other class got, and how many are wrong of each class
by the counts of rows that are confidently of another. Numbers are judged by their residual, in
robust standard deviations of all residuals. An answer in a text is judged as a label of classes
whose classes are all places and "none": what it got beside what the best other one got.

A hard row and a wrong label look alike: what is listed is to be read by a person.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base import UsageError
from pipeline.problems.problem import Problem
from pipeline.problems.span import BEGINS, NONE, PLACE, STOPS, References, best_spans, limited

FAR = 3.0
"""Robust standard deviations from which a number is taken to be wrong."""
NORMAL = 1.4826
"""Times the median absolute deviation is the standard deviation of a normal distribution."""


@dataclass(frozen=True, eq=False)
class LabelDoubts:
    """Of n rows."""

    score: np.ndarray
    """(n,) float64, the higher the more doubtful; NaN where nothing is known of a row. Of classes
    from 0 to 1 (0.5: another class got as much as the label), of numbers standard deviations."""
    flagged: np.ndarray
    """(n,) bool: taken to be wrong."""

    def chosen(self, share: float | None) -> np.ndarray:
        """(n,) bool: the *share* of all rows that is the most doubtful; those flagged for None."""
        if share is None:
            return self.flagged
        worst = np.argsort(-self.score, kind="stable")  # NaN comes last
        found = np.zeros(len(worst), dtype=bool)
        found[worst[: round(share * len(worst))]] = True
        return found & np.isfinite(self.score)


def check_library(problem: Problem) -> None:
    """Raise UsageError where cleanlab, which judges labels of classes, is not installed."""
    if problem.target_kind not in ("numbers", "shares"):
        _cleanlab()


def label_doubts(problem: Problem, targets: np.ndarray, answers: np.ndarray) -> LabelDoubts:
    """Of *targets* (n, t), by out-of-fold *answers* (n, k); rows of NaN are not judged.

    Raises UsageError where cleanlab is needed and missing.
    """
    known = np.isfinite(answers).all(axis=1)
    score, flagged = np.full(len(targets), np.nan), np.zeros(len(targets), dtype=bool)
    if known.any():
        plain = np.asarray(targets[known], dtype=np.float64)
        found = _judged(problem, plain, answers[known].astype(np.float64))
        score[known], flagged[known] = found
    return LabelDoubts(score, flagged)


def answer_doubts(targets: np.ndarray, answers: np.ndarray) -> LabelDoubts:
    """Of the right answers of d whole texts, of *targets* (n, 4), by out-of-fold *answers* (n, 3)
    of their characters, as `pipeline.problems.span` has both.

    The chance of an answer is the root of the product of its start's and its end's, the scale on
    which "no answer" is compared. Another answer is taken to be right, and the label wrong, where
    it got more than the label, and more than labels of its kind get on average.
    """
    first = targets[:, PLACE] == 0
    starts, right = np.flatnonzero(first), References.of(targets)
    chances = np.asarray(answers, dtype=np.float64)
    none = chances[starts, NONE]
    begin, end, best = best_spans(limited(chances, 0, 0.0), first)
    own = np.zeros(len(starts))
    each = np.sqrt(chances[right.begin, BEGINS] * chances[right.end, STOPS])
    np.maximum.at(own, right.document, each)
    answered = np.zeros(len(starts), dtype=bool)
    answered[right.document] = True
    agrees = np.zeros(len(starts), dtype=bool)
    np.logical_or.at(
        agrees,
        right.document,
        (right.begin == begin[right.document]) & (right.end == end[right.document]),
    )
    best = np.where(agrees, 0.0, np.sqrt(best))
    own = np.where(answered, own, none)
    elsewhere = best > np.where(answered, none, -1.0)  # else the other answer is that there is none
    other = np.where(answered, np.maximum(best, none), best)
    usual = [own[answered == kind].mean() if (answered == kind).any() else 1.0 for kind in (0, 1)]
    flagged = (other > own) & (other > np.where(elsewhere, usual[1], usual[0]))
    return LabelDoubts(0.5 + (other - own) / 2, flagged)


def _judged(
    problem: Problem, targets: np.ndarray, answers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if problem.target_kind in ("numbers", "shares"):
        off = targets - answers
        if problem.target_kind == "shares":  # the distance of two distributions
            off = 0.5 * np.abs(off).sum(axis=1, keepdims=True)
        score = np.abs(standardised(off)).max(axis=1)
        return score, score > FAR
    judged = [_of_classes(*each) for each in _questions(problem, targets, answers)]
    scores, flags = zip(*judged, strict=True)
    return np.max(scores, axis=0), np.any(flags, axis=0)


def standardised(residuals: np.ndarray) -> np.ndarray:
    """(n, k) *residuals* less their median, in robust standard deviations, column by column.

    >>> standardised(np.array([[-1.0], [0.0], [1.0], [10.0]])).round(2).ravel().tolist()
    [-1.01, -0.34, 0.34, 6.41]
    """
    off = residuals - np.median(residuals, axis=0)
    spread = NORMAL * np.median(np.abs(off), axis=0)
    spread = np.where(spread > 0, spread, residuals.std(axis=0))
    return np.asarray(off / np.where(spread > 0, spread, 1.0))


def _questions(
    problem: Problem, targets: np.ndarray, answers: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each question of which a row has one of several answers: (n,) classes, (n, c) chances."""
    k = answers.shape[1]
    blocks = problem.blocks(k)
    expanded = problem.expand(targets, k)
    for own in blocks:
        yield expanded[:, own].argmax(axis=1), answers[:, own]
    if not blocks:
        for flags, chance in zip(targets.T, answers.T, strict=True):
            yield (flags > 0.5).astype(int), np.stack([1 - chance, chance], axis=1)


def _of_classes(labels: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) 1 minus cleanlab's normalised margin, and (n,) whether it takes the label for wrong."""
    find_issues, quality = _cleanlab()
    there, place = np.unique(labels, return_inverse=True)
    if len(there) < 2:
        return np.zeros(len(labels)), np.zeros(len(labels), dtype=bool)
    shares = np.clip(chances[:, there], 1e-9, None)
    shares /= shares.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where a class is rare
        flagged = find_issues(labels=place, pred_probs=shares, n_jobs=1)
    margins = quality(labels=place, pred_probs=shares, method="normalized_margin")
    return 1 - np.asarray(margins), np.asarray(flagged)


def _cleanlab() -> tuple[Any, Any]:
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError as error:
        raise UsageError(
            "labels of classes are judged by cleanlab, which is not installed: "
            'pip install "foldstack[noise]"'
        ) from error
    return find_label_issues, get_label_quality_scores
