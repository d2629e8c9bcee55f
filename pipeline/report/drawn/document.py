"""The parts of the report, and the file that they make.

A page of the report holds blocks: cards, sentences, tables and charts. Everything in them is plain
text, escaped once, by the template (jinja2 with autoescape). The only markup that passes is the
drawing of a chart, made by `charts` from numbers and escaped text. The file forbids a browser to
load anything, and to run any script but its own (a Content-Security-Policy with the script's hash),
so a text that were not escaped could still do nothing.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline import __version__
from pipeline.base.errors import PipelineError
from pipeline.report.drawn.words import Data, Words

HERE = Path(__file__).parent
LONGEST = 600
"""Characters of a text that are shown; the rest of a longer one is left out."""
UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Control characters, halves of letters, and marks that turn the direction of what follows."""


def clean(text: object, longest: int = LONGEST) -> Data:
    r"""*text* of a user's as a page may hold it: nothing that cannot be shown, and no more than
    *longest*. No language changes it.

    >>> clean("a\x00b\ud800"), clean("abcdef", 4)
    ('a�b�', 'abc…')
    """
    shown = UNFIT.sub("�", str(text))
    return Data(shown if len(shown) <= longest else f"{shown[: longest - 1]}…")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    sort: float | None = None
    """What the column is sorted by; None: by the text."""
    number: bool = False
    """Flush right."""
    heat: int | None = None
    """0 to 100: how strongly the cell is coloured."""
    link: str = ""
    """The id of a row or page to go to."""
    label: bool = False
    """A mark such as a verdict, set apart."""


def text(value: object, link: str = "", label: bool = False, longest: int = LONGEST) -> Cell:
    """A cell of words."""
    return Cell(text=clean(value, longest), link=link, label=label)


def num(value: float | None, form: str = ".4f", heat: int | None = None) -> Cell:
    """A cell with a number, or a dash.

    >>> num(0.5).text, num(None).text, num(1200, ",.0f").text
    ('0.5000', '–', '1,200')
    """
    if value is None or value != value:
        return Cell(text="–", sort=None, number=True)
    return Cell(text=format(value, form), sort=float(value), number=True, heat=heat)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that a reader may sort and, where there are many, filter."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    ids: Sequence[str] = ()
    """An id per row, to be linked to; none: no row has one."""
    says: Sequence[str] = ()
    warns: Sequence[str] = ()
    kind: str = "table"

    @property
    def numbers(self) -> list[bool]:
        """For each column whether it holds numbers."""
        cells = zip(*self.rows, strict=True)
        return [any(each.number for each in column) for column in cells]

    @property
    def filtered(self) -> bool:
        """Whether there are enough rows for a field to filter them by."""
        return len(self.rows) > 12

    @property
    def many(self) -> bool:
        """Whether it has more columns than a phone shows."""
        return any(len(row) > 4 for row in self.rows[:1])

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width."""
        return len(self.header) > 4 or self.filtered or len(self.rows) > 9


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing."""

    title: str
    svg: Markup
    tips: dict[str, list[list[str]]] = field(default_factory=dict)
    """Id of a group of marks -> for each mark what it says, and the id it leads to or ""."""
    says: Sequence[str] = ()
    words: Sequence[str] = ()
    """Texts in the drawing that are ours, such as what its axes are called."""
    figure: Any = field(default=None, repr=False, compare=False)
    """matplotlib's, for a document that takes pictures."""
    kind: str = "chart"
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Says:
    """Sentences; those of *warns* are marked."""

    says: Sequence[str] = ()
    warns: Sequence[str] = ()
    title: str = ""
    kind: str = "says"
    wide: bool = True


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The numbers to see first: (name, value, what it means)."""

    cards: Sequence[tuple[str, str, str]]
    kind: str = "cards"
    wide: bool = True


Block = Table | Chart | Says | Cards


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the report."""

    id: str
    title: str
    blocks: Sequence[Block]

    @property
    def bands(self) -> list[tuple[bool, list[Block]]]:
        """The blocks from top to bottom: those that take the whole width, and neighbours that
        share it."""
        return [
            (wide, list(blocks)) for wide, blocks in groupby(self.blocks, key=attrgetter("wide"))
        ]


def tried(name: str, title: str, make: Callable[[], Sequence[Block]]) -> Page:
    """The page that *make* fills; where something is missing, a page with the sentence that says
    so: one part that is not there yet keeps no other from being seen."""
    try:
        return Page(id=name, title=title, blocks=list(make()))
    except PipelineError as error:
        lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
        return Page(id=name, title=title, blocks=[Says(says=lines, title="Not to be shown yet")])


def said(block: Block, words: Words) -> Block:
    """*block* in the language of *words*."""

    def each(texts: Sequence[str]) -> list[str]:
        return [words(text) for text in texts]

    match block:
        case Cards():
            return Cards(
                cards=[
                    (words(name), words(value), words(means)) for name, value, means in block.cards
                ]
            )
        case Says():
            return Says(says=each(block.says), warns=each(block.warns), title=words(block.title))
        case Table():
            rows = [[_cell(cell, words) for cell in row] for row in block.rows]
            shown = replace(block, rows=rows, says=each(block.says), warns=each(block.warns))
            return replace(shown, title=words(block.title), header=each(block.header))
        case Chart():
            return replace(
                block,
                title=words(block.title),
                says=each(block.says),
                svg=_drawing(block, words),
                tips={key: [_tip(tip, words) for tip in told] for key, told in block.tips.items()},
            )


def _cell(cell: Cell, words: Words) -> Cell:
    if cell.number:
        return cell
    return replace(cell, text=words(str(cell.text) if cell.label else cell.text))


def _tip(tip: list[str], words: Words) -> list[str]:
    """Its first line is ours, what follows is a text of the user's."""
    told, *rest = tip[0].split("\n")
    return ["\n".join([words(told), *rest]), *tip[1:]]


def _drawing(chart: Chart, words: Words) -> Markup:
    svg = str(chart.svg)
    for text in (chart.title, *chart.words):
        other = words(text)
        if other != text:
            here, there = str(Markup.escape(text)), str(Markup.escape(other))
            svg = svg.replace(f">{here}</text>", f">{there}</text>")
            svg = svg.replace(f'aria-label="{here}"', f'aria-label="{there}"')
    return Markup(svg)


def render(name: str, made: str, pages: Sequence[Page], words: Words | None = None) -> str:
    """The file: *name* is the competition's, *made* says when; in English without *words*."""
    words = words or Words("en", {})
    pages = [
        replace(page, title=words(page.title), blocks=[said(block, words) for block in page.blocks])
        for page in pages
    ]
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tips: dict[str, Any] = {}
    for page in pages:
        for block in page.blocks:
            if isinstance(block, Chart):
                tips |= block.tips
    return environment.get_template("report.html.j2").render(
        name=clean(name, 80),
        made=made,
        words=words,
        version=__version__,
        pages=pages,
        tips=tips,
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        digest=digest,
    )
