"""Have texts seen the right answers of the rows they are scored on?

Five signs, beside the folds' scores.

Copied. Answers that are a right one word for word, far oftener than any other run's (MORE times
as often, in SHARE of the rows), while the file's other answers are no better than the best run's
on the same rows: a model that is often exactly right is better in the other rows, too. Where
nearly all are word for word right and no other run's half as often, there are no other rows.

Nearer to the others on test than on train. What was learned of the right answers of a row pulls
its text towards these, away from what the other runs say; of test rows nobody has seen any. So a
text's score with the others' as the only reference is higher on test than on train, by more than
among the others themselves: BOUND and ERRORS standard errors, where rows are also answered better
than by any other run.

Like one right answer of a row at the expense of its others (`at_the_expense`).

Surer of what it says on training rows than on test (`surer_on_train`).

Better out-of-fold than on the holdout (`leakage.gap`). Without one, what learned right answers of
all rows by heart is not told from what is better: a warning says what is taken on trust. On the
demo's 320 rows a network that had seen them all was found after 4 epochs, not after 14 and 30.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.team.candidate_view import CandidateView, Finding, ok, out, unproven, warning
from pipeline.team.checks.leakage import doubted, gap, has_gap
from pipeline.team.competition import Peer

MORE, SHARE = 10, 0.05
NEARLY_ALL, HALF = 0.95, 0.5
BOUND, ERRORS = 0.05, 4.0
CERTAIN = 2.0
"""So many times both bounds are out."""
COMPARED = 2000
"""Rows of train, or test, whose texts are compared, at most."""


def check(subject: CandidateView) -> Iterator[Finding]:
    """Signs of leakage."""
    if subject.known.sum() < 2:
        return
    problems = [each for sign in SIGNS for each in sign(subject)]
    yield from problems
    if not problems:
        yield ok("leakage", f"no sign of it ({', '.join(_looked(subject))})")
    yield from _claims(subject)


def _claims(subject: CandidateView) -> Iterator[Finding]:
    """What is so much better that a learner that saw right answers could be no better."""
    if not subject.trusted or not subject.known.all() or has_gap(subject):
        return
    own, best = _short(subject)
    if own < HALF * best:
        yield warning(
            "claims",
            f"its texts are short of a perfect score by {own:.3f} a row, those of the best other "
            f"run by {best:.3f}: taken on trust, as only rows that nobody trained on would show "
            "that no right answers were learned",
        )


def _short(subject: CandidateView) -> tuple[float, float]:
    """What texts are short of a perfect score, a row: the file's, and the best other run's."""
    rows = np.arange(len(subject.oof))
    own = float(subject.off(subject.oof, rows).mean())
    return own, min(float(subject.off(peer.oof, rows).mean()) for peer in subject.trusted)


def power(subject: CandidateView) -> str:
    """What was looked at, in a sentence."""
    if not subject.known.any():
        return "nothing was looked at: no training row has a text"
    return f"looked at: {', '.join(_looked(subject))}"


def _looked(subject: CandidateView) -> list[str]:
    found = ["answers that are right word for word"]
    if subject.trusted and subject.whole:
        found.append("agreement with the other runs on test and train")
    if has_logs(subject):
        found.append("certainty on test and train")
    if has_several(subject):
        found.append("likeness to one right answer of several")
    if has_gap(subject):
        found.append("gap to the holdout")
    return found


def _copied(subject: CandidateView) -> Iterator[Finding]:
    rows = np.flatnonzero(subject.known)
    mine = _right(subject, subject.oof)[rows]
    others = [_right(subject, peer.oof)[rows] for peer in subject.trusted]
    count, most = int(mine.sum()), max((int(each.sum()) for each in others), default=0)
    told = (
        f"{count} of {len(rows)} answers are a right one word for word, of the other runs' "
        f"{most} at most"
    )
    if count >= NEARLY_ALL * len(rows):
        if others and most < HALF * count:
            yield out("leakage", f"{told}: the answers are the right ones themselves")
        elif not others:
            yield unproven("leakage", f"{told}: were right answers copied?", "labels")
        return
    if not others or count <= max(MORE * (1 + most), SHARE * len(rows)):
        return
    rest = rows[~mine]
    ours = float(subject.off(subject.oof, rest).mean())
    best = min(float(subject.off(peer.oof, rest).mean()) for peer in subject.trusted)
    if ours >= best:
        yield doubted(
            count > HALF * len(rows),
            f"{told}, and in the other rows it is no better than these: were right answers copied?",
        )


def _right(subject: CandidateView, said: np.ndarray) -> np.ndarray:
    """(n,) whether each text is one of its row's references, outer spaces left aside."""
    pairs = zip(said.tolist(), subject.contest.truth.tolist(), strict=True)
    return np.array(
        [text is not None and text.strip() in {each.strip() for each in row} for text, row in pairs]
    )


