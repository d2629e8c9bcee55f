"""How rows become inputs, as a config says it: templates, entities, joined tables, odd files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.base.errors import UsageError, raise_if
from pipeline.problems.label_texts import NumberForm

LATER = {"later": True}
"""Metadata of fields that came with a later release: where they are not set, they stand in no
manifest, so what was made before goes together with what is made today."""

# Templates: what a learner reads of a row, "{anchor} [SEP] {target}".

SEPARATOR = "[SEP]"
MARKED = "!marked"
"""After a column's name: the text with its entities marked."""
PLACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")


def columns_in(template: str, where: str = "columns.template") -> list[str]:
    """The names in braces in a *template*, in their order; UsageError where braces do not close.

    >>> columns_in("{title}: {body!marked} [SEP] {{}}")
    ['title', 'body!marked']
    """
    found = []
    for place in PLACES.finditer(template):
        if place[0] in ("{", "}"):
            raise UsageError(
                f"{where} is {template!r}: a brace that is not closed, or holds nothing. Columns "
                "stand in braces, {text}; braces that are text are doubled"
            )
        if place[1]:
            found.append(place[1])
    return found


def template_problems(
    sides: Sequence[str], known: Sequence[str], where: str = "columns.template"
) -> list[str]:
    """What is wrong with a template of one text, or two for pairs, over the columns *known*."""
    problems = []
    if len(sides) > 2:
        problems.append(
            f"{where} has {len(sides)} entries; expected one, or two for pairs. Within one, "
            f"texts are put together by {SEPARATOR}"
        )
    for side in sides:
        names = columns_in(side, where)
        if not names:
            problems.append(f"{where} has {side!r}, which names no column in braces")
        for name in dict.fromkeys(names):
            if name not in known:
                problems.append(
                    f"{where} names {{{name}}}; it can name what columns.texts and "
                    f"columns.features list: {', '.join(known)}"
                )
    return problems


End = Literal["last", "after"]
SPANS = "spans"
"""As task.separator: cells list start, end and type of spans."""
"""Where a place ends: at its last character, or after it."""


@dataclass(frozen=True, kw_only=True)
class EntityConfig:
    """Where one entity stands in a text, and how it is marked there.

    Columns may be fields of a column whose cells are objects: subject_entity.start_idx.
    """

    text: str
    """The text column it stands in."""
    start: str
    """Column with the place of its first character, counted from 0."""
    end: str
    """Column with the place of its last character, or of the one after it."""
    end_is: End
    """Which of both."""
    type: str | None = field(default=None, metadata=LATER)
    """Column with what it is: PER, LOC."""
    mark: str = "@ * {type} * {text} @"
    """What stands in its place, for {text!marked} in a template."""

    def __post_init__(self) -> None:
        there = ["text"] if self.type is None else ["text", "type"]
        names = columns_in(self.mark, "columns.entities: mark")
        if names.count("text") != 1 or set(names) - set(there):
            raise UsageError(
                f"columns.entities: mark is {self.mark!r}; expected {{text}} once"
                + (", and {type} where it is wanted" if self.type else " ({type} needs a column)")
            )

    @property
    def columns(self) -> list[str]:
        """Those that say where it stands and what it is."""
        return [self.start, self.end, *([self.type] if self.type else [])]


SpanUnit = Literal["", "character", "word"]
"""What the starts and ends of spans count; empty: there are none."""
Role = Literal["train", "test", "holdout", "extra_train"]


@dataclass(frozen=True, kw_only=True)
class JoinConfig:
    """A table beside the rows, whose columns they get by a key."""

    file: str
    """A table, or a folder (or an archive) of text files: their names are the key, and what stands
    in them is the column text."""
    to: list[Role]
    """Whose rows get the columns: of train, test, holdout, extra_train."""
    key: str
    """Column of the rows that says which row of the file is theirs; several rows may have one."""
    file_key: str | None = field(default=None, metadata=LATER)
    """Column of the file that names its rows, where it is called otherwise."""
    columns: list[str]
    """Columns of the file that the rows get."""
    prefix: str = field(default="", metadata=LATER)
    """Put in front of the names of these columns."""
    spans: SpanUnit = field(default="", metadata=LATER)
    """Not empty: the file has a row per span of a text, and columns are its start and its end, in
    characters or words from 0, and its label. The rows get the column of the label, with a list of
    IOB2 tags, one per character or word of their text."""
    text: str = field(default="", metadata=LATER)
    """Of spans: the column of the rows that they are of."""
    end_is: End = field(default="after", metadata=LATER)
    """Of spans: whether the end is their last character or word, or the one after it."""

    def __post_init__(self) -> None:
        problems = [
            f"data.joins: {name} of {self.file!r} is empty; expected {expected}"
            for name, expected in (
                ("to", "one of train, test, holdout, extra_train or several"),
                ("columns", "the columns that the rows get"),
            )
            if not getattr(self, name)
        ]
        if self.spans and not (self.text and len(self.columns) == 3):
            problems.append(
                f"data.joins: {self.file!r} has spans; expected text, the column they are of, and "
                "as columns their start, their end and their label"
            )
        raise_if(problems, UsageError)

    @property
    def their_key(self) -> str:
        """How the file calls the key."""
        return self.file_key or self.key


@dataclass(frozen=True, kw_only=True)
class FileConfig:
    """How one file is read, where that is not as usual."""

    file: str
    """The file, as the config names it elsewhere."""
    names: list[str] = field(default_factory=list, metadata=LATER)
    """Names of the columns of a file of text without a header; its first line is a row then."""
    encoding: str | None = field(default=None, metadata=LATER)
    """Its text encoding, where it is not that of the others."""
    broken: Literal["refuse", "skip"] = field(default="refuse", metadata=LATER)
    """Lines that are no whole rows: refuse the file, or skip and count them."""
    numbers: dict[str, str] = field(default_factory=dict, metadata=LATER)
    """Columns whose numbers are written another way, and how 1234.5 or 1.5 looks there: 1.234,5,
    1,5, 1,234.5, 1.5%."""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise UsageError(
                f"data.files: the names for {self.file!r} have a name twice; give each column one "
                "of its own"
            )
        for column, example in self.numbers.items():
            NumberForm.of(example, f"data.files: numbers of {column!r} in {self.file!r}")

    @property
    def bare(self) -> bool:
        """Whether it has no header."""
        return bool(self.names)

    @property
    def number_forms(self) -> dict[str, NumberForm]:
        """Column -> how its numbers are written."""
        return {column: NumberForm.of(example) for column, example in self.numbers.items()}
