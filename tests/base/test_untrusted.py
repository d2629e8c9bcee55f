"""Files from other people: nothing in them is run, unpacked without measure, or followed."""

import contextlib
import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from pipeline.base.errors import ArtifactError
from pipeline.base.files import check_archive, commit_arrays, read_arrays, refuse_links


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.fixture
def marker(tmp_path) -> Path:
    return tmp_path / "marker"


def npz(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def array_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    stream = io.BytesIO()
    facts = {"descr": descr, "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(stream, facts)
    return stream.getvalue()


def object_array(marker: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Evil(marker)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def test_what_we_write_is_let_in(tmp_path):
    arrays = {
        "ids": np.array(["a", "가나다"]),
        "oof": np.zeros((2, 3), np.float32),
        "nobody": np.empty((0, 3), np.float32),
        "no_ids": np.array([], dtype=np.str_),
        "one": np.array(7),
        "turned": np.asfortranarray(np.ones((3, 4))),
    }
    commit_arrays(tmp_path / "a.npz", arrays)
    check_archive(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", ["member", "raw pickle", "object array", "pickle in a zip"])
def test_a_pickle_is_refused_and_never_run(tmp_path, marker, kind):
    path = tmp_path / "fold-0.npz"
    match kind:
        case "member":
            npz(path, {"valid": object_array(marker)})
        case "raw pickle":
            path.write_bytes(pickle.dumps(Evil(marker)))
        case "object array":
            path.write_bytes(object_array(marker))
        case "pickle in a zip":
            npz(path, {"data": pickle.dumps(Evil(marker))})
    with pytest.raises(ArtifactError, match=r"fold-0\.npz"):
        check_archive(path)
    with contextlib.suppress(ArtifactError):
        read_arrays(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists(), "the trap itself works"


def test_an_array_of_objects_is_named_as_such(tmp_path, marker):
    path = npz(tmp_path / "a.npz", {"valid": object_array(marker)})
    with pytest.raises(ArtifactError, match=r"valid\.npy holds Python objects, and pickles are"):
        check_archive(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (header((10**12,)), r"claims the shape \(1000000000000,\), which is not its size"),
        (header((10**9, 10**9, 10**9)), "which is not its size"),
        (header((1,), "<U100000000"), "which is not its size"),
        (array_bytes(np.zeros(4)) + b"more", "which is not its size"),
        (b"\x93NUMPY\x09\x00" + b"x" * 60, "of an unknown format"),
        (b"no array at all", "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_an_array_that_lies_about_its_size_is_refused_before_memory_is_taken(
    tmp_path, content, why
):
    path = npz(tmp_path / "a.npz", {"valid": content})
    tracemalloc.start()
    with pytest.raises(ArtifactError, match=why):
        check_archive(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_memory_is_taken(tmp_path):
    bomb = header((16_000_000,), "|u1") + bytes(16_000_000)
    path = npz(tmp_path / "a.npz", {"valid": bomb}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    tracemalloc.start()
    with pytest.raises(ArtifactError, match="is compressed, ours never are"):
        check_archive(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_members_that_share_their_bytes_are_a_bomb_too(tmp_path):
    path = npz(tmp_path / "a.npz", {"valid": array_bytes(np.zeros(1000))})
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.infolist()[0]
        archive.infolist().extend([first] * 50)
        archive.filelist.extend([first] * 50)
        archive._didModify = True
    ours, of_zipfile = "larger than the file", "Overlapped entries"  # some versions look themselves
    with pytest.raises(ArtifactError, match=f"{ours}|{of_zipfile}"):
        check_archive(path)


def test_a_missing_archive_is_said_to_be_missing(tmp_path):
    with pytest.raises(ArtifactError, match=r"a\.npz is missing"):
        check_archive(tmp_path / "a.npz")


@pytest.mark.parametrize("place", ["run", "run/seed-42", "run/seed-42/fold-0.npz"])
def test_a_link_is_refused_with_where_it_leads(tmp_path, place):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match=r"is a link to .*elsewhere; links are not followed"):
        refuse_links(tmp_path / "run")


def test_folders_and_files_are_no_links(tmp_path):
    (tmp_path / "run" / "seed-42").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    assert refuse_links(tmp_path / "run") is None
    assert refuse_links(tmp_path / "not there") is None
