"""What a competition is: one YAML file, each of its fields also a command-line option.

The file is read whole and checked whole before anything runs. An unknown key is refused with the
nearest known one. The result is frozen, and callers hand on the piece that is needed.
"""

import re
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace, set_parsing_settings

from pipeline import __version__
from pipeline.errors import UsageError, raise_if

set_parsing_settings(docstring_parse_attribute_docstrings=True)

Problem = Literal["regression", "binary", "multiclass", "multilabel"]
Section = TypeVar("Section")
KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple[float, float]": "two numbers",
    "NoneType": "null",
}
"""Types as a person calls them."""
DEFAULT_CONFIG = "configs/default.yaml"


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
    encoding: str = "utf-8"
    """Text encoding of all files."""


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Which column is what."""

    id: str
    """Names a row; kept as text."""
    texts: list[str]
    """One column for single sentences, two for pairs."""
    targets: list[str]
    """What is predicted; several for multi-label or several numbers."""
    features: list[str] = field(default_factory=list)
    """Further columns that are in train and in test."""


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What is predicted and how it is scored."""

    problem: Problem
    """regression, binary, multiclass (one of several) or multilabel (any of several)."""
    metric: str
    """A name from docs/metrics.md, or module:function of (y_true, y_pred), larger is better."""
    classes: list[str] = field(default_factory=list)
    """Class names in the order of prediction columns; for binary: negative, positive."""
    label_range: tuple[float, float] | None = None
    """Lowest and highest possible label of a regression."""
    submit: Literal["auto", "value", "label"] = "auto"
    """What stands in the submission: value (number, probability), label (class), or what the
    sample submission shows."""

    def __post_init__(self) -> None:
        problems = []
        if self.problem == "multiclass" and len(self.classes) < 3:
            problems.append(
                f"task.classes has {len(self.classes)} entries; multiclass needs 3 or more"
            )
        if self.problem == "binary" and len(self.classes) != 2:
            problems.append(
                f"task.classes has {len(self.classes)} entries; binary needs 2: negative, positive"
            )
        if len(set(self.classes)) != len(self.classes):
            problems.append("task.classes names a class twice")
        if self.label_range and not self.label_range[0] < self.label_range[1]:
            problems.append(
                f"task.label_range is {list(self.label_range)}; the first must be the smaller"
            )
        raise_if(problems, UsageError)


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
    groups: Literal["near", "exact", "none"] = "near"
    """Which rows stay together: sharing a sentence nearly or exactly, exactly, or none."""
    group_columns: list[str] = field(default_factory=list)
    """Columns whose equal values keep rows together as well (an author, a prompt)."""
    near_threshold: float = 0.9
    """Jaccard similarity of character 4-grams from which two sentences count as near, in (0, 1]."""
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
        if self.file and self.repeats != 1:
            problems.append("folds.file holds one assignment, but folds.repeats is not 1")
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
        if not 1 <= len(self.columns.texts) <= 2:
            problems.append(
                f"columns.texts names {len(self.columns.texts)} columns; "
                "expected 1 (single sentences) or 2 (pairs)"
            )
        if not self.columns.targets:
            problems.append("columns.targets is empty; name the column to predict")
        if self.task.problem in ("binary", "multiclass") and len(self.columns.targets) != 1:
            problems.append(
                f"columns.targets names {len(self.columns.targets)} columns; "
                f"a {self.task.problem} problem has one"
            )
        raise_if(problems, UsageError, f"the config of {self.name!r} does not fit together")

    @property
    def outputs(self) -> list[str]:
        """Names of the prediction columns, (k,): classes of a multiclass, targets otherwise."""
        return self.task.classes if self.task.problem == "multiclass" else self.columns.targets


def as_dict(section: Any) -> dict[str, Any]:
    """A config dataclass as plain values for JSON: tuples become lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    return dict(plain(asdict(section)))


class _Help(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keep the lines of a description, such as examples, as they are."""


