"""Complement naive Bayes on the n-grams of the linear learner (scikit-learn's).

A class is known by how rare an n-gram is in all others (Rennie, Shih, Teevan & Karger, "Tackling
the poor assumptions of naive Bayes text classifiers", ICML 2003). Every n-gram is counted by
itself, where regression weighs all of them together, so it errs differently and is worth blending
with it. It is too sure or too careful as it is: the slope of its softmax is found on held-out rows,
for yes or no slope and height (Platt, "Probabilistic outputs for support vector machines", 1999).
Strengths are what is added to each count. Dense numbers are not read, nor inputs that go below 0.

Notation as in `solver`; shares are (n, k), for one of several classes a single 1 in each row.
"""

from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from pipeline.models.linear.solver import Design
from pipeline.models.linear.targets import (
    Answers,
    HeadAnswers,
    SoftLogisticClassAnswers,
    blocks_of,
    is_class,
)

NAME = "naive-bayes"
ADDED = (3.0, 1.0, 0.3, 0.1, 0.03)
"""To each count of an n-gram; the counts of a row have length one."""


def complement_weights(design: Design, shares: np.ndarray, added: float) -> np.ndarray:
    """(p, k) float64: how much each n-gram speaks for a class, 0 on average over classes."""
    from sklearn.naive_bayes import ComplementNB

    rows, classes = np.nonzero(shares > 0)
    counted = shares[rows, classes].astype(np.float64)
    if design.counts is not None:
        counted *= design.counts[rows, 0]
    below = np.asarray(design.ngrams.min(axis=0).todense()).ravel() < 0
    inputs = design.ngrams[:, ~below]
    every = np.arange(shares.shape[1])
    model = ComplementNB(alpha=added).partial_fit(inputs[rows], classes, every, counted)
    weights = np.zeros((design.ngrams.shape[1], shares.shape[1]))
    weights[~below] = model.feature_log_prob_.T
    return np.asarray(weights - weights.mean(axis=1, keepdims=True))


def _with_dense(design: Design, weights: np.ndarray) -> np.ndarray:
    """(d + p, k) float32: no weight for dense numbers."""
    nothing = np.zeros((design.dense.shape[1], weights.shape[1]))
    return np.concatenate([nothing, weights]).astype(np.float32)


class NaiveBayes:
    """What all kinds of targets have in common."""

    way = NAME

    def grid(self, weaker: bool) -> tuple[float, ...]:
        """What is added to each count."""
        return ADDED


class NaiveBayesClasses(NaiveBayes, SoftLogisticClassAnswers):
    """One of several classes, or a probability for each; how many rows each has is left out, as in
    the paper."""

    gentlest = 0.01  # it can be far too sure of long texts

    def fit(self, design: Design, targets: np.ndarray, strength: float) -> np.ndarray:
        """See `Answers.fit`."""
        return _with_dense(design, complement_weights(design, targets, strength))

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32 shares."""
        one = targets.shape[1] == 1
        return (is_class(targets, len(self.center)) if one else targets).astype(np.float32)


class NaiveBayesFlags(NaiveBayes, Answers):
    """Yes or no, column by column."""

    loss = "sigmoid"

    @classmethod
    def learn(cls, targets: np.ndarray, outputs: int) -> "Answers":
        """How often it is yes."""
        yes = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
        return cls._of(logit(yes), np.ones(outputs))

    def fit(self, design: Design, targets: np.ndarray, strength: float) -> np.ndarray:
        """See `Answers.fit`."""
        each = [
            complement_weights(design, np.stack([1 - yes, yes], axis=1), strength)
            for yes in targets.T
        ]
        return _with_dense(design, np.stack([two[:, 1] - two[:, 0] for two in each], axis=1))

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k) float32: 1 for yes, or its probability."""
        return targets.astype(np.float32)

    def _values(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(expit(scores * self.scale + self.center))

    def surprise(self, scores: np.ndarray, encoded: np.ndarray) -> float:
        """Log loss per row of held-out *scores* (h, k), each output at its best slope and
        height."""
        best = self.sharpened(scores, encoded)
        height = scores.astype(np.float64) * best.scale + best.center
        return float((np.logaddexp(0, height) - height * encoded).sum() / len(encoded))

    def sharpened(self, scores: np.ndarray, encoded: np.ndarray) -> "Answers":
        """These, with the slope and the height that suit held-out *scores* (h, k) best."""
        from sklearn.linear_model import LogisticRegression

        center, scale = self.center.copy(), self.scale.copy()
        for place, (score, yes) in enumerate(zip(scores.T, encoded.T, strict=True)):
            if not 0 < yes.sum() < len(yes):
                continue
            twice, answer = np.tile(score, 2)[:, None], np.repeat([0, 1], len(yes))
            counted = np.concatenate([1 - yes, yes])
            platt = LogisticRegression(C=1e6).fit(twice, answer, counted)
            if platt.coef_[0, 0] > 0:  # else there is nothing in it
                center[place], scale[place] = platt.intercept_[0], platt.coef_[0, 0]
        return replace(self, center=center, scale=scale)


class NaiveBayesHeads(NaiveBayes, HeadAnswers):
    """One class of each of several targets."""

    each = NaiveBayesClasses

    def fit(self, design: Design, targets: np.ndarray, strength: float) -> np.ndarray:
        """See `Answers.fit`."""
        own = zip(self.parts, blocks_of(targets, self.sizes), strict=True)
        return np.hstack([part.fit(design, block, strength) for part, block in own])


class SoftNaiveBayesHeads(NaiveBayesHeads):
    """Soft labels of each target."""

    soft = True