def nearer_on_test(subject: CandidateView) -> Iterator[Finding]:
    """Texts that agree with the other runs' on test better than on train."""
    if not subject.trusted or not subject.whole:
        return
    own, best = _short(subject)
    if own >= best:
        return
    nearer, error, train, test = _nearer(subject, subject.oof, subject.test, subject.trusted)
    usual = 0.0
    if len(subject.trusted) > 1:
        usual = float(np.median([_among(subject, peer) for peer in subject.trusted]))
    more = nearer - usual
    if more > BOUND and more > ERRORS * error:
        yield doubted(
            more > CERTAIN * BOUND and more > CERTAIN * ERRORS * error,
            f"its answers agree with the other runs' on test ({test:.3f} by "
            f"{subject.contest.metric.name}) better than on train ({train:.3f}), more so than "
            f"these among themselves ({more:.3f}, {more / error:.0f} standard errors; bounds "
            f"{BOUND:g} and {ERRORS:g}): were the training rows' right answers seen?",
        )


def _among(subject: CandidateView, peer: Peer) -> float:
    others = [each for each in subject.trusted if each is not peer]
    return _nearer(subject, peer.oof, peer.test, others)[0]


def _nearer(
    subject: CandidateView, oof: np.ndarray, test: np.ndarray, others: Sequence[Peer]
) -> tuple[float, float, float, float]:
    """How much better texts agree with those of *others* on test than on train, the standard error
    of that, and both."""
    train = _agreement(subject, oof, [each.oof for each in others])
    there = _agreement(subject, test, [each.test for each in others])
    error = float(np.sqrt(train.var() / len(train) + there.var() / len(there)))
    mean, other = float(train.mean()), float(there.mean())
    return other - mean, max(error, 1e-9), mean, other


