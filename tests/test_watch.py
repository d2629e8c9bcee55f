"""`pipeline.watch`: what the files of trainings say, living, dead, stopped and finished."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.base.command import run
from pipeline.base.leases import lease
from pipeline.base.paths import Workspace
from pipeline.cv import main as cv
from pipeline.models.learner import Silent
from pipeline.training import progress
from pipeline.training.progress import Journal, Pulse
from pipeline.training.tracking import TensorBoard
from pipeline.watch import FoldState, folds_under
from pipeline.watch import main as watch
from tests.toy import toy_competition


def space(root: Path, fold: int, run: str = "minilm") -> Workspace:
    found = Workspace(root / "runs" / "toy" / run / "seed-42" / f"fold-{fold}")
    found.folder.mkdir(parents=True, exist_ok=True)
    return found


def finished(root: Path, fold: int, run: str = "minilm") -> None:
    path = root / "oof" / "toy" / run / "seed-42" / f"fold-{fold}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"score": 0.75, "seconds": {"fit": 60.0, "predict": 1.5}, "peak_memory": {"ram": 10**9}}
    path.write_text(json.dumps(facts))


def beat(at: Workspace) -> Pulse:
    """As a training of 100 steps in 4 epochs would be after half of them, in 10 seconds."""
    now = [0.0]
    pulse = Pulse(at.progress, Silent(), clock=lambda: now[0])
    pulse.phase("train", 100, done=20, per_epoch=25)
    now[0] = 10.0
    pulse.advance(30, rows=600, tokens=9000)
    return pulse


def looked(root: Path, capsys) -> list[dict]:
    capsys.readouterr()
    assert run(watch, ["--root", str(root), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def files(root: Path) -> dict[str, tuple[int, float]]:
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime) for path in sorted(root.rglob("*"))
    }


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_living_training_tells_step_epoch_speed_loss_and_time_left(tmp_path, capsys):
    here = space(tmp_path, 0)
    beat(here)
    Journal(here.events, Silent()).record("batch halved", "16 rows from here on")
    board = TensorBoard(here.logs, None)
    board.log({"train_loss": 0.5, "learning_rate": 1e-5}, 25)
    board.log({"train_loss": 0.25, "learning_rate": 2e-5}, 50)
    board.close()
    with lease(here.lease, "it"):
        before = files(tmp_path)
        (fold,) = looked(tmp_path, capsys)
        assert files(tmp_path) == before, "watch wrote something"
    assert fold["state"] == "training"
    assert fold["process"] == os.getpid()
    assert fold["machine"].startswith(platform.node()[:10])
    assert (fold["step"], fold["steps"], fold["epoch"], fold["epochs"]) == (50, 100, 3, 4)
    assert (fold["rows_per_second"], fold["tokens_per_second"]) == (60.0, 900.0)
    assert fold["left_seconds"] == pytest.approx(50 / 3, abs=0.1)
    assert (fold["loss"], fold["learning_rate"]) == pytest.approx((0.25, 2e-5))
    assert fold["ram"] > 10**7
    assert (fold["event"], fold["message"]) == ("batch halved", "16 rows from here on")


def test_a_dead_process_and_a_silent_machine_are_told_as_died(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    for fold, change in ((0, "pid"), (1, "host"), (2, "")):
        here = space(tmp_path, fold)
        with lease(here.lease, "it"):
            marker = here.lease.read_text()
        if change == "pid":
            marker = marker.replace(str(os.getpid()), str(dead_process()))
        if change == "host":
            marker = marker.replace(platform.node(), "elsewhere", 1)
        if change:
            here.lease.write_text(marker)
        if change == "host":
            os.utime(here.lease, (time.time() - 90,) * 2)
    assert [fold["state"] for fold in looked(tmp_path, capsys)] == ["died", "died", "stopped"]
    assert run(watch, ["--root", str(tmp_path), "--once"]) == 0
    said = capsys.readouterr().out
    assert "folds: 2 died, 1 stopped" in said
    assert "! minilm seed-42/fold-0 died: process" in said
    assert "on elsewhere, last sign of life 1:3" in said


def test_finished_folds_are_counted_and_shown_on_demand(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    finished(tmp_path, 0)
    finished(tmp_path, 1, "linear")
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "toy.json").write_text('{"facts": {"folds": 4, "repeats": 2}}')
    whole = {"metric": "auc", "oof_score": 0.8125}
    (tmp_path / "oof" / "toy" / "linear" / "run.json").write_text(json.dumps(whole))
    assert [fold["seconds"] for fold in looked(tmp_path, capsys)] == [61.5, 61.5]
    assert run(watch, ["--root", str(tmp_path), "--once"]) == 0
    brief = capsys.readouterr().out
    assert "toy/minilm: 1 of 8 folds finished" in brief
    assert "toy/linear: complete, 1 folds, auc 0.8125" in brief
    assert "score 0.7500" not in brief
    assert run(watch, ["--root", str(tmp_path), "--once", "--all"]) == 0
    assert capsys.readouterr().out.count("score 0.7500") == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"step": null}', b"\xff\x00"])
def test_a_torn_file_is_no_more_than_unknown(tmp_path, capsys, content):
    here = space(tmp_path, 0)
    for path in (here.progress, here.events):
        path.write_bytes(content)
    (fold,) = looked(tmp_path, capsys)
    assert fold["state"] == "stopped"
    assert fold["step"] is None
    assert run(watch, ["--root", str(tmp_path), "--once"]) == 0


def test_nothing_under_the_root_is_refused(tmp_path, capsys):
    assert run(watch, ["--root", str(tmp_path)]) == 2
    assert "nothing has been trained there. --root DIR says where" in capsys.readouterr().err


def test_no_time_between_two_looks_is_refused(tmp_path, capsys):
    finished(tmp_path, 0)
    assert run(watch, ["--root", str(tmp_path), "--every", "0"]) == 2
    assert "--every 0: expected more than 0 seconds" in capsys.readouterr().err
    assert run(watch, ["--root", str(tmp_path), "--every", "0.5", "--once"]) == 0


def test_a_disk_that_takes_nothing_does_not_stop_a_training(tmp_path):
    here = space(tmp_path, 0)
    shutil.rmtree(here.folder)
    assert beat(here).steps == 30
    assert not here.progress.exists()


def test_what_is_over_within_seconds_writes_nothing(tmp_path):
    here = space(tmp_path, 0)
    pulse = Pulse(here.progress, Silent())
    pulse.phase("train", 2)
    pulse.advance()
    assert not here.progress.exists()


def test_a_training_is_seen_while_it_runs_and_leaves_no_file_behind(tmp_path, monkeypatch):
    root = toy_competition(tmp_path)
    monkeypatch.setattr(progress, "PULSE_SECONDS", 0.0)
    seen: list[FoldState] = []
    advance = Pulse.advance

    def look(pulse: Pulse, *counts: int, **more: int) -> None:
        advance(pulse, *counts, **more)
        seen.extend(fold for fold in folds_under(root) if fold.state == "training")

    monkeypatch.setattr(Pulse, "advance", look)
    assert run(cv, ["--root", str(root), "--model", "linear"]) == 0
    assert {fold.part for fold in seen} == {f"seed-42/fold-{fold}" for fold in range(3)}
    assert {fold.phase for fold in seen} == {"train", "predict"}
    assert {fold.process for fold in seen} == {os.getpid()}
    assert {fold.state for fold in folds_under(root)} == {"finished"}
    assert list(root.rglob("*progress.json*")) == []
