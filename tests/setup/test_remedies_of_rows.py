"""As in `test_remedies`, of what stands in the rows: ids, labels, classes, texts, the sample."""

from pathlib import Path

import pandas as pd
import pytest

from tests.nightly import every
from tests.setup.test_remedies import (
    SAMPLE,
    TEST,
    TRAIN,
    Case,
    Change,
    as_before,
    assert_the_remedy_works,
    assigned,
    both,
    changed,
    labels,
    without,
)
from tests.test_shapes import save


def cell(name: str, column: str, value: str, row: int = 3) -> Change:
    """One cell of the table *name* is another."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, column] = value
        return frame

    return changed(name, change)


def added(name: str, **columns: list[str]) -> Change:
    """A further table."""
    return lambda folder: save(folder, **{name: pd.DataFrame(columns)})


def dev(topic: str) -> Change:
    """A dev file in which a class stands that train lacks."""

    def make(folder: Path) -> None:
        rows = pd.read_csv(folder / TRAIN, dtype=str).head(6)
        rows["id"], rows["title"] = [f"d{n}" for n in range(6)], rows["title"] + " again"
        rows.loc[2, "topic"] = topic
        save(folder, dev=rows)

    return make


NUMBERS = both(
    assigned(TRAIN, topic=[f"{row / 8}" for row in range(60)]), assigned(SAMPLE, topic="0.5")
)
WORDS = [f"word{row} of the {row % 7} markets" for row in range(60)]
FORM = {"low": "0", "mid": "1", "high": "2"}
ROWS: list[Case] = [
    # ids
    (cell(TRAIN, "id", "00002"), "", 'init: --id "(row number)"', '--id "(row number)"'),
    (
        cell(TRAIN, "id", "00002"),
        "",
        "take the further rows out",
        changed(TRAIN, lambda each: each.drop(index=3)),
    ),
    (
        cell(TRAIN, "id", " "),
        "",
        "rows without an id: row 4. Mend the file",
        cell(TRAIN, "id", "00003"),
    ),
    (
        cell(TEST, "id", "00900"),
        "",
        "ids that stand more than once: 00900 (2 times). Mend the file",
        as_before(TEST),
    ),
    (changed(SAMPLE, lambda each: each.head(5)), "", "init: --short-sample", "--short-sample"),
    (
        cell(SAMPLE, "id", "x9"),
        "",
        "put the test file and the sample of one release beside each other",
        as_before(SAMPLE),
    ),
    (cell(SAMPLE, "id", "x9"), "", "or take the sample away", without(SAMPLE)),
    (
        changed(SAMPLE, lambda each: each.assign(id=each["id"].str.lstrip("0"))),
        "",
        "write them so into the test file as well",
        changed(TEST, lambda each: each.assign(id=each["id"].str.lstrip("0"))),
    ),
    (
        changed(SAMPLE, lambda each: each[["topic"]].head(5)),
        "",
        "Without the sample it works as well",
        without(SAMPLE),
    ),
    (
        changed(SAMPLE, lambda each: each[["id"]]),
        "--target topic",
        "expected the answers: add it, or remove the sample",
        without(SAMPLE),
    ),
    # labels
    (cell(TRAIN, "topic", ""), "", "(init: --unlabelled=)", "--unlabelled="),
    (cell(TRAIN, "topic", ""), "", "Fill them in", as_before(TRAIN)),
    (
        both(NUMBERS, cell(TRAIN, "topic", "NaN")),
        "",
        "(init: --unlabelled=NaN)",
        "--unlabelled=NaN",
    ),
    (
        both(NUMBERS, cell(TRAIN, "topic", "NaN"), cell(TRAIN, "topic", "", 9)),
        "",
        "(init: --unlabelled=NaN)",
        "--unlabelled=NaN",
    ),
    (
        both(NUMBERS, cell(TRAIN, "topic", "inf")),
        "",
        "Mend them, or take these rows out",
        changed(TRAIN, lambda each: each.drop(index=3)),
    ),
    (
        both(NUMBERS, cell(TRAIN, "topic", "3,5")),
        "",
        "Write them with a point",
        cell(TRAIN, "topic", "3.5"),
    ),
    (
        both(NUMBERS, cell(TRAIN, "topic", "bad")),
        "",
        "Mend them, or take",
        cell(TRAIN, "topic", "3.5"),
    ),
    (dev("sports"), "", "name all classes (init: --classes)", "--classes art money sports state"),
    (
        labels("x"),
        "",
        "is 'x' in every row: there is nothing to predict. Name another column with --target",
        both(labels("x", "y"), assigned(SAMPLE, topic="x")),
    ),
    (
        both(labels("1,234", "25,310", "731"), assigned(SAMPLE, topic="0")),
        "",
        "--decimal=, or --decimal=. (or --problem multilabel, where they are labels)",
        "--decimal=, --problem regression",
    ),
    (
        both(labels("1234.5", "25310", "731"), assigned(SAMPLE, topic="1,234")),
        "",
        "'topic' of the sample submission has numbers such as '1,234': 1.234 or 1234?",
        "--decimal=.",
    ),
    (
        both(labels("1,2", "3", "2,3"), assigned(SAMPLE, topic="1,3")),
        "",
        "cells such as '1,2': the number 1.2, or several labels in a cell",
        "--problem multilabel",
    ),
    (  # test has the labels too
        both(labels("1,2", "3", "2,3"), assigned(TEST, topic="1"), without(SAMPLE)),
        "--target topic",
        "cells such as '1,2': the number 1.2, or several labels in a cell",
        "--target topic --problem multilabel",
    ),
    (
        both(labels("35%", "12.5 %", "2%"), assigned(SAMPLE, topic="0.5")),
        "",
        "Write the labels of train as the sample has its answers, with the sign or without",
        labels("0.35", "0.125", "0.02"),
    ),
    (
        both(labels("0.35", "0.125", "0.02"), assigned(SAMPLE, topic="50%")),
        "",
        "Write the labels of train as the sample has its answers, with the sign or without",
        labels("35%", "12.5%", "2%"),
    ),
    (
        both(labels("2021-03-01", "2020-12-24", "1999-01-31"), assigned(SAMPLE, topic="0")),
        "",
        "as a number (the year; the days since a day)",
        both(labels("2021.2", "2020.9", "1999.1"), assigned(SAMPLE, topic="0.0")),
    ),
    (
        assigned(TRAIN, topic=[f"c{n // 2}-{n}" for n in range(60)]),
        "",
        "that is no label",
        both(labels("x", "y"), assigned(SAMPLE, topic="x")),
    ),
    (
        assigned(TRAIN, topic=[f"c{n // 2}-{n}" for n in range(60)]),
        "",
        "say so: --problem text",
        "--problem text",
    ),
    # what is to be predicted
    (
        both(assigned(TEST, topic=["art", "money", "state"] * 4), without(SAMPLE)),
        "",
        "--target COLUMN: no column is in train only",
        "--target topic",
    ),
    (
        both(
            assigned(TRAIN, price=[f"{n / 7:.3f}" for n in range(60)]),
            assigned(SAMPLE, price="0.5"),
        ),
        "",
        "--target topic, and then once more --target for the others with another --name",
        "--target topic",
    ),
    (
        both(labels("low", "mid", "high"), assigned(SAMPLE, topic="mid")),
        "--metric qwk",
        "Give them from the lowest to the highest: --classes LOWEST … HIGHEST",
        "--metric qwk --classes low mid high",
    ),
    (
        both(labels("low", "mid", "high"), assigned(SAMPLE, topic="7")),
        "",
        "init: --class-codes high=0 low=1 mid=2",
        "--class-codes high=2 low=0 mid=1",
    ),
    (
        both(labels("low", "mid", "high"), assigned(SAMPLE, topic="7")),
        "",
        "(init: --class-codes as-is)",
        "--class-codes as-is",
    ),
    (
        as_before(TRAIN),
        "--class-codes art=1",
        "these classes have no code (candidates: 'money', 'state')",
        "--class-codes art=1 money=2 state=3",
    ),
    (
        both(labels("-1", "0", "1"), assigned(SAMPLE, topic="0")),
        "",
        "--unlabelled=-1, or --class-codes as-is",
        "--unlabelled=-1",
    ),
    (
        both(labels("-1", "0", "1"), assigned(SAMPLE, topic="0")),
        "",
        "--unlabelled=-1, or --class-codes as-is",
        "--class-codes as-is --problem multiclass",
    ),
    (
        changed(SAMPLE, lambda each: each.assign(topic="[0.2, 0.3, 0.5]")),
        "",
        "--classes A B C …",
        "--classes money art state",
    ),
    (
        both(labels("no", "yes"), assigned(SAMPLE, topic="0")),
        "--metric accuracy",
        "; where they are probabilities, name a metric that takes them (init: --metric auc)",
        "--metric auc",
    ),
    (as_before(TRAIN), "--metric acuracy", "did you mean 'accuracy'?", "--metric accuracy"),
    (
        as_before(TRAIN),
        "--problem heads",
        "or name a column per target",
        both(labels("a-x", "b-y", "a-y"), assigned(SAMPLE, topic="a-x")),
    ),
    (
        both(
            labels("it is on money", "it is on art", "it is of state"), assigned(SAMPLE, topic="x")
        ),
        "",
        "(init: --class-codes 'it is of state=0' 'it is on art=1' 'it is on money=2'",
        "--class-codes 'it is of state=0' 'it is on art=1' 'it is on money=2'",
    ),
    (
        both(
            labels("it is on money", "it is on art", "it is of state"), assigned(SAMPLE, topic="x")
        ),
        "",
        "say so (init: --problem text)",
        "--problem text",
    ),
    # texts
    (
        as_before(TRAIN),
        "--template '{title!marked}'",
        "no offsets of entities were found",
        "--template '{title}'",
    ),
    (
        as_before(TRAIN),
        "--template '{title}' --template '{title}' --template '{title}'",
        "it takes one, or two for pairs",
        "--template '{title}' --template '{title}'",
    ),
    (as_before(TRAIN), "--template title", "it names no column", "--template '{title}'"),
]


@pytest.mark.parametrize(
    ("spoil", "asked", "said", "remedy"),
    every(2, ROWS),
    ids=[f"{n} {each[2][:30]}" for n, each in enumerate(ROWS)],
)
def test_rows_that_do_not_fit_say_what_to_do(tmp_path, capsys, spoil, asked, said, remedy):
    assert_the_remedy_works(tmp_path, capsys, spoil, asked, said, remedy)
