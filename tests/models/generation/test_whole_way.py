"""`pipeline.cv` with a writer: killed in the middle of writing, it goes on to the same bytes."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline import cv, init
from pipeline.base.command import run
from tests.test_texts import competition

TINY = {
    "width": 16,
    "attention_heads": 2,
    "layers": 1,
    "feed_forward": 16,
    "vocabulary": 300,
    "epochs": 1,
    "max_answer": 12,
    "predict_batch_size": 4,
    "beams": 2,
    "candidates": 2,
}


def begun(root):
    """Options of a competition with two folds, of which the first is trained."""
    root.mkdir()
    competition(root)
    asked = ["--root", str(root), "--name", "facts", "--metric", "chrf", "--folds", "2"]
    assert run(init.main, [*asked, str(root)]) == 0
    settings = [part for key, each in TINY.items() for part in ("--set", f"{key}={each}")]
    config = ["--root", str(root), "--config", str(root / "configs/facts.yaml")]
    return [*config, "--model", "tiny-seq2seq", *settings, "--only-fold", "0"]


def written(root):
    """What the run says: bytes by the names of files."""
    parts = sorted(root.glob("oof/facts/tiny-seq2seq-*/seed-42/*.jsonl"))
    return {path.name: path.read_bytes() for path in parts}


@pytest.mark.nightly
def test_a_run_that_is_killed_while_it_writes_goes_on_to_the_same_bytes(tmp_path, capsys):
    whole, killed = begun(tmp_path / "whole"), begun(tmp_path / "killed")
    assert run(cv.main, whole) == 0
    fault = os.environ | {"PIPELINE_FAULT": "predict:3:kill9"}
    command = [sys.executable, "-m", "pipeline.cv", *killed]
    found = subprocess.run(command, env=fault, capture_output=True, timeout=300, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr
    kept = sorted((tmp_path / "killed").glob("runs/**/answers/*/batch-*.json"))
    assert len(kept) == 2, "two batches were answered"
    capsys.readouterr()
    assert run(cv.main, killed) == 0
    assert "8 of 18 rows were answered before" in " ".join(capsys.readouterr().err.split())
    assert len(written(tmp_path / "whole")) == 2
    assert written(tmp_path / "killed") == written(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob("runs/**/answers")), "kept for nothing"


def test_other_problems_refuse_a_writer_in_a_sentence(tmp_path, capsys):
    root = tmp_path / "numbers"
    root.mkdir()
    rows = "".join(f"{row},text number {row},{row % 5}.5\n" for row in range(40))
    (root / "train.csv").write_text("id,text,score\n" + rows, encoding="utf-8")
    (root / "test.csv").write_text("id,text\nt1,a text\nt2,another\n", encoding="utf-8")
    (root / "sample_submission.csv").write_text("id,score\nt1,0.5\nt2,1.5\n", encoding="utf-8")
    asked = ["--root", str(root), "--name", "numbers", "--problem", "regression"]
    assert run(init.main, [*asked, "--metric", "rmse", "--folds", "2", str(root)]) == 0
    config = ["--root", str(root), "--config", str(root / "configs/numbers.yaml")]
    assert run(cv.main, [*config, "--model", "tiny-seq2seq"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "tiny-seq2seq is for learner generator, which does not learn" in said
