"""What a recipe may ask of a teacher: `noise`, `distil`, `pseudo`, `first` (docs/craft.md).

All are about the rows that a fold trains on. Held-out rows, and the score, keep the organiser's
labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["drop", "down-weight", "relabel"]
TEACHING = ("noise", "distil", "pseudo", "first")
"""The settings that are asked of teachers."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Whose answers about a training row are asked: of learners that did not see the row.

    The fold's training part is cut into inner folds, and the row is answered by a learner of the
    others: no label of a row that the fold holds out had a part in it, so the fold's score is what
    it says. It takes as many more trainings as there are inner folds.

    The out-of-fold predictions of a run that is there would cost nothing, and leak: the learner
    that answers about a training row was trained on the rows that are held out now, and whoever
    learns from its answers learns their labels. With shuffled labels, where nothing can be learned,
    that gave a Pearson correlation of 0.38 (docs/craft.md), so it cannot be asked for.
    """

    model: str | None = None
    """The recipe that the teachers have; null: this one, without its teachers."""
    folds: int = 4
    """Inner folds."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What becomes of training rows whose label looks wrong (`pipeline.metrics.label_doubt`)."""

    action: Action
    """drop: they are not trained on. down-weight: they count `weight`. relabel: they get the
    teacher's answer."""
    share: float | None = None
    """The share of the training rows that is taken to be wrong, in (0, 1); null: as many as
    confident learning finds, of numbers those three robust standard deviations away."""
    weight: float = 0.3
    """Of down-weight, in (0, 1)."""
    teacher: Teacher = field(default_factory=Teacher)


@dataclass(frozen=True, kw_only=True)
class Distil:
    """Training rows are learned with soft labels: a mixture of the label and the teacher's answer
    (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015; with a teacher
    of the same kind, Furlanello et al., "Born-Again Neural Networks", 2018)."""

    weight: float = 0.5
    """Of the teacher's answer, in (0, 1]; the label has the rest."""
    teacher: Teacher = field(default_factory=Teacher)


@dataclass(frozen=True, kw_only=True)
class Pseudo:
    """Rows without labels are learned with the answers of the fold's own learner (Lee,
    "Pseudo-Label", 2013; in rounds, Xie et al., "Self-training with Noisy Student", 2020)."""

    rows: str
    """test: the texts of the competition's test rows; or a file with the competition's text
    columns, as a path below --root."""
    share: float = 0.5
    """Of these rows, in (0, 1]: the surest of each class; of numbers, never sure, drawn."""
    rounds: int = 1
    """The last round's learner answers for the next, until this one is trained."""
    labels: Literal["soft", "hard"] = "soft"
    """Whether the answers are learned as they are, or as the labels they come to."""


@dataclass(frozen=True, kw_only=True)
class First:
    """Two stages: the rows of `data.extra_train` first, then the competition's alone, from the
    weights that the first stage ended with. Without it, a fold learns from both at once."""

    epochs: int | None = None
    """Over the extra rows; null for the recipe's own number."""
    learning_rate: float | None = None
    """Of the first stage; null for the recipe's own."""


@dataclass(frozen=True, kw_only=True)
class Taught:
    """The settings that every kind of recipe has for teachers; off by default."""

    noise: Noise | None = None
    """What becomes of training rows whose label looks wrong; held-out rows keep theirs."""
    distil: Distil | None = None
    """Soft labels from answers of learners that did not see the row."""
    pseudo: Pseudo | None = None
    """Rows without labels, labelled by the fold's own learner."""
    first: First | None = None
    """A first stage on the rows of `data.extra_train`."""

    @property
    def teaching(self) -> dict[str, Any]:
        """Those that are set."""
        return {name: found for name in TEACHING if (found := getattr(self, name)) is not None}

    @property
    def teachers(self) -> list[Teacher]:
        """Those that answer about training rows, each once."""
        asked = [each.teacher for each in (self.noise, self.distil) if each is not None]
        return list(dict.fromkeys(asked))

    def teaching_problems(self) -> Iterator[str]:
        """What is wrong with them."""
        for teacher in self.teachers:
            if teacher.folds < 2:
                yield f"teacher.folds is {teacher.folds}; it must be at least 2"
        if self.noise is not None:
            share, weight = self.noise.share, self.noise.weight
            if share is not None and not 0 < share < 1:
                yield f"noise.share is {share}; it must be above 0 and below 1, or null"
            if not 0 < weight < 1:
                yield f"noise.weight is {weight}; it must be above 0 and below 1"
        if self.distil is not None and not 0 < self.distil.weight <= 1:
            yield f"distil.weight is {self.distil.weight}; it must be above 0, at most 1"
        if self.first is not None:
            epochs, rate = self.first.epochs, self.first.learning_rate
            if epochs is not None and epochs < 1:
                yield f"first.epochs is {epochs}; it must be at least 1, or null"
            if rate is not None and not 0 < rate < 1:
                yield f"first.learning_rate is {rate}; it must be above 0 and below 1, or null"
        if self.pseudo is not None:
            if not 0 < self.pseudo.share <= 1:
                yield f"pseudo.share is {self.pseudo.share}; it must be above 0, at most 1"
            if self.pseudo.rounds < 1:
                yield f"pseudo.rounds is {self.pseudo.rounds}; it must be at least 1"
            if not self.pseudo.rows.strip():
                yield "pseudo.rows is empty; expected test, or a file below --root"
