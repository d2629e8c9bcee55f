"""What happened to a fold is known after every kill."""

import json

import pytest

from pipeline.base.errors import ResourceError
from pipeline.base.fault_injection import Injected
from pipeline.models.learner import Silent
from pipeline.training.progress import Journal
from tests.training.toys import Told, inject


class Listener(Told):
    def __init__(self):
        super().__init__()
        self.heard = []

    def phase(self, name, total, done=0, per_epoch=0):
        self.heard.append((name, total, done, per_epoch))

    def advance(self, steps=1, rows=0, tokens=0):
        self.heard.append((steps, rows, tokens))


def test_events_are_written_in_their_order_and_handed_on(tmp_path):
    told = Listener()
    journal = Journal(tmp_path / "fold" / "events.jsonl", told)
    journal.event("batch halved", "메모리", rows=4)
    journal.record("started", "process 1", at=1.5)
    journal.event("resumed", "goes on", step=7)
    assert journal.entries() == [
        {"what": "batch halved", "message": "메모리", "rows": 4},
        {"what": "started", "message": "process 1", "at": 1.5},
        {"what": "resumed", "message": "goes on", "step": 7},
    ]
    assert told.whats == ["batch halved", "resumed"]
    journal.phase("train", 10, 3, 5)
    journal.advance(1, 2, 3)
    assert told.heard == [("train", 10, 3, 5), (1, 2, 3)]


def test_events_survive_the_process_that_wrote_them(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    Journal(path, Silent()).event("first", "1")
    inject(monkeypatch, "event:1:raise")
    with pytest.raises(Injected):
        Journal(path, Silent()).event("never", "2")
    after = Journal(path, Silent())
    after.event("third", "3")
    assert [event["what"] for event in after.entries()] == ["first", "third"]


@pytest.mark.parametrize("kept", [1, 10, -2, -1])
def test_a_line_that_was_torn_is_left_out_and_spoils_no_other(tmp_path, kept):
    path = tmp_path / "events.jsonl"
    journal = Journal(path, Silent())
    journal.event("first", "1")
    whole = len(path.read_bytes())
    journal.event("torn", "가나다")
    content = path.read_bytes()
    path.write_bytes(content[: whole + kept] if kept > 0 else content[:kept])
    whats = ["first", "torn"] if kept == -1 else ["first"]  # only the line's end was missing
    assert [event["what"] for event in journal.entries()] == whats
    journal.event("after", "3")
    assert [event["what"] for event in journal.entries()] == [*whats, "after"]


def test_a_letter_torn_in_its_middle_spoils_no_other_line(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes('{"what": "torn", "message": "가'.encode()[:-1])
    journal = Journal(path, Silent())
    journal.event("after", "1")
    assert [event["what"] for event in journal.entries()] == ["after"]


def test_a_message_may_hold_any_separator(tmp_path):
    journal = Journal(tmp_path / "events.jsonl", Silent())
    message = "a\nb\u2028c\x85d\x0ce"
    journal.event("odd", message)
    journal.event("after", "1")
    assert [event["message"] for event in journal.entries()] == [message, "1"]


def test_lines_that_are_no_events_are_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('[1]\n\nnull\n{"what": "real", "message": ""}\n')
    assert [event["what"] for event in Journal(path, Silent()).entries()] == ["real"]


def test_without_a_file_nothing_happened(tmp_path):
    assert Journal(tmp_path / "events.jsonl", Silent()).entries() == []


def test_every_line_is_one_object(tmp_path):
    journal = Journal(tmp_path / "events.jsonl", Silent())
    for number in range(3):
        journal.event("event", "two\nlines", number=number)
    lines = journal.path.read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2]


def test_a_journal_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "fold").write_text("a file")
    with pytest.raises(ResourceError, match="cannot write"):
        Journal(tmp_path / "fold" / "events.jsonl", Silent()).event("any", "thing")
