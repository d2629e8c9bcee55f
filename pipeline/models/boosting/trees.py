"""Boosted trees: grown by scikit-learn, how many and how deep chosen on held-out rows, kept as
plain arrays.

scikit-learn saves a fitted model as a pickle only, which runs code when it is read. A tree is a
table of nodes, so the tables are kept instead, and predictions are read off them: no code, and no
version of a library, stands between saved trees and what they say. (skops.io would keep the
estimators without a pickle, but tied to the version of scikit-learn that wrote them.)

The same rows and seed give the same trees and the same bits on any number of threads (a test).

Notation: n rows, q inputs, m margins, T trees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from pipeline.models.settings import BoostingRecipe

CELLS = 2_000_000
"""Rows times trees that are looked at at once."""
WITHOUT_TRIAL = 50
"""Trees where too few different texts are there to hold any out."""


@dataclass(frozen=True, kw_only=True)
class Forest:
    """T trees, their nodes one after the other, the root of each first."""

    feature: np.ndarray
    """(N,) int32: the input that a node splits on; 0 for a leaf."""
    threshold: np.ndarray
    """(N,) float64: rows at or below it go left."""
    missing_left: np.ndarray
    """(N,) bool: whether a row without this input does."""
    left: np.ndarray
    """(N,) int32: a leaf leads to itself."""
    right: np.ndarray
    """(N,) int32."""
    value: np.ndarray
    """(N,) float64: what a leaf adds."""
    roots: np.ndarray
    """(T,) int32."""
    column: np.ndarray
    """(T,) int32: the margin that a tree adds to."""
    depth: int
    """Most steps from a root to a leaf."""
    baseline: np.ndarray
    """(m,) float64: the margins without a tree."""

    def margins(self, inputs: np.ndarray) -> np.ndarray:
        """(n, m) float64 of *inputs* (n, q), NaN for what is missing."""
        size = max(1, CELLS // max(1, len(self.roots)))
        starts = range(0, max(1, len(inputs)), size)
        return np.concatenate([self._margins(inputs[at : at + size]) for at in starts])

    def _margins(self, inputs: np.ndarray) -> np.ndarray:
        at = np.repeat(self.roots[:, None], len(inputs), axis=1)
        rows, wide = np.arange(len(inputs)), inputs.astype(np.float64)
        for _ in range(self.depth):
            values = wide[rows, self.feature[at]]
            go_left = (values <= self.threshold[at]) | (np.isnan(values) & self.missing_left[at])
            at = np.where(go_left, self.left[at], self.right[at])
        found = np.tile(self.baseline, (len(inputs), 1))
        for column, leaves in zip(self.column, at, strict=True):  # one by one: sums keep an order
            found[:, column] += self.value[leaves]
        return found

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything by name, for an .npz."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Forest":
        """The trees that `to_arrays` gave."""
        named: dict[str, Any] = {name: arrays[name] for name in cls.__dataclass_fields__}
        return cls(**{**named, "depth": int(named["depth"])})


def forest_of(model: Any) -> tuple[Forest, np.ndarray]:
    """The trees of a fitted model of scikit-learn, and (T,) lists of what their nodes gained.

    Returns:
        The trees, and (N, 2) float64: of each node the input that it splits on and the gain.
    """
    grown = [tree for step in model._predictors for tree in step]
    sizes = [len(tree.nodes) for tree in grown]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    nodes = np.concatenate([tree.nodes for tree in grown])
    leaf = nodes["is_leaf"].astype(bool)
    own, offset = np.arange(len(nodes)), np.repeat(roots, sizes)
    assert not nodes["is_categorical"].any()
    forest = Forest(
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        left=np.where(leaf, own, nodes["left"] + offset).astype(np.int32),
        right=np.where(leaf, own, nodes["right"] + offset).astype(np.int32),
        value=np.where(leaf, nodes["value"], 0.0),
        roots=roots,
        column=np.tile(np.arange(len(model._predictors[0])), len(model._predictors)).astype(
            np.int32
        ),
        depth=int(nodes["depth"].max()),
        baseline=np.asarray(model._baseline_prediction, dtype=np.float64).ravel(),
    )
    gains = np.where(leaf, 0.0, nodes["gain"])
    return forest, np.stack([forest.feature, gains], axis=1)


NOTHING = Forest(
    feature=np.zeros(0, np.int32),
    threshold=np.zeros(0),
    missing_left=np.zeros(0, bool),
    left=np.zeros(0, np.int32),
    right=np.zeros(0, np.int32),
    value=np.zeros(0),
    roots=np.zeros(0, np.int32),
    column=np.zeros(0, np.int32),
    depth=0,
    baseline=np.zeros(1),
)


# What one set of trees answers: a number, yes or no, or one of several classes.


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Trees and what their margins mean."""

    classes: np.ndarray
    """(c,) int64, ascending: those that the training part shows; empty for a number, and where it
    shows one only."""
    shares: np.ndarray
    """(k,) float64 shares of all classes there, smoothed; empty for a number."""
    forest: Forest

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """(n, 1) numbers, or (n, k) probabilities of all classes."""
        if not len(self.shares):
            return self.forest.margins(inputs)
        found = np.tile(self.shares, (len(inputs), 1))
        if not len(self.classes):
            return found
        margins = self.forest.margins(inputs)
        found[:, self.classes] = np.exp(_log_shares(margins)) * self.shares[self.classes].sum()
        return found

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Everything by name, for an .npz."""
        own = {"classes": self.classes, "shares": self.shares, **self.forest.to_arrays()}
        return {prefix + name: array for name, array in own.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> "Answer":
        """What `to_arrays` gave."""
        own = {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        return cls(classes=own["classes"], shares=own["shares"], forest=Forest.from_arrays(own))


def _log_shares(margins: np.ndarray) -> np.ndarray:
    """(n, c) logarithms of probabilities; one margin stands for two classes, none for a third."""
    if margins.shape[1] > 1:
        return np.asarray(log_softmax(margins, axis=1))
    both = np.hstack([np.zeros_like(margins), margins])
    return np.asarray(both - logsumexp(both, axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How the trees of one answer are grown, and what was tried."""

    depth: int
    trees: int
    losses: Mapping[int, float]
    """Depth -> its lowest loss per held-out row."""


