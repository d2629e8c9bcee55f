"""The states a fold can go on from: chosen by step, checked by hash, never half written."""

import errno
import os

import pytest
import torch

from pipeline.base.errors import ResourceError
from pipeline.base.files import read_json
from pipeline.base.paths import Workspace
from pipeline.models.transformer import tensor_file as tensorfile
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.lightning import checkpoint as checkpointio
from pipeline.training.lightning.checkpoint import CheckpointPlugin
from tests.training.toys import Told

WEIGHTS = 40


def checkpoints_of(tmp_path, fingerprint="mine", **more):
    return Checkpoints(Workspace(tmp_path, fingerprint), **more)


def save(checkpoints, step, starts_epoch=False):
    """A checkpoint whose weights are all its step."""
    files = CheckpointPlugin()
    content = {
        "state_dict": {"weight": torch.full((WEIGHTS,), float(step))},
        "training": {"done": step},
        "loops": object(),  # what is Lightning's alone is not written
        "callbacks": {"a callback": object()},
        "lr_schedulers": [object()],
    }
    files.save_checkpoint(content, checkpoints.path(step))
    checkpoints.commit(step, files.written, starts_epoch)


def steps(checkpoints):
    return sorted(
        int(path.stem.removeprefix("step-")) for path in checkpoints.folder.glob("*.json")
    )


def newest(checkpoints):
    """The step to go on from, and the events that were told."""
    told = Told()
    found = checkpoints.newest(told)
    if found is None:
        return None, told.events
    loaded = CheckpointPlugin().load_checkpoint(found.path)
    assert loaded["training"]["done"] == found.step
    assert loaded["state_dict"]["weight"].tolist() == [float(found.step)] * WEIGHTS
    return found.step, told.events


def test_the_furthest_is_chosen_whatever_the_time_of_its_file(tmp_path):
    checkpoints = checkpoints_of(tmp_path)
    for step in (9, 10):
        save(checkpoints, step)
    for path in checkpoints.folder.iterdir():
        moment = 978307200 if "10" in path.name else 4070908800  # 2001, 2099
        os.utime(path, (moment, moment))
    assert newest(checkpoints) == (10, [])


def test_there_is_nothing_to_go_on_from_at_first(tmp_path):
    assert newest(checkpoints_of(tmp_path)) == (None, [])


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE = {
    "empty": lambda content: b"",
    "10 bytes": lambda content: content[:10],
    "half": lambda content: content[: len(content) // 2],
    "the last 5 missing": lambda content: content[:-5],
    "a flipped bit": flip,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_told_and_the_one_before_is_used(tmp_path, damage):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 5)
    save(checkpoints, 10)
    path = checkpoints.path(10)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    step, ((what, facts),) = newest(checkpoints)
    assert (step, what) == (5, "checkpoint refused")
    assert facts["message"].startswith("step-00000010.safetensors is damaged")
    assert facts["message"].endswith("it is passed over")
    assert steps(checkpoints) == [5]
    assert newest(checkpoints) == (5, [])  # told once


def test_where_all_are_damaged_there_is_none(tmp_path):
    checkpoints = checkpoints_of(tmp_path)
    for step in (5, 10):
        save(checkpoints, step)
        checkpoints.path(step).write_bytes(b"")
    step, events = newest(checkpoints)
    assert step is None
    assert [what for what, _ in events] == ["checkpoint refused"] * 2 + ["starts anew"]
    assert list(checkpoints.folder.iterdir()) == []


def test_a_manifest_without_its_file_is_told(tmp_path):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 5)
    save(checkpoints, 10)
    checkpoints.path(10).unlink()
    step, ((_, facts),) = newest(checkpoints)
    assert step == 5
    assert "is missing, though its manifest is there" in facts["message"]


@pytest.mark.parametrize("manifest", [None, "{", "[]"])
def test_a_file_whose_manifest_was_not_written_counts_for_nothing(tmp_path, manifest):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 5)
    save(checkpoints, 10)
    path = checkpoints.path(10).with_suffix(".json")
    path.unlink() if manifest is None else path.write_text(manifest)
    step, events = newest(checkpoints)
    assert step == 5
    assert [what for what, _ in events] == ["checkpoint refused"] * (manifest is not None)
    assert not checkpoints.path(10).exists()
    save(checkpoints, 10)
    assert newest(checkpoints) == (10, [])


