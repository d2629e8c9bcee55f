"""Are the predictions of test of the same kind as those of train?

Kolmogorov-Smirnov distance between out-of-fold and test predictions, per column. Test may differ
from train, and the mean of K learners is narrower than each; both hold for every run, so the bound
is the largest distance of the other runs plus what chance gives at these numbers of rows (1.63
sqrt((n + m) / (n m)), the 1 % point) plus 0.05 for models of another kind.
Rows of test in another order leave the distribution as it is, but not the agreement with other
runs: correlation with their mean is compared between train and test.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

from pipeline.results.team.checks.copies import correlation
from pipeline.results.team.finding import Finding, ok, out, warning
from pipeline.results.team.subject import Subject

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


def check(subject: Subject) -> Iterator[Finding]:
    """Test predictions of another distribution, or of other rows."""
    if not subject.whole:
        return
    mine, *others = shifts(subject)
    chance = 1.63 * float(np.sqrt(1 / len(subject.oof) + 1 / len(subject.test)))
    usual = max((each.distance for each in others), default=None)
    bound = ALONE if usual is None else usual + chance + MARGIN
    told = (
        f"test against out-of-fold: KS distance {mine.distance:.3f}"
        + ("" if usual is None else f", other runs up to {usual:.3f}")
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


def shifts(subject: Subject) -> list[Shift]:
    """The candidate's, then those of the other runs; [] where the candidate has gaps."""
    if not subject.whole:
        return []
    pairs = [("", subject.oof, subject.test)]
    pairs += [(peer.name, peer.oof, peer.test) for peer in subject.peers]
    return [_shift(name, oof, test, subject) for name, oof, test in pairs]


def _shift(name: str, oof: np.ndarray, test: np.ndarray, subject: Subject) -> Shift:
    columns = subject.contest.competition.outputs
    found = [
        float(ks_2samp(oof[:, at], test[:, at], method="asymp").statistic)
        for at in range(len(columns))
    ]
    at = int(np.argmax(found))
    return Shift(
        run=name,
        distance=found[at],
        column=columns[at],
        oof=_three(oof[:, at]),
        test=_three(test[:, at]),
    )


def _three(values: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return float(low), float(middle), float(high)


def _agreement(subject: Subject) -> Iterator[Finding]:
    if not subject.peers:
        return
    on_train = correlation(subject.oof, np.mean([peer.oof for peer in subject.peers], axis=0))
    on_test = correlation(subject.test, np.mean([peer.test for peer in subject.peers], axis=0))
    noise = 4 / np.sqrt(max(len(subject.test) - 3, 1))  # Fisher's z: 4 standard errors
    torn = np.arctanh(min(on_train, 0.999999)) - np.arctanh(min(on_test, 0.999999)) > noise
    told = (
        f"agreement with the other runs: correlation {on_train:.3f} on train, {on_test:.3f} on test"
    )
    if torn and on_test < TORN * on_train:
        yield out("test", f"{told}: its test rows are in another order, or of another file")
    else:
        yield ok("test", told)
