"""Weights, checkpoints, events and leases."""

import hashlib
import inspect
import json
import os
import socket
import time

import numpy as np
import pytest
from filelock import SoftFileLease
from safetensors.numpy import save

from pipeline.base.files import sha256
from pipeline.base.paths import Workspace
from pipeline.doctor.workspace import SAVED
from pipeline.models import crf, nearest
from pipeline.models.boosting import learner as boosting
from pipeline.models.embeddings import learner as embeddings
from pipeline.models.linear import learner as linear
from pipeline.models.registry import LEARNERS
from pipeline.models.transformer import fine_tuning
from pipeline.training.checkpoints import Checkpoints
from tests.sound import OOF, RUN, WORK, dead_process, edit, examine, problem_of, sound, spoil

FOLD = WORK / "fold-1"
WEIGHTS, CHECKPOINTS = FOLD / "weights", FOLD / "checkpoints"
TENSORS = save({"layer": np.arange(100, dtype=np.float32)})


@pytest.fixture
def root(tmp_path):
    return sound(tmp_path)


@pytest.fixture
def unfinished(root):
    """Fold 1 was not committed."""
    for path in (RUN, OOF / "fold-1.npz", OOF / "fold-1.json", FOLD / "trained.json"):
        (root / path).unlink()
    return root


def transformer_weights(root):
    """Replace the linear learner of fold 1 by what a transformer saves."""
    folder = root / WEIGHTS
    for name in ("linear.json", "linear.npz"):
        (folder / name).unlink()
    (folder / "weights.safetensors").write_bytes(TENSORS)
    digest = hashlib.sha256(TENSORS).hexdigest()
    (folder / "learner.json").write_text(json.dumps({"weights_sha256": digest}))


def note_of(root, path):
    """The note about *path*; there is no problem."""
    answer = examine(root)
    assert answer.code == 0
    (found,) = [note for note in answer.notes if note["path"] == str(path)]
    return found


# weights


def test_the_names_are_those_that_the_learners_write():
    learners = (linear, crf, boosting, embeddings, fine_tuning, nearest)
    source = "".join(map(inspect.getsource, learners))
    assert len(SAVED) == len(learners) == len({kind.saved for kind in LEARNERS.values()} - {None})
    for settings, (weights, field) in SAVED.items():
        for name in (settings, weights, field):
            assert f'"{name}"' in source


@pytest.mark.parametrize("kind", ["linear", "transformer"])
def test_changed_weights_are_a_problem_that_costs_no_predictions(root, kind):
    if kind == "transformer":
        transformer_weights(root)
        assert examine(root).code == 0
    name = "linear.npz" if kind == "linear" else "weights.safetensors"
    spoil(root / WEIGHTS / name)
    found = problem_of(root, WEIGHTS / name)
    assert found["what"].startswith("has changed since it was written")
    assert found["todo"].startswith(
        f"Delete {WEIGHTS}: the predictions of fold 1 (seed 42) stay, only predicting further"
    )


def test_weights_that_are_cut_off_are_seen_without_hashing(root):
    transformer_weights(root)
    path = root / WEIGHTS / "weights.safetensors"
    assert examine(root, "--quick").code == 0
    path.write_bytes(path.read_bytes()[:-1])
    what = problem_of(root, WEIGHTS / path.name, "--quick")["what"]
    assert what.startswith("is cut off or damaged")


def test_missing_weights_and_a_missing_settings_file_are_problems(root):
    (root / WEIGHTS / "linear.npz").rename(root / "kept")
    found = problem_of(root, WEIGHTS / "linear.npz")
    assert found["what"] == "is missing, linear.json is there"
    (root / "kept").rename(root / WEIGHTS / "linear.npz")
    (root / WEIGHTS / "linear.json").unlink()
    found = problem_of(root, WEIGHTS / "linear.npz")
    assert found["what"] == "lacks linear.json beside it, which is written after it"


def test_weights_that_were_being_saved_are_a_note(unfinished):
    (unfinished / WEIGHTS / "linear.json").unlink()
    found = note_of(unfinished, WEIGHTS / "linear.npz")
    assert found["what"] == "has no linear.json beside it: the learner was just being saved"


def test_a_weights_folder_without_a_learner_is_a_note(root):
    for path in (root / WEIGHTS).iterdir():
        path.unlink()
    (root / WEIGHTS / "else.bin").write_text("")
    assert note_of(root, WEIGHTS)["what"] == "holds files, but no learner"


# checkpoints


def checkpoint(root, step):
    """Commit a checkpoint as training does; its file."""
    checkpoints = Checkpoints(Workspace(root / FOLD, "settings"))
    path = checkpoints.path(step)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TENSORS)
    checkpoints.commit(step, sha256(path), starts_epoch=False)
    return path


def test_an_unfinished_fold_goes_on_from_its_last_whole_checkpoint(unfinished):
    checkpoint(unfinished, 5)
    checkpoint(unfinished, 10)
    found = note_of(unfinished, RUN.parent)
    assert found["todo"].endswith("; fold 1 (seed 42) goes on from step 10).")


