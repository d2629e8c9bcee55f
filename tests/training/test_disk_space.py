"""Whether a run fits on the disks is known before it starts."""

import os
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.base.errors import ResourceError
from pipeline.training.disk_space import HEADROOM, LOG_BYTES, TEMPORARY_BYTES, check_space, needs
from tests.training.toys import make_job, with_policy

MB = 1_000_000
Usage = namedtuple("Usage", "total used free")


class BigFactory:
    """40 MB of weights, 120 MB per checkpoint."""

    def disk_bytes(self):
        return 40 * MB

    def checkpoint_bytes(self):
        return 120 * MB


def big_job(root, **changes):
    return make_job(root, factory=BigFactory(), **changes)


def sizes(job, folds=3, workers=1):
    return {need.what: need.size for need in needs(job, list(job.parts())[:folds], workers)}


def free(monkeypatch, by_folder):
    """Say how much is free by path; the last entry that contains it counts."""

    def usage(path):
        known = [size for folder, size in by_folder.items() if Path(path).is_relative_to(folder)]
        return Usage(10**15, 0, known[-1])

    monkeypatch.setattr(shutil, "disk_usage", usage)


class Disk(type(Path())):
    """A path on a file system of its own."""

    device = 1

    def stat(self, **more):
        return Stat(super().stat(**more), self.device)


class Stat:
    def __init__(self, found, device):
        self.found, self.st_dev = found, device

    def __getattr__(self, name):
        return getattr(self.found, name)


@pytest.fixture
def two_disks(tmp_path, monkeypatch):
    """The root of a run, and a folder for temporary files on another disk."""
    root, temporary = tmp_path / "root", tmp_path / "temporary"
    root.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def existing(folder):
        while not folder.exists():
            folder = folder.parent
        disk = Disk(folder)
        disk.device = 2 if folder.is_relative_to(temporary) else 1
        return disk

    monkeypatch.setattr("pipeline.training.disk_space._existing", existing)
    return root, temporary


def test_needs_are_weights_of_all_folds_and_checkpoints_of_those_at_work(tmp_path):
    job = big_job(tmp_path)
    found = sizes(job)
    assert found["weights of 3 folds"] == 3 * 40 * MB
    assert found["3 checkpoints"] == 3 * 120 * MB  # two are kept, one is written
    assert found["logs"] == 3 * LOG_BYTES
    assert found["temporary files"] == TEMPORARY_BYTES
    assert found["predictions"] >= 3 * (10 + 7 + 5) * 4
    assert sizes(job, workers=2)["3 checkpoints"] == 2 * 3 * 120 * MB
    assert sizes(job, workers=8)["3 checkpoints"] == 3 * 3 * 120 * MB
    assert sizes(job, folds=1)["weights of 1 folds"] == 40 * MB


def test_to_roll_back_needs_one_more_checkpoint(tmp_path):
    job = with_policy(big_job(tmp_path), on_nan="rollback")
    assert sizes(job)["4 checkpoints"] == 4 * 120 * MB


def test_weights_that_are_not_kept_need_nothing(tmp_path):
    assert not [what for what in sizes(big_job(tmp_path, keep_weights=False)) if "weights" in what]


def test_a_finished_run_needs_nothing(tmp_path, monkeypatch):
    free(monkeypatch, {"/": 0})
    check_space(big_job(tmp_path), [])


def test_a_run_that_fits_leaves_nothing_behind(tmp_path):
    job = make_job(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    check_space(job, list(job.parts()))
    assert sorted(tmp_path.rglob("*")) == before


def test_too_small_a_disk_is_refused_with_what_is_needed_and_what_is_free(two_disks, monkeypatch):
    root, temporary = two_disks
    job = big_job(root)
    needed = sum(need.size for need in needs(job, list(job.parts())) if need.folder != temporary)
    enough = int(needed * HEADROOM)
    free(monkeypatch, {"/": enough, temporary: 10**12})
    check_space(job, list(job.parts()))
    free(monkeypatch, {"/": enough - 1, temporary: 10**12})
    with pytest.raises(ResourceError) as caught:
        check_space(job, list(job.parts()))
    told = str(caught.value)
    for piece in (
        str(root),
        "needs 510.3 MB",
        "weights of 3 folds 120.0 MB",
        "3 checkpoints 360.0 MB",
        "510.3 MB are free",
    ):
        assert piece in told
    assert "temporary files" not in told


def test_the_folder_for_temporary_files_counts_on_its_own(two_disks, monkeypatch):
    root, temporary = two_disks
    job = big_job(root)
    free(monkeypatch, {"/": 10**12, temporary: TEMPORARY_BYTES})  # without headroom
    with pytest.raises(ResourceError, match=r"temporary needs 21\.0 MB") as caught:
        check_space(job, list(job.parts()))
    assert "weights" not in str(caught.value)
    assert str(caught.value).endswith("or name another folder in TMPDIR")


def test_what_is_to_stay_free_is_needed_too(two_disks, monkeypatch):
    root, temporary = two_disks
    job = with_policy(big_job(root), min_free_bytes=500 * MB)
    free(monkeypatch, {"/": 900 * MB, temporary: 10**12})
    match = r"needs 1\.0 GB .*500\.0 MB are to stay free \(--min-free-gb\)"
    with pytest.raises(ResourceError, match=match):
        check_space(job, list(job.parts()))


def test_a_file_system_without_room_for_more_files_is_refused(tmp_path, monkeypatch):
    job = make_job(tmp_path)

    free(monkeypatch, {"/": 10**12})

    def inodes(left, files=1000):
        found = SimpleNamespace(f_files=files, f_favail=left)
        monkeypatch.setattr(os, "statvfs", lambda path: found)

    inodes(120)
    check_space(job, list(job.parts()))
    inodes(119)
    with pytest.raises(ResourceError, match=r"room for 119 more files \(inodes\), 120 are needed"):
        check_space(job, list(job.parts()))
    inodes(0, files=0)  # a file system that does not count them
    check_space(job, list(job.parts()))


@pytest.mark.parametrize("place", ["oof", "runs"])
def test_a_file_in_place_of_a_folder_is_refused(tmp_path, place):
    job = make_job(tmp_path)
    (tmp_path / place).write_text("a file")
    with pytest.raises(ResourceError, match=rf"cannot write .*{place}"):
        check_space(job, list(job.parts()))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    job = make_job(tmp_path)
    if os.geteuid() == 0:  # to whom permissions say nothing
        monkeypatch.setattr("pipeline.base.files.reach", lambda point: denied())
    else:
        tmp_path.chmod(0o555)
    try:
        with pytest.raises(ResourceError, match="cannot write"):
            check_space(job, list(job.parts()))
    finally:
        tmp_path.chmod(0o755)


def denied():
    raise PermissionError(13, "Permission denied")


def test_all_problems_are_told_at_once(two_disks, monkeypatch):
    root, temporary = two_disks
    (root / "oof").write_text("a file")
    free(monkeypatch, {"/": 1, temporary: 1})
    job = big_job(root)
    with pytest.raises(ResourceError) as caught:
        check_space(job, list(job.parts()))
    told = str(caught.value)
    assert "weights of 3 folds" in told
    assert "temporary files" in told
    assert "cannot write" in told
    assert told.count("\n  - ") == 3
