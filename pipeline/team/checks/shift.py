"""Are the predictions of test of the same kind as those of train?

Kolmogorov-Smirnov distance between out-of-fold and test predictions, per column, where values less
than a fifth of a standard deviation apart count as equal: of probabilities that are often exactly 0
(votes of neighbours, leaves of trees) the mean over K learners is small and seldom 0, which is no
fault. Test may differ from train, and the mean of K learners is narrower than each; both hold for
every run, so the bound is the median distance of the other runs plus what chance gives at these
numbers of rows (1.63 sqrt((n + m) / (n m)), the 1 % point) plus 0.05 for models of another kind.
The median (of two, the smaller), as one bad run that was let in must not excuse the next.
Rows of test in another order leave the distribution as it is, but not the agreement with other
runs: correlation with their mean is compared between train and test. Rows of train in another order
are found in the same way; as means of K learners agree better than single ones, an agreement r on
test is held against r / (K - (K - 1) r) on train (Spearman and Brown, 1910). On train it is taken
within folds: each learner has a level of its own, and of a weak one, whose predictions hardly vary,
these five levels are all that correlates (-0.46 with honest others, of 120 rows).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median_low

import numpy as np

from pipeline.ensemble.predictor import mean_of
from pipeline.team.candidate_view import CandidateView, Finding, ok, out, warning
from pipeline.team.checks.copies import correlation
from pipeline.team.competition import Peer

EQUAL = 0.2  # standard deviations of the out-of-fold predictions
MARGIN = 0.05
ALONE = 0.3  # bound where there is no run to compare with
FAR = 0.5  # out: half of the rows lie on the other side
TORN = 0.5  # share of the agreement that has to be left on test


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far test lies from train in the predictions of one model."""

    run: str
    """Empty for the candidate."""
    distance: float
    """Kolmogorov-Smirnov, the largest over columns."""
    column: str
    oof: tuple[float, float, float]
    """5 %, 50 % and 95 % quantiles of that column."""
    test: tuple[float, float, float]


def check(subject: CandidateView) -> Iterator[Finding]:
    """Test predictions of another distribution, or of other rows."""
    if not subject.whole:
        return
    mine, *others = shifts(subject)
    chance = 1.63 * float(np.sqrt(1 / len(subject.oof) + 1 / len(subject.test)))
    usual = median_low(each.distance for each in others) if others else None
    bound = ALONE if usual is None else usual + chance + MARGIN
    told = (
        f"test against out-of-fold: KS distance {mine.distance:.3f}"
        + ("" if usual is None else f", other runs {usual:.3f}")
        + f" (bound {bound:.3f}); quantiles of {mine.column} {_quantiles(mine)}"
    )
    if mine.distance <= bound:
        yield ok("test", told)
    elif mine.distance > bound + FAR:
        yield out("test", f"{told}: made by another model, or in another unit?")
    else:
        yield warning("test", told)
    yield from _agreement(subject)


def _quantiles(shift: Shift) -> str:
    oof, test = ("/".join(f"{each:.3g}" for each in values) for values in (shift.oof, shift.test))
    return f"(5/50/95 %) {oof} against {test}"


def shifts(subject: CandidateView) -> list[Shift]:
    """The candidate's, then those of the other runs; [] where the candidate has gaps."""
    if not subject.whole:
        return []
    pairs = [("", subject.oof, subject.test)]
    pairs += [(peer.name, peer.oof, peer.test) for peer in subject.peers]
    return [_shift(name, oof, test, subject) for name, oof, test in pairs]


def _shift(name: str, oof: np.ndarray, test: np.ndarray, subject: CandidateView) -> Shift:
    columns = subject.contest.competition.outputs
    found = [distance(oof[:, at], test[:, at]) for at in range(len(columns))]
    at = int(np.argmax(found))
    return Shift(
        run=name,
        distance=found[at],
        column=columns[at],
        oof=_three(oof[:, at]),
        test=_three(test[:, at]),
    )


def distance(oof: np.ndarray, test: np.ndarray) -> float:
    """Between the distributions of (n,) and (m,) values, those nearly equal counted as equal.

    The largest share of rows, over all cuts, by which one lies below a cut and the other not even
    below a little more.
    """
    first, second, little = np.sort(oof), np.sort(test), EQUAL * float(np.std(oof))
    return max(_beyond(first, second, little), _beyond(second, first, little), 0.0)


def _beyond(ones: np.ndarray, others: np.ndarray, little: float) -> float:
    """By how much more of the sorted *ones* lie below a cut than of *others* below a bit more."""
    below = np.searchsorted(ones, ones, side="right") / len(ones)
    return float((below - np.searchsorted(others, ones + little, side="right") / len(others)).max())


def _three(values: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return float(low), float(middle), float(high)


def agreement(oof: np.ndarray, test: np.ndarray, peers: Sequence[Peer]) -> tuple[float, float]:
    """Correlations with the mean of the *peers*, on train and on test."""
    on_train = correlation(oof, mean_of([peer.oof for peer in peers]))
    return on_train, correlation(test, mean_of([peer.test for peer in peers]))


def _agreement(subject: CandidateView) -> Iterator[Finding]:
    if not subject.peers:
        return
    within = subject.fold_rows
    peers = [replace(peer, oof=_levelled(peer.oof, within)) for peer in subject.peers]
    on_train, on_test = agreement(_levelled(subject.oof, within), subject.test, peers)
    told = (
        f"agreement with the other runs: correlation {on_train:.3f} on train, within folds, "
        f"{on_test:.3f} on test"
    )
    folds = subject.contest.folds.count
    if on_train > 0 and _torn(on_test, on_train, len(subject.test)):
        yield out("test", f"{told}: its test rows are in another order, or of another file")
    elif on_test > 0 and _torn(
        on_train, on_test / (folds - (folds - 1) * on_test), len(subject.oof)
    ):
        yield out("rows", f"{told}: its training rows are in another order, or of another file")
    else:
        yield ok("test", told)


def _levelled(values: np.ndarray, folds: Sequence[np.ndarray]) -> np.ndarray:
    """(n, k) *values* minus the mean of their fold."""
    levelled = values.astype(float)
    for rows in folds:
        if len(rows):
            levelled[rows] -= values[rows].mean(axis=0)
    return levelled


def _torn(found: float, expected: float, rows: int) -> bool:
    """Whether a correlation of so many rows lies far below the one that is *expected*."""
    noise = 4 / np.sqrt(max(rows - 3, 1))  # Fisher's z: 4 standard errors
    apart = np.arctanh(min(expected, 0.999999)) - np.arctanh(np.clip(found, -0.999999, 0.999999))
    return bool(apart > noise and found < TORN * expected)
