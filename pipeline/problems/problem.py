"""What every problem type answers: the one place to read before adding another.

Notation: n rows, t target columns, k prediction columns. Targets (n, t) are what tables hold and
metrics compare with; predictions (n, k) are what learners give and `oof/` keeps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np

from pipeline.problems.form import Form, Kind, Sample
from pipeline.problems.label_texts import Reader

TargetKind = Literal["numbers", "flags", "classes", "shares", "blocks"]
"""What a target column holds: numbers in the label's unit, 0 and 1, class numbers 0 … c - 1, the
probability of a class, or 0 and 1 of which each block of columns has a single 1.
Losses and the linear learner say which kinds they can be fitted to."""

Submit = Literal["auto", "value", "label"]
"""What a submission holds of each row: numbers, labels, or what its sample shows."""


Piece = tuple[int, int, str]
"""A run of units: its first and its last row, and what it is, such as the type of an entity."""


class Task(Protocol):
    """The settings of a task (the config's section `task`) that a problem type may look at."""

    @property
    def classes(self) -> list[str]:
        """Class names in the order of prediction columns; for binary: negative, positive."""

    @property
    def label_range(self) -> tuple[float, float] | None:
        """Lowest and highest possible number."""

    @property
    def submit(self) -> Submit:
        """What the user wants in the file."""

    @property
    def class_codes(self) -> list[str]:
        """What the file has for each class; empty: its name."""

    @property
    def separator(self) -> str | None:
        """What parts several labels, or one of each of several targets, in one cell; None where
        each has a column."""


@dataclass(frozen=True, kw_only=True)
class Clues:
    """What is known of a competition when a metric is guessed."""

    targets: int
    """Target columns."""
    labels: Sequence[str]
    """Distinct labels of the first target column."""
    pairs: bool
    """Whether the inputs are pairs of texts."""
    bounded: bool
    """Whether the labels lie where grades lie."""
    shown: Sequence[str]
    """Distinct answers that the sample submission shows; none where there is no sample."""
    shown_columns: int
    """Columns of the sample submission after the id."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """One way in which labels divide the rows into classes."""

    names: list[str]
    """(c,) for messages, such as: class 'economy', label 'toxic' = 1."""
    class_of_row: np.ndarray
    """(n,) 0 … c - 1."""


class Problem(ABC):
    """One problem type."""

    name: str
    """As in the config; where the type has a shape, with it: heads(2+3)."""
    described: ClassVar[str]
    """The name with what it means, for the comment in a config."""
    target_kind: ClassVar[TargetKind]
    numeric: ClassVar[bool] = False
    """Whether predictions are numbers in the label's unit; otherwise they are probabilities."""
    exclusive: ClassVar[bool] = False
    """Whether a row has exactly one of the prediction columns, so that its probabilities sum to
    one."""
    named_classes: ClassVar[bool] = False
    """Whether the classes of the one target column are named in task.classes."""

    units: ClassVar[bool] = False
    """Whether a row of a file is a document, and the rows of tables and predictions are its units,
    in order: what a unit is labelled is read off its whole document (`decode`)."""
    spans: ClassVar[bool] = False
    """Of units: whether a document has one answer, a run of its units, or none, in place of a label
    for each unit."""
    documents_as: ClassVar[str] = ""
    """Of units: the type that documents are of where only they are looked at, with the labels that
    `document_labels` gives; of texts the type of their lengths."""
    own_decisions: ClassVar[tuple[str, ...]] = ()
    """Decisions (`ensemble.decisions.candidates`) that are for this type alone."""
    predictions: ClassVar[Literal["numbers", "texts"]] = "numbers"
    """What learners say of a row; rooms that treat the two in their own ways have tables by it.
    Where it is texts (`pipeline.data.candidates`), right answers are those of `Table.references`,
    and targets are numbers that stand for them."""
    learnt_as: ClassVar[Literal["rows", "units", "spans", "texts"]] = "rows"
    """Which of a learner's factories learns it (`pipeline.models.registry.LearnerKind`)."""
    further_metrics: ClassVar[str] = ""
    """Metrics with something in parentheses, for a message that lists others."""
    first_recipe: ClassVar[str] = "linear"
    """The recipe that is proposed for a first run: no download, soon done."""
    stored: ClassVar[type] = np.float32
    """The numbers that predictions are kept as."""
    in_a_cell: ClassVar[Literal["one", "several", "one of each", "one per unit"]] = "one"
    """How many labels a cell of one target column may hold, as task.separator says and named in
    task.classes: any of several, one of each of several targets, or one of each unit."""

    usual_loss: ClassVar[str]
    """What `loss: auto` is for a network."""
    scored_as: ClassVar[str]
    """The name by which metrics know it: its own, or that of a type whose formulas apply as they
    are."""
    refused_methods: ClassVar[Mapping[str, str]] = {}
    """Blending method -> why it does not apply."""
    drawn: ClassVar[bool] = True
    """Whether a label is what happened, of which a prediction says how likely it was; not where it
    is a probability itself."""
    scored_by_log_odds: ClassVar[bool] = True
    """Whether blends may be corrected on the scale of `to_scores` by a logistic regression."""

    value_checks: ClassVar[tuple[str, ...]] = ()
    """Checks of a team-mate's values that apply here beside those for all: names in the audit's
    table."""
    copied_labels: ClassVar[str] = "certain"
    """How labels that were copied into predictions would show: a name in the audit's table."""
    alone: ClassVar[str]
    """The measure of how well one property of a row predicts the target alone: a name in the
    inspection's table."""
    spread: ClassVar[str]
    """How the labels' spread is described: a name in the inspection's table."""
    written: ClassVar[Mapping[Kind, str]] = {"value": "probabilities", "label": "classes"}
    """What the page calls the cells of a submission."""
    column_word: ClassVar[str] = "targets"
    """What the page calls the columns of predictions."""

    # The config.

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """What is wrong with task.classes; None where nothing is."""
        return None

    def columns_problem(self, targets: Sequence[str], task: Task) -> str | None:
        """What is wrong with so many target columns of these names; None where nothing is."""
        return None

    def of_classes(self, classes: Sequence[str]) -> "Problem":
        """The type as task.classes shapes it; itself where they do not."""
        return self

    def of_shape(self, shape: str) -> "Problem":
        """The type whose name has *shape* in parentheses."""
        raise KeyError(f"{self.name}({shape})")

    def blocks(self, k: int) -> list[slice]:
        """The prediction columns, of *k*, whose probabilities sum to one; none where each stands
        for itself."""
        return [slice(0, k)] if self.exclusive else []

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """(k,) names of the prediction columns."""
        return list(targets)

    def spellings(self, outputs: Sequence[str]) -> list[list[str]]:
        """Lists (k,) of names that others may give to the prediction columns *outputs*."""
        return [list(outputs)]

    def names_in(self, cell: str, task: Task) -> list[str]:
        """The prediction columns that an answer written as classes speaks for."""
        return [cell]

    # Labels.

    @abstractmethod
    def reader(self, task: Task) -> Reader:
        """From a label's text, without outer spaces, to its number or what is wrong with it."""

    def readers(self, task: Task, columns: int) -> list[Reader]:
        """One for each of the target *columns*."""
        return [self.reader(task)] * columns

    def whole_rows(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        """(n, t) *targets* as they are kept, (n,) where a row as a whole is wrong, and how."""
        return targets, np.zeros(len(targets), dtype=bool), ""

    def label_text(self, values: np.ndarray, classes: Sequence[str]) -> str:
        """The targets (t,) of a row in words."""
        return ", ".join(f"{value:g}" for value in values)

    # Units of documents; only where `units` says so.

    def unit_targets(
        self, tags: Sequence[str], classes: Sequence[str]
    ) -> tuple[np.ndarray, set[str]]:
        """(n, t) targets of a document with these *tags*, and those that are not among *classes*.

        The last column is the unit's place in its document, from 0.
        """
        raise NotImplementedError(self.name)

    def document_targets(self, targets: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """(d, q) what folds look at, from the targets (n, t) of d whole documents, in order."""
        raise NotImplementedError(self.name)

    def document_labels(
        self, targets: np.ndarray, classes: Sequence[str]
    ) -> tuple[list[str], np.ndarray]:
        """Names (q,) and values (d, q) of the labels that documents have as `documents_as`, from
        what `document_targets` gives."""
        raise NotImplementedError(self.name)

    def decode(
        self, predicted: np.ndarray, first: np.ndarray, classes: Sequence[str]
    ) -> np.ndarray:
        """(n,) class numbers from the predictions (n, k) of whole documents, in order; *first* (n,)
        says where each begins."""
        raise NotImplementedError(self.name)

    def imagined(
        self,
        mean: np.ndarray,
        place: np.ndarray,
        classes: Sequence[str],
        random: np.random.Generator,
    ) -> Callable[[float], np.ndarray] | None:
        """A function of sureness that gives targets of whole documents such as these predictions
        *mean* (n, k) hold likely, by noise that *random* has drawn once; None where no way is
        known. *place* (n,) is each unit's in its document."""
        return None

    def mistakes(
        self, targets: np.ndarray, labels: np.ndarray, classes: Sequence[str]
    ) -> tuple[list[str], dict[str, list[int]]]:
        """What happened to the entities or answers of whole documents, in order: names (q,) of what
        may happen, the first of them the right way, and for each kind of entity how often it did.

        *labels* (n,) are as `decode` gives them.
        """
        raise NotImplementedError(self.name)

    def pieces(self, labels: np.ndarray, first: np.ndarray, classes: Sequence[str]) -> list[Piece]:
        """The entities or answers of whole documents, in order, that labels (n,) as `decode` gives
        them mark; *first* (n,) says where a document begins."""
        raise NotImplementedError(self.name)

    def right_pieces(self, targets: np.ndarray, classes: Sequence[str]) -> list[Piece]:
        """The same that the *targets* (n, t) hold."""
        raise NotImplementedError(self.name)

    def amiss(self, said: Set[Piece], right: Set[Piece]) -> float:
        """How much of a document is wrong where it has the pieces *said* and not the *right*: those
        that are missing, and those that are none."""
        return float(len(said ^ right))

    # Texts as answers; only where `predictions` says so.

    def reference_targets(self, references: Sequence[Sequence[str]]) -> np.ndarray:
        """(n, t) numbers that stand for the right answers of n rows; folds look at them, and other
        answers have other numbers."""
        raise NotImplementedError(self.name)

    # Folds.

    @abstractmethod
    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """(n,) a number for each row of *targets* (n, t): rows with equal ones are spread evenly.

        Numbers go by at most *bins* bins; a kind of row with fewer than *least* rows is joined
        with others.
        """

    def divisions(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> list[Division]:
        """The classes that every training part must hold; *names* (t,) are the target columns."""
        return []

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """Of *targets* (n, t): the mean of each number, or the share of each class or label."""
        return dict(zip(names, targets.mean(axis=0).tolist(), strict=True))

    # Targets and predictions.

    def expand(self, targets: np.ndarray, k: int) -> np.ndarray:
        """(n, k) targets in the shape of predictions."""
        return targets

    def as_targets(self, predicted: np.ndarray) -> np.ndarray:
        """(n, t) targets that a table would have if *predicted* (n, k) were its labels: numbers and
        shares as they are, else the likeliest label.

        Of one class of several a training part may also have soft targets: *predicted* itself, a
        probability for each class in place of the class's number.
        """
        if self.target_kind in ("numbers", "shares"):
            return predicted
        labels = self.as_labels(predicted, (0.0, 1.0))
        return labels.argmax(axis=1)[:, None] if self.target_kind == "classes" else labels

    def within_range(self, values: np.ndarray, floor: float) -> np.ndarray:
        """(n, k) predictions, brought back into range where a blend left it.

        Probabilities are kept *floor* away from 0 and 1.
        """
        return values

    def by_class(self, predicted: np.ndarray) -> np.ndarray:
        """Predictions (n, k) with one column per entry of task.classes, where there are any."""
        return predicted

    def alike(self, rows: int, k: int, limits: tuple[float, float]) -> np.ndarray:
        """Predictions of so many *rows* that are all the same, to try a file with; (rows, *k*) in
        the middle of the *limits* of labels, or of probabilities."""
        return np.full((rows, k), sum(limits) / 2 if self.numeric else 0.5)

    @abstractmethod
    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """(n, k) predictions as the labels a file would show: whole numbers within *limits*, 0
        and 1, or a single 1 in each row."""

    @abstractmethod
    def labels_said(self) -> str:
        """Which labels `as_labels` takes, in words."""

    # Blending: sums of scores.

    def to_scores(self, predicted: np.ndarray, lowest: float) -> np.ndarray:
        """(..., k) float64 predictions on a scale where they may be added up and weighted.

        Probabilities are kept *lowest* away from 0 and 1.
        """
        return predicted

    def from_scores(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) predictions that have these scores; the other way round."""
        return scores

    # Metrics.

    def scored(self, flags: np.ndarray) -> np.ndarray:
        """Labels in the shape in which formulas of labels take them."""
        return flags

    @abstractmethod
    def looks_like(self, clues: Clues) -> str:
        """What the competition looks like to someone who guesses its metric: one of the metrics'
        records says that it is usual for that."""

    # The submission.

    @abstractmethod
    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """What is written into which column of *sample*.

        *needs* is what the metric takes, "value" or "label". Raises DataError where the sample's
        columns do not fit, UsageError where task.submit asks for what they cannot hold.
        """

    @abstractmethod
    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """What each column of the sample gets, (m,) texts, from predictions (m, k).

        Numbers that are written as labels are the nearest whole ones within *limits*.
        """
