"""What the mean of K learners gains over one of them, known without the labels of test.

A training row is predicted by the learner of its fold, a test row by the mean over the learners of
all folds, which errs less. By how much is seen from how the learners differ on test:

- squared error: exactly, error of the mean = mean error - spread of the learners around their mean
  (the ambiguity decomposition: Krogh & Vedelsby, "Neural network ensembles, cross validation, and
  active learning", NIPS 1995);
- pearson: averaging keeps the covariance with the label and loses spread, so the correlation grows
  by the ratio of standard deviations, of one learner's predictions to the mean's;
- every other metric: labels are imagined for the test rows, drawn from the mean prediction and made
  as sure or unsure as it takes for single learners to score on them what they score out of fold.
  What the mean scores on these labels is then known.

Where there is a labelled holdout file that every learner predicts, the gain of these other metrics
is measured on it too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from pipeline.base.seeding import generator
from pipeline.ensemble.forecast.ranges import Move, Scored
from pipeline.metrics.bootstrap import Draws, resampled_gains
from pipeline.metrics.metric import Metric, MetricError
from pipeline.problems.registry import problem_of

KNOWN, IMAGINED = 0.2, 0.5
"""Standard error of the gain as a share of it: where it follows from moments, and elsewhere."""
DRAWS, ROWS = 6, 1500
"""Labels imagined for each row; rows for which they are, at most."""
DRAWS_OF_UNITS, UNITS = 2, 16384
"""The same of units of documents."""
HALVINGS = 12
SURENESS = (0.02, 50.0)
"""Between these factors the sureness of imagined labels is searched for."""
MEASURED_ROWS, RESAMPLES = 100, 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Outputs:
    """What the learners of each of K folds say about s rows, blended."""

    raw: np.ndarray
    """(K, s, k) before decisions."""
    decided: np.ndarray
    """(K, s, k) as they would be written."""
    raw_mean: np.ndarray
    """(s, k) of the mean over all learners, before decisions."""
    decided_mean: np.ndarray
    """(s, k) as it is written."""
    place: np.ndarray | None = None
    """(s,) of units of whole documents: each one's place in its document."""

    @property
    def several(self) -> bool:
        """Whether there are learners that differ at all."""
        return len(self.raw) > 1 and bool(np.ptp(self.raw, axis=0).any())


MEAN_OF = "mean of "
"""How the name of this move begins."""
NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def in_words(count: int) -> str:
    """A small number as a word.

    >>> in_words(5), in_words(25)
    ('five', '25')
    """
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def move_of_mean(moves: Sequence[Move]) -> Move | None:
    """The one of *moves* that `mean_gain` found; None where it found none."""
    return next((move for move in moves if move.name.startswith(MEAN_OF)), None)


def mean_gain(
    scored: Scored,
    gain: float,
    outputs: Outputs,
    seed: int,
    measured: tuple[float, float] | None = None,
) -> Move | None:
    """What the mean on test gains over learners that score *gain* on rows like those of test.

    Args:
        scored: rows of train by the learners of their folds, for the labels' own spread.
        gain: one learner's score, turned so that more is better.
        outputs: of the learners on test rows.
        seed: of the labels that are imagined.
        measured: by `measured_gain`; counts where the gain does not follow from moments.

    None where there is one learner, or the metric has no value.
    """
    if not outputs.several or not np.isfinite(gain):
        return None
    found = _from_moments(scored, gain, outputs)
    share = KNOWN
    if found is None:
        found, share = _imagined(scored, gain, outputs, seed), IMAGINED
    name = f"{MEAN_OF}{in_words(len(outputs.raw))}"
    if found is None:
        if measured is None or not np.isfinite(measured).all():
            return None
        return Move(name=name, gain=measured[0], doubt=measured[1])
    move = Move(name=name, gain=found, doubt=share * abs(found))
    return combined(move, measured) if share == IMAGINED else move


def _from_moments(scored: Scored, gain: float, outputs: Outputs) -> float | None:
    """The gain of squared-error metrics and pearson; None for every other metric."""
    known = scored.metric.formula.of_mean
    return (
        None if known is None else known(gain, outputs.decided, outputs.decided_mean, scored.truth)
    )


def _imagined(scored: Scored, gain: float, outputs: Outputs, seed: int) -> float | None:
    """The gain by labels under which single learners score *gain*; None where none are found."""
    random = generator(seed, "imagined labels")
    rows = _rows_for_labels(outputs, random)
    place = None if outputs.place is None else outputs.place[rows]
    make = _labels_of(scored, outputs.raw_mean[rows], random, place)
    if make is None:
        return None
    decided, decided_mean = outputs.decided[:, rows], outputs.decided_mean[rows]

    def single(sureness: float) -> float:
        truth = make(sureness)
        gains = [_gain(scored.metric, truth, each) for each in decided]
        return float(np.mean(gains))

    low, high = np.log(SURENESS[0]), np.log(SURENESS[1])
    if not single(np.exp(low)) <= gain <= single(np.exp(high)):
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if single(np.exp(middle)) < gain else (low, middle)
    sureness = float(np.exp((low + high) / 2))
    found = _gain(scored.metric, make(sureness), decided_mean) - single(sureness)
    return float(found) if np.isfinite(found) else None


