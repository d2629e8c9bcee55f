"""The strict reader: what stands in the file, or an error with line numbers."""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError, UsageError
from pipeline.data.reading.reader import FILLED, IN_PLACE, column_names, read, read_file

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LIST = '["a", 1.0, [null, false]]'


@pytest.fixture
def file(tmp_path):
    def write(content: str | bytes, name: str = "train.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def rows(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    return read_file(path, encoding).to_numpy().tolist()


def refusal(path: Path, encoding: str = "utf-8") -> str:
    with pytest.raises(PipelineError) as caught:
        read_file(path, encoding)
    return str(caught.value).replace(str(path), path.name)


def test_cells_are_the_texts_of_the_file(file):
    words = ["NA", "None", "null", "nan", "N/A", "", "007", "1e5", "12345678901234567890123", " x "]
    frame = read_file(file("id,text\n" + "".join(f"{word},{word}\n" for word in words)))
    assert frame["text"].tolist() == words
    assert frame.dtypes.tolist() == [object, object]
    assert {type(cell) for cell in frame["id"]} == {str}


@given(table=st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_whatever_was_written_is_read(tmp_path, suffix, table):
    path = tmp_path / f"file{suffix}"
    if suffix == ".csv":
        stream = io.StringIO()
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("id", "b", "c"), *table])
        path.write_bytes(stream.getvalue().encode())
    elif suffix == ".jsonl":
        lines = [json.dumps(dict(zip(("id", "b", "c"), row, strict=True))) for row in table]
        path.write_text("\n".join(lines))
    else:
        pd.DataFrame(table, columns=["id", "b", "c"]).to_parquet(path)
    assert rows(path) == [list(row) for row in table]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends_give_the_same_rows(file, end):
    path = file(end.join(["id,text", '1,"two\nlines"', "2,b\u2028c\x85d\x0ce", ""]))
    assert rows(path) == [["1", "two\nlines"], ["2", "b\u2028c\x85d\x0ce"]]


def test_a_byte_order_mark_is_no_part_of_the_first_name(file):
    assert list(read_file(file("id,text\n1,가\n".encode("utf-8-sig"))).columns) == ["id", "text"]


KOREAN = "id,text\n1,안녕하세요 반갑습니다\n2,오늘 날씨가 좋네요\n"


