"""Competitions of answers in texts, from files to a checked submission."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import bundle, cv, init, predict, rebuild, wrapup
from pipeline.base.command import run
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.folds import __main__ as folds
from pipeline.oof.predictions import read_fold
from pipeline.report import __main__ as report
from pipeline.serve.bundle import open_bundle
from pipeline.serve.engine import Engine
from pipeline.team import __main__ as team
from tests.reading_comprehension import Asked, asked, tweet, write_csv, write_squad

TRAIN, TEST = range(60), range(60, 76)


def written(root: Path) -> dict[str, str]:
    """The answers of the one submission."""
    (file,) = (root / "submissions").glob("*.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    return {row[0]: row[1] for row in rows[1:]}


def trained(root: Path, name: str, windows: Sequence[int], method: str) -> list[str]:
    """Members of the crf, and the file of their blend; how to ask for the competition."""
    where = ["--root", str(root), "--config", str(root / "configs" / f"{name}.yaml")]
    for window in windows:
        settings = ["--set", f"window={window}", "--set", "iterations=20"]
        assert run(cv.main, [*where, "--model", "crf", *settings]) == 0
    assert run(ensemble.main, [*where, "--method", method]) == 0
    return where


@pytest.mark.nightly
def test_the_whole_way_of_squads_files(tmp_path, capsys):
    data = tmp_path / "letters"
    data.mkdir()
    rows = [asked(number, unanswered=0.25) for number in TRAIN]
    tests = [asked(number, unanswered=0.25) for number in TEST]
    write_squad(data / "train.json", rows)
    write_squad(data / "test.json", tests, labelled=False)
    sample = {row.name: "" for row in tests[::-1]}
    (data / "sample_submission.json").write_text(json.dumps(sample), encoding="utf-8")
    given = ["--folds", "3", "--root", str(tmp_path), "--metric", "word-f1"]
    assert run(init.main, [str(data), *given]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "sample submission's first column" in told
    assert "question question" in told
    assert "pipeline.cv" in told
    assert "--model crf" in told
    where = trained(tmp_path, "letters", (1, 2), "greedy")
    answers = written(tmp_path)
    said = capsys.readouterr().out
    assert "What happened to honest predictions" in said
    assert "the same as JSON, an answer under each id" in said
    assert list(answers) == list(sample), "the sample's own order"
    (sent,) = tmp_path.glob("submissions/*/predictions.json")
    assert list(json.loads(sent.read_text(encoding="utf-8")).items()) == list(answers.items())
    right = sum(answers[row.name] == row.answer for row in tests)
    assert right >= 0.85 * len(tests)
    assert any(not row.answer for row in tests)
    assert all(not answers[row.name] for row in tests if not row.answer), "no answer is found"
    (record,) = (tmp_path / "submissions").glob("*.json")
    scores = json.loads(record.read_text(encoding="utf-8"))["scores"]
    assert 0.8 < scores["honest"] <= 1
    frozen = pd.read_csv(tmp_path / "folds" / "letters.csv")
    assert frozen["id"].tolist() == [row.name for row in rows], "a row per text"
    parts = [read_fold(path)[0] for path in sorted(tmp_path.glob("oof/letters/*/seed-42/*.npz"))]
    assert {part.valid.dtype for part in parts} == {np.dtype(np.float16)}
    text_of = {row.name: row.text for row in rows}
    for part in parts:
        held = [row.rpartition("#")[0] for row in part.valid_ids.tolist()]
        assert all(held.count(name) == len(text_of[name]) for name in set(held)), "by character"

    file, same = record.with_suffix(".csv"), tmp_path / "again.csv"
    root = ["--root", str(tmp_path)]
    assert run(rebuild.main, [str(file), *root]) == 0
    asked_again = ["--with", str(file), "-o", str(same), *root]
    assert run(predict.main, [str(data / "test.json"), *asked_again]) == 0
    assert same.read_bytes() == file.read_bytes()
    new = tmp_path / "new.json"  # other texts under known ids, one of them empty
    write_squad(
        new,
        [
            Asked(
                "q60", "Letter 7 says that two lamps was found in Oslo by Bo.", "Where was it?", ""
            )
        ],
        labelled=False,
    )
    asked_again[3] = str(tmp_path / "new.csv")
    assert run(predict.main, [str(new), *asked_again]) == 0
    assert (tmp_path / "new.csv").read_text(encoding="utf-8").split() == ["id,answer", "q60,Oslo"]
    assert run(doctor.main, where) == 0
    assert run(folds.main, where) == 0
    audited(tmp_path, where)
    assert run(wrapup.main, where) == 0
    listed = tmp_path / "doubtful.csv"
    assert run(report.main, [*where, "--doubtful", str(listed)]) == 0
    doubts = pd.read_csv(listed, keep_default_na=False)
    assert set(doubts["id"]) == {row.name for row in rows}
    assert doubts["doubt"].between(0, 1).all()
    right_of = {row.name: row.answer or "none" for row in rows}
    assert dict(zip(doubts["id"], doubts["label"], strict=True)) == right_of
    assert run(report.main, [*where, "--quick"]) == 0
    page = (tmp_path / "submissions" / "letters-report.html").read_text(encoding="utf-8")
    assert "What happened to honest predictions" in page
    assert "answers that are missing, and such as are none" in page
    shown = page[page.index("worst rows</") :]
    assert any(f">{each.answer}<" in shown for each in rows if each.answer), "answers as texts"


def audited(root: Path, where: list[str]) -> None:
    """A team-mate's file of characters: a copy is refused, another member judged."""
    runs = sorted(path.name for path in (root / "oof" / "letters").iterdir())
    file = root / "mate.csv"
    assert run(team.main, ["export", runs[0], *where, "--out", str(file)]) == 0
    assert run(team.main, ["add", str(file), *where, "--name", "copy"]) == 3
    frame = pd.read_csv(file, dtype={"id": str})
    columns = frame.columns[3:]
    assert list(columns) == ["start", "end", "no answer"]
    noise = np.random.default_rng(0).random((len(frame), 3))
    frame[columns] = 0.8 * frame[columns] + 0.002 * noise
    frame.to_csv(file, index=False)
    file.with_suffix(".json").unlink()
    assert run(team.main, ["add", str(file), *where, "--name", "mate"]) in (0, 3)


