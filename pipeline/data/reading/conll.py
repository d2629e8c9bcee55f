"""A unit per line, with its tag, and a blank line between documents, to a row per document.

    ## klue-ner-v1_train_00000-nsmc<TAB>…
    영<TAB>B-DT
    화<TAB>I-DT

This is the form of the shared tasks of CoNLL (https://www.clips.uantwerpen.be/conll2003/ner/) and,
with a character per line and a comment that names the document, that of KLUE-NER
(https://github.com/KLUE-benchmark/KLUE). A document's units and tags become lists in cells, as
JSON files have them, so nothing else needs to know of the form.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from pipeline.data.table import Findings
from pipeline.problems.entities import TAG

IDS, UNITS, TAGS, ARTICLE = "id", "tokens", "tags", "article"
"""The columns of the rows. Without comments that name the documents there are no ids; an article
is known where -DOCSTART- parts them."""
CONLL_ENDINGS = (".conll", ".iob", ".iob2", ".bio")
"""Files that are called so are in this form whatever their lines look like."""
COMMENT = re.compile(
    r"#{1,2} +(?:(?:sent_id|doc_id|newdoc id|id)\b\s*[=:]?\s*|(?P<other>\w+ = ))?(?P<name>\S+).*"
)
"""A line that names the document, or says something other of it."""
DOCSTART = "-DOCSTART-"
TOLD = 80
"""Characters of its first sentence that an article is called by."""
BLANK = re.compile(r"\n[ \t\r]*\n")
HEADER = {"tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "iob"}
"""What the last field of a header says."""
MOSTLY = 0.9
"""With so large a share of tags at the ends of lines a file is in this form; others are faults."""


@dataclass
class Block:
    """The lines of a document."""

    name: str = ""
    """What a comment calls it."""
    lines: list[tuple[int, list[str]]] = field(default_factory=list)
    """(number, fields) of each, numbers from 1."""
    article: int = 0
    """How many articles have begun."""


def is_conll(text: str) -> bool:
    """Whether the lines of *text* are units of documents: parted by blank lines or named by
    comments, with a tag, one dummy value or nothing behind each.

    >>> is_conll("Ann\\tB-PS\\nleft\\tO\\n\\nBo\\tB-PS\\n"), is_conll("Ann\\nleft\\n\\nBo\\nsat\\n")
    (True, True)
    >>> is_conll("id\\ttext\\n1\\tAnn left\\n"), is_conll("one text\\n\\nanother one\\n")
    (False, False)
    """
    if not (text.startswith("#") or BLANK.search(text.rstrip())):
        return False  # most tables, known without cutting them into lines
    blocks, _ = _blocks(text)
    fields = [each for block in blocks for _, each in block.lines]
    if not fields or (len(blocks) < 2 and not blocks[0].name):
        return False
    width, count = Counter(map(len, fields)).most_common(1)[0]
    if width == 1:
        bare = all(" " not in unit.strip() for (unit,) in filter(lambda one: len(one) == 1, fields))
        return bare and count == len(fields) and len(fields) >= 2 * len(blocks)
    last = [each[-1] for each in fields]
    if sum(TAG.fullmatch(each) is not None for each in last) >= MOSTLY * len(last):
        return True
    return len(set(last)) == 1 and count == len(fields) and len(fields) >= 2 * len(blocks)


def parse_conll(text: str) -> tuple[pd.DataFrame, Findings, list[str]]:
    """A row per document as str objects, the problems with their line numbers, and notes.

    The first field of a line is its unit (the second, where the first counts them), the last its
    tag; one that says the same everywhere is a dummy and left out. Fields are parted by tabs, where
    there are any, else by spaces.
    """
    found = Findings()
    blocks, notes = _blocks(text)
    widths = Counter(len(fields) for block in blocks for _, fields in block.lines)
    width = widths.most_common(1)[0][0] if widths else 0
    for block in blocks:
        for number, fields in block.lines:
            if len(fields) != width:
                what = f"lines that have not {width} field{'s' if width > 1 else ''}, as most have"
                found.add(what, f"line {number} has {len(fields)}")
            elif not all(fields):
                found.add("lines with an empty field", f"line {number}")
    if found.sentences():
        return pd.DataFrame(), found, notes
    at = 1 if width > 2 and _counted(blocks) else 0
    table = {UNITS: [_list([fields[at] for _, fields in block.lines]) for block in blocks]}
    tags = [[fields[-1] for _, fields in block.lines] for block in blocks]
    names = [block.name for block in blocks]
    if all(names) and len(set(names)) == len(names):
        table = {IDS: names, **table}
    elif any(names):
        notes.append("comments do not name each document, or two alike, so documents are numbered")
    if width > 1 and len({tag for each in tags for tag in each}) > 1:
        table[TAGS] = [_list(each) for each in tags]
    elif width > 1:
        notes.append(f"the last field is {tags[0][0]!r} in every line: a dummy, not read")
    if any(block.article for block in blocks):
        table[ARTICLE] = _articles(blocks, at)
        notes.append(
            f"a sentence is a document; column {ARTICLE!r} holds the beginning of the article "
            f"({DOCSTART}) that it is of"
        )
    between = [str(place + 1) for place in range(at + 1, width - 1)]
    if between:
        one = "field" if len(between) == 1 else "fields"
        notes.append(f"{one} {' and '.join(between)} of {width} not read, only units and tags are")
    units = sum(len(block.lines) for block in blocks)
    told = f"a unit per line: {len(blocks):,} documents, {units:,} units"
    return pd.DataFrame(table, dtype=object), found, [told, *notes]


def _blocks(text: str) -> tuple[list[Block], list[str]]:
    """The documents, and notes of lines that are left out."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    tabbed = any("\t" in line for line in lines if not line.startswith("#"))
    # a space is a unit of its own where units are characters
    characters = not tabbed and all(len(line) <= 1 for line in lines if not line.startswith("#"))
    blocks, starts, heads = [Block()], 0, 0
    for number, line in enumerate(lines, start=1):
        if not (line if characters else line.strip()):
            blocks.append(Block(article=starts))
            continue
        if tabbed:
            unit, *more = line.split("\t")
            fields = [unit, *(each.strip() for each in more)]
        else:
            fields = [line] if characters else line.split()
        said = COMMENT.fullmatch(line)
        if said and not blocks[-1].lines and not TAG.fullmatch(fields[-1]):
            if not said["other"]:
                blocks[-1].name = blocks[-1].name or said["name"]
        elif fields[0].strip() == DOCSTART:
            starts += 1
            blocks.append(Block(article=starts))
        elif number == 1 and len(fields) > 1 and fields[-1].lower() in HEADER:
            heads += 1
        else:
            blocks[-1].lines.append((number, fields))
    notes = [f"the first line ({lines[0].strip()}) is a header"] if heads else []
    return _joined(blocks), notes


def _joined(blocks: list[Block]) -> list[Block]:
    """Those with lines; a name that stands alone is that of the lines behind it."""
    kept, name = [], ""
    for block in blocks:
        name = block.name or name
        if block.lines:
            kept.append(Block(name=name, lines=block.lines, article=block.article))
            name = ""
    return kept


def _counted(blocks: list[Block]) -> bool:
    """Whether the first field counts the units of each document, from 0 or 1."""
    counts = [[fields[0] for _, fields in block.lines] for block in blocks]
    return any(
        all(each == [str(row + first) for row in range(len(each))] for each in counts)
        for first in (0, 1)
    )


def _articles(blocks: list[Block], at: int) -> list[str]:
    """What the article of each document begins with: words that another file has not, as numbers
    would be."""
    begin: dict[int, str] = {}
    for block in blocks:
        first = " ".join(fields[at] for _, fields in block.lines)
        begin.setdefault(block.article, first[:TOLD])
    return [begin[block.article] for block in blocks]


def _list(texts: list[str]) -> str:
    return json.dumps(texts, ensure_ascii=False)
