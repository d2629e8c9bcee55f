"""Have the predictions seen the labels they are scored on?

Four signs, each with the reason for its bound: copied labels (`copied`), and these.

Better than anybody, with errors like nobody's. What no model can know (noise of the labels, rows
that are ambiguous) is in everybody's errors, so a better honest model errs less, but still along
with the others. Squared errors below half of the best run's that correlate with no run above 0.2
are unproven; below a tenth, and 0.1, out.

Better than anybody, and one of many on test. Labels that were seen pull the predictions of these
rows away from what the others say; on test they are not there. So log((1 - r) / (1 - r')), with the
correlations r on train and r' on test with the others' mean, is larger than it is for the others.
In 128 honest files on TF-IDF it was 0.31 above their median at most (and the squared error no less
than 0.37 of the best run's), in as many trained on all rows 0.88 in one of twenty. Together with a
squared error below half of the best run's, 0.2 above is unproven, 0.4 and a quarter are out; four
standard errors come on top.

Better out-of-fold than on the holdout. Nobody has trained on the holdout, so a leak shows as a gap
between both scores that the other runs do not have. Five standard errors (bootstrap over groups,
and over holdout rows) and half of what the worse of both scores leaves to gain are unproven: the
holdout may be of another mix, which suits one model more than another. The other way round the
holdout itself was trained on.
"""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.base import generator
from pipeline.metrics import Draws, MetricError, resampled_gains
from pipeline.team.candidate_view import (
    RESAMPLES,
    CandidateView,
    Finding,
    ok,
    out,
    standard_error,
    unproven,
)
from pipeline.team.checks.claims import claim_of, on_trust, percent
from pipeline.team.checks.copies import correlation
from pipeline.team.checks.scale import rounded_to
from pipeline.team.checks.shift import agreement
from pipeline.team.competition import whole

# Were labels copied into predictions?
#
# Equal to the label. A raw regression output meets a label exactly only by chance, so the rows
# where it does (to 1e-6 of the range, ends of the range and rounded predictions aside) are counted
# against the same count with labels shuffled. Ten more than ten times that is unproven, 5 % of the
# rows out.
#
# Certain, and never wrong. Probabilities of exactly 0 and 1 that are right in every one of ten rows
# or more, where test has none or a tenth as many: labels can be copied into training rows only. An
# honest model that is so sure errs now and then where it is nearly as sure, or where nobody else is
# right. So seven wrong among as many rows that come next in certainty, or seven of these that no
# other run has right, are asked for too: where seven are expected, none is seen once in a thousand.
# Votes (of neighbours: most other rows share their values) are exactly 0 and 1 by themselves, and
# seldom on test, where K learners would all have to be sure: they are unproven at most.


TOLERANCE = 1e-6
MORE = 10  # rows, and times as many as chance or test gives
SHARE = 0.05  # of the rows, from which a file is out
ERRORS = 7


def copied(subject: CandidateView) -> Iterator[Finding]:
    """Predictions that are labels: all, or some."""
    yield from _perfect(subject)
    yield from COPIES[subject.contest.kind.copied_labels](subject)


def _perfect(subject: CandidateView) -> Iterator[Finding]:
    rows = subject.known
    if np.allclose(subject.oof[rows], subject.target[rows], rtol=0, atol=TOLERANCE):
        yield out("leakage", "the predictions are the labels themselves")


def _equal(subject: CandidateView) -> Iterator[Finding]:
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
    yield doubted(
        count > SHARE * len(guess),
        f"{count} of {len(guess)} predictions are exactly the label (by chance {chance}): were "
        "labels copied into them?",
    )


def _equal_rows(guess: np.ndarray, truth: np.ndarray, span: np.ndarray) -> int:
    return int((np.abs(guess - truth) <= TOLERANCE * span).all(axis=1).sum())


