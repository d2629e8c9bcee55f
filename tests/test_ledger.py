import json
from datetime import UTC, datetime

import pytest

from pipeline.base.command import run
from pipeline.base.files import commit_json, read_json
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.ledger import main
from pipeline.submissions import kaggle
from tests.submissions.fake_kaggle import FakeKaggle, Limits
from tests.submitted import FIRST, SECOND, THIRD, root, written

__all__ = ["root", "written"]


def today() -> str:
    """Asked where it is used: a suite may run past midnight."""
    return datetime.now(UTC).date().isoformat()


def call(root, *more):
    return run(main, ["--root", str(root), "--config", "toy", *more])


def blend(root, *more):
    return run(ensemble, ["--root", str(root), "--config", "toy", *more])


def listed(root, capsys, *more):
    capsys.readouterr()
    assert call(root, "--json", *more) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def client(monkeypatch):
    fake = FakeKaggle(pending=0)
    monkeypatch.setattr(kaggle, "connect", lambda: fake)
    monkeypatch.setattr(kaggle, "POLL_SECONDS", 0.001)
    return fake


def test_a_sent_file_stands_in_the_list_with_what_was_expected_of_it(root, capsys):
    record = root / "submissions" / FIRST.replace(".csv", ".json")
    content = read_json(record)
    ranges = {"public": {"score": 0.9, "low": 0.85, "high": 0.93, "rows": 15}}
    content["scores"]["expected"] = ranges
    commit_json(record, content)
    assert call(root, "add", FIRST, "--public", "0.95", "--by", "ann", "--date", "2026-03-01") == 0
    assert "0.9500 lies outside the 90 % range 0.8500 … 0.9300" in capsys.readouterr().out
    (line,) = listed(root, capsys)["sent"]
    assert (line["file"], line["public"], line["by"]) == (FIRST, 0.95, "ann")
    assert (line["day"], line["method"], line["outside"]) == ("2026-03-01", "mean", ["public"])
    assert line["honest"] == content["scores"]["honest"]
    assert call(root) == 0
    page = capsys.readouterr().out
    assert "0.9500 !" in page
    assert "0.8500 … 0.9300" in page


def test_ranges_that_are_asked_for_after_a_file_was_sent_stand_in_the_list(root, capsys):
    assert call(root, "add", FIRST) == 0
    assert listed(root, capsys)["sent"][0]["expected"] == {}
    again = ["--runs", "m0", "m1", "m2", "--method", "mean", "--public-share", "0.3"]
    assert blend(root, *again) == 3
    assert "sent" in capsys.readouterr().err
    assert listed(root, capsys)["sent"][0]["expected"].keys() == {"public", "private"}


def test_ranges_that_are_asked_for_later_are_kept_and_told(root, capsys):
    again = ["--runs", "m0", "m1", "m2", "--method", "mean", "--public-share", "0.3"]
    assert blend(root, *again) == 0
    assert "toy-001-mean.json now holds the score and ranges above" in capsys.readouterr().out
    assert blend(root, *again) == 0
    assert "nothing new was written" in capsys.readouterr().out


def test_a_score_inside_its_range_is_not_marked(root, capsys):
    record = root / "submissions" / FIRST.replace(".csv", ".json")
    content = read_json(record)
    content["scores"]["expected"] = {"private": {"score": 0.9, "low": 0.85, "high": 0.93}}
    commit_json(record, content)
    assert call(root, "add", FIRST, "--public", "0.2", "--private", "0.86") == 0
    assert "private  0.8600, within the 90 % range" in capsys.readouterr().out
    assert listed(root, capsys)["sent"][0]["outside"] == []


def test_a_file_of_somebody_elses_is_taken_by_its_bytes(root, capsys, tmp_path):
    foreign = tmp_path / "their.csv"
    foreign.write_text("id,label\na,0.5\nb,0.75\n")
    assert call(root, "add", str(foreign), "--public", "0.5") == 0
    assert "honest   not known" in capsys.readouterr().out
    (line,) = listed(root, capsys)["sent"]
    assert (line["file"], line["honest"], line["there"]) == ("their.csv", None, False)


def test_budget_and_days_left(root, capsys):
    assert call(root, "add", FIRST) == 0
    options = ["--submissions.per_day", "3", "--submissions.until", today()]
    found = listed(root, capsys, *options)["budget"]
    assert (found["left_today"], found["days_left"], found["left_in_all"]) == (2, 1, 2)
    assert call(root) == 0
    assert "1 submission today; --submissions.per_day tells the limit" in capsys.readouterr().out
    assert call(root, *options) == 0
    assert "2 of 3 left today for the team (1 used); 1 day left" in capsys.readouterr().out


