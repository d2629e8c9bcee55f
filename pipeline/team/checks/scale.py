"""Do the numbers look like predictions: unit, spread, digits, and the order of their columns?

Regression: the slope of the labels on the predictions is 1 for calibrated ones, whatever their
score. Beyond 1/2 to 2, or off by more than half a standard deviation on average, they are in
another unit or of another spread. That costs pearson and spearman nothing, and every blend that
fits no scale dear; so it is a warning.
Blind: where the correlation with the labels is TURNED standard errors (1 / sqrt(n), for rows in a
wrong order) below none in every column, or within chance (2 of them) although that gives less than
WEAK, a constant would score as well: the file is out. Of fewer rows an honest weak model is within
chance, too (one in six of 120 rows, one in twenty of 500: benchmarks/results/audits.md), or below
it, as a fold with high labels leaves low ones to learn from; so there it is a warning.
Digits: rounding to 0.1 before blending cost 0.0003 of pearson in a measured case, and classes in
place of probabilities cost far more, so two decimals or fewer are a warning as well.
Order: the column of a class should be larger where that class is right, and that of a target where
the target is. The assignment of columns to classes that fits the labels best (Hungarian method on
their correlations, so that it does not matter how sure the model is) should therefore be the
identity; where it is another one and gains clearly, columns were swapped, as happens when another
tool numbers the classes in another order. Within CHANCE standard errors of that gain (2 / sqrt(n)
where two columns say the contrary, as in a binary file) it is a warning.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.team.candidate_view import CandidateView, Finding, ok, out, warning

STEEP = 2.0
OFF = 0.5  # standard deviations of the labels
BLIND, TURNED = 2.0, 4.0  # standard errors of a correlation
WEAK = 0.07  # correlation that an honest model may have at least
SAME = 0.3  # share of rows with one and the same value in all columns
DECIMALS = 2  # predictions that all have no more than so many count as rounded
SUMS = (1e-3, 0.02)  # rows of class probabilities: so far from one is rounding, is a warning
ROUNDED = 0.005  # each class may be off by, where two decimals are left
CLEARLY = 0.1  # correlation that every swapped class gains by the other order, on average
CHANCE = 4.0  # … in standard errors of a correlation, and of that gain


def check(subject: CandidateView) -> Iterator[Finding]:
    """Numbers that are no predictions, and columns that were swapped."""
    yield from _values(subject)
    yield from _order(subject)


def _values(subject: CandidateView) -> Iterator[Finding]:
    """Constant columns, another unit, rounding, class probabilities that do not sum to one."""
    if not subject.known.any():
        return
    problems = [
        *_constant(subject),
        *_blind(subject),
        *(found for name in subject.contest.kind.value_checks for found in OWN[name](subject)),
        *_probabilities_twice(subject),
        *_digits(subject),
        *_filled(subject),
    ]
    yield from problems
    if not problems:
        values = subject.oof[subject.known]
        span = f"{values.min():.4g} to {values.max():.4g}"
        mean, truth = float(values.mean()), float(subject.target[subject.known].mean())
        told = f", mean {mean:.4g} (labels: mean {truth:.4g})"
        yield ok("values", span + told * (not subject.contest.kind.blocks(values.shape[1])))


def _constant(subject: CandidateView) -> Iterator[Finding]:
    outputs = subject.contest.competition.outputs
    for part, values in (("training", subject.oof[subject.known]), ("test", subject.test)):
        known = values[np.isfinite(values).all(axis=1)]
        flat = (
            [
                name
                for name, spread in zip(outputs, np.ptp(known, axis=0), strict=True)
                if not spread
            ]
            if len(known)
            else []
        )
        if flat:
            yield out("values", f"all {part} predictions are the same in {', '.join(flat)}")
    for fold, rows in enumerate(subject.fold_rows):
        if len(rows) > 1 and not np.ptp(subject.oof[rows], axis=0).any() and _varies(subject):
            value = ", ".join(f"{each:.4g}" for each in subject.oof[rows[0]][:4])
            yield out(
                "values",
                f"the {len(rows)} predictions of fold {fold} are all {value}: its training "
                "collapsed, or its rows were filled",
            )


def _varies(subject: CandidateView) -> bool:
    return bool(np.ptp(subject.oof[subject.known], axis=0).any())


def _blind(subject: CandidateView) -> Iterator[Finding]:
    """Predictions that tell nothing about the labels, or the contrary."""
    guess, truth = subject.oof[subject.known], subject.target[subject.known]
    found = correlations(guess, truth)
    if not len(found):
        return
    chance = BLIND / float(np.sqrt(len(guess)))
    if found.max() <= chance:
        certain = chance < WEAK or _turned(found.max(), len(guess))
        yield (out if certain else warning)(
            "values",
            f"no better than a constant: correlation with the labels {found.max():.3f} (chance "
            f"alone gives up to {chance:.3f}): are its rows or its labels those of another file?",
        )


def _turned(correlation: float, rows: int) -> bool:
    """Whether a correlation of so many rows is farther below none than by chance."""
    return bool(correlation < -TURNED / np.sqrt(rows))


def correlations(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of each column (n, k) that varies in both, as far as there are any."""
    varied = (np.ptp(guess, axis=0) > 0) & (np.ptp(truth, axis=0) > 0)
    pairs = zip(guess[:, varied].T, truth[:, varied].T, strict=True)
    return np.array([np.corrcoef(*pair)[0, 1] for pair in pairs])


def _unit(subject: CandidateView) -> Iterator[Finding]:
    outputs, rows = subject.contest.competition.outputs, subject.known
    for name, guess, truth in zip(
        outputs, subject.oof[rows].T, subject.target[rows].T, strict=True
    ):
        if not np.ptp(guess) or not np.ptp(truth):
            continue
        slope = float(np.cov(guess, truth)[0, 1] / guess.var(ddof=1))
        off = float(guess.mean() - truth.mean()) / float(truth.std())
        if slope <= 0:
            turned = _turned(np.corrcoef(guess, truth)[0, 1], len(guess))
            grade = out if len(outputs) == 1 and turned else warning
            yield grade("values", f"{name} falls where the labels rise (slope {slope:.2f})")
        elif not 1 / STEEP <= slope <= STEEP or abs(off) > OFF:
            yield warning(
                "values",
                f"{name} has another scale than the labels: mean {guess.mean():.3g} against "
                f"{truth.mean():.3g}, and the labels rise by {slope:.3g} where it rises by 1 "
                f"(expected {1 / STEEP:g} to {STEEP:g}); methods that fit no scale (mean, "
                f"greedy) suffer from it{_raw(subject, guess)}",
            )


def _raw(subject: CandidateView, guess: np.ndarray) -> str:
    """What helps where numbers lie below all labels there can be, as a network's raw outputs do."""
    ends = subject.contest.competition.task.label_range
    if ends is None or subject.candidate.kind == "logits" or guess.min() >= ends[0]:
        return ""
    return (
        f"; numbers below {ends[0]:g} may be raw outputs of a sigmoid: --logits brings them "
        f"between {ends[0]:g} and {ends[1]:g}"
    )


def _sums(subject: CandidateView) -> Iterator[Finding]:
    if subject.candidate.kind == "logits":
        return
    rows = np.concatenate([subject.oof[subject.known], subject.test])
    blocks = subject.contest.kind.blocks(rows.shape[1])
    known = rows[np.isfinite(rows).all(axis=1)]
    sums = np.stack([known[:, own].sum(axis=1) for own in blocks])
    off = np.abs(sums - 1).max(axis=0)
    worst = float(off.max(initial=0.0))
    of_each = " for each target" * (len(blocks) > 1)
    said = f"class probabilities of a row sum to one{of_each} up to {worst:.3g}"
    bound = max(SUMS[1], ROUNDED * max(own.stop - own.start for own in blocks)) + 1e-6
    if worst > bound:
        yield out(
            "values",
            f"{said} ({int((off > bound).sum())} rows beyond {bound:.3g}): they are no "
            "probabilities of one class out of several. Divide each row by its sum"
            f"{of_each}; or, if they are raw outputs, write the logits and say --logits",
        )
    elif worst > SUMS[0]:
        yield warning("values", f"{said}: they were rounded")


