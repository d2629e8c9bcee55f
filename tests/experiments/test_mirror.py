"""Records follow the files: nothing twice, nothing lost, whatever a service does."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ResourceError
from pipeline.base.leases import lease
from pipeline.base.paths import Paths, Workspace
from pipeline.experiments import mirror
from pipeline.experiments.companion import note_settings
from pipeline.experiments.mirror import Attempts, Mirror
from pipeline.experiments.records import Record, records_of_run
from pipeline.experiments.services import Change
from pipeline.models.learner import Silent
from pipeline.track import make_mirror
from pipeline.training.progress import Journal
from pipeline.training.tracking import TensorBoard

SETTINGS = {"recipe": {"name": "minilm", "epochs": 2}, "passport": "abc"}


@dataclass
class Kept:
    """What a server would have of one record."""

    parent: str | None
    points: list[tuple[str, int, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


class Fake:
    """A service in memory, which raises `trouble` where there is some."""

    where, link, whole = "memory", "here", False
    server: dict[str, Kept] = {}  # noqa: RUF012
    trouble: Exception | None = None

    def __init__(self, paths: Paths) -> None:
        self.folder = paths.root

    def begin(self, record: Record, known: str | None, parent: str | None) -> str:
        if self.trouble is not None:
            raise self.trouble
        if known in self.server:
            return str(known)
        identity = f"{record.key}#{len(self.server)}"
        self.server[identity] = Kept(parent)
        return identity

    def take(self, identity: str, record: Record, change: Change) -> None:
        kept = self.server[identity]
        kept.points += change.points
        kept.settings |= change.settings
        kept.numbers |= change.numbers
        kept.facts |= change.facts
        kept.states.append(change.state)
        for name, artifact in change.artifacts.items():
            artifact.write(self.folder / "sent")
            kept.files[name] = (self.folder / "sent").read_bytes()

    def close(self) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> dict[str, Kept]:
    monkeypatch.setattr(Fake, "server", {})
    monkeypatch.setattr(Fake, "trouble", None)
    monkeypatch.setattr(mirror, "service_of", lambda name: Fake)
    return Fake.server


@pytest.fixture
def paths(tmp_path) -> Paths:
    found = Paths(tmp_path, "toy")
    note_settings(found, "minilm", SETTINGS)
    return found


def space(paths: Paths, fold: int = 0) -> Workspace:
    found = Workspace(paths.fold_workspace("minilm", 42, 0, fold))
    found.folder.mkdir(parents=True, exist_ok=True)
    return found


def logged(at: Workspace, steps: range, hide_from: int | None = None) -> None:
    board = TensorBoard(at.logs, hide_from)
    for step in steps:
        board.log({"train_loss": 1 / step}, step)
    board.close()


def finished(paths: Paths, fold: int = 0, **more: Any) -> None:
    path = paths.fold_predictions("minilm", 42, 0, fold).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"metric": "pearson", "score": 0.75, "seconds": {"fit": 3.0}, "settings": SETTINGS}
    path.write_text(json.dumps(facts | more))


def synced(paths: Paths, runs: tuple[str, ...] = ("minilm",)) -> dict[str, str]:
    """As one command, or one look of pipeline.track; what it sent."""
    found = Mirror("fake", paths)
    found.sync(list(runs))
    found.close()
    return found.sent


def test_a_training_that_was_killed_goes_on_in_its_record_and_no_step_is_sent_twice(paths, server):
    at = space(paths)
    logged(at, range(1, 6))
    with lease(at.lease, "it"):
        synced(paths)
    logged(at, range(4, 9), hide_from=4)  # from its checkpoint after step 3, to the same numbers
    finished(paths)
    synced(paths)
    fold, run = server["minilm/seed-42/fold-0#1"], server["minilm#0"]
    assert len(server) == 2
    assert fold.parent == "minilm#0"
    assert run.parent is None
    assert [step for _, step, _ in fold.points] == list(range(1, 9))
    assert fold.states == ["running", "finished"]
    assert fold.settings == {"recipe.name": "minilm", "recipe.epochs": 2, "passport": "abc"}
    assert fold.numbers["fold/pearson"] == 0.75
    assert synced(paths) == {}, "nothing is new"


def test_what_is_trained_anew_under_other_settings_is_another_record(paths, server):
    finished(paths)
    synced(paths)
    finished(paths, settings={**SETTINGS, "recipe": {"epochs": 3}})
    synced(paths)
    assert list(server) == [
        "minilm#0",
        "minilm/seed-42/fold-0#1",
        "minilm#2",
        "minilm/seed-42/fold-0#3",
    ]


def test_a_fold_that_nobody_trains_was_stopped_and_one_that_diverged_has_failed(paths, server):
    first, second = space(paths, 0), space(paths, 1)
    Journal(first.events, Silent()).record("started", "process 1")
    Journal(second.events, Silent()).record("diverged", "the loss is NaN")
    synced(paths)
    assert server["minilm/seed-42/fold-0#1"].states == ["stopped"]
    assert server["minilm/seed-42/fold-1#2"].states == ["failed"]
    assert server["minilm#0"].states == ["stopped"]
    events = server["minilm/seed-42/fold-1#2"].files["events.jsonl"]
    assert json.loads(events)["message"] == "the loss is NaN"


@pytest.mark.parametrize(
    "trouble", [ConnectionError("gone"), OSError(28, "No space"), ValueError()]
)
def test_a_service_that_fails_is_told_of_and_gets_all_of_it_later(paths, server, trouble):
    logged(space(paths), range(1, 4))
    Fake.trouble = trouble
    attempts = Attempts(lambda into: Mirror("fake", paths))
    assert not attempts.sync(["./minilm"], following=True)
    assert attempts.answer()["trouble"].startswith(type(trouble).__name__)
    assert server == {}
    Fake.trouble = None
    assert attempts.sync(["./minilm"], following=True)
    attempts.close()
    assert attempts.answer() == {"records": 2, "link": "here", "trouble": ""}
    assert len(server["minilm/seed-42/fold-0#1"].points) == 3


def test_trials_below_a_folder_of_their_own_say_what_they_are_trials_of(paths, server):
    into = "runs/tune/toy-1f0c"
    finished(Paths(paths.root / into, "toy"))
    attempts = Attempts(lambda folder: make_mirror("fake", "toy", paths.root, 0, folder))
    assert attempts.sync([f"{into}/minilm"], following=True)
    assert attempts.sync([f"{into}/minilm"], following=False)
    attempts.close()
    assert server["minilm#0"].states == ["running", "finished"]
    (run, fold) = server.values()
    assert run.facts["trial_of"] == fold.facts["trial_of"] == into
    assert run.numbers["folds/pearson_mean"] == fold.numbers["fold/pearson"] == 0.75
    assert attempts.answer()["records"] == 2
    finished(paths)
    assert attempts.sync(["./minilm"], following=False)
    assert "trial_of" not in list(server.values())[2].facts


def test_a_service_that_cannot_start_is_told_of(paths):
    def refuse(into: str) -> Mirror:
        raise ImportError("no module named mlflow")

    attempts = Attempts(refuse)
    assert not attempts.sync(["./minilm"], following=True)
    attempts.close()
    assert attempts.trouble == "ImportError: no module named mlflow"


def test_on_a_disk_that_is_nearly_full_nothing_is_written(paths, server, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ResourceError, match="nothing is written"):
        Mirror("fake", paths, min_free_bytes=1 << 60).sync(["minilm"])
    assert sorted(tmp_path.rglob("*")) == before
    assert server == {}


def test_a_record_whose_id_cannot_be_kept_gets_no_numbers(paths, server, monkeypatch):
    finished(paths)

    def full(*_: Any) -> None:
        raise ResourceError("no space left")

    monkeypatch.setattr(mirror, "commit_json", full)
    with pytest.raises(ResourceError):
        synced(paths)
    assert [kept.states for kept in server.values()] == [[]]


def test_two_processes_do_not_write_one_record(paths, server):
    finished(paths)
    first = Mirror("fake", paths)
    first.sync(["minilm"])
    finished(paths, score=0.5)
    assert synced(paths) == {}, "the first one holds it"
    first.sync(["minilm"])
    first.close()
    assert server["minilm/seed-42/fold-0#1"].numbers["fold/pearson"] == 0.5


def test_a_record_that_is_gone_from_the_server_is_made_again_with_all_it_had(paths, server):
    logged(space(paths), range(1, 4))
    finished(paths)
    synced(paths)
    server.clear()
    server["other"] = Kept(None)  # so that no id is given out again
    finished(paths, score=0.5)
    synced(paths)
    assert server["minilm#1"].numbers["folds/pearson_mean"] == 0.5
    again = server["minilm/seed-42/fold-0#2"]
    assert len(again.points) == 3
    assert again.settings["passport"] == "abc"


def test_between_two_folds_of_a_command_the_run_goes_on(paths, server):
    finished(paths)
    found = Mirror("fake", paths)
    found.sync(["minilm"], following=True)
    found.close()
    assert server["minilm#0"].states == ["running"]


def test_a_notes_folder_is_no_run_of_the_other_commands(paths, server, capsys):
    from pipeline.base.command import run
    from pipeline.doctor.__main__ import main as doctor
    from pipeline.watch import folds_under

    space(paths)
    synced(paths)
    assert paths.tracked("minilm").is_dir()
    assert [fold.run for fold in folds_under(paths.root)] == ["minilm"]
    run(doctor, ["--root", str(paths.root), "--quick"])
    assert ".tracked" not in capsys.readouterr().out


def test_a_table_that_is_not_a_number_is_left_out(paths):
    finished(paths, score=float("nan"), seconds={"fit": float("inf"), "predict": 1.0})
    record = list(records_of_run(paths, "minilm"))[1]
    assert record.numbers == {"fold/seconds_predict": 1.0}


def test_no_process_id_is_a_number_of_a_record(paths):
    """What runs where is not the tracker's business; speeds and memory are."""
    at = space(paths)
    told = {"step": 3, "steps": 9, "ram": 10, "process": os.getpid(), "machine": "host"}
    Path(at.progress).write_text(json.dumps(told))
    record = list(records_of_run(paths, "minilm"))[1]
    assert record.numbers == {"now/step": 3.0, "now/steps": 9.0, "now/ram": 10.0}
