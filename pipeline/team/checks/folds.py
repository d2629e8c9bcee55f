"""Is a fold too good, or too bad, for the others?

A fold whose rows were trained on scores far above the rest. Folds are compared by the logarithm of
what is left to gain (1 - score; the score itself where less is better): its error depends little on
how high the score is, and a fold that is easy for all is so by the same factor for everybody. Where
there are other runs, their mean on the fold is taken off.
The distance of a fold is that to the median of the other folds, against what it varies by: the
largest of its own standard error, the median error of the others (bootstrap over groups) and their
spread (1.4826 times the median absolute deviation), times sqrt(1 + 1.57 / (K - 1)) for the
median's own error. A step of less than a tenth of what is left to gain is never accused.
Few rows make what is left near a perfect score: see `_distance` and `Measured.floor`.
Of 5,600 simulated honest files (pearson, rmse, accuracy, F1; 20 to 1,000 rows a fold; with and
without two other runs) 2 went beyond 4 and none beyond 8; where the noise of folds differs by 5 %
(sd) on top, 16 of 300 went beyond 4 without other runs, none with them, and again none beyond 8.
Beside others the bound is 3: of 150 honest files of 120 to 500 rows none went beyond 1.8, of files
with one fold trained on half lay between 2 and 4 (benchmarks/results/audits.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.metrics import MetricError
from pipeline.team.candidate_view import (
    CandidateView,
    Finding,
    ok,
    out,
    standard_error,
    unproven,
    warning,
)

SUSPICIOUS, BESIDE, BEYOND = 4.0, 3.0, 8.0
LEAST = 0.1  # share of what is left to gain: a smaller step is no leak, however certain


@dataclass(frozen=True, kw_only=True)
class FoldLine:
    """One fold of the candidate."""

    fold: int
    rows: int
    score: float | None
    error: float | None
    """Standard error of the score; None where it cannot be told."""
    others: float | None
    """Mean score of the other runs on these rows."""
    distance: float | None
    """To the other folds, in the units of the module's docstring; above 0: better."""
    step: float | None
    """The same in logarithms of what is left to gain."""


def check(subject: CandidateView) -> Iterator[Finding]:
    """A fold far above or far below the others."""
    lines = fold_lines(subject)
    scored = [line for line in lines if line.distance is not None]
    if len(scored) < 2:
        return
    worst = max(scored, key=lambda line: abs(line.distance or 0.0))
    assert worst.distance is not None
    assert worst.score is not None
    distance = f"fold {worst.fold} scores {worst.score:.4f}, {abs(worst.distance):.1f} errors "
    others = [line.score for line in scored if line is not worst and line.score is not None]
    span = f"the other folds ({min(others):.4f} to {max(others):.4f})"
    large = abs(worst.step or 0.0) > LEAST
    bound = BESIDE if subject.trusted else SUSPICIOUS
    if worst.distance > bound and large:
        told = (
            f"{distance}above {span}: were its rows trained on? (bound {bound:g}, out "
            f"from {BEYOND:g})"
        )
        certain = _in_logarithms(worst) > BEYOND
        # Suspicion goes by the root, which few rows cannot exceed; certainty by logarithms.
        yield out("fold scores", told) if certain else unproven("fold scores", told, "labels")
    elif worst.distance < -bound and large:
        yield warning(
            "fold scores",
            f"{distance}below {span}: a training that failed, or rows in another order? (bound "
            f"{bound:g})",
        )
    else:
        yield ok(
            "fold scores",
            f"alike: the most distant, fold {worst.fold}, lies {abs(worst.distance):.1f} errors "
            f"from the others (bound {bound:g})",
        )


def fold_lines(subject: CandidateView) -> list[FoldLine]:
    """(K,) every fold, with its distance to the others."""
    scores = subject.fold_scores(subject.oof)
    peers = [subject.fold_scores(peer.oof) for peer in subject.trusted]
    means = [_mean([each[fold] for each in peers]) for fold in range(len(scores))]
    measured = [
        None if score is None else _measure(subject, rows)
        for rows, score in zip(subject.fold_rows, scores, strict=True)
    ]
    return [
        _line(fold, len(rows), scores[fold], means[fold], measured)
        for fold, rows in enumerate(subject.fold_rows)
    ]


