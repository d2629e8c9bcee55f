"""Were labels copied into predictions?

Equal to the label. A raw regression output meets a label exactly only by chance, so the rows where
it does (to 1e-6 of the range, ends of the range and rounded predictions aside) are counted against
the same count with labels shuffled. Ten more than ten times that is a warning, 5 % of the rows out.

Certain, and never wrong. Probabilities of exactly 0 and 1 that are right in every one of ten rows
or more, where test has none or a tenth as many: labels can be copied into training rows only. An
honest model that is so sure errs now and then where it is nearly as sure, or where nobody else is
right. So seven wrong among as many rows that come next in certainty, or seven of these that no
other run has right, are asked for too: where seven are expected, none is seen once in a thousand.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.base.seeding import generator
from pipeline.team.candidate_view import Subject
from pipeline.team.checks.scale import rounded_to
from pipeline.team.finding import Finding, out, warning

TOLERANCE = 1e-6
MORE = 10  # rows, and times as many as chance or test gives
SHARE = 0.05  # of the rows, from which a file is out
ERRORS = 7


def copied(subject: Subject) -> Iterator[Finding]:
    """Predictions that are labels: all, or some."""
    yield from _perfect(subject)
    yield from (_equal if subject.contest.problem == "regression" else _certain)(subject)


def _perfect(subject: Subject) -> Iterator[Finding]:
    rows = subject.known
    if np.allclose(subject.oof[rows], subject.target[rows], rtol=0, atol=TOLERANCE):
        yield out("leakage", "the predictions are the labels themselves")


def _equal(subject: Subject) -> Iterator[Finding]:
    guess, truth = subject.oof[subject.known], subject.target[subject.known]
    if rounded_to(guess) is not None:
        return  # rounded: equal by digits, which another check tells
    low, high = truth.min(axis=0), truth.max(axis=0)
    inside = ((truth > low) & (truth < high)).all(axis=1)
    count = _equal_rows(guess[inside], truth[inside], high - low)
    shuffled = generator(0, "team-leak").permutation(int(inside.sum()))
    chance = _equal_rows(guess[inside], truth[inside][shuffled], high - low)
    if count <= MORE * (1 + chance):
        return
    grade = out if count > SHARE * len(guess) else warning
    yield grade(
        "leakage",
        f"{count} of {len(guess)} predictions are exactly the label (by chance {chance}): were "
        "labels copied into them?",
    )


def _equal_rows(guess: np.ndarray, truth: np.ndarray, span: np.ndarray) -> int:
    return int((np.abs(guess - truth) <= TOLERANCE * span).all(axis=1).sum())


def _certain(subject: Subject) -> Iterator[Finding]:
    """Rows of exactly 0 and 1 that are never wrong."""
    guess, truth = subject.oof[subject.known], subject.target[subject.known]
    if rounded_to(guess) is not None:
        return
    sure, right = _doubt(guess) <= TOLERANCE, _right(guess, truth)
    count = int(sure.sum())
    in_test = int((_doubt(subject.test) <= TOLERANCE).sum())
    never_wrong = count > MORE and right[sure].all()
    if not never_wrong or MORE * in_test * len(guess) > count * len(subject.test):
        return
    next_in_line = np.argsort(np.where(sure, np.inf, _doubt(guess)), kind="stable")[:count]
    wrong = int((~right[next_in_line]).sum())
    peers = [_right(peer.oof[subject.known][sure], truth[sure]) for peer in subject.peers]
    missed = int((~np.any(peers, axis=0)).sum()) if peers else 0
    if max(wrong, missed) < ERRORS:
        return
    grade = out if count > SHARE * len(guess) else warning
    yield grade(
        "leakage",
        f"{count} of {len(guess)} rows are predicted with exactly 0 and 1, every one rightly ("
        f"of the {count} next in certainty {wrong} wrongly), and {in_test} of {len(subject.test)} "
        "in test: were labels copied into them?",
    )


def _doubt(values: np.ndarray) -> np.ndarray:
    """(n,) how far the least certain probability of a row is from 0 or 1."""
    return np.asarray(np.minimum(np.abs(values), np.abs(1 - values)).max(axis=1))


def _right(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n,) whether every label of a row is on its side of 0.5."""
    return np.asarray(((guess > 0.5) == (truth > 0.5)).all(axis=1))