def test_a_piece_of_a_tweet_by_its_label(tmp_path, capsys):
    data = tmp_path / "tweets"
    data.mkdir()
    rows = [[f"t{number}", *tweet(number)] for number in TRAIN]
    write_csv(data / "train.csv", ["textID", "text", "sentiment", "selected_text"], rows)
    tests = [[f"t{number}", *tweet(number)] for number in TEST]
    write_csv(data / "test.csv", ["textID", "text", "sentiment"], [row[:3] for row in tests])
    order = tests[::-1]
    write_csv(
        data / "sample_submission.csv", ["textID", "selected_text"], [[row[0], ""] for row in order]
    )
    assert run(init.main, [str(data), "--folds", "3", "--root", str(tmp_path)]) == 0
    config = (tmp_path / "configs" / "tweets.yaml").read_text(encoding="utf-8")
    for line in ("problem: span", "metric: jaccard", "question: sentiment", "texts: [text]"):
        assert line in config
    trained(tmp_path, "tweets", (2,), "auto")
    answers = written(tmp_path)
    assert list(answers) == [row[0] for row in order], "the sample's own order"
    right = sum(answers[row[0]] == row[3] for row in tests)
    whole = sum(row[1] == row[3] for row in tests)
    assert right >= 0.8 * len(tests) > 2 * whole, "more than who always answers with all of it"
    (file,) = (tmp_path / "submissions").glob("*.csv")
    out = tmp_path / "bundle"
    assert run(bundle.main, [str(file), "-o", str(out), "--root", str(tmp_path)]) == 0
    engine = Engine(open_bundle(out))
    asked = [dict(zip(engine.columns, row[1:3], strict=True)) for row in tests]
    for row, each in zip(tests, engine.answer(engine.table(asked)), strict=True):
        (piece,) = each["answer"]["selected_text"]
        assert each["text"] == row[1]
        assert each["text"][piece["start"] : piece["end"]] == piece["text"] == answers[row[0]]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [("linear", "does not learn span"), ("crf-templates", "tags belong to the units as they are")],
)
def test_what_cannot_learn_answers_is_refused(tmp_path, capsys, recipe, said):
    data = tmp_path / "letters"
    data.mkdir()
    write_squad(data / "train.json", [asked(number) for number in range(12)])
    write_squad(data / "test.json", [asked(20)], labelled=False)
    assert run(init.main, [str(data), "--folds", "3", "--root", str(tmp_path)]) == 0
    where = ["--root", str(tmp_path), "--config", str(tmp_path / "configs" / "letters.yaml")]
    model = ["--model", recipe]
    if recipe != "linear":
        model = ["--model", "crf", "--set", 'clean=["lower"]']
    assert run(cv.main, [*where, *model]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