def _mean(scores: list[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known and len(known) == len(scores) else None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A fold on the scale on which folds are compared; larger is better."""

    value: float
    error: float
    score_error: float
    """Standard error of the score itself."""
    floor: float
    """The least standard error: that of the logarithm of a count, where what is left to gain is
    made by as many rows (share left x rows). A bootstrap of a few rows that are all right has
    none."""


def _measure(subject: CandidateView, rows: np.ndarray) -> Measured:
    draws = subject.draws(rows)
    gains = subject.resampled(subject.oof, rows, draws)
    own = _reached(subject, subject.oof, rows)
    values = _left(subject, gains, len(rows))
    share = float(np.exp(-own)) if subject.contest.metric.best == 1 and np.isfinite(own) else 1.0
    floor = 1 / float(np.sqrt(max(share * len(rows), 0.5)))
    if subject.trusted:
        others = [_reached(subject, peer.oof, rows) for peer in subject.trusted]
        drawn = [
            _left(subject, subject.resampled(peer.oof, rows, draws), len(rows))
            for peer in subject.trusted
        ]
        own, values = own - float(np.mean(others)), values - np.mean(drawn, axis=0)
    return Measured(
        value=own,
        error=standard_error(values),
        score_error=standard_error(gains),
        floor=floor,
    )


def _reached(subject: CandidateView, predicted: np.ndarray, rows: np.ndarray) -> float:
    try:
        gain = subject.contest.metric.gain(subject.contest.truth[rows], predicted[rows])
    except MetricError:
        return float("nan")
    return float(_left(subject, np.array([gain]), len(rows))[0])


def _left(subject: CandidateView, gains: np.ndarray, rows: int) -> np.ndarray:
    """Minus the logarithm of what is left to gain, which half a row at least always is.

    A metric of one's own may go beyond what is taken for a perfect score: it is compared as it is.
    """
    metric = subject.contest.metric
    perfect = metric.as_gain(metric.best)
    if (gains > perfect).any():
        return gains
    return np.asarray(-np.log(np.maximum(perfect - gains, 0.5 / rows)))


def _line(
    fold: int, rows: int, score: float | None, others: float | None, all_: list[Measured | None]
) -> FoldLine:
    own = all_[fold]
    rest = [each for at, each in enumerate(all_) if at != fold and each is not None]
    step, unit = None, 0.0
    if own is not None and rest:
        values = np.array([each.value for each in rest])
        middle = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - middle)))
        usual = float(np.median([each.error for each in rest]))
        step = own.value - middle
        floor = float(np.median([each.floor for each in rest]))
        unit = max(own.error, usual, spread, floor) * float(np.sqrt(1 + 1.57 / len(rest)))
    known = step is not None and np.isfinite(step) and np.isfinite(unit) and unit > 0
    error = None if own is None or not np.isfinite(own.score_error) else own.score_error
    return FoldLine(
        fold=fold,
        rows=rows,
        score=score,
        error=error,
        others=others,
        distance=_distance(step, unit) if known and step is not None else None,
        step=step if known else None,
    )


def _distance(step: float, unit: float) -> float:
    """A *step* of logarithms in errors, by a scale that holds at the ends.

    What is left to gain is made by few rows where the score is near perfect, and a count of few
    may well come out as none: its logarithm then runs away, its square root does not (the
    variance of a count is stabilised by the root, Anscombe 1948). So a fold that is better is
    judged by 2 (1 - exp(-step / 2)), the same for small steps and never more than 2 / unit.
    """
    return (2 * (1 - float(np.exp(-step / 2))) if step > 0 else step) / unit


def _in_logarithms(line: FoldLine) -> float:
    """The distance of a better fold without the root: what makes it certain beyond suspicion."""
    assert line.step is not None
    assert line.distance is not None
    return line.distance * line.step / (2 * (1 - float(np.exp(-line.step / 2))))