@pytest.mark.parametrize(
    ("written", "guessed", "spoken"),
    [
        ("cp949", "cp949", "CP949 (EUC-KR)"),
        ("euc-kr", "cp949", "CP949 (EUC-KR)"),
        ("utf-16", "utf-16", "UTF-16"),
        ("utf-16-le", "utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "utf-16-be", "UTF-16-BE"),
    ],
)
def test_another_encoding_is_refused_with_the_guess_that_then_reads_it(
    file, written, guessed, spoken
):
    path = file(KOREAN.encode(written))
    message = refusal(path)
    assert message.startswith("train.csv is not utf-8")
    assert message.endswith(
        f"it looks like {spoken}. Say so with --data.encoding {guessed} (in the config: "
        f"data.encoding: {guessed}; encoding: {guessed} for this file alone in data.files), or "
        "convert the file to UTF-8."
    )
    assert rows(path, guessed) == [["1", "안녕하세요 반갑습니다"], ["2", "오늘 날씨가 좋네요"]]


def test_latin_1_is_guessed_and_the_line_is_named(file):
    path = file("id,text\n1,plain\n2,déjà vu à Noël\n".encode("latin-1"))
    assert "byte 0xe9 in line 3; it looks like latin-1 (cp1252)" in refusal(path)
    assert rows(path, "cp1252")[1] == ["2", "déjà vu à Noël"]


def test_japanese_is_not_taken_for_korean(file):
    content = "id,text\n1,こんにちは、せかい\n".encode("shift_jis")
    assert "--data.encoding shift_jis" in refusal(file(content))


@pytest.mark.parametrize("wrong", ["latin-1", "cp1252"])
@pytest.mark.parametrize(("written", "guessed"), [("cp949", "cp949"), ("utf-16", "utf-16")])
def test_an_encoding_that_takes_any_byte_does_not_turn_korean_into_signs(
    file, wrong, written, guessed
):
    content = KOREAN + f"3,{'가나다' * 200}\n"
    assert f"--data.encoding {guessed} " in refusal(file(content.encode(written)), wrong)


@pytest.mark.parametrize("written", ["utf-8", "cp949"])
def test_one_korean_row_after_a_megabyte_of_ascii_is_no_latin_1(file, written):
    content = "id,text\n" + "1,plain\n" * 150_000 + "2,안녕하세요 반갑습니다\n"
    assert f"--data.encoding {written} " in refusal(file(content.encode(written)), "latin-1")


def test_a_given_encoding_that_does_not_fit_is_refused(file):
    japanese = "id,text\n1,これは日本語の文です\n".encode("shift_jis")
    assert "is not utf-8" in refusal(file(japanese), "utf-8")


@pytest.mark.parametrize("given", ["cp949", "latin-1", "cp1252"])
def test_what_is_utf_8_beyond_doubt_is_read_as_such_and_this_is_said(file, given):
    """So one file of a competition may be in UTF-8 beside others that are not."""
    reading = read(file(KOREAN), given)
    assert reading.frame.equals(read(file(KOREAN)).frame)
    assert f"this file is UTF-8, not {given}, and read as such" in reading.notes


@pytest.mark.parametrize("name", ["utf-9", "rot13"])
def test_an_unknown_encoding_is_a_usage_error(file, name):
    with pytest.raises(UsageError, match=f"there is no text encoding '{name}'"):
        read_file(file(KOREAN), name)


def test_bytes_of_no_known_encoding_are_refused_without_a_guess(file):
    assert "could not be guessed" in refusal(file(b"id,text\n1,\xff\xfe\xfd\xfc\xfb\n"))


def test_nul_and_half_characters_are_removed_and_this_is_noted(file):
    reading = read(file("id,text\n1,a\0b\n"))
    assert reading.frame["text"][0] == "ab"
    assert reading.notes == ["1 NUL character removed"]
    halves = read(file(b"id,text\n1,a\xed\xa0\x80b\n2,\xed\xa0\xbd\xed\xb8\x80\n"))
    assert halves.frame["text"].tolist() == ["ab", "😀"]
    assert halves.notes == ["1 half character (surrogates) removed"]
    json_ = read(file('{"id": "\\ud800x\\u0000", "b": "\\ud83d\\ude00"}', "a.jsonl"))
    assert json_.frame.to_numpy().tolist() == [["x", "😀"]]
    assert json_.notes == ["NUL or half characters (surrogates) removed: line 1"]


def test_every_problem_is_told_at_once_with_its_lines(file):
    bad = ["1,a,b"] * 7 + ["2"] + ["3,fine"] + ['4,"open'] + ["5,fine,not"]
    message = refusal(file("id,text\n" + "\n".join(bad) + "\n"))
    assert message == (
        "train.csv cannot be read:\n"
        "  - rows with surplus fields (the header has 2): line 2 has 3, line 3 has 3, "
        "line 4 has 3, line 5 has 3, line 6 has 3 and 3 more\n"
        "  - rows with missing fields (the header has 2): line 9 has 1\n"
        "  - unbalanced quotes (a field that starts with a quote must end with one, and quotes "
        f"inside it must be doubled): line 11{IN_PLACE}"
    )


def test_line_numbers_count_lines_inside_quotes(file):
    assert "line 5 has 3" in refusal(file('id,text\n1,"a\nb\nc"\n2,b,c\n'))


@pytest.mark.parametrize("broken", ['"open', '"he said "hi" there"', '"a" b'])
def test_a_broken_quote_names_its_own_line_and_not_the_next_quoted_one(file, broken):
    content = f'id,text\n1,a\n2,{broken}\n3,b\n4,"c"\n5,d\n'
    assert refusal(file(content)).endswith(f"must be doubled): line 3{IN_PLACE}")


def test_rows_swallowed_between_two_stray_quotes_are_noticed(file):
    lines = [f"row-{n:03},text {n},0" for n in range(20)]
    lines[4], lines[15] = 'row-004,"text 4,0', 'row-015,text 15",0'
    message = refusal(file("id,text,label\n" + "\n".join(lines)))
    assert "line 6 (it swallows 10 rows)" in message
    lines[15], lines[6] = "row-015,text 15,0", 'row-006,text 6",0'
    notes = read(file("id,text,label\n" + "\n".join(lines))).notes
    assert notes == ["line 6: a quoted field holds what looks like a row; is a quote missing?"]


def test_a_text_of_many_lines_with_commas_is_no_swallowed_row(file):
    poem = "\n".join(["roses are red, violets", *["are blue, sugar"] * 4, "is sweet, and so on"])
    reading = read(file(f'id,text\n12,"{poem}"\n'))
    assert reading.frame.to_numpy().tolist() == [["12", poem]]
    assert reading.notes == []


def test_many_broken_quotes_end_in_bounded_time(file):
    content = "id,text\n" + "".join(f'{n},"x\n{n},y\n' for n in range(0, 40_000, 2))
    assert "too many broken quotes" in refusal(file(content))


def test_a_quote_inside_an_unquoted_field_is_a_character(file):
    assert rows(file('id,text\n1,a 5" screen\n')) == [["1", 'a 5" screen']]


def test_a_field_of_two_megabytes_is_read(file):
    long = "ab " * 700_000
    assert rows(file(f'id,text\n1,"{long}"\n')) == [["1", long]]
    assert csv.field_size_limit() == 131072


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", f"train.csv is empty. {FILLED}"),
        ("\n \n", f"train.csv is empty. {FILLED}"),
        (
            "id,text\n",
            f"train.csv cannot be read: there is a header (line 1) but no row below it. {FILLED}",
        ),
        (
            "id,a,a,b,b\n1,2,3,4,5\n",
            "train.csv cannot be read: column names that stand twice in the header (line 1): "
            "'a', 'b'. Give each column a name of its own",
        ),
    ],
)
def test_a_file_without_rows_or_with_doubled_names_is_refused(file, content, message):
    assert refusal(file(content)) == message


