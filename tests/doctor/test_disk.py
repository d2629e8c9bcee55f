"""Links, leftovers, unreadable folders, and files that are none."""

import os

import pytest

from pipeline.base.files import new_name
from tests.sound import OOF, RUN, WORK, dead_process, examine, sound


@pytest.fixture
def root(tmp_path):
    return sound(tmp_path)


def leave(folder, process=None):
    """A temporary file as a commit of *process* (default: this one) makes it."""
    name = new_name().replace(f"-{os.getpid()}-", f"-{process or os.getpid()}-")
    (folder / name).write_bytes(b"x" * 500)


def test_leftovers_of_dead_processes_are_one_note_a_folder(root):
    dead = dead_process()
    leave(root / OOF, dead)
    leave(root / OOF, dead)
    (found,) = examine(root).notes
    assert (found["path"], found["subject"]) == (str(OOF), "run linear")
    assert found["what"] == f"holds 2 temporary files (1.0 kB) of dead processes ({dead})"
    assert found["todo"] == "Nothing: the next file that is written there sweeps them up."


@pytest.mark.parametrize(
    "folder", ["folds", "submissions", "oof/toy", str(WORK / "fold-0/checkpoints")]
)
def test_leftovers_are_found_anywhere(root, folder):
    (root / folder).mkdir(exist_ok=True)
    leave(root / folder, dead_process())
    (found,) = examine(root).notes
    assert found["path"] == folder


def test_a_file_that_is_being_written_is_told_as_such(root):
    leave(root / OOF)
    (found,) = examine(root).notes
    assert "of running processes" in found["what"]


@pytest.mark.parametrize("name", [".tmp-77-0badc0de-1234", ".tmp-torn"])
def test_leftovers_of_another_machine_are_told_apart(root, name):
    (root / OOF / name).write_bytes(b"")
    (found,) = examine(root).notes
    assert "of another machine" in found["what"]


@pytest.mark.parametrize("name", ["oof", "oof/toy/linear", str(WORK / "fold-0")])
def test_a_link_out_of_the_root_is_a_problem(root, tmp_path, name):
    (root / name).rename(tmp_path / "outside")
    (root / name).symlink_to(tmp_path / "outside")
    found = [problem for problem in examine(root).problems if problem["path"] == name]
    assert len(found) == 1
    assert found[0]["what"].startswith("is a link that leads out of ")


def test_runs_may_lie_on_another_disk(root, tmp_path):
    (root / "runs").rename(tmp_path / "scratch")
    (root / "runs").symlink_to(tmp_path / "scratch")
    answer = examine(root)
    assert answer.code == 0
    assert [note["path"] for note in answer.notes] == ["runs"]


def test_a_linked_file_and_a_link_to_nowhere_are_problems(root, tmp_path):
    weights = WORK / "fold-0/weights/linear.npz"
    (root / weights).rename(tmp_path / "outside")
    (root / weights).symlink_to(tmp_path / "outside")
    (root / WORK / "gone").symlink_to(root / "nothing")
    whats = {problem["path"]: problem["what"] for problem in examine(root).problems}
    assert whats[str(weights)].startswith("is a link that leads out of ")
    assert whats[str(WORK / "gone")].startswith("is a link that leads nowhere")


def test_links_within_the_root_are_let_be_but_not_in_oof(root):
    (root / WORK / "fold-0/logs/again").symlink_to(root / WORK / "fold-0/weights")
    assert examine(root).findings == []
    (root / OOF / "fold-1.npz").rename(root / "kept.npz")
    (root / OOF / "fold-1.npz").symlink_to(root / "kept.npz")
    (found,) = examine(root).problems
    assert found["path"] == f"{OOF}/fold-1.npz"
    assert "links are not followed in oof/" in found["what"]


def test_links_in_a_circle_end(root):
    (root / "runs/toy/linear/again").symlink_to(root / "runs")
    (root / "runs/toy/linear/itself").symlink_to(root / "runs/toy/linear/itself")
    paths = [problem["path"] for problem in examine(root).problems]
    assert paths == ["runs/toy/linear/itself"]


def test_a_pipe_in_the_place_of_a_file_stops_nothing(root):
    os.mkfifo(root / WORK / "fold-0" / "pipe")
    (found,) = examine(root).problems
    assert found["what"] == "is neither a file nor a folder"


@pytest.mark.parametrize(
    "name",
    ["oof", "oof/toy", "oof/toy/linear", str(OOF), "submissions", str(WORK / "fold-0/logs")],
)
def test_a_folder_that_cannot_be_read_is_a_problem_with_the_reason(root, monkeypatch, name):
    refused, scandir, listdir = str(root / name), os.scandir, os.listdir

    def refuse(path, real):
        if str(path) == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", lambda path=".": refuse(path, scandir))
    monkeypatch.setattr(os, "listdir", lambda path=".": refuse(path, listdir))
    whats = [problem["what"] for problem in examine(root).problems if problem["path"] == name]
    assert whats == ["cannot be read: permission denied"]


@pytest.mark.parametrize("name", ["folds/toy.json", "folds/toy.csv", str(RUN), f"{OOF}/fold-1.npz"])
def test_a_file_that_cannot_be_read_is_a_problem_with_the_reason(root, monkeypatch, name):
    refused, real = str(root / name), io_open()

    def refuse(path, *more, **options):
        if str(path) == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more, **options)

    monkeypatch.setattr("io.open", refuse)
    whats = {problem["path"]: problem["what"] for problem in examine(root).problems}
    assert "permission denied" in whats[name].lower()


def io_open():
    import io

    return io.open
