"""Numbers reach every tracker, and no tracker can stop a training or slow it down."""

import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler

from pipeline.models.learner import Silent
from pipeline.training import tracking
from pipeline.training.tracking import TRACKERS, track

PACKAGE = Path(tracking.__file__).resolve().parents[1]


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, what: str, message: str, **facts: Any) -> None:
        assert what == "no log"
        assert threading.current_thread() is threading.main_thread()
        self.lines.append(message)


class Memory:
    """A tracker of a test; each of its methods may be replaced by one that makes trouble."""

    def __init__(self, logs: Path, hide_from: int | None) -> None:
        self.taken: list[tuple[dict[str, float], int]] = []
        self.closed = False

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self.taken.append((dict(numbers), step))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch) -> list[Memory]:
    """Trackers that were started: one more stands in the registry."""
    found: list[Memory] = []

    def start(logs: Path, hide_from: int | None) -> Memory:
        found.append(Memory(logs, hide_from))
        return found[-1]

    monkeypatch.setitem(TRACKERS, "Memory", start)
    return found


def scalars(logs: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(logs))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_a_tracker_is_one_entry_and_gets_what_tensorboard_gets(tmp_path, made):
    told = Told()
    with track(tmp_path, told) as tracked:
        tracked.log({"loss": 0.5, "rate": 1.0}, step=1)
        tracked.log({"loss": 0.25}, step=2)
    assert scalars(tmp_path, "loss") == [(1, 0.5), (2, 0.25)]
    assert scalars(tmp_path, "rate") == [(1, 1.0)]
    assert made[0].taken == [({"loss": 0.5, "rate": 1.0}, 1), ({"loss": 0.25}, 2)]
    assert made[0].closed
    assert told.lines == []


def test_what_an_earlier_attempt_logged_is_hidden_from_the_step_named(tmp_path):
    for hide_from, value in ((None, 1.0), (3, 2.0)):
        with track(tmp_path, Silent(), hide_from) as tracked:
            for step in range(1 if hide_from is None else 3, 5):
                tracked.log({"loss": value}, step)
    assert scalars(tmp_path, "loss") == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("bad key")])
def test_a_tracker_that_cannot_start_is_told_once_and_the_others_go_on(
    tmp_path, made, monkeypatch, error
):
    def refuse(logs: Path, hide_from: int | None) -> Memory:
        raise error

    monkeypatch.setitem(TRACKERS, "Refusing", refuse)
    told = Told()
    with track(tmp_path, told) as tracked:
        for step in range(3):
            tracked.log({"loss": 0.5}, step)
    assert told.lines == [f"no Refusing log: {error}"]
    assert [step for _, step in made[0].taken] == [0, 1, 2]


def test_a_tracker_that_fails_later_is_told_so(tmp_path, made, monkeypatch):
    def fail(self: Memory, numbers: Mapping[str, float], step: int) -> None:
        if step == 2:
            raise ConnectionError("the server is gone")

    monkeypatch.setattr(Memory, "log", fail)
    told = Told()
    with track(tmp_path, told) as tracked:
        for step in range(4):
            tracked.log({"loss": 0.5}, step)
    assert told.lines == ["no Memory log from here on: the server is gone"]


@pytest.mark.parametrize("method", ["log", "close"])
def test_a_tracker_that_never_answers_costs_some_seconds_at_the_end_and_no_step(
    tmp_path, made, monkeypatch, method
):
    silence = threading.Event()
    monkeypatch.setattr(Memory, method, lambda *_: silence.wait(60))
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(tracking, "WAITING", 50)
    told, began = Told(), time.monotonic()
    with track(tmp_path, told) as tracked:
        for step in range(100):
            tracked.log({"loss": 0.5}, step)
        logged = time.monotonic()
        time.sleep(0.2)  # TensorBoard takes its part
    assert logged - began < 5
    assert time.monotonic() - began < 20
    assert re.fullmatch(r"no Memory log after \d+ entries: it does not answer", told.lines[-1])
    assert len(scalars(tmp_path, "loss")) >= 50
    silence.set()


def test_numbers_that_a_slow_tracker_has_no_room_for_are_dropped_and_counted(
    tmp_path, made, monkeypatch
):
    gate = threading.Event()
    monkeypatch.setattr(Memory, "log", lambda *_: gate.wait(60))
    monkeypatch.setattr(tracking, "WAITING", 5)
    told = Told()
    with track(tmp_path, told) as tracked:
        for step in range(40):
            tracked.log({"loss": 0.5}, step)
        gate.set()
    lines = [line for line in told.lines if "Memory" in line]
    assert len(lines) == 1
    assert re.fullmatch(r"no Memory log of 3[45] entries: it could not keep up", lines[0])


def test_a_training_that_ends_with_an_error_still_ends_its_trackers(tmp_path, made):
    def diverge() -> None:
        with track(tmp_path, Silent()) as tracked:
            tracked.log({"loss": 0.5}, 1)
            raise KeyError

    with pytest.raises(KeyError):
        diverge()
    assert made[0].closed


def test_tensorboard_shows_settings_beside_the_score_on_its_hparams_page(tmp_path):
    """As its own page reads them: one group a run, its score the mean of its folds'."""
    for run, rate, scores in (("a", 0.1, (0.5, 0.7)), ("b", 0.2, (0.8, 0.9))):
        for fold, score in enumerate(scores):
            with track(tmp_path / run / f"fold-{fold}", Silent()) as tracked:
                tracked.log({"fold/pearson": score}, step=0)
                tracked.settings(f"toy/{run}", {"rate": rate, "ngrams": [1, 4], "clean": None})
    page = EventMultiplexer()
    page.AddRunsFromDirectory(str(tmp_path))
    page.Reload()
    provider = MultiplexerDataProvider(page, str(tmp_path))
    context, asked = Context(TBContext(data_provider=provider)), RequestContext()
    score = api_pb2.MetricName(group="", tag="fold/pearson")
    wanted = api_pb2.ListSessionGroupsRequest(
        slice_size=9,
        aggregation_type=api_pb2.AGGREGATION_AVG,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING],
        col_params=[api_pb2.ColParams(metric=score)],
    )
    groups = Handler(asked, context, "", wanted).run().session_groups
    lines = {
        group.name: (
            group.hparams["rate"].number_value,
            group.hparams["ngrams"].string_value,
            [round(each.value, 6) for each in group.metric_values],
        )
        for group in groups
    }
    assert lines == {"toy/a": (0.1, "[1, 4]", [0.6]), "toy/b": (0.2, "[1, 4]", [0.85])}


def test_nothing_else_of_the_package_writes_for_a_tracker():
    """One factory: whoever logs asks it, so a tracker that is added gets everything."""
    library = re.compile(r"^\s*(from|import) .*(tensorboard|TensorBoardLogger|SummaryWriter)", re.M)
    users = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if library.search(file.read_text(encoding="utf-8"))
    }
    assert users == {"training/tracking.py"}
