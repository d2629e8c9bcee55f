"""Tables in packed files are read where they lie; what is damaged or too large says so."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeline.base.errors import DataError
from pipeline.data.reading import packed
from pipeline.data.reading.reader import column_names, is_table, read, read_file

TABLE = b"id,text\n007,NA\n"


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), content)
    return path


def tarred(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("data/train.csv")
        entry.size = len(TABLE)
        archive.addfile(entry, io.BytesIO(TABLE))
    return path


@pytest.fixture(params=["zip", "gz", "bz2", "xz", "tar.gz"])
def packed_file(request, tmp_path) -> Path:
    path = tmp_path / f"train.csv.{request.param}"
    if request.param == "zip":
        return zipped(path, train_csv=TABLE)
    if request.param == "tar.gz":
        return tarred(path)
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[request.param]
    path.write_bytes(pack(TABLE))
    return path


def test_the_table_inside_is_read_cell_by_cell(packed_file):
    assert read_file(packed_file).to_numpy().tolist() == [["007", "NA"]]
    assert column_names(packed_file) == ["id", "text"]
    assert is_table(packed_file)


def test_what_macos_leaves_beside_a_file_is_no_file(tmp_path):
    path = zipped(tmp_path / "train.zip", train_csv=TABLE, **{"MACOSX__train_csv": b""})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._train.csv", b"x")
        archive.writestr(".DS_Store", b"x")
    assert "holds 2 files" in refusal(path)
    clean = zipped(tmp_path / "clean.zip", train_csv=TABLE)
    with zipfile.ZipFile(clean, "a") as archive:
        archive.writestr("__MACOSX/._train.csv", b"x")
    assert len(read_file(clean)) == 1


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_file(path)
    return str(caught.value)


def test_several_tables_are_named_and_none_is_taken(tmp_path):
    path = zipped(tmp_path / "data.zip", train_csv=TABLE, test_csv=TABLE)
    assert "holds 2 files (train.csv, test.csv); expected one table. Unpack it" in refusal(path)
    assert not is_table(path)


def test_a_bomb_is_refused_before_it_is_in_memory(tmp_path, monkeypatch):
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(b"a" * 10_000_000))
    monkeypatch.setattr(packed, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="unpacks to more than"):
        packed.unpacked(path, "train.csv.gz")


@pytest.mark.parametrize("cut", [20, 40])
@pytest.mark.parametrize("kind", ["zip", "gz", "xz", "bz2", "tar.gz"])
def test_a_damaged_file_says_so(tmp_path, kind, cut):
    path = tmp_path / f"train.csv.{kind}"
    if kind == "zip":
        content = zipped(path, train_csv=TABLE * 50).read_bytes()
    elif kind == "tar.gz":
        content = tarred(path).read_bytes()
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[kind]
        content = pack(TABLE * 50)
    path.write_bytes(content[: len(content) - cut])
    assert "cannot be unpacked, it is damaged or not what its ending says" in refusal(path)


def test_an_archive_without_a_file_says_so(tmp_path):
    assert "without a file in it" in refusal(zipped(tmp_path / "train.zip"))


def test_a_locked_archive_says_so(tmp_path):
    path = zipped(tmp_path / "train.csv.zip", train_csv=TABLE)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # says that it is encrypted
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    assert "cannot be unpacked" in refusal(path)
    assert "password" in refusal(path)


def test_another_format_inside_is_named(tmp_path):
    path = tmp_path / "train.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1"))
    assert "holds train.parquet, which is read unpacked only" in refusal(path)


def essays(folder: Path, names: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in names.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_text_files_is_a_table_of_their_names_and_texts(tmp_path):
    folder = essays(tmp_path / "essays", {"b": "two\nlines", "a": '"quoted, text', "c": ""})
    (folder / "readme.md").write_text("no text of a row")
    found = read(folder)
    assert found.frame.to_numpy().tolist() == [
        ["a", '"quoted, text'],
        ["b", "two\nlines"],
        ["c", ""],
    ]
    assert found.notes == ["3 text files read as one table"]
    with zipfile.ZipFile(tmp_path / "essays.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"train/{path.name}")
    assert read_file(tmp_path / "essays.zip").equals(found.frame)
    assert column_names(tmp_path / "essays.zip") == list(found.frame.columns)


def test_text_files_that_cannot_be_told_apart_or_read_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("train/1.txt", "one")
        archive.writestr("test/1.txt", "other")
    with pytest.raises(DataError, match=r"holds several files called 1\.txt: unpack it"):
        read(tmp_path / "both.zip")
    (essays(tmp_path / "a", {"x": "plain"}) / "y.txt").write_bytes(
        "안녕하세요 반가워요".encode("cp949")
    )
    with pytest.raises(DataError, match=r"a: y\.txt is not utf-8.*CP949"):
        read(tmp_path / "a")
