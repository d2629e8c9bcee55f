"""Have the predictions seen the labels they are scored on?

Three signs, each with the reason for its bound.

Equal to the label. A raw regression output meets a label exactly only by chance, so the rows where
it does (to 1e-6 of the range, ends of the range and rounded predictions aside) are counted against
the same count with labels shuffled. Ten more than ten times that is a warning, 5 % of the rows out.

Better than anybody, with errors like nobody's. What no model can know (noise of the labels, rows
that are ambiguous) is in everybody's errors, so a better honest model errs less, but still along
with the others. Squared errors below half of the best run's that correlate with no run above 0.2
are a warning; below a tenth, and 0.1, out.

Better out-of-fold than on the holdout. Nobody has trained on the holdout, so a leak shows as a gap
between both scores that the other runs do not have. Five standard errors (bootstrap over groups,
and over holdout rows) and half of what the worse of both scores leaves to gain are a warning: the
holdout may be of another mix, which suits one model more than another. The other way round the
holdout itself was trained on.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.results.bootstrap import Draws, resampled_gains
from pipeline.results.metrics import MetricError
from pipeline.results.team.checks.copies import correlation
from pipeline.results.team.checks.scale import rounded_to
from pipeline.results.team.finding import Finding, ok, out, warning
from pipeline.results.team.subject import RESAMPLES, Subject, standard_error
from pipeline.seeding import generator

TOLERANCE = 1e-6
MORE, SHARE = 10, 0.05
HALF, TENTH = (0.5, 0.2), (0.1, 0.1)  # share of the squared error, error correlation
GAP, LEFT = 5.0, 0.5


def check(subject: Subject) -> Iterator[Finding]:
    """Signs of leakage."""
    if subject.known.sum() < 2:
        return
    problems = [*_perfect(subject), *_equal(subject), *_alone(subject), *_gap(subject)]
    yield from problems
    if not problems:
        looked = ["agreement with labels", "other runs' errors" * bool(subject.peers)]
        looked.append("gap to the holdout" * _has_gap(subject))
        yield ok("leakage", f"no sign of it ({', '.join(each for each in looked if each)})")


def _perfect(subject: Subject) -> Iterator[Finding]:
    rows = subject.known
    if np.allclose(subject.oof[rows], subject.target[rows], rtol=0, atol=TOLERANCE):
        yield out("leakage", "the predictions are the labels themselves")


def _equal(subject: Subject) -> Iterator[Finding]:
    if subject.contest.problem != "regression":
        return
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


def _alone(subject: Subject) -> Iterator[Finding]:
    if not subject.peers:
        return
    rows = subject.known
    errors = _errors(subject.oof[rows], subject.target[rows])
    others = [_errors(peer.oof[rows], subject.target[rows]) for peer in subject.peers]
    best = min(float((each**2).mean()) for each in others)
    ratio = float((errors**2).mean()) / best if best > 0 else 1.0
    nearest = max(correlation(errors, each) for each in others)
    for grade, (share, bound) in ((out, TENTH), (warning, HALF)):
        if ratio < share and nearest < bound:
            yield grade(
                "leakage",
                f"its squared error is {100 * ratio:.0f} % of the best run's, and its errors are "
                f"like no other run's (correlation at most {nearest:.2f}): an honest model that "
                f"is so much better still errs where labels are noisy (bounds {100 * share:.0f} %, "
                f"{bound:g})",
            )
            return


def _errors(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, k) errors after the best line per column: a scale is no merit and no fault."""
    centred, target = guess - guess.mean(axis=0), truth - truth.mean(axis=0)
    own = (centred**2).sum(axis=0)
    slope = np.divide((centred * target).sum(axis=0), own, out=np.zeros_like(own), where=own > 0)
    return np.asarray(target - slope * centred)


def _has_gap(subject: Subject) -> bool:
    usable = [peer for peer in subject.peers if np.isfinite(peer.holdout).all()]
    return subject.has_holdout and subject.contest.holdout_truth is not None and bool(usable)


def _gap(subject: Subject) -> Iterator[Finding]:
    if not _has_gap(subject) or not subject.known.all():
        return
    peers = [peer for peer in subject.peers if np.isfinite(peer.holdout).all()]
    mine = _gap_of(subject, subject.oof, subject.candidate.values["holdout"])
    others = [_gap_of(subject, peer.oof, peer.holdout) for peer in peers]
    if mine is None or any(each is None for each in others):
        return
    known = [each for each in others if each is not None]
    usual = float(np.median([gap for gap, _ in known]))
    differences = mine[1] - np.median([draws for _, draws in known], axis=0)
    far = (mine[0] - usual) / standard_error(differences)
    perfect = 1.0 if subject.contest.metric.greater_is_better else 0.0
    both = (subject.score(subject.oof, subject.known), subject.holdout_score)
    left = max(abs(perfect - score) for score in both if score is not None)
    if abs(far) < GAP or abs(mine[0] - usual) < LEFT * left:
        return
    told = (
        f"out-of-fold it is {mine[0]:+.4f} against its own holdout score, the other runs "
        f"{usual:+.4f}: {abs(far):.0f} standard errors apart"
    )
    if far > 0:
        yield warning("leakage", f"{told}. Were out-of-fold rows trained on?")
    else:
        yield warning(
            "leakage", f"{told}. Was the holdout trained on? Its score there says nothing"
        )


def _gap_of(
    subject: Subject, oof: np.ndarray, holdout: np.ndarray
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
    held = resampled_gains(contest.metric, contest.problem, truth, holdout, draws)
    return gap, subject.resampled(oof, rows, subject.draws(rows)) - held
