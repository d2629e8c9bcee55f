"""Against a stand-in for Kaggle's client; the real service was never asked."""

import sys
import types

import pytest

from pipeline.base.errors import BusyError, DataError, UsageError
from pipeline.submissions import kaggle
from pipeline.submissions.kaggle import connect, send
from tests.submissions.fake_kaggle import (
    ConnectionError_,
    FakeKaggle,
    HTTPError,
    Limits,
)

MESSAGE = "mean of 2 runs; honest pearson 0.9"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(kaggle, "POLL_SECONDS", 0.001)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "toy-001-mean.csv"
    path.write_text("id,target\na,1\n")
    return path


def test_a_file_counts_once_kaggle_lists_it_with_its_score(csv):
    client = FakeKaggle(pending=3)
    found = send(client, "toy", csv, MESSAGE, 5)
    assert (found.public, found.day, found.by) == (0.9352, "2026-03-01", "anns-account")
    assert (found.scored, found.again) == (True, False)
    assert client.uploads == [f"toy:{csv}"]


def test_a_file_that_is_listed_but_not_scored_in_time_has_arrived(csv):
    found = send(FakeKaggle(pending=10**9), "toy", csv, MESSAGE, 0.05)
    assert (found.public, found.scored) == (None, False)


def test_the_clients_word_is_not_taken(csv):
    with pytest.raises(BusyError) as caught:
        send(FakeKaggle(lost=True), "toy", csv, MESSAGE, 0.05)
    assert "Kaggle does not list toy-001-mean.csv after 0 s" in str(caught.value)
    assert "nothing was entered into the ledger" in str(caught.value)


def test_another_submission_of_that_name_is_not_ours(csv):
    client = FakeKaggle(lost=True)
    client.add(csv.name, "a team-mate's message")
    with pytest.raises(BusyError):
        send(client, "toy", csv, MESSAGE, 0.05)


def test_what_arrived_in_an_earlier_try_is_not_sent_again(csv):
    client = FakeKaggle()
    client.add(csv.name, MESSAGE)
    assert send(client, "toy", csv, MESSAGE, 5).again
    assert client.uploads == []


def test_a_long_message_may_be_cut(csv):
    client, message = FakeKaggle(lost=True), "m" * 400
    client.add(csv.name, message[:255])
    assert send(client, "toy", csv, message, 5).again


def test_a_file_that_cannot_be_scored_is_told_with_kaggles_reason(csv):
    with pytest.raises(DataError) as caught:
        send(FakeKaggle(broken="Column id not found"), "toy", csv, MESSAGE, 5)
    assert "could not score it: Column id not found. It is not in the ledger" in str(caught.value)


def test_an_upload_that_failed_is_busy(csv):
    client = FakeKaggle(answer="Could not submit to competition", lost=True)
    with pytest.raises(BusyError) as caught:
        send(client, "toy", csv, MESSAGE, 5)
    assert "Kaggle did not take toy-001-mean.csv" in str(caught.value)


def test_a_used_up_day_costs_no_upload(csv):
    client = FakeKaggle(limits=Limits(num_today=5, num_total=9, num_allowed_now=0))
    with pytest.raises(BusyError) as caught:
        send(client, "toy", csv, MESSAGE, 5)
    assert "no submission to toy is left today: Kaggle counts 5" in str(caught.value)
    assert client.uploads == []


def test_who_is_in_no_team_yet_may_send(csv):
    client = FakeKaggle(limits=Limits(num_today=0, num_total=0, num_allowed_now=0))
    assert send(client, "toy", csv, MESSAGE, 5).scored


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (HTTPError(401), UsageError, "does not know these credentials"),
        (HTTPError(403), UsageError, "accept its rules at https://www.kaggle.com/competitions/toy"),
        (HTTPError(404), UsageError, "Its name is the last part of its address; say it"),
        (HTTPError(400), DataError, "refuses the submission (400)"),
        (HTTPError(499), DataError, "refuses the submission (499)"),
        (HTTPError(429), BusyError, "cannot be reached"),
        (HTTPError(500), BusyError, "cannot be reached"),
        (ConnectionError_("no route"), BusyError, "cannot be reached (ConnectionError_: no route)"),
        (TypeError("no such argument"), UsageError, "this was written against kaggle 2.2"),
        (SystemExit(1), UsageError, "gave up"),
    ],
)
@pytest.mark.parametrize("method", ["submissions", "submit", "limits"])
def test_every_failure_has_its_word_and_its_exit_code(csv, error, kind, message, method):
    with pytest.raises(kind) as caught:
        send(FakeKaggle(failing={method: error}), "toy", csv, MESSAGE, 5)
    assert message in str(caught.value)


def module_with(monkeypatch, api):
    names = ["kaggle", "kaggle.api", "kaggle.api.kaggle_api_extended"]
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[names[-1]].KaggleApi = api


def test_without_credentials_the_clients_exit_is_caught(monkeypatch, capsys):
    class Stranger:
        def authenticate(self):
            print("Authentication required to call the Kaggle API.")
            raise SystemExit(1)

    module_with(monkeypatch, Stranger)
    with pytest.raises(UsageError) as caught:
        connect()
    assert "Make a token at https://www.kaggle.com/settings/api" in str(caught.value)
    assert capsys.readouterr().out == ""


def test_without_the_client_its_installation_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle", None)
    monkeypatch.setitem(sys.modules, "kaggle.api.kaggle_api_extended", None)
    with pytest.raises(UsageError) as caught:
        connect()
    assert 'pip install "foldstack[kaggle]"' in str(caught.value)


def test_a_client_that_signs_in_is_handed_on(monkeypatch):
    class Known(FakeKaggle):
        def authenticate(self):
            self.known = True

    module_with(monkeypatch, Known)
    assert connect().known
