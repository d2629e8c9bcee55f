"""Make the small competition of tags from hand-written sentences with gaps for names.

    python demo/tags.py             train.jsonl, test.jsonl, sample_submission.csv, answers.jsonl
    python demo/tags.py --out DIR   the same bytes elsewhere

Names are put together from pieces that several kinds share (Victoria, Victoria Lake, Lake
Press), many sentences take a name of any kind, and capitals also stand where no name is: what is
around and inside a name decides, as in real files.
"""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from random import Random

from pipeline.base.command import run
from pipeline.base.files import commit_text

SEED = 7
TRAIN_ROWS, TEST_ROWS = 500, 200


def listed(words: str) -> list[str]:
    """The words of a text."""
    return words.split()


ODD = 0.05
"""Share of sentences in which a person who tagged forgot one name: labels are never perfect."""
FIRST = listed(
    """Ada Amos Carla Chester Dora Edwin Florence Georgia Hal Ida Jonas Jordan Kira Lena Madison
Marek Nora Otis Paula Rhea Sidney Sven Tess Uma Victoria Viktor Xenia Yara"""
)
LAST = listed(
    """Berg Chester Dune Ellery Florence Frost Gill Hill Iverson Jordan Keel Lake Moor Oak Quill
Sands Stone Tarn Vale Wells Wren Zell"""
)
PLACES = listed(
    """Adelaide Chester Dover Florence Georgia Hull Jordan Kingsmouth Madison Oldbridge Sidney
Stonehaven Victoria Westerly Yarrow"""
)
BEFORE = listed("""Birch Cold East Lake Narrow Port Red Stone Tarn""")
BEHIND = listed("""Bay Hill Sands Vale Wells""")
TRADES = listed(
    """Bank Books Foods Hospital Labs Motors Museum Press Rail Shipping Theatre Travel"""
)
DATES = """Monday|Tuesday morning|last Friday|3 May|the 14th of June|2019|next week|March 2021|
Sunday evening|the summer of 2008|12 October|tonight|yesterday|January|the first of April|May"""
SENTENCES = """
{PER} moved from {LOC} to {LOC} in {DAT} .
{PER} will speak at {ORG} on {DAT} .
On {DAT} , {ORG} opened a branch in {LOC} .
The road from {LOC} was closed , said {PER} of {ORG} .
A letter from {ANY} reached {ANY} on {DAT} .
Does anybody here know {ANY} ?
We heard a lot about {ANY} and {ANY} .
{ANY} comes first , {ANY} second .
{ANY} has changed since {DAT} .
In {DAT} everybody talked about {ANY} .
Nobody likes {ANY} more than {ANY} does .
I dreamt of {ANY} again .
May I borrow the Book of Hours ?
{ANY} , {ANY} and {ANY} are on the list .
My sister {PER} teaches in {LOC} .
{ORG} admits that {ANY} was wrong .
We waited for the bus , but it never came .
The mayor of {LOC} thanked {ANY} .
Please send the report to the Office of the Manager .
From {DAT} on , {ANY} is closed .
Who told you about {ANY} ?
The train to {LOC} stops at Platform Nine .
Dear {PER} , your order is late .
{ANY} lost against {ANY} on {DAT} .
There is one café , run by {ANY} .
"""
Document = tuple[list[str], list[str]]
"""Words, and a tag for each."""


def name(kind: str, random: Random) -> str:
    """A name of a *kind*, or a date."""
    if kind == "DAT":
        return random.choice(DATES.replace("\n", "").split("|"))
    first, last = random.choice(FIRST), random.choice(LAST)
    if kind == "PER":
        return random.choice((first, f"{first} {last}", f"{first[0]}. {last}", last))
    two = f"{random.choice(BEFORE)} {random.choice(BEHIND)}"
    place = random.choice((random.choice(PLACES), two))
    if kind == "LOC":
        return place
    owner = random.choice((last, first, place))
    return random.choice((f"{owner} {random.choice(TRADES)}", f"{last} & Sons", owner))


def document(random: Random) -> Document:
    """One sentence, or two."""
    words: list[str] = []
    tags: list[str] = []
    lines = random.sample(SENTENCES.strip().splitlines(), random.choice((1, 1, 2)))
    if not any("{" in line for line in lines):  # or the same few documents came again and again
        lines.append(random.choice([line for line in SENTENCES.splitlines() if "{" in line]))
    for line in lines:
        for piece in line.split():
            asked = piece.strip("{}") if piece.startswith("{") else ""
            kind = random.choice(("PER", "LOC", "ORG")) if asked == "ANY" else asked
            parts = name(kind, random).split() if kind else [piece]
            words += parts
            tags += [f"{'I' if at else 'B'}-{kind}" if kind else "O" for at in range(len(parts))]
    return words, tags


def forgotten(tags: Sequence[str], random: Random) -> list[str]:
    """The *tags* with one entity left out, where there is any."""
    starts = [place for place, tag in enumerate(tags) if tag.startswith("B-")]
    if not starts:
        return list(tags)
    start = random.choice(starts)
    end = start + 1
    while end < len(tags) and tags[end].startswith("I-"):
        end += 1
    return [*tags[:start], *["O"] * (end - start), *tags[end:]]


def files() -> dict[str, str]:
    """Name -> content of each file."""
    random = Random(SEED)
    train = []
    for _ in range(TRAIN_ROWS):
        words, tags = document(random)
        train.append((words, forgotten(tags, random) if random.random() < ODD else tags))
    test = [document(random) for _ in range(TEST_ROWS)]
    found: dict[str, list[str]] = {"train.jsonl": [], "test.jsonl": [], "answers.jsonl": []}
    sample = ["id,tags"]
    for row, (words, tags) in enumerate(train):
        found["train.jsonl"].append(_line(f"train-{row:03}", words=words, tags=tags))
    for row, (words, tags) in enumerate(test):
        row_id = f"test-{row:03}"
        found["test.jsonl"].append(_line(row_id, words=words))
        found["answers.jsonl"].append(_line(row_id, tags=tags))
        sample.append(f"{row_id},{' '.join('O' for _ in words)}")
    written = {file: "".join(lines) for file, lines in found.items()}
    return written | {"sample_submission.csv": "\n".join(sample) + "\n"}


def _line(row_id: str, **fields: list[str]) -> str:
    return json.dumps({"id": row_id, **fields}, ensure_ascii=False) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files."""
    options = ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "tags")
    folder = options.parse_args(argv).out
    for file, content in files().items():
        commit_text(folder / file, content)
        print(folder / file)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