class Parser(ArgumentParser):
    """A command's parser: --root, --json, its own options, and where asked a competition's."""

    def __init__(self, command: str, description: str, **more: Any) -> None:
        super().__init__(
            prog=f"python -m pipeline.{command}",
            usage="%(prog)s [options]",
            description=description,
            formatter_class=_Help,
            version=__version__,
            exit_on_error=False,
            allow_abbrev=False,
            **more,
        )
        self.add_argument(
            "--root", default=".", help="configs/, folds/, oof/, runs/, submissions/ lie under it"
        )
        self.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    def add_competition(self) -> None:
        """Add --config and every field of a `Competition`."""
        self.add_argument("--config", action="config", help=f"default: ROOT/{DEFAULT_CONFIG}")
        self.add_class_arguments(Competition, None)

    def read(self, argv: Sequence[str] | None = None) -> Namespace:
        """Parse *argv* (default: this process's); UsageError, with the nearest known name, for
        anything unknown."""
        arguments = list(sys.argv[1:] if argv is None else argv)
        if any(action.dest == "config" for action in self._actions):
            arguments = _with_config_file(arguments)
        try:
            return self.parse_args(arguments)
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code in (0, None):  # --help, --version
                raise
            raise UsageError(self._explain(str(error))) from error

    def parse_path(self, path: str | PathLike[str], *args: Any, **more: Any) -> Namespace:
        """Parse a config file; jsonargparse itself would read it in the locale's encoding."""
        return self.parse_string(_text_of(Path(path)), Path(path).name, *args, **more)

    def competition(self, namespace: Namespace) -> Competition:
        """The frozen competition of a namespace that `read` returned."""
        return build(self, namespace, Competition)

    def _explain(self, message: str) -> str:
        known = [option.lstrip("-") for action in self._actions for option in action.option_strings]
        lines = [self._in_words(" ".join(message.split()))]
        unknown = re.findall(r"--([\w.-]+)", message) if "unrecognized" in message else []
        unknown += re.findall(r"[Oo]ption '([\w.-]+)' is not accepted", message)
        nested = re.findall(r"Group '([\w.-]+)' does not accept option '([\w.-]+)'", message)
        unknown += [".".join(pair) for pair in nested]
        if "Expected a <class 'str'>" in message:
            lines.append("text that looks like a number or a date needs quotes in YAML")
        for name in unknown:
            close = get_close_matches(name, known, n=1, cutoff=0.5)
            lines.append(f"did you mean {close[0]!r}?" if close else f"see {self.prog} --help")
        return "; ".join(lines)

    def _in_words(self, message: str) -> str:
        """What the parser says of a value of another type, for people; else *message* as it is."""
        found = re.search(
            r"""Parser key "([\w.]+)": (?:Expected an? |.*?Subtypes: \[)(.+?)(?:\] Errors: .*)?"""
            r"""(?:\. Got value|Given value): (.*)$""",
            message,
        )
        expected = expected_words(found[2]) if found else ""
        if found is None or not expected:
            return message
        flags = (flag for action in self._actions for flag in action.option_strings)
        name = found[1] if f"--{found[1]}" in flags else found[1].replace("_", "-")
        return f"{name}: expected {expected}, found {found[3].strip()!r}"


def expected_words(kinds: str) -> str:
    """The parser's name of a type in words; empty where there are none for it.

    >>> expected_words("<class 'int'>, <class 'NoneType'>"), expected_words("Literal['a', 'b']")
    ('a whole number or null', "one of 'a', 'b'")
    """
    known = re.findall(r"<class '(\w+)'>|(tuple\[float, float\])|Literal\[(.+?)\]", kinds)
    words = [
        f"one of {choices}" if choices else KINDS.get(name or pair, "")
        for name, pair, choices in known
    ]
    return " or ".join(words) if all(words) else ""


def build(parser: ArgumentParser, namespace: Namespace, kind: type[Section]) -> Section:
    """Instantiate the dataclass *kind* from the parsed fields of *namespace*."""
    try:
        values = parser.instantiate(namespace)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        if isinstance(error.__cause__, UsageError):
            raise error.__cause__ from None
        raise UsageError(str(error)) from error
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: values[name] for name in names})


def read_section(kind: type[Section], path: Path | None, overrides: Sequence[str] = ()) -> Section:
    """Build the dataclass *kind* from a YAML file (or none) and KEY=VALUE *overrides*.

    Raises UsageError naming the file and, for an unknown key, the nearest known one.
    """
    parser = Parser("config", "")
    options = [f"--{override}" for override in overrides]
    if path is not None:
        parser.add_argument("--config", action="config")
        options = ["--config", str(path), *options]
    parser.add_class_arguments(kind, None)
    try:
        return build(parser, parser.read(options), kind)
    except UsageError as error:
        raise UsageError(f"{path}: {error}" if path else str(error)) from error


def from_dict(kind: type[Section], values: Mapping[str, Any]) -> Section:
    """Build the dataclass *kind* from plain values, as `as_dict` gives them; UsageError where they
    do not fit."""
    parser = Parser("config", "")
    parser.add_class_arguments(kind, None)
    try:
        namespace = parser.parse_object(dict(values))
    except Exception as error:
        raise UsageError(" ".join(str(error).split())) from error
    return build(parser, namespace, kind)


def _with_config_file(argv: list[str]) -> list[str]:
    """Resolve --config below --root, or put the default in front."""
    if {"-h", "--help"} & set(argv):
        return argv
    root = Path(_value_of("--root", argv) or ".")
    given = _value_of("--config", argv)
    wanted = given or DEFAULT_CONFIG
    candidates = [Path(wanted), root / wanted, root / "configs" / f"{wanted}.yaml"]
    found = next((path for path in candidates[0 if given else 1 :] if path.is_file()), None)
    if found is None:
        there = sorted(path.stem for path in (root / "configs").glob("*.yaml"))
        hint = f"There are: {', '.join(there)}." if there else "Write one: python -m pipeline.init"
        raise UsageError(f"there is no config {wanted} under {root.resolve()}. {hint}")
    return ["--config", str(found), *_without("--config", argv)]


def _text_of(path: Path) -> str:
    """A config's text, which is UTF-8 whatever the locale says."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError(
            f"the config {path} is not UTF-8 (line {line}). Save it as UTF-8 in your editor."
        ) from error


def _value_of(option: str, argv: Sequence[str]) -> str | None:
    for position, argument in enumerate(argv):
        if argument == option and position + 1 < len(argv):
            return argv[position + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


def _without(option: str, argv: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for argument in argv:
        if skip or argument.startswith(f"{option}="):
            skip = False
        elif argument == option:
            skip = True
        else:
            kept.append(argument)
    return kept
