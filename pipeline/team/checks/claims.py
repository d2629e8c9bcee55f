"""Can its test predictions do what its out-of-fold predictions claim?

Let e be what the other runs leave of the labels (labels minus their best linear combination), and r
what the file adds to it (its predictions minus the same), both on train. The share of the remaining
error that it claims to remove is corr(e, r)². On test no label is known, but how large r is there.
A learner that has not seen the labels of a row is the same learner on both sides, so r may shrink
on test for one reason only: test predictions are means of K learners, and what each has of its own
averages out. If σ is the share of r that the learners have in common, its variance shrinks by
λ = 1 / (σ + (1 - σ) / K); and since a learner's own whims have nothing to do with the labels,

    corr(e, r)² ≤ σ = (1 / λ - 1 / K) / (1 - 1 / K).

A file that has learned the labels it is scored on breaks this: out-of-fold r follows e, on test it
cannot, and shrinks. One learner fitted on all rows, or more learners than folds behind the test
predictions, only make λ smaller. Where the others shrink on test as well, and not by averaging,
test is another kind of rows, and λ is divided by that: their covariances tell, which averaging
leaves alone (their variances do not: of few rows those shrink to half in any world, which once hid
files that removed 80 %).

The bound is met with equality only by a model whose corrections hold no error at all, so no margin
is asked for beyond one standard error (delta method, sums over groups). In simulated worlds honest
files lay two errors or more below it, files trained on all rows that removed half of the remaining
error up to ninety above (benchmarks/results/audits.md). What it cannot see: a learner that keeps
its spread on test. One that repeats by heart what it has seen (nearest neighbour, one deep tree)
removes nearly all of the error; where that is more than MOST, it is too good to be believed without
proof. One that reads much more than the others and was trained on all rows removes hardly more than
honest ones beside weaker runs: ridge on sentence vectors, 240 rows, 40 to 75 % honestly, 66 to 83 %
otherwise. From HALF on a file is in with a warning that says so, and what would prove it.

Holdout rows, where the file has them, are such a proof: nobody was trained on them. What the others
leave and what the file adds is taken there as it was fitted on train. A file that removes less than
half as much of the error there, by GAP standard errors, is unproven whatever its spread; one that
removes as much as it claims to, within two, is believed however good it is. Distances are those of
corr(e, r) by Fisher (artanh): the share itself has no end below, so its error is largest where a
leak is, and files that removed 70 % and made holdout rows four times worse lay within 3 of them.
Of 1,560 honest files of 120 to 500 rows 5 lay beyond GAP and below half. Half, as a holdout may be
of another mix: on klue-sts' own honest files beside others remove 0.64 to 0.75 as much, 3.3 to 4.3
errors away. Alone some remove a quarter, 3.1 errors away, so GAP_ALONE is asked there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.team.candidate_view import CandidateView, Finding, ok, out, unproven, warning
from pipeline.team.checks.copies import fisher
from pipeline.team.competition import Peer

GAP, GAP_ALONE = 2.5, 4.0  # standard errors from what is removed out-of-fold to the holdout
FEWEST_OF_HOLDOUT = 20  # rows, or documents
MOST = 0.8  # share of the remaining error that nothing but a proof makes believable
HALF = 0.5  # share that no check of numbers could have cleared of every leak
OUT = (0.5, 0.25, 4.0)  # share removed; beyond the bound by so much, and by so many errors
NOTHING = 1e-6  # of the variance that others leave: what rounding makes
LEAST = 0.1  # share that matters: a file that adds but noise claims some by chance
FEWEST = 30  # rows of train, or of test, that say anything
FEWEST_OF_FOLD, FOLD_ERRORS = 15, 2.0  # rows of a fold; errors beyond the bound, as there are many
ASKED = 10  # of the other runs: those with the best scores


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a file claims on some rows, beside what its test predictions allow."""

    share: float
    """Of what the other runs leave, the part it removes; 0 to 1."""
    reach: float
    """The most that its test predictions can remove; may lie above 1, or below 0."""
    error: float
    """Standard error of share - reach."""
    visible: float
    """The smallest share at which a leak into such a file would have shown."""
    alike: float
    """How much more the others vary on train than on test by the rows alone; 1 without others."""

    @property
    def broken(self) -> bool:
        """Whether it claims more than it can do, and enough to matter."""
        return self.share > LEAST and self.share - self.reach > self.error