def _certain(subject: CandidateView) -> Iterator[Finding]:
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
    peers = [_right(peer.oof[subject.known][sure], truth[sure]) for peer in subject.trusted]
    missed = int((~np.any(peers, axis=0)).sum()) if peers else 0
    if max(wrong, missed) < ERRORS:
        return
    votes = 2 * len(np.unique(guess[~sure], axis=0)) < len(guess) - count
    yield doubted(
        count > SHARE * len(guess) and not votes,
        f"{count} of {len(guess)} rows are predicted with exactly 0 and 1, every one rightly ("
        f"of the {count} next in certainty {wrong} wrongly), and {in_test} of {len(subject.test)} "
        "in test: were labels copied into them?",
    )


COPIES: dict[str, Callable[[CandidateView], Iterator[Finding]]] = {
    "equal": _equal,
    "certain": _certain,
}
"""How labels that were copied show, by problem type (`Problem.copied_labels`)."""


def doubted(certain: bool, says: str) -> Finding:
    """Out where it is certain that labels were seen, else unproven."""
    return out("leakage", says) if certain else unproven("leakage", says, "labels")


def _doubt(values: np.ndarray) -> np.ndarray:
    """(n,) how far the least certain probability of a row is from 0 or 1."""
    return np.asarray(np.minimum(np.abs(values), np.abs(1 - values)).max(axis=1))


def _right(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n,) whether every label of a row is on its side of 0.5."""
    return np.asarray(((guess > 0.5) == (truth > 0.5)).all(axis=1))


HALF, TENTH = (0.5, 0.2), (0.1, 0.1)  # share of the squared error, error correlation
NEARER_OUT, NEARER = (0.25, 0.4), (0.5, 0.2)  # share of the squared error, distance lost on test
ASKED = 10  # of the other runs, how they agree among themselves
GAP, LEFT = 5.0, 0.5


def check(subject: CandidateView) -> Iterator[Finding]:
    """Signs of leakage."""
    if subject.known.sum() < 2:
        return
    signs = (copied, _alone, _nearer_on_test, gap)
    problems = [finding for sign in signs for finding in sign(subject)]
    yield from problems
    if not problems:
        looked = ["agreement with labels", "other runs' errors" * bool(subject.trusted)]
        looked.append("gap to the holdout" * has_gap(subject))
        told = ", ".join(each for each in looked if each)
        yield ok("leakage", _nothing_found(subject, told))


def _nothing_found(subject: CandidateView, looked: str) -> str:
    """What is said where no sign of a leak was found by what was *looked* at: "no sign" only where
    one would have shown."""
    found = claim_of(subject)
    if found is None or found.broken or on_trust(subject):
        return f"not excluded: nothing found ({looked}), but see claims"
    if found.share < found.visible:
        return f"nothing found ({looked}); less than {percent(found.visible)} would not have shown"
    return f"no sign of it ({looked})"


def _alone(subject: CandidateView) -> Iterator[Finding]:
    if not subject.trusted:
        return
    rows = subject.known
    errors = _errors(subject.oof[rows], subject.target[rows])
    others = [_errors(peer.oof[rows], subject.target[rows]) for peer in subject.trusted]
    nearest = max(correlation(errors, each) for each in others)
    share = _share_of_error(subject)
    for certain, (most, bound) in ((True, TENTH), (False, HALF)):
        if share < most and nearest < bound:
            yield doubted(
                certain,
                f"its squared error is {100 * share:.0f} % of the best run's, and its errors are "
                f"like no other run's (correlation at most {nearest:.2f}): an honest model that "
                f"is so much better still errs where labels are noisy (bounds {100 * most:.0f} %, "
                f"{bound:g})",
            )
            return


def _nearer_on_test(subject: CandidateView) -> Iterator[Finding]:
    if len(subject.trusted) < 2 or not subject.whole:
        return
    share = _share_of_error(subject)
    train, test = agreement(subject.oof, subject.test, subject.trusted)
    usual = []
    for peer in subject.trusted[:ASKED]:
        others = [other for other in subject.trusted if other is not peer]
        usual.append(_distance_lost(*agreement(peer.oof, peer.test, others)))
    more = _distance_lost(train, test) - float(np.median(usual))
    noise = 4 * float(np.sqrt(1 / len(subject.oof) + 1 / len(subject.test)))
    for certain, (most, bound) in ((True, NEARER_OUT), (False, NEARER)):
        if share < most and more > bound + noise:
            yield doubted(
                certain,
                f"its squared error is {100 * share:.0f} % of the best run's, yet it agrees with "
                f"the others on test (correlation {test:.2f}) much better than on train "
                f"({train:.2f}), more so than they do among themselves ({more:.2f}, bound "
                f"{bound + noise:.2f}): were the training rows' labels seen?",
            )
            return


def _distance_lost(on_train: float, on_test: float) -> float:
    """The logarithm of how much less correlations leave to agree about on test than on train."""
    return float(np.log(max(1 - on_train, 1e-9) / max(1 - on_test, 1e-9)))


def _share_of_error(subject: CandidateView) -> float:
    """The squared error, of that of the best other run."""
    rows = subject.known
    mine, *others = (
        float((_errors(oof[rows], subject.target[rows]) ** 2).mean())
        for oof in (subject.oof, *(peer.oof for peer in subject.trusted))
    )
    return mine / min(others) if min(others) > 0 else 1.0


def _errors(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, k) errors after the best line per column: a scale is no merit and no fault."""
    centred, target = guess - guess.mean(axis=0), truth - truth.mean(axis=0)
    own = (centred**2).sum(axis=0)
    slope = np.divide((centred * target).sum(axis=0), own, out=np.zeros_like(own), where=own > 0)
    return np.asarray(target - slope * centred)