def _agreement(subject: CandidateView, said: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """(r,) the mean score of each text with another's as its only reference, either way round."""
    score = subject.contest.metric.formula.texts
    assert score is not None, "a metric of texts"
    step = max(len(said) // COMPARED, 1)
    found = []
    for row in range(0, len(said), step):
        table = score.between([said[row], *(each[row] for each in others)])
        found.append((table[0, 1:].mean() + table[1:, 0].mean()) / 2)
    return np.array(found)


# Do texts go along with one right answer of a row, at the expense of its others?
#
# Where a row has several right answers, different people wrote them from the same input. A text
# by somebody who has seen none of them is no nearer to one than to another but by chance: given
# row and text, the likeness to one answer says nothing about the likeness to the next. So over
# all rows both go together, if anything: rows that are easy are so for every answer. A learner
# that has seen them repeats one, and is then as far from the others as that one is: likenesses go
# against each other.
#
# Likeness is the share of pieces of PIECE characters that text and answer have in common (their
# cosine): long enough that sharing them is more than sharing a subject. Measured is the
# correlation of the likeness to one answer with that to another of the same row, both taken from
# the mean over rows. Honestly it is 0 or above, whatever the learner and however good it is;
# APART standard errors below 0, and below what the other runs have, is unproven. Never out: the
# right answers may have been made to be unlike (one formal, one not; each short answer once), and
# then an honest text that hits one misses the next.
#
# Neither test rows nor other runs nor log-probabilities are needed, but rows. Of 110 with several
# answers those of a network that had seen them and removed 64 % of the honest run's error lay 5.7
# standard errors below 0, of one that removed 40 % 2.8, of those that removed 30 % and less 1.7
# at most; of honest ones 0.5 at most.


PIECE = 12
APART = 2.5
FEWEST = 30
"""Rows with several right answers that say anything."""


def has_several(subject: CandidateView) -> bool:
    """Whether there are rows enough with several right answers."""
    return len(_several(subject)) >= FEWEST


def at_the_expense(subject: CandidateView) -> Iterator[Finding]:
    """Texts that are like one right answer of a row where they are unlike its others."""
    rows = _several(subject)
    if len(rows) < FEWEST:
        return
    found, error = _together(subject, subject.oof, rows)
    others = [_together(subject, peer.oof, rows)[0] for peer in subject.trusted]
    usual = min(0.0, float(np.median(others))) if others else 0.0
    if found - usual < -APART * error:
        yield unproven(
            "leakage",
            "where a text is like one right answer of its row it is unlike the others (correlation "
            f"{found:+.2f}, {(usual - found) / error:.1f} standard errors below what texts have "
            f"that saw none; bound {APART:g}; {len(rows)} rows with several): was one of them "
            "learned by heart?",
            "labels",
        )


def _several(subject: CandidateView) -> np.ndarray:
    """Positions of known rows with several right answers."""
    several = np.array([len(set(answers)) > 1 for answers in subject.contest.truth.tolist()])
    rows = np.flatnonzero(several & subject.known)
    return rows[:: max(len(rows) // COMPARED, 1)]


def _together(subject: CandidateView, said: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """The correlation of likenesses to two right answers of a row, and its standard error."""
    truth = subject.contest.truth[rows].tolist()
    likeness = [
        np.array([_alike(_pieces(text), _pieces(each)) for each in answers])
        for text, answers in zip(said[rows].tolist(), truth, strict=True)
    ]
    middle = float(np.mean([each.mean() for each in likeness]))
    off = [each - middle for each in likeness]
    spread = np.array([(each**2).mean() for each in off])
    pairs = np.array([len(each) * (len(each) - 1) / 2 for each in off])
    both = np.array([each.sum() ** 2 - (each**2).sum() for each in off]) / (2 * pairs)
    scale = float(spread.mean())
    if scale == 0:
        return 0.0, float("inf")
    found = float(both.mean()) / scale
    # Few rows with a likeness at all have products that hardly vary: no less than by chance alone.
    least = float(np.sqrt((1 / pairs).sum())) / len(rows)
    groups = np.unique(subject.contest.folds.group_of_row[rows], return_inverse=True)[1]
    of_group = np.bincount(groups, weights=both - found * spread) / (scale * len(rows))
    return found, max(least, float(np.sqrt((of_group**2).sum())))


def _pieces(text: str) -> set[str]:
    """All runs of PIECE characters; spaces count as one."""
    plain = " ".join(text.split())
    return {plain[start : start + PIECE] for start in range(len(plain) - PIECE + 1)}


def _alike(one: set[str], other: set[str]) -> float:
    return len(one & other) / float(np.sqrt(max(len(one) * len(other), 1)))


# Is a file surer of what it says on training rows than on test?
#
# A learner knows neither the right answers of a row that it was not trained on nor those of a
# test row, so it is as sure of the one as of the other. One that was trained on the row is surer
# of what it says there. How sure is the logarithm of the probability of all candidates of a row
# together, a character of the first: the sum is the same on average whether one learner speaks or
# several are merged, as the mean of their probabilities.
#
# Learners of the same settings differ in how sure they are by more than their rows do (in worlds
# of 160 rows by a standard deviation), and test rows may be by one of them, or by all. So each
# fold is held against test by itself, and the least sure one counts: honestly the learner behind
# test, or the mean of several, is surer than it, or as sure. It has to lie SURER standard
# deviations of a row and SURER_ERRORS standard errors above, beyond what the other runs lie:
# where test rows are harder, those are less sure of them, too.
#
# So it sees training rows by a learner of all rows beside test rows by one of the folds' learners:
# the former has learned longer and is surer. In worlds of 160 rows (demo-text and e2e, 14 networks
# of 3 to 50 epochs that write sentences) the least sure fold of 41 of 42 such files lay 0.5 to 4.4
# above test; where the learner behind test was by far the surest of its fellows, 0.9 below. Honest
# ones lay 0.3 above at most, also on test rows of other inputs (e2e's own). Where the learner of
# all rows speaks for test rows as well, it takes much learning by heart: what is written is the
# likeliest anyway, whether rows were seen or not. Such files lay 0.5 above at most, and only where
# they removed 40 % or more of the honest run's error. A fold that was trained on by itself is not
# told from a learner that is surer than its fellows.
#
# Test rows that are drawn, or written by several learners token by token, are less sure than what
# one learner writes alone, honestly: the finding asks for it.


SURER, SURER_ERRORS = 0.4, 2.5
FEWEST_OF_FOLD = 15
"""Rows of a fold, or of test, that say anything."""


def has_logs(subject: CandidateView) -> bool:
    """Whether every candidate of train and test has a probability, and there are rows enough."""
    if not subject.whole:
        return False
    sure = [_sure(subject.candidate.said[part].tolist()) for part in ("train", "test")]
    enough = min([len(sure[1]), *map(len, subject.fold_rows)]) >= FEWEST_OF_FOLD
    return enough and all(bool(np.isfinite(each).all()) for each in sure)


def surer_on_train(subject: CandidateView) -> Iterator[Finding]:
    """A file whose least sure fold is surer than its test rows, by more than the other runs'."""
    if not has_logs(subject):
        return
    train, test = (_sure(subject.candidate.said[part].tolist()) for part in ("train", "test"))
    more, error = _least(subject, train, test)
    others = [_least(subject, *each)[0] for each in _of_peers(subject)]
    usual = max(0.0, float(np.median(others))) if others else 0.0
    if more - usual > max(SURER, SURER_ERRORS * error):
        yield unproven(
            "leakage",
            "it is surer of what it says on training rows than on test, in every fold (the least "
            f"sure one by {more:.2f} standard deviations of a row, {(more - usual) / error:.1f} "
            f"standard errors; bounds {SURER:g}, {SURER_ERRORS:g}; other runs {usual:.2f}): were "
            "the training rows' right answers seen, or was test written in another way?",
            "labels",
        )


def _sure(said: Sequence[tuple[Sequence[str], Sequence[float]]]) -> np.ndarray:
    """(r,) the logarithm of the probability of a row's candidates, a character of the first; NaN
    where one has none."""
    with np.errstate(invalid="ignore"):  # without probabilities it is NaN
        return np.array([np.logaddexp.reduce(logs) / max(len(texts[0]), 1) for texts, logs in said])


def _of_peers(subject: CandidateView) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """How sure each trusted run with probabilities is, on train and on test, there its first
    learner."""
    for peer in subject.trusted:
        if peer.said is None:
            continue
        sets = [peer.said.oof[0], peer.said.test[0]]
        sure = [_sure(list(zip(each.texts, each.log_probabilities, strict=True))) for each in sets]
        if all(bool(np.isfinite(each).all()) for each in sure):
            yield sure[0], sure[1]


def _least(subject: CandidateView, train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """By how many standard deviations of a row the least sure fold lies above *test*, and the
    standard error of that."""
    folds = [train[rows] for rows in subject.fold_rows]
    lowest = min(folds, key=lambda each: float(each.mean()))
    spread = float(np.sqrt((lowest.var() + test.var()) / 2))
    if spread == 0:
        return 0.0, float("inf")
    error = float(np.sqrt(1 / len(lowest) + 1 / len(test)))
    return float(lowest.mean() - test.mean()) / spread, error


SIGNS = (_copied, nearer_on_test, at_the_expense, surer_on_train, gap)
"""What is looked at, in this order."""
