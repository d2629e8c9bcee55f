"""What strangers found when they tried to break it."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from pipeline import cv
from pipeline.base.command import run as guarded
from pipeline.base.errors import BusyError
from pipeline.base.leases import lease
from pipeline.training.run import start_over
from tests.toy import command, environment, predictions, toy_competition
from tests.training.toys import inject, make_job, run

RECIPE = "configs/models/tiny.yaml"


@pytest.mark.nightly
def test_trained_weights_of_another_recipe_are_never_taken_for_ours(tmp_path):
    root = toy_competition(tmp_path / "toy") if (tmp_path / "toy").mkdir() is None else tmp_path
    ours = (root / RECIPE).read_text()
    first = ["--model", "tiny", "--only-fold", "0"]
    assert command(root, "cv", *first, fault="trained:1:kill9").returncode < 0
    (root / RECIPE).write_text(ours.replace("0.001", "0.003"))
    # the weights of the other recipe are saved, what vouches for them is not
    broken = command(root, "cv", *first, fault="commit-open:5:enospc")
    assert broken.returncode == 4
    (root / RECIPE).write_text(ours)
    again = command(root, "cv", *first)
    assert again.returncode == 0
    assert "was trained before" not in again.stderr
    clean = tmp_path / "clean"
    clean.mkdir()
    toy_competition(clean)
    (clean / RECIPE).write_text(ours)
    assert command(clean, "cv", *first).returncode == 0
    assert predictions(root) == predictions(clean)


def test_an_error_nobody_expects_ends_the_command(tmp_path, monkeypatch, capsys):
    root = toy_competition(tmp_path)
    inject(monkeypatch, "commit-write:3:raise")
    assert guarded(cv.main, ["--root", str(root), "--model", "linear"]) == 1
    assert "injected at commit-write" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_terminal_that_goes_away_leaves_a_saved_state(tmp_path):
    root = toy_competition(tmp_path)
    argv = [sys.executable, "-m", "pipeline.cv", "--root", str(root), "--model", "tiny"]
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
        os.execvpe(sys.executable, [*argv, "--set", "epochs=2000"], environment())
    logs = root / "runs" / "toy"
    while not list(logs.glob("*/seed-42/fold-0/logs/events*")):
        with suppress(OSError):
            os.read(terminal, 65_536)
        time.sleep(0.1)
    time.sleep(1)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
    assert list(logs.glob("*/seed-42/fold-0/checkpoints/*.json"))


@pytest.mark.nightly
def test_workers_end_with_their_leader(tmp_path):
    root = toy_competition(tmp_path)
    argv = [sys.executable, "-m", "pipeline.cv", "--root", str(root), "--model", "tiny"]
    argv += ["--set", "epochs=2000", "--workers", "2"]
    leader = subprocess.Popen(argv, env=environment(), stderr=subprocess.DEVNULL)
    leases = root / "runs" / "toy"
    while len(list(leases.glob("*/seed-42/fold-*/logs/events*"))) < 2:
        time.sleep(0.1)
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    until = time.monotonic() + 60
    while list(leases.glob("*/seed-42/fold-*/fold.lease")) and time.monotonic() < until:
        time.sleep(0.1)
    assert not list(leases.glob("*/seed-42/fold-*/fold.lease"))
    assert len(list(leases.glob("*/seed-42/fold-*/checkpoints/*.json"))) == 2


def test_starting_over_waits_for_nobody_and_deletes_nothing_that_is_being_made(tmp_path):
    job = make_job(tmp_path)
    run(job)
    before = predictions(tmp_path)
    part = list(job.parts())[1]
    with lease(job.workspace(part).lease, "it"), pytest.raises(BusyError, match="is being written"):
        start_over(job)
    assert predictions(tmp_path) == before
    start_over(job)
    assert predictions(tmp_path) == {}


def test_a_lease_without_a_name_is_taken_over_once_it_stood_still(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.base.leases.LEASE_SECONDS", 1.0)
    (tmp_path / "fold.lease").write_bytes(b"")
    began = time.monotonic()
    with lease(tmp_path / "fold.lease", "it"):
        assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "line", ['{"v": NaN}', '{"message": "\\ud800"}', "[" * 100_000, "1" * 5000, '{"what": "torn']
)
def test_a_line_that_could_not_go_into_a_manifest_is_left_out(tmp_path, line):
    job = make_job(tmp_path)
    events = job.workspace(next(iter(job.parts()))).events
    events.parent.mkdir(parents=True)
    events.write_text(line + "\n")
    manifest, _ = run(job)
    first = json.loads(job.paths.run_manifest(job.run).read_text())["events"]["seed-42/fold-0"]
    assert [event["what"] for event in first] == ["started"]
    assert manifest is not None
