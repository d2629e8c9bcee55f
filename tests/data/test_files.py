"""Files that are read in a way of their own: no header, broken lines, another encoding."""

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from pipeline.base.config import Competition
from pipeline.base.errors import DataError, UsageError
from pipeline.base.inputs import FileConfig
from pipeline.base.parser import read_section
from pipeline.data.reading.reader import SKIPPED, read
from pipeline.data.tables import load
from pipeline.setup.config_file import render
from pipeline.setup.detection.detect import Overrides, detect
from pipeline.setup.detection.names import headless
from pipeline.setup.detection.profile import profiles_of
from tests.data.test_tables import Folder
from tests.setup import competitions as kinds

SKIP = FileConfig(file="", broken="skip")
BROKEN = (
    "id\tone\ttwo\n"
    "1\ta\tb\n"
    "2\tcut\n"  # a line break inside a text that is not quoted
    "off\tc\n"
    '3\t"stray\td\n'
    "4\te\tf\tg\n"
    "5\th\ti\n"
)


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def file(root: Path, name: str, content: str) -> Path:
    (root / name).write_text(content, encoding="utf-8")
    return root / name


def test_broken_lines_are_refused_with_the_way_to_skip_them(tmp_path):
    path = file(tmp_path, "train.tsv", BROKEN)
    with pytest.raises(
        DataError, match=r"(?s)missing fields.*--skip-broken train\.tsv.*broken: skip"
    ):
        read(path, name="train.tsv", way=SKIPPED)
    with pytest.raises(DataError) as caught:
        read(path, name="train.tsv")
    assert "skip" not in str(caught.value)


def test_broken_lines_that_are_skipped_are_counted_and_the_others_are_whole(tmp_path):
    found = read(file(tmp_path, "train.tsv", BROKEN), how=SKIP)
    assert found.frame.to_numpy().tolist() == [
        ["1", "a", "b"],
        ["3", '"stray', "d"],
        ["5", "h", "i"],
    ]
    told = " ".join(found.notes)
    assert "skipped (broken: skip): rows with missing fields (the header has 3): line 3" in told
    assert "rows with surplus fields (the header has 3): line 6 has 4" in told


def test_rows_between_two_stray_quotes_are_skipped_and_said_to_be(tmp_path):
    rows = "".join(f"{row},text {row}\n" for row in range(3, 9))
    path = file(tmp_path, "train.csv", f'id,text\n1,a\n2,"open\n{rows}9,close"\n10,b\n')
    with pytest.raises(DataError, match="unbalanced quotes"):
        read(path)
    found = read(path, how=SKIP)
    assert found.frame["id"].tolist() == ["1", "10"]
    assert any("it swallows 6 rows" in note for note in found.notes)


def test_a_file_that_is_whole_is_read_alike_whether_or_not_lines_may_be_skipped(tmp_path):
    path = file(tmp_path, "a.csv", 'id,text\n1,"two\nlines"\n2,"a ""quote"""\n')
    assert read(path, how=SKIP).frame.equals(read(path).frame)
    assert read(path, how=SKIP).notes == read(path).notes


def test_names_stand_for_a_header_and_the_first_line_is_a_row(tmp_path):
    path = file(tmp_path, "a.tsv", "0\tfirst\n1\tsecond\n")
    found = read(path, how=FileConfig(file="", names=["label", "text"])).frame
    assert list(found.columns) == ["label", "text"]
    assert found.to_numpy().tolist() == [["0", "first"], ["1", "second"]]
    with pytest.raises(DataError, match=r"rows with missing fields \(the header has 3\): line 1"):
        read(path, how=FileConfig(file="", names=["label", "text", "more"]))
    with pytest.raises(DataError, match="are for files whose lines are rows"):
        read(file(tmp_path, "a.jsonl", '{"a": 1}\n'), how=FileConfig(file="", names=["a"]))


def test_each_file_may_have_an_encoding_of_its_own(folder):
    korean = "id,text,label\n1,안녕하세요,0\n2,가나다라,1\n"
    (folder.root / "train.csv").write_bytes(korean.encode("cp949"))
    (folder.root / "test.csv").write_bytes("id,text\n8,é\n9,à\n".encode("utf-16"))
    ways = [
        FileConfig(file="train.csv", encoding="cp949"),
        FileConfig(file="test.csv", encoding="utf-16"),
    ]
    tables = folder.load("data", files=ways)
    assert tables.train.texts[:, 0].tolist() == ["안녕하세요", "가나다라"]
    assert tables.test.texts[:, 0].tolist() == ["é", "à"]


