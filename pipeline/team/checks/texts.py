"""Have texts seen the right answers of the rows they are scored on?

Three signs, beside the folds' scores.

Copied. Answers that are a right one word for word, far oftener than any other run's (MORE times
as often, in SHARE of the rows), while the file's other answers are no better than the best run's
on the same rows: a model that is often exactly right is better in the other rows, too. Where
nearly all are word for word right and no other run's half as often, there are no other rows.

Nearer to the others on test than on train. What was learned of the right answers of a row pulls
its text towards these, away from what the other runs say; of test rows nobody has seen any. So a
text's score with the others' as the only reference is higher on test than on train, by more than
among the others themselves: BOUND and ERRORS standard errors, where rows are also answered better
than by any other run.

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
    problems = [each for sign in (_copied, nearer_on_test, gap) for each in sign(subject)]
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