def test_an_entry_over_the_days_limit_is_told_and_a_corrected_date_mends_it(root, capsys, tmp_path):
    limit = ["--submissions.per_day", "1"]
    assert call(root, "add", FIRST, *limit) == 0
    assert "over the limit" not in capsys.readouterr().out
    foreign = tmp_path / "their.csv"
    foreign.write_text("id,label\na,0.5\nb,0.75\n")
    assert call(root, "add", str(foreign), *limit) == 0
    said = capsys.readouterr().out
    assert f"!        {today()}: 2 submissions of the team, over the limit of 1 a day" in said
    assert "ledger add FILE --date DAY --correct" in said
    assert call(root, "add", str(foreign), "--date", "2026-01-02", "--correct", *limit) == 0
    assert "over the limit" not in capsys.readouterr().out


def test_noise_is_the_paired_error_of_the_two_best_at_the_size_of_the_public_part(root, capsys):
    for name, score in ((FIRST, "0.8"), (SECOND, "0.9"), (THIRD, "0.95")):
        assert call(root, "add", name, "--public", score) == 0
    small = listed(root, capsys, "--submissions.public_rows", "10")["noise"]
    large = listed(root, capsys, "--submissions.public_rows", "30")["noise"]
    assert small["files"] == [THIRD, SECOND]
    assert small["rows"] == 10
    assert small["standard_error"] > 1.3 * large["standard_error"] > 0
    assert listed(root, capsys)["noise"] is None
    assert listed(root, capsys, "--submissions.public_rows", "10", "--quick")["noise"] is None


def test_an_empty_ledger_says_how_to_begin(root, capsys):
    assert call(root, "list") == 0
    assert "nothing is in the ledger yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add"], 2, "add needs a FILE"),
        (["list", FIRST], 2, "list takes no FILE"),
        (["--public", "0.5"], 2, "--public: only with add FILE"),
        (["--public", "0"], 2, "--public: only with add FILE"),
        (["add", FIRST, "--message", "x"], 2, "--message: only with send FILE"),
        (["add", "toy-009-mean.csv"], 2, f"there are: {FIRST}, {SECOND}"),
        (["add", FIRST, "--public", "1.2"], 2, "pearson lies between -1 and 1"),
        (["add", FIRST, "--public", "high"], 2, "public: expected a number, found 'high'"),
        (["remove", FIRST], 2, "remove"),
        (["add", "../configs/toy.yaml"], 2, "there is no submission ../configs/toy.yaml"),
    ],
)
def test_slips_are_refused_with_advice(root, capsys, arguments, code, message):
    assert call(root, *arguments) == code
    assert message in capsys.readouterr().err
    assert not list((root / "submissions").glob("*.jsonl"))


def test_a_changed_file_and_another_competitions_are_refused(root, capsys):
    (root / "submissions" / FIRST).write_text("changed")
    assert call(root, "add", FIRST) == 5
    assert "nobody knows which bytes were sent" in capsys.readouterr().err
    record = root / "submissions" / SECOND.replace(".csv", ".json")
    commit_json(record, read_json(record) | {"competition": "other"})
    assert call(root, "add", SECOND) == 3
    assert "is a submission of other, the config is that of toy" in capsys.readouterr().err
    (root / "submissions" / "notes.csv").write_text("")
    assert call(root, "add", "notes.csv") == 3
    assert "is no table of ids and predictions" in capsys.readouterr().err


def test_a_sent_file_is_not_written_again(root, capsys):
    assert call(root, "add", FIRST, "--public", "0.9", "--by", "ann") == 0
    before = sorted(path.name for path in (root / "submissions").iterdir())
    assert blend(root, "--runs", "m0", "m1", "m2", "--method", "mean") == 3
    message = capsys.readouterr().err
    assert (
        f"nothing was written: these are the bytes of {FIRST}, sent on {today()} by ann" in message
    )
    after = sorted(path.name for path in (root / "submissions").iterdir())
    assert after == before


def test_a_sent_file_that_is_gone_is_not_written_under_another_number(root, capsys):
    assert call(root, "add", FIRST) == 0
    (root / "submissions" / FIRST).unlink()
    (root / "submissions" / FIRST.replace(".csv", ".json")).unlink()
    assert blend(root, "--runs", "m0", "m1", "m2", "--method", "mean") == 3
    assert not list((root / "submissions").glob("*-mean.csv"))


