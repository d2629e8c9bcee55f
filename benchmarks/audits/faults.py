"""Ways in which a file can be wrong, each done to an honest one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.team.competition import PARTS, CompetitionView, Peer


@dataclass
class BuiltSubmission:
    """Predictions of one model."""

    values: dict[str, np.ndarray]
    """train (n, k), test (m, k), holdout (h, k)."""
    seen: np.ndarray | None = None
    """(n, k) what the model says of its training rows once it was trained on all of them."""
    seen_test: np.ndarray | None = None
    """(m, k) what that model says of test."""
    taught: np.ndarray | None = None
    """(K, n, k) what the learner without each fold says of all rows of train."""
    folds: np.ndarray | None = None
    """(1, n) names of folds."""
    target: np.ndarray | None = None
    """(n, k) the truth in the shape of predictions."""

    def copy(self) -> "BuiltSubmission":
        """One that may be changed."""
        values = {part: each.copy() for part, each in self.values.items()}
        return replace(self, values=values)

    def save(self, path: Path) -> None:
        """Everything but folds and target, which the world knows."""
        more = {"seen": self.seen, "seen_test": self.seen_test, "taught": self.taught}
        arrays: dict[str, Any] = {**self.values, **more}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> "BuiltSubmission":
        """What `save` wrote."""
        with np.load(path) as found:
            values = {part: found[part] for part in PARTS}
            return cls(values, found["seen"], found["seen_test"], found["taught"])

    @property
    def oof(self) -> np.ndarray:
        """(n, k)."""
        return self.values["train"]


Spoil = Callable[
    [BuiltSubmission, CompetitionView, Sequence[Peer], np.random.Generator], BuiltSubmission | None
]
"""Spoils a file in place; None where the problem has no such fault."""
FAULTS: dict[str, Spoil] = {}
CLASSES = ("binary", "multiclass", "multilabel")


def fault(name: str, *problems: str) -> Callable[[Spoil], Spoil]:
    """Enter one into FAULTS, for these *problems* only where any are named."""

    def enter(spoil: Spoil) -> Spoil:
        def spoilt(
            made: BuiltSubmission,
            contest: CompetitionView,
            peers: Sequence[Peer],
            random: np.random.Generator,
        ) -> BuiltSubmission | None:
            fits = not problems or contest.problem in problems
            return spoil(made, contest, peers, random) if fits else None

        FAULTS[name] = spoilt
        return spoil

    return enter


@fault("trained on the rows of one fold")
def _one_fold(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    rows = contest.folds.valid_rows(0, 0)
    assert made.seen is not None
    made.oof[rows] = made.seen[rows]
    return made


@fault("trained on all rows")
def _all_folds(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    assert made.seen is not None
    made.oof[:] = made.seen
    return made


@fault("trained on all rows, test by that model, too")
def _one_model(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    assert made.seen is not None
    assert made.seen_test is not None
    made.oof[:] = made.seen
    made.values["test"][:] = made.seen_test
    return made


LEAKS = dict(FAULTS)
"""Those of them in which labels were learned: every model is tried."""


@fault("2 % of the predictions are the labels")
def _few_labels(
    made: BuiltSubmission,
    contest: CompetitionView,
    peers: Sequence[Peer],
    random: np.random.Generator,
) -> BuiltSubmission:
    return _labels(made, 0.02, random)


@fault("10 % of the predictions are the labels")
def _some_labels(
    made: BuiltSubmission,
    contest: CompetitionView,
    peers: Sequence[Peer],
    random: np.random.Generator,
) -> BuiltSubmission:
    return _labels(made, 0.1, random)


def _labels(made: BuiltSubmission, share: float, random: np.random.Generator) -> BuiltSubmission:
    rows = random.random(len(made.oof)) < share
    assert made.target is not None
    made.oof[rows] = made.target[rows]
    return made


@fault("half prediction, half label")
def _mixed(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    assert made.target is not None
    made.oof[:] = (made.oof + made.target) / 2
    return made


@fault("other folds")
def _other_folds(
    made: BuiltSubmission,
    contest: CompetitionView,
    peers: Sequence[Peer],
    random: np.random.Generator,
) -> BuiltSubmission:
    assert made.folds is not None
    made.folds = random.permutation(made.folds[0])[None]
    return made


@fault("train rows in another order")
def _train_order(
    made: BuiltSubmission,
    contest: CompetitionView,
    peers: Sequence[Peer],
    random: np.random.Generator,
) -> BuiltSubmission:
    made.oof[:] = random.permutation(made.oof)
    return made


@fault("the rows of one fold in another order")
def _fold_order(
    made: BuiltSubmission,
    contest: CompetitionView,
    peers: Sequence[Peer],
    random: np.random.Generator,
) -> BuiltSubmission:
    rows = contest.folds.valid_rows(0, 0)
    made.oof[rows] = random.permutation(made.oof[rows])
    return made


@fault("test rows in another order")
def _test_order(
    made: BuiltSubmission,
    contest: CompetitionView,
    peers: Sequence[Peer],
    random: np.random.Generator,
) -> BuiltSubmission:
    made.values["test"] = random.permutation(made.values["test"])
    return made


@fault("one fold collapsed to its mean")
def _collapsed(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    rows = contest.folds.valid_rows(0, 0)
    made.oof[rows] = made.oof[rows].mean(axis=0)
    return made


@fault("two classes swapped", *CLASSES)
def _swapped(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    for values in made.values.values():
        if contest.problem == "binary":
            values[:] = 1 - values
        else:
            values[:, :2] = values[:, 1::-1]
    return made


@fault("classes in place of probabilities", *CLASSES)
def _decided(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    for values in made.values.values():
        if contest.problem == "binary":
            values[:] = values > 0.5
        else:
            values[:] = np.eye(values.shape[1])[values.argmax(axis=1)]
    return made


@fault("another unit (times 20)", "regression")
def _unit(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    for values in made.values.values():
        values *= 20
    return made


@fault("test in another unit (times 20)", "regression")
def _test_unit(
    made: BuiltSubmission, contest: CompetitionView, peers: Sequence[Peer], random: object
) -> BuiltSubmission:
    made.values["test"] *= 20
    return made


@fault("another run's predictions, a thousandth of noise added")
def _copied(
    made: BuiltSubmission,
    contest: CompetitionView,
    peers: Sequence[Peer],
    random: np.random.Generator,
) -> BuiltSubmission:
    peer = peers[0]
    noise = 0.001 * float(peer.oof.std())
    for part, values in zip(("train", "test", "holdout"), (peer.oof, peer.test, peer.holdout),
                            strict=True):  # fmt: skip
        noisy = values + noise * random.normal(size=values.shape)
        made.values[part] = noisy if contest.problem == "regression" else _probable(noisy)
    return made


def _probable(values: np.ndarray) -> np.ndarray:
    inside = np.clip(values, 0, 1)
    return inside / inside.sum(axis=1, keepdims=True) if values.shape[1] > 1 else inside