def test_a_way_for_a_file_that_is_not_named_is_refused(folder):
    with pytest.raises(UsageError, match=r"'trian\.csv' is none of the files of data: train\.csv"):
        folder.load("data", files=[FileConfig(file="trian.csv", broken="skip")])


def bare(root: Path) -> Path:
    """Train without a header, as CoLA has it; test with one."""
    make = kinds.Maker("bare")
    rows = zip(make.of([0, 1], kinds.N), make.sentences(kinds.N), strict=True)
    file(root, "train.tsv", "".join(f"s{row % 4}\t{y}\t\t{x}\n" for row, (y, x) in enumerate(rows)))
    test = "".join(f"{row}\t{text}\n" for row, text in enumerate(make.sentences(kinds.M)))
    file(root, "test.tsv", f"index\tsentence\n{test}")
    return root


def seen(folder: Path, **overrides):
    return detect(folder, Overrides(**overrides), lambda path: path.name)


def test_a_missing_header_is_seen_and_names_are_proposed_that_work(tmp_path):
    with pytest.raises(UsageError) as caught:
        seen(bare(tmp_path))
    told = str(caught.value)
    assert "reads like a row: name the columns" in told
    flag = told.partition('--names "')[2].partition('"')[0]
    assert flag == "train.tsv=column1,label,column3,sentence"
    found = seen(tmp_path, names=[flag])
    config = tmp_path / "config.yaml"
    config.write_text(render(found.competition, found.reasons), encoding="utf-8")
    competition = read_section(Competition, config)
    assert competition == found.competition
    assert competition.columns.texts == ["sentence"]
    assert len(load(competition, tmp_path).train) == kinds.N


def test_a_header_can_be_said_to_be_one(tmp_path):
    bare(tmp_path)
    with pytest.raises(UsageError) as caught:
        seen(tmp_path, names=["train.tsv=header"])
    assert "reads like a row" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "none"),
    [
        (["What did you like about it?", "id"], False),
        (["0", "1"], False),  # a table of numbers, numbered
        (["7", "3"], True),
        (["a quiet river in winter", "e1"], True),
        (["question", "3"], False),
    ],
)
def test_names_that_read_like_cells_are_no_header(names, none):
    make = kinds.Maker("names")
    first = make.sentences(40) if " " in names[0] else [str(n) for n in range(40)]
    frame = pd.DataFrame({names[0]: first, names[1]: [str(n % 5) for n in range(40)]})
    assert headless(profiles_of(frame)) is none


def test_files_that_are_skipped_in_are_written_into_the_config(tmp_path):
    kinds.question_pairs(tmp_path)
    path = next(tmp_path.glob("train.*"))
    with path.open("a", encoding="utf-8") as stream:
        stream.write("one field only\n")
    with pytest.raises(DataError, match="--skip-broken"):
        seen(tmp_path)
    found = seen(tmp_path, skip_broken=[path.name])
    assert found.competition.data.files == [FileConfig(file=path.name, broken="skip")]
    notes = load(found.competition, tmp_path).notes
    assert any("skipped (broken: skip): rows with missing fields" in note for note in notes)


def test_a_folder_without_a_train_file_is_told_what_lies_there(tmp_path):
    kinds.essay_grades(tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in (tmp_path / "raw").iterdir():
            archive.write(path, path.name)
    (tmp_path / "old.7z").write_bytes(b"7z")
    (tmp_path / "essays").mkdir()
    file(tmp_path / "essays", "e1.txt", "a text")
    with pytest.raises(UsageError) as caught:
        seen(tmp_path)
    told = str(caught.value)
    names = "sample_submission.csv, test.csv, train.csv"
    assert f"all.zip is packed and holds {names}: unpack it" in told
    assert f"the folder raw holds {names}: give {tmp_path / 'raw'} instead" in told
    assert "old.7z is packed: unpack it" in told
    assert "essays holds 1 text files" in told
    assert seen(tmp_path / "raw").competition.data.train == "train.csv"
