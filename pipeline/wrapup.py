"""Draft the wrap-up report of a project from what lies on the disk.

    python -m pipeline.wrapup --lang ko
    python -m pipeline.wrapup --config configs/NAME.yaml --to ~/wrapup

Writes wrapup/NAME/: report.md, its figures, members/NAME.md for each person that git log or the
ledger names, and the same as docx where python-docx is installed (pip install "foldstack[docx]").
Facts are filled in. Judgements are yours: they are left as questions.
"""

import importlib.util
import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, UsageError
from pipeline.base.command import run
from pipeline.base.files import commit, commit_text
from pipeline.base.parser import Parser
from pipeline.base.paths import safe_name
from pipeline.report.drawn.words import add_language

if TYPE_CHECKING:
    from pipeline.report.drawn.document import Block, Chart, Table
    from pipeline.report.drawn.words import Words
    from pipeline.report.drawn.wrapup import Ask, Chapter

    Drawn = Callable[[Chart], str]
    """Writes a chart's picture; its path as a document beside it names it."""


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("wrapup", __doc__ or "")
    add_language(options)
    options.add_argument("--to", metavar="DIR", help="default: ROOT/wrapup/NAME")
    options.add_argument(
        "--overwrite", action="store_true", help="write a new draft over the one that is there"
    )
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    root = Path(args.root)
    folder = Path(args.to) if args.to else root / "wrapup" / safe_name(competition.name)
    if (folder / "report.md").exists() and not args.overwrite:
        raise UsageError(
            f"{folder / 'report.md'} is there, and may hold your own words. Another place: "
            "--to DIR; a new draft over it: --overwrite"
        )
    written = write(competition, root, folder, args.lang)
    if args.json:
        print(json.dumps({"written": [str(path) for path in written]}))
        return 0
    from pipeline.report.page import page

    console = page()
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)
    if not has_docx():
        console.print('no docx: python-docx is not installed (pip install "foldstack[docx]")')
    console.print("facts are filled in; each [ ] is a question for you")
    return 0


def write(competition: Competition, root: Path, folder: Path, language: str) -> list[Path]:
    """Write the draft into *folder*; the documents' paths.

    Raises DataError or UsageError where the competition's files cannot be read.
    """
    from pipeline.report.drawn.disk import Disk
    from pipeline.report.drawn.words import words_of
    from pipeline.report.drawn.wrapup import chapters, in_words, members_of, personal

    disk, words = Disk(competition, root), words_of(language)
    disk.need_files()
    members = members_of(disk)
    parts = [in_words(each, words) for each in chapters(disk, members)]
    title = f"{competition.name}: {words('wrap-up report')}"
    written = _document(folder / "report", title, parts, words)
    for number, member in enumerate(members, 1):
        page = in_words(personal(member, disk.metric.name), words, personal_page=True)
        title = f"{member.name}: {words('personal page')}"
        written += _document(
            folder / "members" / file_name(number, member.name), title, [page], words
        )
    return written


def _document(at: Path, title: str, parts: Sequence["Chapter"], words: "Words") -> list[Path]:
    """One document in each format that can be written."""
    found, draw = [at.parent / f"{at.name}.md"], _figures(at.parent)
    commit_text(found[0], markdown(title, parts, words, draw))
    if has_docx():
        found.append(at.parent / f"{at.name}.docx")
        write_docx(found[1], title, parts, words, draw)
    return found


def file_name(number: int, name: str) -> str:
    """What the page of a person is called: the letters of any alphabet, nothing else.

    >>> file_name(1, "김 철수"), file_name(2, "../a*b")
    ('1-김-철수', '2-a-b')
    """
    letters = "-".join(re.findall(r"[^\W_]+", name))[:60].rstrip("-")
    return f"{number}-{letters}" if letters else str(number)


def _figures(folder: Path) -> "Drawn":
    """Writes pictures into *folder*/figures, numbered in their order, each once for all formats."""
    drawn: dict[int, str] = {}

    def draw(chart: "Chart") -> str:
        known = id(chart)
        if known not in drawn:
            drawn[known] = f"figures/figure-{len(drawn) + 1}.png"
            options = {"dpi": 160, "facecolor": "white", "metadata": {"Software": None}}
            write = partial(chart.figure.savefig, format="png", **options)
            with warnings.catch_warnings():  # of letters that no font here has
                warnings.simplefilter("ignore", UserWarning)
                commit(folder / drawn[known], write)
        return drawn[known]

    return draw


# The formats: Markdown, and docx by python-docx where it is installed.


MOST_ROWS, MOST_COLUMNS = 12, 9
"""Of a table; more of it stands in the report."""


def plain(value: object) -> str:
    r"""A text as Markdown shows it: nothing in it is markup, and it stays in its line.

    >>> plain("a|b\n*c* <img> [x](y)")
    'a\\|b \\*c\\* &lt;img> \\[x\\](y)'
    """
    found = " ".join(str(value).split()).replace("\\", "\\\\")
    for sign in "|*_`[]#":
        found = found.replace(sign, f"\\{sign}")
    return found.replace("<", "&lt;")