def has_gap(subject: CandidateView) -> bool:
    """Whether holdout rows tell: the file has them, and so has another run."""
    usable = [peer for peer in subject.trusted if whole(peer.holdout)]
    return subject.has_holdout and subject.contest.holdout_truth is not None and bool(usable)


def gap(subject: CandidateView) -> Iterator[Finding]:
    """Better out-of-fold than on the holdout, or the other way round, as no other run is."""
    if not has_gap(subject) or not subject.known.all():
        return
    peers = [peer for peer in subject.trusted if whole(peer.holdout)]
    mine = _gap_of(subject, subject.oof, subject.candidate.predicted["holdout"])
    others = [_gap_of(subject, peer.oof, peer.holdout) for peer in peers]
    if mine is None or any(each is None for each in others):
        return
    known = [each for each in others if each is not None]
    usual = float(np.median([gap for gap, _ in known]))
    differences = mine[1] - np.median([draws for _, draws in known], axis=0)
    far = (mine[0] - usual) / standard_error(differences)
    perfect = subject.contest.metric.best
    both = (subject.score(subject.oof, subject.known), subject.holdout_score)
    left = max(abs(perfect - score) for score in both if score is not None)
    if abs(far) < GAP or abs(mine[0] - usual) < LEFT * left:
        return
    told = (
        f"out-of-fold it is {mine[0]:+.4f} against its own holdout score, the other runs "
        f"{usual:+.4f}: {abs(far):.0f} standard errors apart"
    )
    if far > 0:
        yield unproven("leakage", f"{told}. Were out-of-fold rows trained on?", "labels")
    else:
        told = f"{told}. Was the holdout trained on? Its score there says nothing"
        yield unproven("leakage", told, "labels")


def _gap_of(
    subject: CandidateView, oof: np.ndarray, holdout: np.ndarray
) -> tuple[float, np.ndarray] | None:
    """Gain out-of-fold minus gain on the holdout, and the same in (B,) bootstrap draws."""
    contest, truth = subject.contest, subject.contest.holdout_truth
    assert truth is not None
    rows = np.arange(len(oof))
    try:
        gap = contest.metric.gain(contest.truth, oof) - contest.metric.gain(truth, holdout)
    except MetricError:
        return None
    seed = contest.competition.folds.seed
    draws = Draws.over(np.arange(len(truth)), seed, RESAMPLES)
    held = resampled_gains(contest.metric, truth, holdout, draws)
    return gap, subject.resampled(oof, rows, subject.draws(rows)) - held