def _rows_for_labels(outputs: Outputs, random: np.random.Generator) -> np.ndarray:
    """(r,) the rows for which labels are imagined, as often as they are; whole documents."""
    size, place = outputs.raw.shape[1], outputs.place
    if place is None:
        part = np.arange(size) if size <= ROWS else random.choice(size, ROWS, replace=False)
        return np.tile(part, DRAWS)
    starts = np.flatnonzero(place == 0)
    kept = np.cumsum(np.diff(starts, append=size)) <= UNITS
    end = size if kept.all() else starts[max(int(kept.sum()), 1)]
    return np.tile(np.arange(end), DRAWS_OF_UNITS)


def _labels_of(
    scored: Scored,
    mean: np.ndarray,
    random: np.random.Generator,
    place: np.ndarray | None = None,
) -> Callable[[float], np.ndarray] | None:
    """A function of sureness that gives labels (r, k) for rows with these mean predictions; of
    units that have a *place* in their documents, where a way is known."""
    kind = problem_of(scored.problem)
    if place is not None:
        return kind.imagined(mean, place, scored.metric.classes, random)
    if kind.numeric:
        residual = scored.truth - scored.predicted
        drawn = residual[random.integers(len(residual), size=len(mean))]
        whole = not (scored.truth % 1).any()
        ends = scored.truth.min(axis=0), scored.truth.max(axis=0)

        def numbers(sureness: float) -> np.ndarray:
            found = np.clip(mean + drawn / sureness, *ends)
            return np.rint(found) if whole else found

        return numbers
    chance = np.clip(mean, 1e-6, 1 - 1e-6)
    if kind.exclusive:
        logs, uniform = np.log(chance), random.random((len(mean), 1))
        usual = logs.mean(axis=0)

        def classes(sureness: float) -> np.ndarray:
            score = usual + sureness * (logs - usual)
            share = softmax(score, axis=1)
            if not kind.drawn:
                return share
            below = np.cumsum(share, axis=1)[:, :-1]
            return (uniform > below).sum(axis=1)[:, None]

        return classes
    if blocks := kind.blocks(mean.shape[1]):
        logs, uniform = np.log(chance), random.random((len(mean), len(blocks)))
        usual = logs.mean(axis=0)

        def heads(sureness: float) -> np.ndarray:
            share = kind.from_scores(usual + sureness * (logs - usual))
            found = np.zeros(share.shape)
            for place, own in enumerate(blocks):
                below = np.cumsum(share[:, own], axis=1)
                number = (uniform[:, place, None] > below).sum(axis=1)
                number = np.minimum(number, below.shape[1] - 1)
                found[np.arange(len(found)), own.start + number] = 1
            return found

        return heads
    logits, uniform = np.log(chance / (1 - chance)), random.random(mean.shape)
    average = chance.mean(axis=0)
    usual = np.log(average / (1 - average))

    def flags(sureness: float) -> np.ndarray:
        share = 1 / (1 + np.exp(-np.clip(usual + sureness * (logits - usual), -50, 50)))
        return (uniform < share).astype(float)

    return flags


def _gain(metric: Metric, truth: np.ndarray, predicted: np.ndarray) -> float:
    try:
        return metric.gain(truth, predicted)
    except MetricError:
        return float("nan")


def measured_gain(scored: Scored, decided: np.ndarray, seed: int) -> tuple[float, float] | None:
    """The gain on labelled rows that every learner predicts, and its standard error.

    *scored* has the mean's predictions, *decided* (K, h, k) those of each learner. None for few
    rows, or where the metric has no value.
    """
    if len(decided) < 2 or len(scored.truth) < MEASURED_ROWS or not np.isfinite(decided).all():
        return None
    draws = Draws.over(scored.group_of_row, seed, RESAMPLES)

    def of(draws: Draws, predicted: np.ndarray) -> np.ndarray:
        return resampled_gains(scored.metric, scored.truth, predicted, draws)

    every = Draws(draws.block_of_row, np.ones((1, draws.counts.shape[1])))
    found, spread = (
        of(each, scored.predicted) - np.mean([of(each, one) for one in decided], axis=0)
        for each in (every, draws)
    )
    error = float(np.nanstd(spread))
    return (float(found[0]), error) if np.isfinite(found[0]) and error > 0 else None


def combined(move: Move, measured: tuple[float, float] | None) -> Move:
    """Both ways to know the gain, each by how sure it is."""
    if measured is None or not np.isfinite(measured).all():
        return move
    gain, error = measured
    doubt = max(move.doubt, 1e-9)
    weight = doubt**-2 / (doubt**-2 + error**-2)
    found = weight * move.gain + (1 - weight) * gain
    return Move(name=move.name, gain=found, doubt=float((doubt**-2 + error**-2) ** -0.5))