def markdown(title: str, parts: Sequence["Chapter"], words: "Words", draw: "Drawn") -> str:
    """The document as Markdown."""
    lines = [f"# {plain(title)}", ""]
    for number, chapter in enumerate(parts, 1):
        if len(parts) > 1:
            lines += [f"## {number}. {plain(chapter.title)}", ""]
        for block in chapter.blocks:
            lines += _block_lines(block, words, draw)
    return "\n".join(lines).rstrip() + "\n"


def _block_lines(block: "Block | Ask", words: "Words", draw: "Drawn") -> Iterator[str]:
    from pipeline.report.drawn.document import Cards, Chart, Table
    from pipeline.report.drawn.wrapup import Ask

    if not isinstance(block, Cards) and block.title:
        yield from (f"### {plain(block.title)}", "")
    match block:
        case Ask():
            for ask in block.asks:
                yield from (f"- [ ] **{plain(ask)}**", "")
            return
        case Cards():
            yield from (
                f"- {plain(a)}: **{plain(b)}** {plain(c)}".rstrip() for a, b, c in block.cards
            )
            yield ""
            return
        case Chart():
            yield from (f"![{plain(block.title)}]({draw(block)})", "")
        case Table():
            yield from _table_lines(block, words)
    warns = () if isinstance(block, Chart) else block.warns
    yield from (f"> ! {plain(line)}" for line in warns)
    yield from ([""] if warns else [])
    for line in block.says:
        yield from (plain(line), "")


def cut(table: "Table", words: "Words") -> tuple[list[str], list[list[str]], str]:
    """Header, rows and a sentence about what is left out, of a table that fits on a page."""
    header = list(table.header)[:MOST_COLUMNS]
    rows = [[cell.text for cell in row[:MOST_COLUMNS]] for row in table.rows[:MOST_ROWS]]
    left = len(table.rows) - len(rows)
    wide = bool(table.rows) and len(table.rows[0]) > MOST_COLUMNS
    more = words(f"{left} more rows stand in the report") if left else ""
    return header, rows, more or (words("more columns stand in the report") if wide else "")


def _table_lines(table: "Table", words: "Words") -> Iterator[str]:
    header, rows, more = cut(table, words)
    width = len(rows[0]) if rows else len(header)
    numbers = table.numbers[:width] if rows else [False] * width
    yield "| " + " | ".join(plain(each) for each in header or [""] * width) + " |"
    yield "|" + "|".join(" ---: " if number else " --- " for number in numbers) + "|"
    yield from ("| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows)
    yield ""
    if more:
        yield from (more, "")


MARGIN, WIDTH = 2, 8
"""Centimetres, of pages and of pictures: five to six pages in all, with room for answers."""


def has_docx() -> bool:
    """Whether python-docx is installed (the extra `docx`)."""
    return importlib.util.find_spec("docx") is not None


def write_docx(
    path: Path, title: str, parts: Sequence["Chapter"], words: "Words", draw: "Drawn"
) -> None:
    """The document as docx; pictures are read from where *draw* put them, beside *path*."""
    docx = importlib.import_module("docx")
    document = docx.Document()
    document.styles["Normal"].paragraph_format.space_after = docx.shared.Pt(4)
    page = document.sections[0]
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = docx.shared.Cm(
        MARGIN
    )
    document.add_heading(title, 0)
    for number, chapter in enumerate(parts, 1):
        if len(parts) > 1:
            document.add_heading(f"{number}. {chapter.title}", 1)
        for block in chapter.blocks:
            _into_docx(document, docx.shared.Cm(WIDTH), path.parent, block, words, draw)
    commit(path, document.save)


def _into_docx(
    document: Any, width: Any, folder: Path, block: "Block | Ask", words: "Words", draw: "Drawn"
) -> None:
    from pipeline.report.drawn.document import Cards, Chart, Table
    from pipeline.report.drawn.wrapup import Ask

    if not isinstance(block, Cards) and block.title:
        document.add_heading(block.title, 2)
    match block:
        case Ask():
            for ask in block.asks:
                document.add_paragraph(style="List Bullet").add_run(ask).bold = True
                document.add_paragraph("")
            return
        case Cards():
            for name, value, means in block.cards:
                paragraph = document.add_paragraph(f"{name}: ", style="List Bullet")
                paragraph.add_run(value).bold = True
                paragraph.add_run(f" {means}")
            return
        case Chart():
            document.add_picture(str(folder / draw(block)), width=width)
        case Table():
            header, rows, more = cut(block, words)
            lines = ([header] if header else []) + rows
            if lines:
                grid = document.add_table(len(lines), len(lines[0]), style="Light Grid Accent 1")
                for cells, line in zip(grid.rows, lines, strict=True):
                    for cell, value in zip(cells.cells, line, strict=True):
                        cell.text = value
            document.add_paragraph(more)
    for said in (*(() if isinstance(block, Chart) else block.warns), *block.says):
        document.add_paragraph(said)


if __name__ == "__main__":
    raise SystemExit(run(main))
