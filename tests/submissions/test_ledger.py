import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.base.errors import ArtifactError, BusyError, DataError, UsageError
from pipeline.base.leases import lease
from pipeline.metrics.metric import score_problem
from pipeline.submissions import ledger
from pipeline.submissions.ledger import Entry, News, change_ledger, ledger_path, read_ledger, record

ONE = Entry(day="2026-03-01", file="toy-001-mean.csv", sha256="1" * 64, by="ann", public=0.9)
TWO = Entry(day="2026-03-02", file="toy-002-best.csv", sha256="2" * 64, by="bob")


def news(entry, **more):
    values = {"file": entry.file, "sha256": entry.sha256, "day": entry.day, "by": entry.by}
    return News(**values | {"public": entry.public, "private": entry.private} | more)


def keep(folder, *entries):
    change_ledger(folder, "toy", lambda old: [*old, *entries])


def test_entries_stand_one_a_line_by_day_and_name(tmp_path):
    keep(tmp_path, TWO)
    keep(tmp_path, ONE)
    lines = (tmp_path / "toy-ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == [ONE.file, TWO.file]
    assert read_ledger(tmp_path, "toy") == [ONE, TWO]
    assert read_ledger(tmp_path, "another") == []


def test_both_sides_of_a_merge_may_stand_in_any_order_and_one_entry_on_two_lines(tmp_path):
    scored = replace(TWO, public=0.91)
    lines = [scored.line, ONE.line, "", TWO.line]
    ledger_path(tmp_path, "toy").write_text("\n".join(lines))
    assert read_ledger(tmp_path, "toy") == [ONE, scored]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["<<<<<<< HEAD", ONE.line, "=======", TWO.line, ">>>>>>> x"], "Keep the lines of both"),
        ([ONE.line, replace(ONE, public=0.8).line], "line 2 contradicts another line"),
        (["no"], "line 1 is no JSON: 'no'"),
        (["[1]"], "line 1 is no JSON object"),
        (['{"day": "2026-03-01"}'], "has no text as 'file'"),
        ([ONE.line.replace("2026-03-01", "1.3.26")], "has '1.3.26' as day"),
        ([ONE.line.replace("0.9", '"0.9"')], "has '0.9' as 'public', expected a number"),
        ([ONE.line.replace("0.9", "NaN")], "has nan as 'public', expected a number"),
        ([ONE.line.replace("0.9", "true")], "has True as 'public'"),
        ([ONE.line.replace("1" * 64, "12")], "has no SHA-256 of 64"),
        ([ONE.line.replace('"by"', '"bye"')], "has the unknown field 'bye'"),
        (["x", ONE.line, "y"], "line 3 is no JSON"),
    ],
)
def test_a_damaged_ledger_names_its_lines(tmp_path, lines, message):
    ledger_path(tmp_path, "toy").write_text("\n".join(lines))
    with pytest.raises(ArtifactError) as caught:
        read_ledger(tmp_path, "toy")
    assert message in str(caught.value)
    assert str(caught.value).count("is damaged") <= 1


def test_a_damaged_ledger_is_never_written_over(tmp_path):
    ledger_path(tmp_path, "toy").write_text("no")
    with pytest.raises(ArtifactError):
        record(tmp_path, "toy", "pearson", news(ONE))
    assert ledger_path(tmp_path, "toy").read_text() == "no"


def test_a_command_waits_for_another_that_is_about_to_end(tmp_path):
    with ThreadPoolExecutor() as pool:
        with lease(tmp_path / ".toy-ledger.lease", "the ledger"):
            waiting = pool.submit(keep, tmp_path, TWO)
            time.sleep(0.3)
            assert not waiting.done()
        waiting.result(timeout=10)
    assert read_ledger(tmp_path, "toy") == [TWO]


def test_of_two_commands_at_once_neither_loses_its_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PATIENCE", 0.2)

    def meanwhile(old):
        with pytest.raises(BusyError):
            keep(tmp_path, TWO)
        return [*old, ONE]

    change_ledger(tmp_path, "toy", meanwhile)
    keep(tmp_path, TWO)
    assert read_ledger(tmp_path, "toy") == [ONE, TWO]
    with lease(tmp_path / ".toy-ledger.lease", "the ledger"), pytest.raises(BusyError):
        record(tmp_path, "toy", "pearson", news(ONE))


def test_a_private_score_may_come_later(tmp_path):
    record(tmp_path, "toy", "pearson", news(TWO))
    entry, new = record(tmp_path, "toy", "pearson", news(TWO, day=None, by=None, private=0.5))
    assert (entry, new) == (replace(TWO, private=0.5), False)
    assert read_ledger(tmp_path, "toy") == [replace(TWO, private=0.5)]


def test_the_same_news_twice_is_refused_with_advice(tmp_path):
    record(tmp_path, "toy", "pearson", news(ONE))
    with pytest.raises(DataError) as caught:
        record(tmp_path, "toy", "pearson", news(ONE))
    assert str(caught.value) == (
        "these bytes are in the ledger already: toy-001-mean.csv, sent on 2026-03-01 by ann "
        "(public 0.9). To add a score: --public or --private"
    )


def test_another_score_is_refused_unless_it_corrects_a_slip(tmp_path):
    record(tmp_path, "toy", "pearson", news(ONE))
    with pytest.raises(DataError) as caught:
        record(tmp_path, "toy", "pearson", news(ONE, public=0.8))
    assert "its public is 0.9, not 0.8. If the ledger is wrong: --correct" in str(caught.value)
    assert read_ledger(tmp_path, "toy") == [ONE]
    record(tmp_path, "toy", "pearson", news(ONE, public=0.8), correct=True)
    assert read_ledger(tmp_path, "toy") == [replace(ONE, public=0.8)]


def test_all_that_cannot_be_is_told_at_once_and_nothing_is_entered(tmp_path):
    with pytest.raises(UsageError) as caught:
        record(tmp_path, "toy", "pearson", news(ONE, public=1.2, private=93.52, day="tomorrow"))
    assert str(caught.value) == (
        "nothing was entered for toy-001-mean.csv:\n"
        "  - the public score is 1.2, but pearson lies between -1 and 1\n"
        "  - the private score is 93.52, but pearson lies between -1 and 1; did you mean 0.9352?\n"
        "  - --date is 'tomorrow'; write it as 2026-03-31"
    )
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_day_to_come_and_an_empty_name_are_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        record(tmp_path, "toy", "rmse", news(ONE, day="2999-01-01", by=" "))
    assert "2999-01-01, which is still to come" in str(caught.value)
    assert "--by is empty" in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "score", "wrong"),
    [
        ("rmse", 3.0, False),
        ("rmse", -0.1, True),
        ("r2", -7.0, False),
        ("r2", 1.1, True),
        ("auc", -0.1, True),
        ("qwk", -0.5, False),
        ("own:metric", 55.0, False),
        ("own:metric", float("nan"), True),
    ],
)
def test_scores_are_held_to_the_metrics_range(metric, score, wrong):
    assert bool(score_problem(metric, "public", score)) is wrong
