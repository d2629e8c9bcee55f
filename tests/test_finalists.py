import json

import pytest

from pipeline.base.command import run
from pipeline.finalists import main
from pipeline.ledger import main as ledger
from tests.submitted import FIRST, SECOND, THIRD, root, written

__all__ = ["root", "written"]


def call(root, *more):
    return run(main, ["--root", str(root), "--config", "toy", *more])


def enter(root, name, *more):
    assert run(ledger, ["--root", str(root), "--config", "toy", "add", name, *more]) == 0


def test_the_best_honest_score_and_the_file_that_adds_most_are_proposed(root, capsys):
    assert call(root, "--all", "--submissions.public_share", "0.5", "--json") == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    lines = answer["candidates"]
    assert sorted(line["file"] for line in lines) == [FIRST, SECOND, THIRD]
    assert lines == sorted(lines, key=lambda line: -line["honest"])
    assert answer["first"] == lines[0]["file"]
    near = [line for line in lines[1:] if line["near"] and not line["same"]]
    assert answer["second"] == max(near, key=lambda line: line["two_gain"])["file"]
    assert (answer["private_rows"], answer["rows_assumed"]) == (15, False)
    assert all(0 < line["beats_first"] < 0.5 for line in near)
    assert f"1  {answer['first']}: the best honest score" in printed.err
    assert f"2  {answer['second']}: beats the first with a chance of" in printed.err


def test_leaderboard_scores_have_no_say_and_stand_beside(root, capsys):
    for name in (FIRST, SECOND, THIRD):
        enter(root, name)
    capsys.readouterr()
    assert call(root, "--json") == 0
    before = json.loads(capsys.readouterr().out)
    for score, line in enumerate(before["candidates"], 1):
        enter(root, line["file"], "--public", f"0.{score}", "--private", f"0.{score}5")
    capsys.readouterr()
    assert call(root, "--json") == 0
    after = json.loads(capsys.readouterr().out)
    assert [line["public"] for line in after["candidates"]] == [0.1, 0.2, 0.3]
    for line in after["candidates"]:
        line.update(public=None, private=None)
    assert after == before


def test_only_sent_files_are_compared_and_the_others_reasons_are_told(root, capsys):
    (root / "submissions" / "mine.csv").write_text("id,label\na,0.5\nb,0.7\n")
    enter(root, FIRST)
    enter(root, SECOND)
    enter(root, "mine.csv")
    manifest = root / "oof" / "toy" / "m2" / "run.json"
    manifest.unlink()
    capsys.readouterr()
    assert call(root, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [line["file"] for line in answer["candidates"]] == [SECOND]
    assert answer["second"] is None
    assert answer["left_out"][0] == (
        "mine.csv: has no provenance, so its honest score is not known"
    )
    assert "run m2 cannot be read" in answer["left_out"][1]
    assert answer["rows_assumed"]


@pytest.mark.nightly
def test_all_files_are_scored_by_todays_metric_whatever_they_were_made_for(root, capsys):
    assert call(root, "--all", "--json") == 0
    before = json.loads(capsys.readouterr().out)["candidates"]
    assert {line["made_for"] for line in before} == {None}
    assert call(root, "--all", "--json", "--task.metric", "rmse") == 0
    printed = capsys.readouterr()
    lines = json.loads(printed.out)["candidates"]
    assert {line["made_for"] for line in lines} == {"pearson"}
    assert all(0.1 < line["honest"] < 2 for line in lines)
    assert lines == sorted(lines, key=lambda line: line["honest"])
    assert f"{FIRST} was made for another metric, pearson" in printed.err
    config = root / "configs" / "toy.yaml"
    config.write_text(config.read_text().replace("pearson", "rmse"))
    assert call(root, "--all", "--json") == 0
    assert json.loads(capsys.readouterr().out)["candidates"] == lines


def test_one_file_has_no_hedge(root, capsys):
    enter(root, FIRST)
    assert call(root) == 0
    assert "2  none: there is no other file to choose from" in capsys.readouterr().out


def test_a_near_copy_is_no_hedge(root, capsys):
    from pipeline.ensemble.__main__ import main as ensemble

    arguments = ["--root", str(root), "--config", "toy", "--runs", "m0", "m3"]
    assert run(ensemble, [*arguments, "--method", "mean"]) == 0
    enter(root, THIRD)
    enter(root, "toy-004-mean.csv")
    capsys.readouterr()
    assert call(root, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["candidates"][1]["same"]
    assert answer["second"] is None


@pytest.mark.parametrize("option", [[], ["--all"]])
def test_without_files_it_says_what_to_do(root, capsys, option):
    for path in (root / "submissions").iterdir():
        path.unlink()
    assert call(root, *option) == 2
    expected = "there is no submission of toy" if option else "nothing of toy is in the ledger"
    assert expected in capsys.readouterr().err


def test_where_no_file_can_be_made_again_each_has_its_reason(root, capsys):
    (root / "folds" / "toy.json").unlink()
    assert call(root, "--all") == 5
    message = capsys.readouterr().err
    assert "no submission can be made again, so none can be compared" in message
    assert message.count("cannot be made again") >= 3