def test_a_dry_run_says_that_the_bytes_were_sent(root, capsys):
    assert call(root, "add", FIRST) == 0
    assert blend(root, "--runs", "m0", "m1", "m2", "--method", "mean", "--dry-run") == 0
    assert f"these are the bytes of {FIRST}" in capsys.readouterr().out


def test_a_near_copy_of_a_sent_file_is_written_with_a_warning(root, capsys):
    assert call(root, "add", THIRD) == 0
    capsys.readouterr()
    assert blend(root, "--runs", "m0", "m3", "--method", "mean", "--json") == 0
    printed = capsys.readouterr()
    (warning,) = json.loads(printed.out)["warnings"]
    assert f"with {THIRD}, sent on {today()}" in warning
    assert "correlates 0.99" in warning
    assert warning in printed.err
    assert (root / "submissions" / "toy-004-mean.csv").exists()


def test_submit_sends_the_file_and_enters_it_with_its_score(root, capsys, client):
    options = ["--runs", "m0", "m1", "--method", "mean", "--submit", "--by", "ann", "--json"]
    assert blend(root, *options) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["sent"]["public"] == 0.9352
    assert client.there[0].file_name == "toy-004-mean.csv"
    assert client.there[0].description.startswith("mean of m0, m1; honest pearson")
    (line,) = listed(root, capsys)["sent"]
    assert (line["file"], line["by"], line["public"]) == ("toy-004-mean.csv", "ann", 0.9352)
    assert line["day"] == "2026-03-01"


def test_submit_and_dry_run_contradict_each_other(root, capsys, client):
    assert blend(root, "--submit", "--dry-run") == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_send_takes_a_written_file_and_its_message(root, capsys, client):
    assert call(root, "send", SECOND) == 0
    assert client.there[0].description.startswith("best of m0; honest pearson")
    assert "arrived; Kaggle lists it" in capsys.readouterr().out
    assert call(root, "send", SECOND) == 3
    assert "these bytes are in the ledger already" in capsys.readouterr().err
    assert len(client.uploads) == 1


def test_what_does_not_arrive_is_not_entered(root, capsys, client):
    client.lost = True
    assert call(root, "send", SECOND, "--wait", "0.05") == 75
    assert not list((root / "submissions").glob("*.jsonl"))
    client.lost = False
    assert call(root, "send", SECOND) == 0


def test_a_score_that_cannot_be_is_not_entered(root, capsys, client):
    client.score = "93.52"
    assert call(root, "send", SECOND) == 0
    assert "entered into the ledger without a score" in capsys.readouterr().out
    assert listed(root, capsys)["sent"][0]["public"] is None


def test_another_name_at_kaggle(root, client):
    assert call(root, "send", SECOND, "--submissions.kaggle", "toy-2026") == 0
    assert client.uploads[0].startswith("toy-2026:")


def test_the_budget_is_asked_before_kaggle_is(root, capsys, client):
    assert call(root, "add", FIRST) == 0
    assert call(root, "send", SECOND, "--submissions.per_day", "1") == 75
    assert "by the ledger the 1 a day that the team may send" in capsys.readouterr().err
    assert call(root, "send", SECOND, "--submissions.until", "2026-01-01") == 2
    assert "the last day for submissions was 2026-01-01" in capsys.readouterr().err
    client.limits = Limits(num_today=5, num_total=5, num_allowed_now=0)
    assert call(root, "send", SECOND) == 75
    assert client.uploads == []


def test_only_whole_files_of_ours_are_sent(root, capsys, client):
    (root / "submissions" / "mine.csv").write_text("id,label\na,0.5\n")
    assert call(root, "send", "mine.csv") == 3
    assert "has no provenance beside it" in capsys.readouterr().err
    (root / "submissions" / SECOND).write_text("changed")
    assert call(root, "send", SECOND) == 5
    assert "pipeline.rebuild toy-002-best.csv" in capsys.readouterr().err
    assert client.uploads == []


def test_an_error_that_a_board_turned_round_is_told(root, written, capsys):
    assert call(root, "add", FIRST, "--public", "-0.5", "--task.metric", "rmse") == 2
    assert "rmse is at least 0; did you mean 0.5?" in capsys.readouterr().err


def test_a_metric_that_is_none_is_told_before_anything_is_entered(root, written, capsys):
    assert call(root, "add", FIRST, "--public", "0.5", "--task.metric", "pearsen") == 2
    assert "did you mean 'pearson'?" in capsys.readouterr().err
    assert listed(root, capsys)["sent"] == []