def check(subject: CandidateView) -> Iterator[Finding]:
    """A file whose gain is not there on test, as a whole or in a fold."""
    whole = claim_of(subject)
    if whole is None:
        yield ok("claims", "not checked: rows are missing, or too few of test")
        return
    held = holdout_of(subject)
    confirmed = held is not None and held.confirms
    beside = f"the {len(peers_of(subject))} other runs" if peers_of(subject) else "a constant"
    told = (
        f"of the error that {beside} leave{'s' * (not peers_of(subject))} it removes "
        f"{percent(whole.share)} out-of-fold; its test predictions can remove "
        f"{percent(whole.reach)} at most (± {percent(whole.error)})"
    )
    if whole.broken and not confirmed:
        least, beyond, errors = OUT
        far = whole.share - whole.reach
        certain = whole.share > least and far > max(beyond, errors * whole.error)
        if certain and len(peers_of(subject)) > 1 and 0.8 < whole.alike < 1.25:
            yield out("claims", f"{told}: it has seen the labels it is scored on")
        else:
            yield unproven("claims", f"{told}: were the labels seen?", "labels")
    elif peers_of(subject) and whole.share > MOST and not confirmed:
        yield unproven("claims", f"{told}: too good to be believed without proof", "labels")
    elif on_trust(subject):
        yield warning(
            "claims",
            f"{told}; that is much, and a leak need not have shown below "
            f"{percent(whole.visible)}: holdout rows in the file or python -m pipeline.team "
            "challenge would prove it",
        )
    else:
        yield ok("claims", f"{told}; a leak would have shown from {percent(whole.visible)} on")
    if held is not None:
        yield _beside_holdout(held)
    yield from _folds(subject)


def _beside_holdout(held: "Held") -> Finding:
    told = (
        f"of the error that others leave it removes {percent(held.train)} out-of-fold and "
        f"{percent(held.there)} (± {percent(held.error)}) on holdout rows"
    )
    if held.contradicts:
        far = f"{held.apart:.1f} standard errors below, bound {held.bound:g}"
        return unproven("claims", f"{told}, which nobody was trained on ({far})", "labels")
    return ok("claims", told)


def on_trust(subject: CandidateView) -> bool:
    """Whether it removes so much that no check of numbers excludes that labels were seen."""
    whole = claim_of(subject)
    held = holdout_of(subject)
    many = whole is not None and bool(peers_of(subject)) and whole.share > HALF
    return many and not (held is not None and held.confirms)