def test_those_of_other_settings_are_refused_and_told(tmp_path):
    save(checkpoints_of(tmp_path, "others"), 5)
    checkpoints = checkpoints_of(tmp_path)
    step, ((what, facts), (then, _)) = newest(checkpoints)
    assert (step, what, then) == (None, "checkpoint refused", "starts anew")
    assert "was made with other settings, rows or backbone files" in facts["message"]
    assert list(checkpoints.folder.iterdir()) == []


def test_the_manifest_says_what_the_file_is(tmp_path):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 7, starts_epoch=True)
    manifest = read_json(checkpoints.path(7).with_suffix(".json"))
    assert (manifest["step"], manifest["starts_epoch"], manifest["settings"]) == (7, True, "mine")
    assert manifest["bytes"] == checkpoints.path(7).stat().st_size


def test_two_are_kept(tmp_path):
    checkpoints = checkpoints_of(tmp_path)
    for step in (2, 4, 6, 8):
        save(checkpoints, step, starts_epoch=step == 2)
    assert steps(checkpoints) == [6, 8]
    assert len(list(checkpoints.folder.iterdir())) == 4


def test_to_roll_back_the_last_start_of_an_epoch_is_kept_too(tmp_path):
    checkpoints = checkpoints_of(tmp_path, keep_epoch_start=True)
    for step in range(2, 16, 2):
        save(checkpoints, step, starts_epoch=step in (4, 8))
    assert steps(checkpoints) == [8, 12, 14]
    assert checkpoints.roll_back() == 8
    assert newest(checkpoints) == (8, [])


def test_rolling_back_before_the_first_epoch_is_over_starts_anew(tmp_path):
    checkpoints = checkpoints_of(tmp_path, keep_epoch_start=True)
    save(checkpoints, 3)
    assert checkpoints.roll_back() == 0
    assert newest(checkpoints) == (None, [])


def test_a_finished_fold_leaves_none(tmp_path):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 3)
    checkpoints.clear()
    assert not checkpoints.folder.exists()


class Filling:
    """A stream on a disk that is full after so many bytes."""

    def __init__(self, stream, room, number):
        self.stream, self.room, self.number = stream, room, number

    def write(self, data):
        if (size := memoryview(data).nbytes) > self.room:
            self.stream.write(bytes(data)[: self.room])
            raise OSError(self.number, os.strerror(self.number))
        self.room -= size
        return self.stream.write(data)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_at_any_byte_leaves_the_checkpoint_before(tmp_path, monkeypatch, number):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 5)
    size, before = checkpoints.path(5).stat().st_size, sorted(checkpoints.folder.iterdir())
    for room in [*range(0, size, 37), size - 1]:
        full = Filling(None, room, number)

        def write(stream, content, full=full):
            full.stream = stream
            tensorfile.write(full, content)

        monkeypatch.setattr(checkpointio, "write", write)
        with pytest.raises(ResourceError) as caught:
            save(checkpoints, 10)
        assert f"no space left to write {checkpoints.path(10)}" in str(caught.value)
        assert "B free)" in str(caught.value)
        assert sorted(checkpoints.folder.iterdir()) == before
        assert newest(checkpoints) == (5, [])
    monkeypatch.undo()
    save(checkpoints, 10)
    assert newest(checkpoints) == (10, [])


def test_a_save_that_cannot_fit_is_not_begun(tmp_path, monkeypatch):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 5)
    before = sorted(checkpoints.folder.iterdir())
    need = 4 * WEIGHTS
    monkeypatch.setattr(checkpointio, "free_bytes", lambda path: need - 1)
    with pytest.raises(ResourceError, match=r"it needs 160 B, 159 B are free\. Free some space"):
        save(checkpoints, 10)
    assert sorted(checkpoints.folder.iterdir()) == before
    monkeypatch.setattr(checkpointio, "free_bytes", lambda path: need + 99)
    files = CheckpointPlugin(min_free_bytes=100)
    with pytest.raises(ResourceError, match=r"259 B are free of which 100 B stay"):
        files.save_checkpoint({"weight": torch.zeros(WEIGHTS)}, checkpoints.path(10))
    monkeypatch.setattr(checkpointio, "free_bytes", lambda path: need + 100)
    files.save_checkpoint({"weight": torch.zeros(WEIGHTS)}, checkpoints.path(10))


def test_a_checkpoint_is_no_pickle(tmp_path):
    checkpoints = checkpoints_of(tmp_path)
    save(checkpoints, 5)
    with pytest.raises(TypeError, match="cannot be written"):
        CheckpointPlugin().save_checkpoint({"state": object()}, checkpoints.path(6))
    assert steps(checkpoints) == [5]
    assert not list(checkpoints.folder.glob(".tmp-*"))
