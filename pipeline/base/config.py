"""What a competition is: frozen dataclasses, filled from one YAML file (see `parser`).

Each section checks itself when it is made; callers hand on the piece that is needed.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from datetime import date
from typing import Any, Literal

from pipeline.base.errors import UsageError, raise_if
from pipeline.base.inputs import (
    LATER,
    MARKED,
    SPANS,
    EntityConfig,
    FileConfig,
    JoinConfig,
    columns_in,
    template_problems,
)
from pipeline.problems.problem import Problem, Submit
from pipeline.problems.registry import ProblemName, problem_of

GroupBy = Literal["near", "exact", "none"]
"""Which texts keep rows together in one fold: near copies, equal ones, or none."""


Rare = Literal["refuse", "train-only"]
Unit = Literal["given", "character", "word"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The competition's files. Relative paths start at --root."""

    train: str
    """Labelled rows: they are split into folds."""
    test: str
    """Rows to predict for the leaderboard."""
    sample_submission: str
    """The submission's header, ids and order."""
    extra_train: list[str] = field(default_factory=list)
    """Further labelled files: trained on in every fold, never scored."""
    holdout: list[str] = field(default_factory=list)
    """Labelled files that are predicted and scored, but never trained on (a dev file)."""
    short_sample: bool = False
    """Whether the sample submission shows some of the rows only; the submission has all."""
    encoding: str = "utf-8"
    """Text encoding of all files."""
    joins: list[JoinConfig] = field(default_factory=list, metadata=LATER)
    """Tables beside the rows, joined to them by a key."""
    files: list[FileConfig] = field(default_factory=list, metadata=LATER)
    """Files that are read in a way of their own: without a header, broken, of another encoding."""

    def __post_init__(self) -> None:
        known = [self.train, self.test, self.sample_submission, *self.extra_train, *self.holdout]
        known += [join.file for join in self.joins]
        raise_if(
            [
                f"data.files: {each.file!r} is none of the files of data: {', '.join(known)}"
                for each in self.files
                if each.file not in known
            ],
            UsageError,
        )

    def how(self, name: str) -> FileConfig:
        """How the file *name* is read."""
        return next((each for each in self.files if each.file == name), FileConfig(file=name))


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Which column is what."""

    id: str
    """Names a row; kept as text."""
    texts: list[str]
    """One column for single sentences, two for pairs; more of them where a template puts them
    together."""
    targets: list[str]
    """What is predicted; several for multi-label, several numbers, or one 0/1 column per class."""
    features: list[str] = field(default_factory=list)
    """Further columns that are in train and in test."""
    template: list[str] = field(default_factory=list, metadata=LATER)
    """What a learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: the texts."""
    entities: list[EntityConfig] = field(default_factory=list, metadata=LATER)
    """Entities in a text, for {text!marked} in a template."""

    unit: Unit = field(default="given", metadata=LATER)
    """Of tags, what has one: given (each cell of texts is a list), character, or word."""
    space_after: str | None = field(default=None, metadata=LATER)
    """Of tags of given units: column with a list of whether a space follows each."""
    question: str | None = field(default=None, metadata=LATER)
    """Of spans: column with what is asked of the text, a question or a label."""

    @property
    def named(self) -> list[str]:
        """What a template can name."""
        marked = [f"{entity.text}{MARKED}" for entity in self.entities]
        return list(dict.fromkeys([*self.texts, *self.features, *marked]))

    def __post_init__(self) -> None:
        problems = template_problems(self.template, self.named)
        if not self.template and not 1 <= len(self.texts) <= 2:
            problems.append(
                f"columns.texts names {len(self.texts)} columns; expected 1 (single sentences) or "
                "2 (pairs), or a columns.template that puts them together"
            )
        for entity in self.entities:
            if entity.text not in self.texts:
                problems.append(
                    f"columns.entities: text is {entity.text!r}, which columns.texts does not have"
                )
        used = [name for side in self.template for name in columns_in(side)]
        if self.entities and not any(name.endswith(MARKED) for name in used):
            marked = f"{{{self.entities[0].text}{MARKED}}}"
            problems.append(f"columns.entities are marked nowhere; write {marked} in the template")
        raise_if(problems, UsageError)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What is predicted and how it is scored."""

    problem: ProblemName
    """regression, binary, multiclass (one of several), multilabel (any of several), soft-labels
    (a share per class), tags (one per unit), span (an answer that stands in the text) or heads
    (one class of each of several targets)."""
    metric: str
    """A name from docs/metrics.md, or module:function of (y_true, y_pred) and maybe the table."""
    classes: list[str] = field(default_factory=list)
    """Class names in the order of prediction columns; for binary: negative, positive; for heads
    each with its target, target by target: [tense=past, tense=now, sure=yes, sure=no]."""
    label_range: tuple[float, float] | None = None
    """Lowest and highest possible label of a regression."""
    submit: Submit = "auto"
    """What stands in the submission: value (number, probability), label (class), or what the
    sample submission shows."""
    class_codes: list[str] = field(default_factory=list)
    """What the submission writes for each of classes, in their order; empty: the classes."""
    separator: str | None = None
    """What parts several labels in the target's one cell, such as a comma, or list where each cell
    is a list; the labels are then named in classes. For heads: what joins their classes in a cell
    of the target or of the submission. For tags: spans where cells list start, end and type."""
    unlabelled: str | None = None
    """What stands in place of a label in rows that have none (-1): they are left out."""

    def __post_init__(self) -> None:
        problems = []
        if len(self.class_codes) not in (0, len(self.classes)):
            problems.append(
                f"task.class_codes has {len(self.class_codes)} entries for {len(self.classes)} "
                "classes; name what is written for each of task.classes, in their order"
            )
        kind = problem_of(self.problem)
        if self.separator is not None and (kind.in_a_cell == "one" or not self.classes):
            problems.append(
                "task.separator is for several labels in one cell: task.problem must be "
                "multilabel, heads or tags, and task.classes name the labels"
            )
        elif self.separator not in (None, SPANS) and kind.in_a_cell == "one per unit":
            problems.append(
                f"task.separator is {self.separator!r}; for tags it can be {SPANS}, where cells "
                "list start, end and type, or null"
            )
        if wrong := kind.classes_problem(self.classes):
            problems.append(wrong)
        if len(set(self.classes)) != len(self.classes):
            problems.append("task.classes names a class twice; name each class once")
        if self.label_range and not self.label_range[0] < self.label_range[1]:
            problems.append(
                f"task.label_range is {list(self.label_range)}; the first must be the smaller"
            )
        raise_if(problems, UsageError)

    @property
    def problem_type(self) -> Problem:
        """What is particular to the problem: its labels, predictions, losses, forms of a file."""
        return problem_of(self.problem).of_classes(self.classes)