def power(subject: CandidateView) -> str:
    """What the audit could exclude about labels that were seen, in a sentence."""
    found = claim_of(subject)
    if found is None:
        return "nothing could be excluded: rows are missing, or too few of test"
    beside = "the other runs" if peers_of(subject) else "a constant"
    return (
        f"labels that were seen would have shown from {percent(found.visible)} of the error that "
        f"{beside} leave{'s' * (not peers_of(subject))}; what it removes of it, "
        f"{percent(found.share)}, is taken on trust"
    )


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a file adds to the others on holdout rows."""

    train: float
    """Share of the remaining error that it removes out-of-fold."""
    there: float
    """The same on the holdout, with the slopes of train."""
    error: float
    """Standard error of their difference."""
    apart: float
    """Standard errors from the correlation on train down to that on the holdout."""
    bound: float

    @property
    def contradicts(self) -> bool:
        """Whether far less is left of it."""
        less = self.train > LEAST / 2 and self.there < self.train / 2
        return less and self.apart > self.bound

    @property
    def confirms(self) -> bool:
        """Whether it is there as well, and there are rows enough to say so."""
        near = self.train - self.there < 2 * self.error and not self.contradicts
        return near and self.error < LEAST


def holdout_of(subject: CandidateView) -> Held | None:
    """The claim on the holdout; None where the file or a trusted run lacks its rows."""
    truth, mine = subject.contest.holdout_truth, subject.candidate.values["holdout"]
    table = subject.contest.tables.holdout
    if table is None or truth is None or not subject.has_holdout or not subject.whole:
        return None
    peers = [peer for peer in peers_of(subject) if np.isfinite(peer.holdout).all()]
    if len(peers) < len(peers_of(subject)):
        return None
    if len(np.unique(table.document)) < FEWEST_OF_HOLDOUT + len(peers):
        return None
    given = [peer.oof for peer in peers]
    there = [peer.holdout for peer in peers]
    target, held = subject.target, subject.contest.kind.expand(truth, mine.shape[1])
    left, left_there = _fitted(given, target, there, held)
    added, added_there = _fitted(given, subject.oof, there, mine)
    unit = _unit(subject)
    left, added = left / unit, added / unit
    left_there, added_there = left_there / unit, added_there / unit
    size = float((added**2).sum())
    if size <= 0:
        return None
    slope = float((left * added).sum()) / size
    groups, apart = subject.contest.folds.group_of_row, table.document
    share, error = _removed(left, left - slope * added, groups)
    share_there, error_there = _removed(left_there, left_there - slope * added_there, apart)
    together, doubt = fisher(left, added, groups)
    together_there, doubt_there = fisher(left_there, added_there, apart)
    return Held(
        train=share,
        there=share_there,
        error=float(np.hypot(error, error_there)),
        apart=(together - together_there) / float(np.hypot(doubt, doubt_there)),
        bound=GAP if peers else GAP_ALONE,
    )


def _fitted(
    given: Sequence[np.ndarray], values: np.ndarray, there: Sequence[np.ndarray], held: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """*values* and *held* minus the same combination of others, fitted on train alone."""
    left = values - values.mean(axis=0)
    on_holdout = held - values.mean(axis=0)
    if given:
        middle = [each.mean(axis=0) for each in given]
        off = [(each - mean).ravel() for each, mean in zip(given, middle, strict=True)]
        columns = np.stack(off, axis=1)
        slopes = np.linalg.lstsq(columns, left.ravel(), rcond=None)[0]
        left = left - (columns @ slopes).reshape(left.shape)
        for slope, each, mean in zip(slopes, there, middle, strict=True):
            on_holdout = on_holdout - slope * (each - mean)
    return left, on_holdout


def _removed(before: np.ndarray, after: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """The share of the squared error that is gone, and its standard error over groups."""
    old, new = (before**2).sum(axis=1), (after**2).sum(axis=1)
    ratio = float(new.sum() / old.sum())
    influence = (new - ratio * old) / old.sum()
    of_group = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    return 1 - ratio, float(np.sqrt((of_group**2).sum()))


def percent(share: float) -> str:
    """A share from 0 to 1 in per cent; what lies outside is cut.

    >>> percent(0.468)
    '47 %'
    """
    return f"{100 * min(max(share, 0.0), 1.0):.0f} %"


def _folds(subject: CandidateView) -> Iterator[Finding]:
    """The worst fold that claims too much by itself."""
    worst, far = None, FOLD_ERRORS
    for fold, rows in enumerate(subject.fold_rows):
        found = claim_of(subject, rows)
        if found and found.broken and found.share - found.reach > far * found.error:
            worst, far = (fold, found), (found.share - found.reach) / found.error
    if worst is not None:
        fold, found = worst
        yield unproven(
            "claims",
            f"fold {fold} removes {percent(found.share)} of the error that others leave, its test "
            f"predictions can remove {percent(found.reach)} at most (± {percent(found.error)}): "
            "were its rows trained on?",
            "labels",
        )


def peers_of(subject: CandidateView) -> Sequence[Peer]:
    """The trusted runs that it is held against, the best ones where there are many."""
    trusted = list(subject.trusted)
    if len(trusted) <= ASKED:
        return trusted
    rows = np.flatnonzero(subject.known)
    errors = [float(((peer.oof[rows] - subject.target[rows]) ** 2).mean()) for peer in trusted]
    return [trusted[place] for place in np.argsort(errors, kind="stable")[:ASKED]]


def claim_of(subject: CandidateView, rows: np.ndarray | None = None) -> Claim | None:
    """What the file claims on all rows, or on these; None where too little is known."""
    if not subject.whole or len(subject.test) < FEWEST:
        return None
    asked = np.arange(len(subject.oof)) if rows is None else rows
    peers = peers_of(subject)
    fewest = FEWEST if rows is None else FEWEST_OF_FOLD
    if len(asked) < fewest + len(peers) or len(subject.test) < FEWEST + len(peers):
        return None
    unit = _unit(subject)
    left = _left_by([peer.oof[asked] for peer in peers], subject.target[asked]) / unit
    added = _left_by([peer.oof[asked] for peer in peers], subject.oof[asked]) / unit
    on_test = _left_by([peer.test for peer in peers], subject.test) / unit
    groups = subject.contest.folds.group_of_row[asked]
    folds = subject.contest.folds.count
    return _measured(left, added, on_test, groups, folds, _alike(peers, folds))


def _unit(subject: CandidateView) -> np.ndarray:
    """(k,) what each column is divided by, so that several targets count alike."""
    spread = subject.target.std(axis=0)
    if subject.contest.kind.blocks(len(spread)) or not spread.any():
        return np.ones(len(spread))
    return np.where(spread > 0, spread, np.inf)


def _left_by(others: Sequence[np.ndarray], values: np.ndarray) -> np.ndarray:
    """(n, k) *values* minus their best linear combination of *others*: one slope per run."""
    centred = values - values.mean(axis=0)
    if not others:
        return np.asarray(centred * _grown(values, len(values) - 1))
    given = np.stack([(each - each.mean(axis=0)).ravel() for each in others], axis=1)
    slopes = np.linalg.lstsq(given, centred.ravel(), rcond=None)[0]
    free = len(values) - 1 - len(others)  # the fit took as many degrees of freedom
    return np.asarray((centred - (given @ slopes).reshape(values.shape)) * _grown(values, free))


def _grown(values: np.ndarray, free: int) -> float:
    return float(np.sqrt(len(values) / max(free, 1)))


def _alike(peers: Sequence[Peer], folds: int) -> float:
    """How much more *peers* vary on train than on test by the rows alone, not by averaging.

    What two runs have in common does not shrink when the learners of each are averaged, so their
    covariances tell. Of one run only the variance is known, of which averaging can take K times.
    """
    if not peers:
        return 1.0
    train, test = (_spreads(runs) for runs in ([p.oof for p in peers], [p.test for p in peers]))
    if len(peers) == 1:
        return max(1.0, train[0] / test[0] / folds) if test[0] > 0 else 1.0
    return train[1] / test[1] if test[1] > 0 else 1.0


def _spreads(runs: Sequence[np.ndarray]) -> tuple[float, float]:
    """The sum of the variances of *runs*, and that of their covariances."""
    apart = float(sum(each.var(axis=0).sum() for each in runs))
    return apart, float(np.sum(runs, axis=0).var(axis=0).sum()) - apart


def _measured(
    left: np.ndarray,
    added: np.ndarray,
    on_test: np.ndarray,
    groups: np.ndarray,
    folds: int,
    alike: float,
) -> Claim | None:
    """The claim from e (n, k), r (n, k) and r on test (m, k)."""
    per_row = np.stack(
        [(left * added).sum(axis=1), (added**2).sum(axis=1), (left**2).sum(axis=1)], axis=1
    )
    on_test_row = (on_test**2).sum(axis=1)
    both, own, rest = per_row.mean(axis=0)
    there = float(on_test_row.mean())
    if rest <= 0:
        return None
    if own <= NOTHING * rest:  # a combination of the others
        return Claim(share=0.0, reach=1.0, error=0.0, visible=LEAST, alike=alike)
    there = max(there, NOTHING * rest)
    both = max(float(both), 0.0)
    share, shrunk = both**2 / (own * rest), own / there / max(alike, 1.0)
    reach = _common(shrunk, folds)
    # Delta method: the derivative of share - reach by each of the four means, summed over groups.
    slope = -1 / (shrunk**2 * (1 - 1 / folds))
    by_mean = np.array(
        [
            2 * both / (own * rest),
            -(both**2) / (own**2 * rest) - slope * shrunk / own,
            -(both**2) / (own * rest**2),
        ]
    )
    influence = (per_row - per_row.mean(axis=0)) @ by_mean
    of_group = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    on_train = float((of_group**2).sum()) / len(left) ** 2
    of_test = float(((on_test_row - there) ** 2).sum()) / len(on_test) ** 2
    error = float(np.sqrt(on_train + of_test * (slope * shrunk / there) ** 2))
    return Claim(
        share=float(share),
        reach=reach,
        error=error,
        visible=_visible(both, own, rest, there * max(alike, 1.0), folds, error),
        alike=alike,
    )


def _common(shrunk: float, folds: int) -> float:
    """σ: the share of r that K learners have in common, from how much its variance shrinks."""
    return (1 / shrunk - 1 / folds) / (1 - 1 / folds)


def _visible(both: float, own: float, rest: float, there: float, folds: int, error: float) -> float:
    """The share removed at which a leak shows: r + a e for a growing a, nothing changed on test."""
    for leak in np.linspace(0.0, 2.0, 201):  # the smallest one that matters and breaks the bound
        leaky = own + 2 * leak * both + leak**2 * rest
        share = (both + leak * rest) ** 2 / (leaky * rest)
        if share > LEAST and share - _common(leaky / there, folds) > error:
            return float(share)
    return 1.0
