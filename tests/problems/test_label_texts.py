"""How numbers are written in a column, and what its cells prove of it."""

import pytest

from pipeline.base import UsageError
from pipeline.base.inputs import FileConfig
from pipeline.problems.label_texts import Doubt, NumberForm, form_of


@pytest.mark.parametrize(
    ("cells", "example", "plain"),
    [
        (["3,75", "4", ""], "1,5", ["3.75", "4", ""]),
        (["-0,250", "1,125"], "1,5", ["-0.250", "1.125"]),
        (["1.234,50", "950,1"], "1.234,5", ["1234.50", "950.1"]),
        (["1.234.567", "1.234"], "1.234,5", ["1234567", "1234"]),
        (["1,234.5", "7"], "1,234.5", ["1234.5", "7"]),
        (["1,234,567", "12,000"], "1,234.5", ["1234567", "12000"]),
        (["1 234", "12 000,5"], "1 234,5", ["1234", "12000.5"]),
        (["1'234.5", "3"], "1'234.5", ["1234.5", "3"]),
        (["12%", "0", "NA"], "1.5%", ["12", "0", "NA"]),
        (["12,5 %", "3 %"], "1,5 %", ["12.5", "3"]),
        (["1,5", "2,5", "3,5", "4"], "1,5", ["1.5", "2.5", "3.5", "4"]),
        ([f"{n % 5 + 1},{n % 9 + 1}" for n in range(40) if n % 5 != n % 9], "1,5", None),
    ],
)
def test_the_way_that_all_cells_allow_is_found_and_read(cells, example, plain):
    form = form_of(cells)
    assert isinstance(form, NumberForm)
    assert form.example == example
    assert NumberForm.of(example) == form
    assert [form.plain(cell) for cell in cells] == (plain or [c.replace(",", ".") for c in cells])


@pytest.mark.parametrize(
    "cells",
    [["1.5", "2"], ["1,5", "2.5"], ["1,5", "x"], ["12%", "0.5"], ["1,2,3", "4"], ["NA", ""]],
)
def test_what_is_no_other_way_to_write_numbers_stays(cells):
    assert form_of(cells) is None


@pytest.mark.parametrize(
    ("cells", "example", "ways"),
    [
        (["1,234", "950"], "1,234", ["1.234", "1234"]),
        (["1,2", "3", "2,3"], "1,2", ["1.2"]),
        (["101,205,330", "101"], "101,205,330", ["101205330"]),
    ],
)
def test_what_may_be_read_in_two_ways_is_a_doubt_that_the_decimal_mark_ends(cells, example, ways):
    found = form_of(cells)
    assert isinstance(found, Doubt)
    assert found.example == example
    assert [form.plain(example) for form in found.forms] == ways
    told = form_of(cells, found.forms[-1].decimal)
    assert told == found.forms[-1]


def test_numbers_are_written_as_they_are_read():
    form = NumberForm.of("1.234,5%")
    assert [form.written(text) for text in ("1250.5", "1e-07", "-3", "a")] == [
        "1.250,5%",
        "0,0000001%",
        "-3%",
        "a",
    ]


def test_a_form_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match=r"'2,5' is no way to write 1234\.5 or 1\.5; expected one"):
        FileConfig(file="train.csv", numbers={"score": "2,5"})
