"""Any number of pairs that read like stsb-en and share no sentence, for the benchmark of scale.

A sentence is put together from pieces of PIECE words, each from another sentence of the real file,
so lengths and words are real, and no two sentences are equal or nearly so.
"""

import csv
from pathlib import Path

import numpy as np

from pipeline.base.seeding import generator

PIECE = 3
HEADER = ("id", "sentence1", "sentence2", "score")


def write_competition(folder: Path, source: Path, rows: int, test_rows: int = 1000) -> None:
    """Write train.csv with so many *rows*, and a test.csv, into *folder*; the same every time."""
    sentences = _sentences(source, 2 * (rows + test_rows))
    scores = generator(0, "scale scores").random(rows).round(3) * 5
    for name, count in (("train", rows), ("test", test_rows)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(HEADER if name == "train" else HEADER[:3])
            for row in range(count):
                pair = (f"{name}-{row}", sentences.pop(), sentences.pop())
                writer.writerow((*pair, f"{scores[row]:.3f}") if name == "train" else pair)


def _sentences(source: Path, count: int) -> list[str]:
    """So many distinct sentences made of pieces of the pairs in the csv file *source*."""
    with source.open(newline="", encoding="utf-8") as stream:
        real = [line[key].split() for line in csv.DictReader(stream) for key in HEADER[1:3]]
    pieces = [" ".join(words[at : at + PIECE]) for words in real for at in range(0, len(words), 3)]
    sizes = np.array([max(2, -(-len(words) // PIECE)) for words in real])
    draw = generator(0, "scale sentences")
    found: dict[str, None] = {}
    while len(found) < count:
        size = draw.choice(sizes, count)
        picks = np.split(draw.integers(0, len(pieces), size.sum()), np.cumsum(size)[:-1])
        for pick in picks:
            found[" ".join(pieces[at] for at in pick)] = None
    return list(found)[:count]
