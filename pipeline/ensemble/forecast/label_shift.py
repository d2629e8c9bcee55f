"""Has test other label shares than train? Seen from what the models say about both.

Predictions of test rows are laid beside the out-of-fold ones, both of single learners. Where only
the label shares have changed, test's distribution of predictions is a mixture of those of train's
labels, and the shares follow from it (Saerens, Latinne & Decaestecker 2002, by the confusion of
labels and predictions as in Lipton, Wang & Smola 2018; for numbers it is a deconvolution).
Rabanser, Günnemann & Lipton (2019) found such a comparison the most sensitive detector of shift.
What no such mixture explains is another kind of shift: rows look or behave otherwise, and shares
say nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from scipy.special import chdtrc

from pipeline.base.seeding import generator
from pipeline.problems.registry import problem_of

LABEL_BINS, OUTPUT_BINS = 8, 16
SURE = 0.01
"""Shares count as changed where so small a chance would be needed otherwise."""
STRANGE = 1e-4
"""… and the mixture as refuted."""
ROUNDS, TOLERANCE = 300, 1e-7
BOOTSTRAPS = 40
MOST = 6.0
"""No row counts as more than this many."""
FEWEST = 100
"""Of fewer rows of train or test nothing is said."""


@dataclass(frozen=True, kw_only=True)
class LabelShift:
    """Label shares of train, and those of test as far as predictions tell."""

    labels: list[str]
    """What the parts of the labels are: a class, or from … to."""
    train: list[float]
    test: list[float]
    changed: bool
    """Whether the predictions of test need other shares."""
    explained: bool
    """Whether other shares are enough."""
    unlike: float
    """Kullback-Leibler divergence of test's predictions from train's as they are."""
    weights: np.ndarray = field(repr=False)
    """(n,) how much each training row should count."""
    outputs: np.ndarray = field(repr=False)
    """(n,) the bin of each out-of-fold prediction."""
    seen: np.ndarray = field(repr=False)
    """(bins,) share of test's predictions in each."""
    redraw: Callable[[], np.ndarray] = field(repr=False)
    """Makes `redrawn`, which is asked for where shares have changed alone."""

    @cached_property
    def redrawn(self) -> np.ndarray:
        """(B, n) `weights` from test and train rows drawn anew."""
        return self.redraw()

    def explained_by(self, weights: np.ndarray) -> bool:
        """Whether rows that count as *weights* (n,), NaN for unknown, have test's predictions: at
        least half of what sets the two apart is gone."""
        known = np.isfinite(weights)
        count = np.bincount(self.outputs[known], weights[known], minlength=len(self.seen))
        rows = len(self.outputs)
        share = (count + 1 / rows) / (count + 1 / rows).sum()
        here = self.seen > 0
        left = float((self.seen[here] * np.log(self.seen[here] / share[here])).sum())
        return left <= self.unlike / 2

    def between_folds(self, fold_of_row: np.ndarray) -> float:
        """The same divergence of the predictions of one fold (n,) from those of the others, on
        average: where whole sources or authors are held out it is as far from nought."""
        kinds, found = len(self.seen), []
        for fold in np.unique(fold_of_row):
            held = fold_of_row == fold
            own = np.bincount(self.outputs[held], minlength=kinds) / held.sum()
            other = np.bincount(self.outputs[~held], minlength=kinds) + 1 / held.size
            here = own > 0
            found.append(float((own[here] * np.log(own[here] * other.sum() / other[here])).sum()))
        return float(np.mean(found))

    @property
    def told(self) -> str:
        """The shares that moved most, in words."""
        apart = np.abs(np.array(self.test) - self.train)
        first = np.argsort(-apart)[:3]
        return ", ".join(
            f"{self.labels[place]} {100 * self.train[place]:.0f} → {100 * self.test[place]:.0f} %"
            for place in sorted(first)
        )