def test_a_damaged_checkpoint_is_a_note_and_training_falls_back(unfinished):
    checkpoint(unfinished, 5)
    spoil(checkpoint(unfinished, 10))
    found = note_of(unfinished, CHECKPOINTS / "step-00000010.safetensors")
    assert found["what"].startswith("has changed: its SHA-256 is ")
    assert "goes on from the checkpoint before it" in found["todo"]
    assert "goes on from step 5)" in note_of(unfinished, RUN.parent)["todo"]


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.with_suffix(".json").unlink(), "has no manifest beside it"),
        (lambda path: path.unlink(), "is missing, its manifest is there"),
        (lambda path: path.write_bytes(b"x"), "is cut off or changed: it has 1 bytes, expected"),
        (lambda path: path.with_suffix(".json").write_text("{"), "has a damaged manifest"),
        (lambda path: path.with_suffix(".json").write_text("{}"), "does not hold what it should"),
        (lambda path: edit(path.with_suffix(".json"), step=6), "has the manifest of step 6"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_a_note(unfinished, damage, what):
    damage(checkpoint(unfinished, 10))
    assert what in note_of(unfinished, CHECKPOINTS / "step-00000010.safetensors")["what"]
    assert "goes on from step" not in note_of(unfinished, RUN.parent)["todo"]


def test_checkpoints_of_a_finished_fold_are_one_note(root):
    checkpoint(root, 5)
    spoil(checkpoint(root, 10))
    (found,) = examine(root).notes
    assert found["path"] == str(CHECKPOINTS)
    assert found["what"].startswith("holds checkpoints of a fold that is finished (")


# events


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"what": "a"}\n{"wh', "ends in a torn line"),
        (b'{"what": "a"}\n{"wh\n{"what": "b"}\n', "has 1 torn lines, the first is line 2"),
        (b'[1]\n\xff\n{"what": "b"}\n', "has 2 torn lines, the first is line 1"),
    ],
)
def test_torn_events_are_a_note(root, content, what):
    (root / FOLD / "events.jsonl").write_bytes(content)
    assert note_of(root, FOLD / "events.jsonl")["what"].startswith(what)


def test_whole_events_are_nothing_to_tell(root):
    (root / FOLD / "events.jsonl").write_bytes(b'{"what": "a"}\n{"what": "b"}\n')
    assert examine(root).findings == []


# leases


def marker(root, process, host, seconds_ago=0.0):
    """Leave the marker of a lease as its holder does."""
    path = root / FOLD / "fold.lease"
    with SoftFileLease(path, lease_duration=60, thread_local=False):
        content = path.read_text()
    lines = [line for line in content.splitlines() if not line.startswith("start=")]
    text = "\n".join(lines).replace(f"pid={os.getpid()}", f"pid={process}")
    here = next(line for line in lines if line.startswith("host="))
    path.write_text(text.replace(here, f"host={host}" if host else here) + "\n")
    os.utime(path, (time.time() - seconds_ago,) * 2)
    return path


def test_a_living_holder_is_named_and_its_workspace_let_be(unfinished):
    (unfinished / WEIGHTS / "linear.json").unlink()
    (unfinished / CHECKPOINTS).mkdir()
    (unfinished / CHECKPOINTS / "step-00000005.safetensors").write_bytes(b"x")
    marker(unfinished, os.getpid(), "")
    answer = examine(unfinished, "--run", "linear")
    assert answer.code == 0
    assert [note["path"] for note in answer.notes] == [str(RUN.parent), f"{FOLD}/fold.lease"]
    what = answer.notes[1]["what"]
    name = socket.gethostname()
    assert f"is being trained by process {os.getpid()} on {name} (this machine)" in what
    assert answer.notes[0]["todo"] == "Nothing: the run is being trained."


@pytest.mark.parametrize(
    ("host", "seconds_ago", "what"),
    [
        ("", 0, "(this machine), which is dead"),
        ("elsewhere", 0, "on elsewhere (another machine), last sign of life 0 s ago"),
        ("elsewhere", 600, "last sign of life 600 s ago, over the limit of 60 s"),
    ],
)
def test_another_holder_is_named_with_what_is_known_of_it(unfinished, host, seconds_ago, what):
    marker(unfinished, dead_process(), host, seconds_ago)
    assert what in note_of(unfinished, FOLD / "fold.lease")["what"]


def test_a_lease_of_a_finished_fold_may_go(root):
    marker(root, dead_process(), "")
    found = note_of(root, FOLD / "fold.lease")
    assert found["todo"] == "Delete it: fold 1 (seed 42) is finished."


def test_a_lease_is_read_without_being_taken_over(unfinished):
    path = marker(unfinished, dead_process(), "")
    before = path.read_bytes(), path.stat().st_mtime_ns
    examine(unfinished)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_lease_of_nobody_is_a_note(unfinished):
    (unfinished / FOLD / "fold.lease").write_text("")
    assert note_of(unfinished, FOLD / "fold.lease")["what"] == "is a lease that names no holder"
