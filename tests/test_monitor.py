"""New rows beside those a bundle was trained on: `pipeline.monitor`."""

import csv
import json

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.files import read_json
from pipeline.monitor.__main__ import main
from pipeline.serve.predicting import predict_file
from tests.toy import pairs, write
from tests.trained import NAME, bundles, root, trained

__all__ = ["bundles", "root", "trained"]
COLUMNS = ["id", "sentence_1", "sentence_2", "label"]


def asked(trained, bundle, file, capsys, *more):
    assert run(main, ["--root", str(trained), str(bundle), str(file), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def labelled():
    """80 rows like those of train, every seventh with a label that nobody could expect."""
    return [
        (*row[:3], str(5 - float(row[3])) if place % 7 == 0 else row[3])
        for place, row in enumerate(pairs(80, "new"))
    ]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A file of `labelled` rows."""
    path = tmp_path_factory.mktemp("rows") / "new.csv"
    write(path, COLUMNS, labelled())
    return path


@pytest.mark.nightly
def test_of_the_test_file_it_expects_what_the_ensemble_does(trained, bundles, capsys):
    found = asked(trained, bundles / "whole", trained / "test.csv", capsys)
    said = read_json(trained / "submissions" / NAME.replace(".csv", ".json"))["scores"]
    assert found["expected"] == pytest.approx(said["expected"]["whole"], abs=1e-6)
    assert found["verdict"] == "unknown"  # twelve rows
    assert found["real"] is None


def test_the_real_score_is_that_of_the_answers(trained, bundles, rows, tmp_path, capsys):
    found = asked(trained, bundles / "quick", rows, capsys, "--labels")
    assert predict_file(bundles / "quick", str(rows), str(tmp_path / "out.csv")) == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        answers = [float(row["target"]) for row in csv.DictReader(stream)]
    labels = [float(row[3]) for row in labelled()]
    assert found["real"]["score"] == pytest.approx(np.corrcoef(answers, labels)[0, 1], abs=1e-6)
    assert found["real"]["low"] < found["real"]["score"] < found["real"]["high"]
    part = found["expected"]
    assert part["low"] > found["real"]["score"]
    assert found["against"] == "worse"
    assert found["verdict"] == "alike"
    assert not (trained / "runs" / "toy" / ".monitor").exists()


def test_rows_from_another_source_are_told(trained, bundles, tmp_path, capsys):
    strange = [(*row[:1], f"Zxq {row[1].upper()}!!", row[2], row[3]) for row in pairs(80, "new")]
    write(tmp_path / "strange.csv", COLUMNS, strange)
    found = asked(trained, bundles / "quick", tmp_path / "strange.csv", capsys, "--labels")
    assert found["alike"]["low"] > 0.7
    assert found["verdict"] == "unlike"
    assert found["expected"] is None
    assert found["against"] is None
    assert "told apart" in found["notes"][-1]


def test_what_cannot_be_compared_is_refused_in_a_sentence(
    trained, bundles, root, rows, tmp_path, capsys
):
    bundle = str(bundles / "quick")
    argv = ["--root", str(trained), bundle, str(trained / "test.csv"), "--labels"]
    assert run(main, argv) == 3
    assert "test.csv: there is no column 'label'" in capsys.readouterr().err
    assert run(main, ["--root", str(tmp_path / "nowhere"), bundle, str(rows)]) == 2
    assert "holds no training rows to compare with: run this where it" in capsys.readouterr().err

    path = root / "submissions" / NAME.replace(".csv", ".json")
    path.write_text(json.dumps(read_json(path) | {"sha256": "0" * 64}))
    assert run(main, ["--root", str(root), bundle, str(rows)]) == 5
    assert "is not the submission that" in capsys.readouterr().err
