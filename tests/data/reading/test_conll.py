"""A unit per line, with its tag: documents with lists of both, or an error with line numbers."""

import json

import pytest

from pipeline.base.errors import DataError
from pipeline.data.reading.reader import column_names, is_table, read

KLUE = "## klue-1\t<영화:AF> 봐\n영\tB-AF\n화\tI-AF\n \tO\n봐\tO\n\n## klue-2\t#.\n#\tO\n.\tO\n\n"
FOUR = (
    "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nwon VBD B-VP O\n\nBo NNP B-NP B-PER\n\n"
    "-DOCSTART- -X- -X- O\n\nIt PRP B-NP O\nrains VBZ B-VP O\n"
)


def rows(tmp_path, text, name="train.tsv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    reading = read(path)
    assert column_names(path) == list(reading.frame.columns)
    assert is_table(path)
    found = {
        column: [json.loads(cell) if cell.startswith("[") else cell for cell in cells]
        for column, cells in reading.frame.items()
    }
    return found, " ".join(reading.notes)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_characters_with_named_documents_as_klue_has_them(tmp_path, end):
    found, _ = rows(tmp_path, KLUE.replace("\n", end))
    assert found == {
        "id": ["klue-1", "klue-2"],
        "tokens": [["영", "화", " ", "봐"], ["#", "."]],
        "tags": [["B-AF", "I-AF", "O", "O"], ["O", "O"]],
    }


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_characters_alone_keep_their_spaces(tmp_path, end):
    text = "## klue-1\t영화 봐\n영\n화\n \n봐\n\n## klue-2\ta b\na\n \nb\n\n"
    found, _ = rows(tmp_path, text.replace("\n", end), "test.tsv")
    assert found == {
        "id": ["klue-1", "klue-2"],
        "tokens": [["영", "화", " ", "봐"], ["a", " ", "b"]],
    }


def test_four_columns_parted_by_spaces_and_articles(tmp_path):
    found, notes = rows(tmp_path, FOUR, "train.txt")
    assert found == {
        "tokens": [["EU", "won"], ["Bo"], ["It", "rains"]],
        "tags": [["B-ORG", "O"], ["B-PER"], ["O", "O"]],
        "article": ["EU won", "EU won", "It rains"],
    }
    assert "fields 2 and 3 of 4 not read" in notes


@pytest.mark.parametrize("dummy", ["O", "_"])
def test_a_tag_that_is_the_same_everywhere_is_none(tmp_path, dummy):
    found, notes = rows(tmp_path, f"Bo\t{dummy}\nsat\t{dummy}\n\nAnn\t{dummy}\nran\t{dummy}\n")
    assert found == {"tokens": [["Bo", "sat"], ["Ann", "ran"]]}
    assert f"{dummy!r} in every line: a dummy" in notes


def test_words_alone_are_documents_too(tmp_path):
    assert rows(tmp_path, "Bo\nsat\n\nAnn\nran\n", "test.txt")[0] == {
        "tokens": [["Bo", "sat"], ["Ann", "ran"]]
    }


def test_comments_a_count_and_a_header_are_no_units(tmp_path):
    text = (
        "# text = Bo sat\n# sent_id = s1\n1\tBo\tB-PS\n2\tsat\tO\n\n# id s2\tdomain=en\n1\t#\tO\n"
    )
    found, _ = rows(tmp_path, text)
    assert found["id"] == ["s1", "s2"]
    assert found["tokens"] == [["Bo", "sat"], ["#"]]
    found, notes = rows(tmp_path, "word\ttag\nBo\tB-PS\n\nsat\tO\n")
    assert found == {"tokens": [["Bo"], ["sat"]], "tags": [["B-PS"], ["O"]]}
    assert "is a header" in notes


def test_documents_that_are_named_alike_are_numbered(tmp_path):
    found, notes = rows(tmp_path, "# a\nBo\tB-PS\n\n# a\nsat\tO\n")
    assert "id" not in found
    assert "so documents are numbered" in notes


def test_the_ending_says_it_where_tags_are_plain(tmp_path):
    assert rows(tmp_path, "Bo\tPS\nsat\tnone\n", "train.conll")[0] == {
        "tokens": [["Bo", "sat"]],
        "tags": [["PS", "none"]],
    }


def test_lines_that_do_not_fit_are_named(tmp_path):
    good = "Bo\tB-PS\nsat\tO\n\n" * 9
    path = tmp_path / "train.tsv"
    path.write_text(f"{good}Ann\tB-PS\textra\n\tO\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read(path)
    assert "have not 2 fields, as most have: line 28 has 3" in str(caught.value)
    assert "an empty field: line 29" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["id\ttext\n1\ta b\n\n2\tc\n", "id\tlabel\n1\tO\n2\tB-1\n", "text\n\none more text\n"]
)
def test_other_tables_stay_tables(tmp_path, text):
    header = text.partition("\n")[0].split("\t")
    assert rows(tmp_path, text)[0].keys() == set(header)