class Growing:
    """Grows the trees of one answer from (n, q) inputs."""

    def __init__(
        self,
        recipe: BoostingRecipe,
        inputs: np.ndarray,
        targets: np.ndarray,
        classes: int,
        seed: int,
        weights: np.ndarray | None = None,
    ) -> None:
        """*targets* is (n,): numbers where *classes* is 0, else class numbers below it; *weights*
        (n,) what each row counts, None for 1. Held-out rows count alike."""
        self.weights = weights
        self.recipe, self.inputs, self.seed = recipe, inputs, seed
        self.count = classes
        self.targets = targets.astype(np.int64) if classes else targets

    def chosen(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Choice:
        """Depth and number of trees with the lowest loss on held-out rows.

        *parts*: rows to grow on and rows held out. Depths are tried from flat to deep until the
        loss rises.
        """
        depths = sorted(set(self.recipe.depths))
        parts = [part for part in map(self._usable, parts) if part is not None]
        if not parts:
            usual = min(WITHOUT_TRIAL, self.recipe.most_trees)
            return Choice(depth=depths[len(depths) // 2], trees=usual, losses={})
        losses: dict[int, float] = {}
        trees: dict[int, int] = {}
        for depth in depths:
            curve = self._curve(depth, parts)
            trees[depth], losses[depth] = max(1, int(curve.argmin())), float(curve.min())
            if losses[depth] > min(losses.values()):
                break
        best = min(losses, key=lambda depth: losses[depth])
        return Choice(depth=best, trees=trees[best], losses=losses)

    def grown(self, choice: Choice) -> tuple[Answer, np.ndarray]:
        """The answer of trees grown on all rows, and (N, 2) inputs and gains of their nodes."""
        present = np.unique(self.targets) if self.count else np.empty(0, np.int64)
        counts = np.bincount(self.targets, minlength=self.count) if self.count else np.empty(0)
        shares = (counts + 0.5) / (len(self.targets) + 0.5 * max(1, self.count))
        if self.count and len(present) == 1:
            nobody = np.empty(0, np.int64)
            return Answer(classes=nobody, shares=shares, forest=NOTHING), np.zeros((0, 2))
        model = self._model(choice.depth, choice.trees, len(self.targets))
        model.fit(self.inputs, self.targets, self.weights)
        forest, gains = forest_of(model)
        return Answer(classes=present, shares=shares, forest=forest), gains

    def _usable(self, part: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """*part* without held-out rows of classes that nothing is grown on; None where nothing is
        left to tell apart."""
        fit, held_out = part
        present = np.unique(self.targets[fit])
        if self.count:
            held_out = held_out[np.isin(self.targets[held_out], present)]
        return (fit, held_out) if len(present) > 1 and len(held_out) else None

    def _curve(self, depth: int, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Losses per held-out row after 0, 1, 2 … trees; a part that stopped keeps its last."""
        curves, rows = [], []
        for fit, held_out in parts:
            model = self._model(depth, self.recipe.most_trees, len(fit))
            model.set_params(
                early_stopping=True,
                scoring="loss",
                n_iter_no_change=self.recipe.patience,
                tol=0.0,
            )
            held = {"X_val": self.inputs[held_out], "y_val": self.targets[held_out]}
            weights = None if self.weights is None else self.weights[fit]
            model.fit(self.inputs[fit], self.targets[fit], weights, **held)
            curves.append(-model.validation_score_)
            rows.append(len(held_out))
        longest = max(map(len, curves))
        padded = [np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves]
        return np.average(padded, axis=0, weights=rows)

    def _model(self, depth: int, trees: int, rows: int) -> Any:
        kind = HistGradientBoostingClassifier if self.count else HistGradientBoostingRegressor
        recipe = self.recipe
        return kind(
            learning_rate=recipe.learning_rate,
            max_iter=trees,
            max_depth=depth,
            max_leaf_nodes=None,
            min_samples_leaf=min(recipe.least_rows, max(2, rows // 20)),
            l2_regularization=recipe.penalty,
            max_features=recipe.feature_share,
            early_stopping=False,
            random_state=self.seed % 2**32,
        )