OWN: dict[str, Callable[[CandidateView], Iterator[Finding]]] = {"unit": _unit, "sums": _sums}
"""Checks that only some problem types ask for (`Problem.value_checks`)."""


def _probabilities_twice(subject: CandidateView) -> Iterator[Finding]:
    """Files told apart, as one may hold logits and the other not."""
    if subject.candidate.kind != "logits":
        return
    for name, written in subject.candidate.written.items():
        known = written[np.isfinite(written)]
        if len(known) and known.min() >= 0 and known.max() <= 1:
            yield out(
                "values",
                f"--logits was said, but all numbers of {name} lie between {known.min():.3g} and "
                f"{known.max():.3g}: they are probabilities already. Leave the flag out, or write "
                "logits into both files",
            )


def _digits(subject: CandidateView) -> Iterator[Finding]:
    values = subject.oof[subject.known]
    decimals = rounded_to(values)
    if decimals is None or subject.candidate.kind == "logits":
        return
    distinct = len(np.unique(values[:, 0]))
    classes = not subject.contest.kind.numeric and set(np.unique(values)) <= {0.0, 1.0}
    what = "classes, not probabilities" if classes else f"rounded to {decimals} decimals"
    yield warning(
        "values",
        f"{what}: {distinct} distinct values in {len(values)} rows. Ask for the raw numbers, a "
        "blend loses by it",
    )


def rounded_to(values: np.ndarray) -> int | None:
    """How many decimals all *values* were rounded to; None where they have more than a few.

    >>> rounded_to(np.array([0.5, 3.0])), rounded_to(np.array([0.512, 3.0]))
    (1, None)
    """
    for decimals in range(DECIMALS + 1):
        scaled = values * 10**decimals
        if np.allclose(scaled, np.rint(scaled), rtol=0, atol=1e-5):
            return decimals
    return None


def _filled(subject: CandidateView) -> Iterator[Finding]:
    values = subject.oof[subject.known]
    distinct, counts = np.unique(values, axis=0, return_counts=True)
    most = int(counts.max())
    if rounded_to(values) is not None or most <= SAME * len(values):
        return  # rounded ones are told by their digits
    shown = ", ".join(f"{each:.4g}" for each in distinct[counts.argmax()][:4])
    yield warning("values", f"{most} of {len(values)} training rows are exactly {shown}: filled?")


def _order(subject: CandidateView) -> Iterator[Finding]:
    """Columns in another order than the classes or targets; a binary file turned round."""
    rows, kind = subject.known, subject.contest.kind
    if rows.sum() < 2:
        return
    predicted, names = subject.oof[rows], subject.contest.competition.outputs
    if kind.named_classes:
        names = subject.contest.competition.task.classes
        right = (subject.contest.truth[rows, :1] == np.arange(len(names))).astype(float)
        predicted = kind.by_class(predicted)
    else:
        right = subject.target[rows]
    fits = _correlations(predicted, right)
    columns = linear_sum_assignment(-fits)[1]
    present = np.ptp(right, axis=0) > 0
    swapped = [c for c in np.flatnonzero(columns != np.arange(len(names))) if present[c]]
    gained = [fits[c, columns[c]] - fits[c, c] for c in swapped]
    if not swapped or np.mean(gained) <= max(CLEARLY, CHANCE / np.sqrt(len(right))):
        return
    told = ", ".join(f"{names[columns[c]]} predicts {names[c]}" for c in swapped[:5])
    what = kind.column_word
    alike = _correlations(predicted, predicted)
    apart = np.sqrt([2 - 2 * alike[c, columns[c]] for c in swapped])
    certain = np.mean(gained) > CHANCE * np.mean(apart) / np.sqrt(len(right))
    yield (out if certain else warning)(
        "order",
        f"the columns are in another order than the {what}: {told}. Rename the columns after the "
        f"{what} they predict",
    )


def _correlations(predicted: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(c, c) of class or target i with the prediction for j; 0 where either never changes."""
    a, b = right - right.mean(axis=0), predicted - predicted.mean(axis=0)
    scale = np.outer(np.sqrt((a**2).sum(axis=0)), np.sqrt((b**2).sum(axis=0)))
    return np.divide(a.T @ b, scale, out=np.zeros_like(scale), where=scale > 0)