def test_blank_lines_are_skipped_and_noted(file):
    reading = read(file("id,text\n\n1,a\n\n2,b\n\n"))
    assert reading.frame["id"].tolist() == ["1", "2"]
    assert reading.notes == ["3 blank lines skipped"]


@pytest.mark.parametrize(("separator", "spoken"), [(";", "a semicolon"), ("\t", "a tab")])
def test_another_separator_in_a_csv_is_noticed_and_said(file, separator, spoken):
    lines = ["id|text|label", "1|a, b, c|0,5", '2|"d\ne"|1,0']
    reading = read(file("\n".join(lines).replace("|", separator)))
    assert reading.frame.to_numpy().tolist() == [["1", "a, b, c", "0,5"], ["2", "d\ne", "1,0"]]
    assert reading.notes == [f"fields are separated by {spoken}, not by a comma"]


def test_a_comma_stays_the_separator_where_texts_hold_semicolons(file):
    assert rows(file("id,text\n1,a;b\n2,c;d\n")) == [["1", "a;b"], ["2", "c;d"]]


def test_a_bad_row_does_not_change_the_separator(file):
    assert "line 3 has 3" in refusal(file("id,text\n1,a;b\n2,c;d,e\n"))


def test_quotes_of_a_tsv_enclose_fields_only_where_that_can_be(file):
    enclosed = read(file('id\ttext\n1\t"a\tb"\n2\t"c\nd"\n', "a.tsv"))
    assert enclosed.frame["text"].tolist() == ["a\tb", "c\nd"]
    assert enclosed.notes == []
    plain = read(file('id\ttext\n1\t"a" he said\n2\t"open\n3\tb\n', "a.tsv"))
    assert plain.frame["text"].tolist() == ['"a" he said', '"open', "b"]
    assert plain.notes == ["quotes are plain characters in this file, they do not enclose fields"]


def test_lone_quotes_of_a_tsv_swallow_no_row(file):
    content = 'id\ttext\n1\t"open\n2\tb\n3\t"\n4\tc\n'
    assert read_file(file(content, "a.tsv"))["id"].tolist() == ["1", "2", "3", "4"]


