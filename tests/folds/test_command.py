"""The command that freezes and checks folds."""

import json

import pytest

from pipeline.base.command import run
from pipeline.folds.__main__ import main

CONFIG = """
name: toy
data: {train: train.csv, test: test.csv, sample_submission: sample.csv}
columns: {id: id, texts: [text], targets: [topic], features: [source]}
task: {problem: multiclass, metric: accuracy, classes: ["[red]", blue, 초록]}
folds: {count: 3, groups: exact, stratify_by: [source]}
"""


@pytest.fixture
def root(tmp_path):
    colours = ["[red]", "blue", "초록"]
    rows = [f"r{row},text {row},{'ab'[row % 2]},{colours[row % 3]}" for row in range(36)]
    (tmp_path / "train.csv").write_text("\n".join(["id,text,source,topic", *rows]) + "\n")
    (tmp_path / "test.csv").write_text("id,text,source\nt0,new,a\n")
    (tmp_path / "sample.csv").write_text("id,topic\nt0,blue\n")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "toy.yaml").write_text(CONFIG)
    return tmp_path


def command(root, *more):
    return run(main, ["--root", str(root), "--config", "toy", *more])


def test_the_first_call_freezes_and_the_second_checks(root, capsys):
    assert command(root) == 0
    first = capsys.readouterr().out
    assert "toy: 36 rows of train.csv" in first
    assert "groups   36, the largest of 1 row;" in first
    assert "folds    3, even in 6 strata of target × source, seed 42" in first
    assert "are frozen: keep both files in git" in first
    assert "[red]" in first
    assert first.count("33.3%") >= 9
    written = (root / "folds" / "toy.csv").read_bytes()
    assert command(root) == 0
    second = capsys.readouterr().out
    assert "still fit; nothing was written" in second
    assert (root / "folds" / "toy.csv").read_bytes() == written
    digest = json.loads((root / "folds" / "toy.json").read_text())["digests"]["overall"]
    assert f"digest {digest}" in first
    assert f"digest {digest}" in second


def test_what_test_rows_have_in_train_stands_beside_what_held_out_rows_have(root, capsys):
    """But not where test rows are so few that a share says nothing."""
    assert command(root) == 0
    assert "has in train" not in capsys.readouterr().out
    rows = [f"t{row},text {row % 72},a" for row in range(144)]  # half of these texts are in train
    (root / "test.csv").write_text("\n".join(["id,text,source", *rows]) + "\n")
    (root / "sample.csv").write_text("id,topic\n" + "".join(f"t{row},blue\n" for row in range(144)))
    assert command(root) == 0
    told = capsys.readouterr().out
    assert "  test     has in train: a shared sentence 50.0 %, at least a near sentence" in told
    assert "  held out have in training: a shared sentence 0.0 %" in told
    assert "  note     50 % of the test rows have the texts of a row of train, 0 % of the" in told


def test_json_is_one_object_with_a_line_per_fold(root, capsys):
    assert command(root, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "frozen"
    assert [line["rows"] for line in found["table"]] == [12, 12, 12]
    assert found["table"][0]["targets"] == pytest.approx(
        {"[red]": 1 / 3, "blue": 1 / 3, "초록": 1 / 3}
    )
    assert found["balance"] == [{"share_deviation": 0.0, "size_difference": 0}]


def test_a_changed_file_ends_with_exit_code_5_and_the_row(root, capsys):
    command(root)
    train = (root / "train.csv").read_text()
    (root / "train.csv").write_text(train.replace("r7,text 7,b,blue", "r7,text 7,b,초록"))
    assert command(root) == 5
    assert "the targets of 1 rows have changed since the folds were frozen: r7\n" in (
        capsys.readouterr().err
    )


def test_what_cannot_be_split_ends_with_exit_code_3(root, capsys):
    assert command(root, "--folds.count", "40") == 3
    assert "train.csv has 36 rows, fewer than the 40 folds" in capsys.readouterr().err
    assert not (root / "folds").exists()


def test_a_fold_file_of_ones_own_is_taken_from_the_root(root, capsys):
    rows = [f"r{row},{row // 12}" for row in range(36)]
    (root / "own.csv").write_text("\n".join(["id,fold", *rows]) + "\n")
    assert command(root, "--folds.file", "own.csv") == 0
    assert "taken from own.csv" in capsys.readouterr().out
    assert (root / "folds" / "toy.csv").read_text().splitlines()[13] == "r12,1,12"


def test_a_metric_that_is_none_is_told_before_folds_are_frozen(root, capsys):
    config = root / "configs" / "toy.yaml"
    config.write_text(config.read_text().replace("metric: accuracy", "metric: acuracy"))
    assert command(root) == 2
    assert "did you mean 'accuracy'?" in capsys.readouterr().err
    assert not (root / "folds" / "toy.csv").exists()
