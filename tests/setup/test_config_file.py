"""What init writes reads back as what was meant, whatever names an organiser has thought of."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, TaskConfig
from pipeline.base.parser import read_section
from pipeline.setup.config_file import render, summary

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def competition(name="toy", column="label", classes=("a", "b", "c"), bounds=None) -> Competition:
    return Competition(
        name=name,
        data=DataConfig(train=column, test="test.csv", sample_submission="", holdout=[column]),
        columns=ColumnsConfig(id=column, texts=["text"], targets=[column], features=[column]),
        task=TaskConfig(
            problem="multiclass", metric="accuracy", classes=list(classes), label_range=bounds
        ),
    )


def read_back(written: Competition, reasons: dict[str, str] | None = None) -> Competition:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(render(written, reasons or {}, ["accuracy"]), encoding="utf-8")
        return read_section(Competition, path)


@given(
    column=TEXT,
    classes=st.lists(TEXT, min_size=3, max_size=5, unique=True),
    low=st.floats(-1e6, 1e6),
    reason=TEXT,
)
@settings(max_examples=20, deadline=None)
def test_any_names_and_numbers_read_back_as_themselves(column, classes, low, reason):
    written = competition(column=column, classes=classes, bounds=(low, low + 1))
    assert read_back(written, {"columns.id": reason, "data.train": reason}) == written


ODD = ["1", "007", "1e5", "1_0", "0x1", "yes", "null", "~", "2024-01-01", "12:30", "a: b", "- a"]
ODD += [
    "#",
    "{a}",
    "[a]",
    "${a}",
    "!a",
    "&a",
    "*a",
    "'",
    '"',
    "a\nb",
    "\t",
    " ",
    "é",
    "데이터",
    "\x85",
]


def test_names_that_yaml_takes_for_something_else_are_quoted():
    for name in ODD:
        assert read_back(competition(column=name)).columns.id == name
    written = competition(name="x".join(ODD), classes=ODD)
    assert read_back(written) == written


def test_long_lists_stand_below_each_other():
    classes = [f"a rather long class name {number}" for number in range(9)]
    text = render(competition(classes=classes), {})
    assert '  classes:\n    - "a rather long class name 0"\n' in text
    assert max(map(len, text.split("\n"))) <= 100
    assert read_back(competition(classes=classes)).task.classes == classes


def test_a_reason_stands_above_its_field_and_cannot_end_the_comment():
    text = render(competition(), {"columns.id": "Because\nof this."})
    assert "  # Because\n  # of this.\n  id: label\n" in text
    sly = render(competition(), {"columns.id": "x\rid: evil\x85id: evil"})
    assert "  # x id: evil id: evil\n  id: label\n" in sly


def test_the_summary_names_value_and_reason_of_what_was_chosen():
    lines = summary(competition(), {"columns.texts": "Text.", "data.holdout": "Has\nlabels."})
    assert lines == (
        "  holdout             label   (Has labels.)\n"
        "  texts               text   (Text.)"
    )  # fmt: skip