def find_label_shift(
    truth: np.ndarray,
    oof: np.ndarray,
    test: np.ndarray,
    problem: str,
    names: list[str],
    seed: int,
) -> LabelShift | None:
    """Compare predictions; None where there are too few rows, or several labels.

    Args:
        truth: (n, 1) targets of train.
        oof: (n, k) out-of-fold predictions.
        test: (K, s, k) predictions of the learners of each fold.
        problem: a regression with one target, binary or multiclass.
        names: (k,) of the prediction columns.
        seed: of the redrawn rows.
    """
    kind = problem_of(problem)
    if truth.shape[1] > 1 or not (kind.numeric or kind.named_classes):
        return None
    if min(len(truth), test.shape[1]) < FEWEST:
        return None
    label, labels = _label_bins(truth[:, 0], problem, names)
    edges = np.unique(np.quantile(_level(oof, problem), np.arange(1, OUTPUT_BINS) / OUTPUT_BINS))
    ours = _output_bins(oof, problem, edges)
    theirs = np.stack([_output_bins(each, problem, edges) for each in test])
    kinds = max(int(ours.max()), int(theirs.max())) + 1
    given = _joint(ours, label, kinds, len(labels))
    seen = np.bincount(theirs.ravel(), minlength=kinds) / theirs.size
    before = given.sum(axis=0) / given.sum()
    after = _shares(given, seen, before)
    rows = test.shape[1] * len(truth) / (test.shape[1] + len(truth))  # both samples have noise
    plain, mixed = (_divergence(seen, given, share) for share in (before, after))
    free = len(labels) - 1
    used = int((given.sum(axis=1) > 0).sum())
    return LabelShift(
        labels=labels,
        train=before.tolist(),
        test=after.tolist(),
        changed=bool(chdtrc(max(free, 1), 2 * rows * (plain - mixed)) < SURE),
        explained=bool(chdtrc(max(used - 1 - free, 1), 2 * rows * mixed) > STRANGE),
        unlike=plain,
        weights=_weights(after, before, label),
        outputs=ours,
        seen=seen,
        redraw=partial(_all_redrawn, ours, theirs, label, kinds, before, seed),
    )


def _label_bins(truth: np.ndarray, problem: str, names: list[str]) -> tuple[np.ndarray, list[str]]:
    kind = problem_of(problem)
    if kind.exclusive:
        return truth.astype(int), list(names)
    if not kind.numeric:
        return truth.astype(int), [f"not {names[0]}", names[0]]
    values = np.unique(truth)
    if len(values) <= LABEL_BINS:
        return np.searchsorted(values, truth), [f"{value:g}" for value in values]
    edges = np.linspace(values[0], values[-1], LABEL_BINS + 1)
    place = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, LABEL_BINS - 1)
    used, number = np.unique(place, return_inverse=True)
    return number, [f"{edges[each]:.3g} to {edges[each + 1]:.3g}" for each in used]


def _level(predicted: np.ndarray, problem: str) -> np.ndarray:
    return predicted.max(axis=1) if problem_of(problem).exclusive else predicted[:, 0]


def _output_bins(predicted: np.ndarray, problem: str, edges: np.ndarray) -> np.ndarray:
    """(n,) the bin of a prediction; of several classes the likeliest, and whether it is sure."""
    level = _level(predicted, problem)
    if not problem_of(problem).exclusive:
        return np.searchsorted(edges, level)
    sure = level > edges[len(edges) // 2]
    return predicted.argmax(axis=1) * 2 + sure


def _joint(output: np.ndarray, label: np.ndarray, kinds: int, labels: int) -> np.ndarray:
    """(kinds, labels) how often a label goes with an output; never quite 0."""
    found = np.bincount(output * labels + label, minlength=kinds * labels).reshape(kinds, labels)
    share = found.sum(axis=1, keepdims=True) / found.sum()
    return found + share  # a pseudo-row for each label, spread as all rows are


def _shares(given: np.ndarray, seen: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The label shares whose mixture comes nearest to the outputs *seen*, by EM."""
    likely = given / given.sum(axis=0)
    share = start
    for _ in range(ROUNDS):
        mixed = likely @ share
        ratio = np.divide(seen, mixed, out=np.zeros_like(seen), where=mixed > 0)
        after = share * (likely.T @ ratio)
        after /= after.sum()
        if np.abs(after - share).max() < TOLERANCE:
            break
        share = after
    return np.asarray(share)


def _divergence(seen: np.ndarray, given: np.ndarray, share: np.ndarray) -> float:
    """Kullback-Leibler divergence of the outputs seen from the mixture."""
    mixed = (given / given.sum(axis=0)) @ share
    here = (seen > 0) & (mixed > 0)
    return max(float((seen[here] * np.log(seen[here] / mixed[here])).sum()), 0.0)


def _weights(after: np.ndarray, before: np.ndarray, label: np.ndarray) -> np.ndarray:
    weight = np.minimum(after / before, MOST)[label]
    return np.asarray(weight / weight.mean())


def _all_redrawn(
    ours: np.ndarray,
    theirs: np.ndarray,
    label: np.ndarray,
    kinds: int,
    before: np.ndarray,
    seed: int,
) -> np.ndarray:
    random = generator(seed, "label shares")
    return np.stack(
        [_redrawn(ours, theirs, label, kinds, before, random) for _ in range(BOOTSTRAPS)]
    )


def _redrawn(
    ours: np.ndarray,
    theirs: np.ndarray,
    label: np.ndarray,
    kinds: int,
    before: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    train = random.integers(len(ours), size=len(ours))
    test = random.integers(theirs.shape[1], size=theirs.shape[1])
    given = _joint(ours[train], label[train], kinds, len(before))
    seen = np.bincount(theirs[:, test].ravel(), minlength=kinds) / theirs.size
    start = given.sum(axis=0) / given.sum()
    return _weights(_shares(given, seen, start), before, label)
