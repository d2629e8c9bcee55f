import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import ArtifactError, ResourceError
from pipeline.base.files import (
    commit,
    commit_arrays,
    commit_bytes,
    commit_json,
    new_name,
    read_arrays,
    read_json,
    sha256,
    sweep,
)

ROOT = Path(__file__).resolve().parents[2]


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".tmp-")]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "file"
    commit_bytes(target, b"old")

    def half(stream):
        stream.write(b"ne")
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        commit(target, half)
    assert target.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("hidden", [False, True])
def test_a_full_disk_is_named_also_when_a_library_hides_it(tmp_path, number, hidden):
    target = tmp_path / "weights"
    commit_bytes(target, b"old")

    def full(stream):
        stream.write(b"x")
        try:
            raise OSError(number, "full")
        except OSError as error:
            if hidden:
                raise RuntimeError("something else") from error
            raise

    with pytest.raises(ResourceError, match=r"no space left to write .*weights"):
        commit(target, full)
    assert target.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_real_full_device_is_reported(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(ResourceError, match="no space left"):
        commit(tmp_path / "file", lambda stream: _write_to("/dev/full"))


def _write_to(path):
    with Path(path).open("wb", buffering=0) as stream:
        stream.write(b"x")


def test_a_folder_that_is_a_file_is_a_resource_error(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(ResourceError, match="cannot write"):
        commit_bytes(tmp_path / "folder" / "file", b"x")


def test_kill_9_while_writing_never_leaves_a_broken_visible_file(tmp_path):
    target = tmp_path / "file"
    commit_bytes(target, b"0" * 4_000_000)
    script = (
        "import sys; from pathlib import Path; from pipeline.base.files import commit_bytes\n"
        "print('ready', flush=True)\n"
        "for round in range(10**6):\n"
        "    commit_bytes(Path(sys.argv[1]), str(round % 10).encode() * 4_000_000)\n"
    )
    for delay in (0.0, 0.011, 0.023, 0.037):
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(target)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
        content = target.read_bytes()
        assert len(content) == 4_000_000
        assert len(set(content)) == 1
    sweep(tmp_path)
    assert leftovers(tmp_path) == []


def test_sweep_keeps_the_temporary_files_of_living_processes(tmp_path):
    mine = tmp_path / new_name()
    mine.write_text("in use")
    sweep(tmp_path)
    assert mine.exists()


def test_sweep_leaves_the_files_of_other_machines_to_them(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    theirs = tmp_path / f".tmp-{process.pid}-00000000-abc"
    ours = tmp_path / new_name().replace(str(os.getpid()), str(process.pid), 1)
    for path in (theirs, ours):
        path.write_text("half")
    commit_bytes(tmp_path / "file", b"the next commit sweeps")
    assert theirs.exists()
    assert not ours.exists()


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    arrays = {"ids": np.array(["a", "가"]), "oof": np.array([[0.5], [1.0]], dtype=np.float32)}
    first = commit_arrays(tmp_path / "a.npz", arrays)
    time.sleep(0.01)
    second = commit_arrays(tmp_path / "b.npz", arrays)
    assert first == second == sha256(tmp_path / "a.npz")
    read = read_arrays(tmp_path / "a.npz", expected_sha256=first)
    np.testing.assert_array_equal(read["ids"], arrays["ids"])
    np.testing.assert_array_equal(read["oof"], arrays["oof"])


@pytest.mark.parametrize("position", [0, 10, -5, -40])
def test_a_flipped_byte_is_found(tmp_path, position):
    path = tmp_path / "a.npz"
    digest = commit_arrays(path, {"oof": np.arange(5.0)})
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match="has changed since it was written"):
        read_arrays(path, expected_sha256=digest)


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_a_truncated_file_is_damaged(tmp_path, keep):
    path = tmp_path / "a.npz"
    commit_arrays(path, {"oof": np.arange(50.0)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match="is damaged"):
        read_arrays(path)


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (marker.touch, ())

    np.savez(tmp_path / "a.npz", oof=np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match=r"is not opened: oof\.npy holds Python objects"):
        read_arrays(tmp_path / "a.npz")
    assert not marker.exists()


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_damaged_json_is_an_artifact_error(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtifactError, match=r"run\.json"):
        read_json(path)


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        commit_json(tmp_path / "a.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []
