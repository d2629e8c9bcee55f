"""Targets to what the linear learner fits, and its scores back to predictions.

Numbers are centred and scaled. Yes or no goes through a sigmoid. One of several classes: each class
against the rest, then one softmax whose slope is found on held-out rows. Least squares is the way
where classes are few and even; where they are many or uneven it masks those that lie between others
(Hastie, Tibshirani & Friedman, "The Elements of Statistical Learning", 2009, section 4.2), and
logistic regression does not. Both are tried on held-out rows, and the likelier one is taken.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from pipeline.base import DataError
from pipeline.base.config import TaskConfig
from pipeline.data import Table
from pipeline.models.linear.solver import (
    DENSE,
    STANDARD,
    WEAKER,
    Design,
    Loss,
    fit_glm,
    loss_sum,
    predicted,
)

USUAL_SLOPE = 8.0  # of the softmax, where there are no held-out rows to find it on


@dataclass(frozen=True, kw_only=True)
class Answers:
    """How targets are fitted: here numbers. *scores* are what the linear model gives, (n, k)."""

    center: np.ndarray
    """(k,) float32: mean of a number, log of a class's share among several, else 0."""
    scale: np.ndarray
    """(k,) float32: spread of a number, slope of the softmax, else 1."""
    loss: ClassVar[Loss] = "squared"
    """What the linear model minimises."""
    way: ClassVar[str] = ""
    """Of fitting classes, as a recipe calls it; empty for other targets."""

    def grid(self, weaker: bool) -> tuple[float, ...]:
        """Strengths to try; *weaker* ones too, where the loss has some."""
        more = WEAKER if weaker and self.loss == "sigmoid" else ()
        return (*STANDARD[self.loss], *more)

    def fit(self, design: Design, targets: np.ndarray, strength: float) -> np.ndarray:
        """(d + p, k) float32 weights for *targets* (n, k) as `encode` gives them."""
        return fit_glm(design, targets, self.loss, DENSE, strength)

    @classmethod
    def learn(cls, targets: np.ndarray, outputs: int) -> "Answers":
        """Centre and scale of (n, k) *targets*; *outputs* is the number of prediction columns."""
        return cls._of(targets.mean(axis=0), targets.std(axis=0))

    @classmethod
    def _of(cls, center: np.ndarray, scale: np.ndarray) -> "Answers":
        return cls(center=center.astype(np.float32), scale=scale.astype(np.float32))

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32, what the scores are fitted to."""
        return np.asarray((targets - self.center) / self.scale).astype(np.float32)

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) float32 predictions."""
        return self._values(scores).astype(np.float32)

    def _values(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(predicted(scores, self.loss) * self.scale + self.center)

    def surprise(self, scores: np.ndarray, encoded: np.ndarray) -> float:
        """Loss per row of held-out *scores* (h, k), the softmax at its best slope."""
        return loss_sum(scores, encoded, self.loss) / len(encoded)

    def sharpened(self, scores: np.ndarray, encoded: np.ndarray) -> "Answers":
        """These, with the slope of the softmax that suits held-out *scores* (h, k) best."""
        return self


class FlagAnswers(Answers):
    """Yes or no, column by column: the linear model's own sigmoid."""

    loss = "sigmoid"

    @classmethod
    def learn(cls, targets: np.ndarray, outputs: int) -> "Answers":
        """Nothing is centred or scaled."""
        return cls._of(np.zeros(outputs), np.ones(outputs))


class ClassAnswers(Answers):
    """One of several classes: least squares for each, then a softmax."""

    way = "squares"

    @classmethod
    def learn(cls, targets: np.ndarray, outputs: int) -> "Answers":
        """The classes' shares."""
        rows = is_class(targets, outputs).sum(axis=0)
        center = np.log((rows + 0.5) / (len(targets) + 0.5 * outputs))
        return cls._of(center, np.ones(outputs))

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32: 1 for the class, less its share."""
        return (is_class(targets, len(self.center)) - np.exp(self.center)).astype(np.float32)

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) float32 probabilities."""
        values = self._values(scores)
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
        return values.astype(np.float32)

    def surprise(self, scores: np.ndarray, encoded: np.ndarray) -> float:
        """Log loss per row of held-out *scores* (h, k), the softmax at its best slope."""
        return best_slope(scores, self.center, encoded > 0)[1]

    def sharpened(self, scores: np.ndarray, encoded: np.ndarray) -> "Answers":
        """These, with the slope that suits held-out *scores* (h, k) best."""
        known = len(scores) > 0
        slope = best_slope(scores, self.center, encoded > 0)[0] if known else USUAL_SLOPE
        return replace(self, scale=np.full_like(self.scale, slope))


class LogisticClassAnswers(ClassAnswers):
    """One of several classes: logistic regression for each, then a softmax."""

    loss = "sigmoid"
    way = "logistic"
    gentlest: ClassVar[float] = 1.0
    """The lowest slope of the softmax that is tried."""

    @classmethod
    def learn(cls, targets: np.ndarray, outputs: int) -> "Answers":
        """The intercepts hold the classes' shares."""
        return cls._of(np.zeros(outputs), np.ones(outputs))

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32: 1 for the class, else 0."""
        return is_class(targets, len(self.center)).astype(np.float32)

    def _values(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(scores * self.scale)

    def sharpened(self, scores: np.ndarray, encoded: np.ndarray) -> "Answers":
        """These, with the slope that suits held-out *scores* best; 1 where there are none."""
        return super().sharpened(scores, encoded) if len(scores) else self


class ShareAnswers(ClassAnswers):
    """A probability for each class: as one of several classes, with shares in place of 0 and 1."""

    way: ClassVar[str] = ""

    @classmethod
    def learn(cls, targets: np.ndarray, outputs: int) -> "Answers":
        """The classes' mean shares."""
        return cls._of(np.log(np.maximum(targets.mean(axis=0), 1e-6)), np.ones(outputs))

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32: the share, less the class's mean share."""
        return np.asarray(targets - np.exp(self.center)).astype(np.float32)

    def surprise(self, scores: np.ndarray, encoded: np.ndarray) -> float:
        """Cross-entropy per row of held-out *scores* (h, k), the softmax at its best slope."""
        return best_slope(scores, self.center, encoded + np.exp(self.center))[1]

    def sharpened(self, scores: np.ndarray, encoded: np.ndarray) -> "Answers":
        """These, with the slope that suits held-out *scores* (h, k) best."""
        shares = encoded + np.exp(self.center)
        slope = best_slope(scores, self.center, shares)[0] if len(scores) else USUAL_SLOPE
        return replace(self, scale=np.full_like(self.scale, slope))


class SoftClassAnswers(ShareAnswers):
    """One of several classes with soft labels: the same, saved and restored as `ClassAnswers`."""

    way = "squares"


class SoftLogisticClassAnswers(LogisticClassAnswers):
    """One of several classes with soft labels: logistic regression of each, then a softmax."""

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32 shares."""
        return targets.astype(np.float32)

    def surprise(self, scores: np.ndarray, encoded: np.ndarray) -> float:
        """Cross-entropy per row of held-out *scores* (h, k), the softmax at its best slope."""
        return best_slope(scores, self.center, encoded, self.gentlest)[1]

    def sharpened(self, scores: np.ndarray, encoded: np.ndarray) -> "Answers":
        """These, with the slope that suits held-out *scores* best; 1 where there are none."""
        if not len(scores):
            return self
        slope = best_slope(scores, self.center, encoded, self.gentlest)[0]
        return replace(self, scale=np.full_like(self.scale, slope))


@dataclass(frozen=True, kw_only=True)
class HeadAnswers(Answers):
    """One class of each of several targets: each fitted as one of several classes, with a softmax
    of its own.

    Targets, scores and predictions are (n, k), a block of columns for each target; of targets it
    has a single 1.
    """

    sizes: tuple[int, ...]
    """(H,) how many classes each target has."""
    each: ClassVar[type[ClassAnswers]] = ClassAnswers
    """How one target is fitted."""
    way = "squares"
    soft: ClassVar[bool] = False
    """Whether a block of targets has probabilities in place of a single 1."""

    @classmethod
    def of_heads(cls, targets: np.ndarray, sizes: tuple[int, ...]) -> "HeadAnswers":
        """The shares of each target's classes in (n, k) *targets*."""
        blocks = zip(blocks_of(targets, sizes), sizes, strict=True)
        parts = [cls.each.learn(cls._own(own), size) for own, size in blocks]
        center, scale = ([getattr(part, name) for part in parts] for name in ("center", "scale"))
        return cls(center=np.concatenate(center), scale=np.concatenate(scale), sizes=sizes)

    @classmethod
    def _own(cls, flags: np.ndarray) -> np.ndarray:
        """Of one block: (n, 1) class numbers, or the shares as they are."""
        return flags if cls.soft else flags.argmax(axis=1)[:, None]

    @property
    def parts(self) -> list[Answers]:
        """(H,) those of each target."""
        own = zip(
            blocks_of(self.center, self.sizes), blocks_of(self.scale, self.sizes), strict=True
        )
        return [self.each(center=center, scale=scale) for center, scale in own]

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32, block by block."""
        blocks = zip(self.parts, blocks_of(targets, self.sizes), strict=True)
        return np.hstack([part.encode(self._own(own)) for part, own in blocks])

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) float32 probabilities, each block with the sum one."""
        blocks = zip(self.parts, blocks_of(scores, self.sizes), strict=True)
        return np.hstack([part.decode(own) for part, own in blocks])

    def surprise(self, scores: np.ndarray, encoded: np.ndarray) -> float:
        """Log loss per row of held-out *scores* (h, k), the sum over targets."""
        return sum(part.surprise(*own) for part, own in self._paired(scores, encoded))

    def sharpened(self, scores: np.ndarray, encoded: np.ndarray) -> "Answers":
        """These, with the slope that suits each target's held-out *scores* best."""
        parts = [part.sharpened(*own) for part, own in self._paired(scores, encoded)]
        return replace(self, scale=np.concatenate([part.scale for part in parts]))

    def _paired(
        self, scores: np.ndarray, encoded: np.ndarray
    ) -> list[tuple[Answers, tuple[np.ndarray, np.ndarray]]]:
        both = zip(blocks_of(scores, self.sizes), blocks_of(encoded, self.sizes), strict=True)
        return list(zip(self.parts, both, strict=True))


class LogisticHeadAnswers(HeadAnswers):
    """The same by logistic regression for each class."""

    each = LogisticClassAnswers
    loss = "sigmoid"
    way = "logistic"


class SoftHeadAnswers(HeadAnswers):
    """Soft labels of each target."""

    each = SoftClassAnswers
    soft = True


class SoftLogisticHeadAnswers(LogisticHeadAnswers):
    """The same by logistic regression for each class."""

    each = SoftLogisticClassAnswers
    soft = True


def blocks_of(values: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """The columns of (n, k) *values* of each of several targets with so many classes."""
    return np.split(values, np.cumsum(sizes)[:-1], axis=-1)


def check_varied(train: Table, task: TaskConfig) -> np.ndarray:
    """The targets (n, k) of *train*; DataError where there is nothing to tell apart."""
    assert train.targets is not None
    targets = train.targets
    constant = targets.max(axis=0) == targets.min(axis=0)
    if constant.all() or (constant.any() and task.problem_type.numeric):
        value = targets[0, int(np.flatnonzero(constant)[0])]
        named = bool(task.classes)
        name = task.problem_type.label_text(targets[0], task.classes) if named else f"{value:g}"
        raise DataError(
            f"all {len(train)} rows of a training part have the same target, {name}: there is "
            "nothing to learn. Look at the target column; with few rows, use fewer folds."
        )
    return targets


def is_class(targets: np.ndarray, k: int) -> np.ndarray:
    """(n, k) bool of (n, 1) class numbers."""
    return np.asarray(targets == np.arange(k))


def best_slope(
    scores: np.ndarray, log_share: np.ndarray, truth: np.ndarray, gentlest: float = 1.0
) -> tuple[float, float]:
    """The slope, *gentlest* or more, that makes the classes of h rows likeliest; their log loss.

    Probabilities are softmax(slope · scores + log_share); *truth* is (h, k) bool, or shares.
    """

    def loss(log_slope: float) -> float:
        sure = np.exp(log_slope) * scores.astype(np.float64) + log_share
        right = sure[truth] if truth.dtype == bool else (sure * truth).sum(axis=1)
        return float((logsumexp(sure, axis=1) - right).mean())

    found = minimize_scalar(loss, bounds=(np.log(gentlest), 5), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