@dataclass(frozen=True, kw_only=True)
class FoldsConfig:
    """How the training rows are split. Frozen at first use."""

    count: int = 5
    """Number of folds, K."""
    seed: int = 42
    """Seed of the assignment."""
    repeats: int = 1
    """Independent assignments; out-of-fold predictions are averaged over them."""
    bins: int = 10
    """Quantile bins a numeric target is stratified on."""
    stratify_by: list[str] = field(default_factory=list)
    """Further columns whose shares are kept equal, jointly with the label."""
    groups: GroupBy = "near"
    """Which rows stay together: sharing a sentence nearly or exactly, exactly, or none."""
    group_columns: list[str] = field(default_factory=list)
    """Columns whose equal values keep rows together as well (an author, a prompt)."""
    near_threshold: float = 0.9
    """Jaccard similarity of character 4-grams from which two sentences count as near, in (0, 1]."""
    whole: float = 1.0
    """Share of the groups that stay whole, in [0, 1]; the others are split, so that some held-out
    rows have relatives among the training rows, as some test rows have."""
    rare: Rare = "refuse"
    """What becomes of a class of a single row, which cannot be trained on and held out: refuse, or
    train-only (in every fold's training part, never scored)."""
    file: str | None = None
    """A fold file of your own (columns id,fold), checked and frozen instead of assigning."""

    def __post_init__(self) -> None:
        problems = []
        if self.count < 2:
            problems.append(f"folds.count is {self.count}; it must be at least 2")
        if self.repeats < 1:
            problems.append(f"folds.repeats is {self.repeats}; it must be at least 1")
        if self.bins < 1:
            problems.append(f"folds.bins is {self.bins}; it must be at least 1")
        if not 0 < self.near_threshold <= 1:
            problems.append(
                f"folds.near_threshold is {self.near_threshold}; it must be above 0, at most 1"
            )
        if not 0 <= self.whole <= 1:
            problems.append(f"folds.whole is {self.whole}; it must be from 0 to 1")
        if self.file and self.repeats != 1:
            problems.append("folds.file holds one assignment; set folds.repeats to 1")
        raise_if(problems, UsageError)


