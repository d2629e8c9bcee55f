"""Single faults, seen from outside: the exit code, the words, and the same command again."""

import json
import subprocess
import sys

import pytest

from pipeline import cv
from pipeline.base.command import run
from tests.nightly import nightly
from tests.toy import environment, predictions, toy_competition
from tests.training.toys import inject


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bytes of an undisturbed run of `linear`."""
    root = toy_competition(tmp_path_factory.mktemp("golden"))
    assert run(cv.main, ["--root", str(root), "--model", "linear"]) == 0
    return predictions(root)


MORE = [
    nightly(kind, nth)
    for kind, nth in [("enospc", 7), ("edquot", 3), ("edquot", 7), ("erofs", 3), ("erofs", 7)]
]


@pytest.mark.parametrize(("kind", "nth"), [("enospc", 3), *MORE])
def test_a_save_that_fails_ends_with_4_and_the_same_command_goes_on(
    tmp_path, golden, kind, nth, monkeypatch, capsys
):
    root = toy_competition(tmp_path)
    inject(monkeypatch, f"commit-write:{nth}:{kind}")
    assert run(cv.main, ["--root", str(root), "--model", "linear"]) == 4
    inject(monkeypatch, "")
    said = capsys.readouterr().err
    assert "Traceback" not in said
    words = "cannot write" if kind == "erofs" else "no space left to write"
    assert words in said
    assert str(root) in said
    assert not list(root.rglob(".tmp-*"))
    assert run(cv.main, ["--root", str(root), "--model", "linear"]) == 0
    assert predictions(root) == golden


def test_memory_that_runs_out_once_costs_no_step_and_is_told_everywhere(
    tmp_path, monkeypatch, capsys
):
    root = toy_competition(tmp_path)
    inject(monkeypatch, "micro-batch:2:oom")
    assert run(cv.main, ["--root", str(root), "--model", "tiny"]) == 0
    told = "out of memory at step 2 with 8 rows at once; from here on at most 4"
    assert told in capsys.readouterr().err
    manifest = json.loads((root / "oof" / "toy" / "tiny" / "run.json").read_text())
    (event,) = [e for e in manifest["events"]["seed-42/fold-0"] if e["what"] == "batch halved"]
    assert (event["step"], event["rows_before"], event["rows"]) == (1, 8, 4)
    fold = json.loads((root / "oof" / "toy" / "tiny" / "seed-42" / "fold-2.json").read_text())
    assert fold["learner"]["learnt"]["micro_rows"] == 4
    assert fold["learner"]["steps"] == 10


@pytest.mark.nightly
def test_two_at_once_share_the_folds_and_change_no_byte(tmp_path, golden):
    root = toy_competition(tmp_path)
    argv = [sys.executable, "-m", "pipeline.cv", "--root", str(root), "--model", "linear"]
    both = [
        subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ends = [(process.communicate()[1].decode(), process.returncode) for process in both]
    assert {code for _, code in ends} <= {0, 75}
    assert 0 in {code for _, code in ends}
    for words, code in ends:
        assert code == 0 or "is being written by process" in words
    assert predictions(root) == golden
    assert (root / "oof" / "toy" / "linear" / "run.json").exists()


def test_a_time_limit_that_is_over_says_how_to_go_on(tmp_path, monkeypatch, capsys) -> None:
    root = toy_competition(tmp_path)
    argv = ["--root", str(root), "--model", "linear", "--time-limit", "0s"]
    monkeypatch.setattr(sys, "argv", [cv.__file__, *argv])
    monkeypatch.setattr("pipeline.base.command.STOP.deadline", None)
    monkeypatch.setattr("pipeline.base.command.STOP.limit", "")
    assert run(cv.main, argv) == 75
    said = capsys.readouterr().err
    assert "stopped by the time limit of 0s" in said
    assert f"python -m pipeline.cv --root {root} --model linear --time-limit 0s" in said