def test_an_unnamed_index_column_gets_the_name_that_pandas_gives(file):
    assert list(read_file(file(",text\n0,a\n")).columns) == ["Unnamed: 0", "text"]


def test_json_values_keep_the_characters_they_are_written_with(file):
    line = '{"id": 007}'
    assert "not JSON: line 1" in refusal(file(line, "a.jsonl"))
    line = (
        '{"a": 1, "b": 1.0, "c": 1e5, "d": 0.10, "e": true, "f": null, "g": "NA", '
        '"h": 12345678901234567890123, "i": ["a", 1.0, [null, false]], "j": {"k": 1.50}}'
    )
    assert rows(file(line, "a.jsonl")) == [
        ["1", "1.0", "1e5", "0.10", "true", "", "NA", "12345678901234567890123", LIST, "1.50"]
    ]


def test_every_problem_of_a_jsonl_is_told(file):
    content = '{"id": 1}\n{"id" 2}\n[3]\n{"id": 4, "id": 5}\n\n{"id": 6\n' + "[" * 99_999
    assert refusal(file(content, "a.jsonl")) == (
        "a.jsonl cannot be read:\n"
        "  - not JSON: line 2 (Expecting ':' delimiter at character 7), "
        "line 6 (Expecting ',' delimiter at character 9), line 7 (nested too deeply)\n"
        "  - not a JSON object, such as {...}: line 3\n"
        f"  - a key that stands twice: line 4{IN_PLACE}"
    )


def test_an_absent_key_is_empty_text_and_noted(file):
    reading = read(file('{"id": 1, "text": "a"}\r\n{"id": 2}\r\n', "a.ndjson"))
    assert reading.frame["text"].tolist() == ["a", ""]
    assert reading.notes == ["key 'text' is absent and read as empty text: line 2"]


def test_parquet_numbers_become_faithful_text(tmp_path):
    frame = pd.DataFrame(
        {
            "big": [2**62 + 1, -5],
            "float": [0.1, 3.0],
            "single": np.array([0.1, 3.0], np.float32),
            "flag": [True, False],
            "text": ["NA", None],
            "list": [["a", "b"], []],
            "kind": pd.Categorical(["x", "y"]),
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [
        [str(2**62 + 1), "0.1", "0.1", "true", "NA", '["a", "b"]', "x"],
        ["-5", "3.0", "3.0", "false", "", "[]", "y"],
    ]


def test_a_damaged_parquet_is_a_data_error(file):
    assert "is not a parquet file, or is damaged" in refusal(file(b"PAR1 not really", "a.parquet"))


@pytest.mark.parametrize("name", ["train.doc", "train.zst", "train.7z"])
def test_other_formats_are_refused_with_what_to_do(file, name):
    said = refusal(file("id\n1\n", name))
    assert "expected one of .csv, .tsv, .txt" in said or "unpack it first" in said


def test_a_packed_file_under_another_name_is_recognised(file):
    assert "is no text: it begins as gzip files do" in refusal(file(gzip.compress(b"id,a\n1,2\n")))


def test_a_missing_file_is_answered_with_the_nearest(file):
    file("id\n1\n", "train.csv")
    assert refusal(file("", "x").parent / "trian.csv") == (
        "trian.csv is not there; did you mean train.csv?"
    )


@pytest.mark.parametrize("start", ["1" * 9, "1" * 11])  # one megabyte ends inside a character
@pytest.mark.parametrize(
    ("name", "header", "row"),
    [("a.csv", "id;text\n", "%s;가나다라\n"), ("a.jsonl", "", '{"id": %s, "text": "가나다"}\n')],
)
def test_column_names_take_the_first_whole_lines_only(file, name, header, row, start):
    content = header + row % start + (row % 456) * 100_000
    assert column_names(file(content.encode() + b"broken \xff", name)) == ["id", "text"]


def test_parquet_column_names(tmp_path):
    pd.DataFrame({"id": [1], "text": ["a"]}).to_parquet(tmp_path / "a.parquet")
    assert column_names(tmp_path / "a.parquet") == ["id", "text"]