@dataclass(frozen=True, kw_only=True)
class SubmissionsConfig:
    """How many submissions there are, and on which rows they are scored."""

    per_day: int | None = None
    """Submissions a day; a day begins at midnight UTC."""
    per: Literal["team", "member"] = "team"
    """Whose the daily number is: the team's, or each member's."""
    until: str | None = None
    """The last day that takes submissions, as YYYY-MM-DD."""
    public_share: float | None = None
    """Share of the test rows that the public leaderboard scores, in (0, 1]."""
    public_rows: int | None = None
    """Number of those rows, where it is known better than their share."""
    kaggle: str | None = None
    """The competition's name in its address at Kaggle; default: name."""
    benchmark: str | None = field(default=None, metadata=LATER)
    """The benchmark (cola, klue-sts …) whose own evaluation takes files of another form."""

    def __post_init__(self) -> None:
        problems = []
        if self.per_day is not None and self.per_day < 1:
            problems.append(f"submissions.per_day is {self.per_day}; it must be at least 1")
        if self.until is not None:
            try:
                date.fromisoformat(self.until)
            except ValueError:
                problems.append(f"submissions.until is {self.until!r}; write it as 2026-03-31")
        if self.public_share is not None and not 0 < self.public_share <= 1:
            problems.append(
                f"submissions.public_share is {self.public_share}; it must be above 0, at most 1"
            )
        if self.public_rows is not None and self.public_rows < 1:
            problems.append(f"submissions.public_rows is {self.public_rows}; it must be at least 1")
        if self.public_rows is not None and self.public_share is not None:
            problems.append("submissions has public_share and public_rows; give one of them")
        raise_if(problems, UsageError)

    def rows(self, test_rows: int) -> tuple[int, int] | None:
        """Public and private rows of a test file of *test_rows*; None where nothing was said.

        >>> SubmissionsConfig(public_share=0.3).rows(1000)
        (300, 700)
        """
        if self.public_rows is not None:
            public = min(self.public_rows, test_rows)
        elif self.public_share is not None:
            public = max(1, round(self.public_share * test_rows))
        else:
            return None
        return public, test_rows - public


@dataclass(frozen=True, kw_only=True)
class Competition:
    """One competition."""

    name: str
    """Names its folders under folds/, oof/ and submissions/."""
    data: DataConfig
    columns: ColumnsConfig
    task: TaskConfig
    folds: FoldsConfig = field(default_factory=FoldsConfig)
    submissions: SubmissionsConfig = field(default_factory=SubmissionsConfig)

    def __post_init__(self) -> None:
        problems = []
        if not self.name.strip():
            problems.append("name is empty")
        if not self.columns.targets:
            problems.append("columns.targets is empty; name the column to predict")
        kind = self.task.problem_type
        if wrong := kind.columns_problem(self.columns.targets, self.task):
            problems.append(wrong)
        if self.columns.question is not None and not kind.spans:
            problems.append("leave columns.question out: it is for a span problem")
        raise_if(problems, UsageError, f"the config of {self.name!r} does not fit together")

    @property
    def outputs(self) -> list[str]:
        """Names of the prediction columns, (k,): classes of a multiclass, targets otherwise."""
        return self.task.problem_type.outputs(self.columns.targets, self.task.classes)


def as_dict(section: Any) -> dict[str, Any]:
    """A config dataclass as plain values for JSON: tuples become lists, and fields of a later
    release are there only where they are set."""

    def plain(value: Any) -> Any:
        if is_dataclass(value):
            return {
                each.name: plain(getattr(value, each.name))
                for each in fields(value)
                if not _unset(each, getattr(value, each.name))
            }
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    return dict(plain(section))


def _unset(each: "Field[Any]", value: Any) -> bool:
    if not each.metadata.get("later"):
        return False
    usual = each.default if each.default_factory is MISSING else each.default_factory()
    return bool(value == usual)


# Nested settings as one flat table, for telling two of them apart.


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """*nested* with one key per value.

    >>> flat({"task": {"type": "binary", "labels": [0, 1]}, "seed": 3})
    {'task.type': 'binary', 'task.labels': [0, 1], 'seed': 3}
    """
    table: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            table |= flat(value, f"{prefix}{key}.")
        else:
            table[f"{prefix}{key}"] = value
    return table


def short(value: Any) -> str:
    """*value* for a line of text: a digest, say, is cut.

    >>> short(0.1), short("0123456789" * 5)
    ('0.1', '012345678901…')
    """
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
