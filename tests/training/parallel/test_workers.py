"""Several processes on one run."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline import cv
from pipeline.base.command import STOP, Stop, Stopped, by_signal, run
from pipeline.training.parallel import workers as crew
from pipeline.training.parallel.workers import WorkerError, Workers, of_worker
from tests.toy import environment, predictions, toy_competition, untrained


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A competition with a complete run of the linear model."""
    root = toy_competition(tmp_path_factory.mktemp("toy"))
    assert run(cv.main, ["--root", str(root), "--model", "linear"]) == 0
    return root


@pytest.fixture
def golden(toy):
    return predictions(toy)


@pytest.fixture
def root(toy, tmp_path) -> Path:
    """The competition with its folds frozen and nothing trained."""
    return untrained(toy, tmp_path)


@pytest.fixture
def lead(root, monkeypatch, capfd):
    """Run `pipeline.cv` here as the leader of two workers; status, stdout, stderr."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(STOP, "asked", None)

    def led(*argv, fault=""):
        monkeypatch.setenv("PIPELINE_FAULT", fault)  # this process has read it before
        status = run(cv.main, ["--root", str(root), *argv, "--workers", "2"])
        return status, *capfd.readouterr()

    return led


@pytest.mark.nightly
def test_a_worker_that_was_killed_is_started_again_and_no_byte_is_another(root, golden, lead):
    # two workers, three folds: one of them comes to a second fold, and is killed once it predicted
    status, out, error = lead("--model", "linear", "--json", fault="predicted:2:kill9")
    assert status == 0, error
    assert predictions(root) == golden
    assert "was killed by SIGKILL while it trained seed-42/fold-" in error
    assert "of linear; it is started again (1 of 2)" in error
    assert list(json.loads(out)["runs"]) == ["linear"]
    assert all(f"seed-42/fold-{fold}  pearson 0." in error for fold in range(3))
    assert not list(root.rglob("*.lease"))


@pytest.mark.nightly
def test_a_worker_that_fails_does_not_keep_the_others_from_their_folds(root, golden, lead):
    status, _, error = lead("--model", "linear", fault="predicted:2:enospc")
    assert status == 4
    assert "ended with status 4; the others go on" in error
    assert "no space left" in error
    finished = predictions(root)
    assert len(finished) == 2
    assert finished.items() <= golden.items()


@pytest.mark.nightly
def test_a_leader_that_gets_sigterm_lets_its_workers_save(root, lead):
    folds, ended = root / "runs" / "toy", threading.Event()

    def terminate():
        while not list(folds.rglob("step-*.json")):
            if ended.wait(0.05):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    settings = ["--set", "epochs=2000", "--checkpoint-every", "0s", "--only-fold", "1"]
    status, _, error = lead("--model", "tiny", *settings)
    ended.set()
    thread.join()
    assert status == 143, error
    (journal,) = folds.rglob("events.jsonl")
    whats = [json.loads(line)["what"] for line in journal.read_text().splitlines()]
    assert whats == ["started", "stopped"]
    assert not list(root.rglob("*.lease"))
    assert "the same command goes on" in error
    assert "Traceback" not in error


class Shells(Workers):
    """Workers that are shell scripts."""

    scripts: tuple[str, ...] = ()
    started = 0

    def _start(self, number):
        self.started += 1
        return subprocess.Popen(["sh", "-c", self.scripts[number - 1]])


def shells(*scripts, leases=None, stop=None):
    said = []
    found = {f"fold-{n}": Path(f"/none/{n}") for n in range(3)} if leases is None else leases
    made = Shells(len(scripts), [], found, stop or Stop(), said.append)
    made.scripts = scripts
    return made, said


def test_workers_that_end_well_or_find_everything_held_are_not_started_again():
    made, said = shells("exit 0", "exit 75")
    made.work()
    assert (made.started, said) == (2, [])


def test_the_first_failure_is_the_leaders(monkeypatch):
    monkeypatch.setattr(crew, "POLL_SECONDS", 0.02)
    made, said = shells("exit 5", "sleep 0.3; exit 6")
    with pytest.raises(WorkerError, match=r"worker 1 .* ended with status 5, as it says") as caught:
        made.work()
    assert caught.value.exit_code == 5
    assert [line.partition(") ")[2] for line in said] == [
        f"ended with status {code}; the others go on" for code in (5, 6)
    ]


def test_a_worker_has_three_lives_and_the_fold_it_held_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(crew, "holder_pid", lambda path: made.pid if path.name == "1" else 1)
    made, said = shells("kill -9 $$", "exit 0")
    start = made._start

    def noted(number):
        process = start(number)
        made.pid = process.pid if number == 1 else made.pid
        return process

    made.pid, made._start = 0, noted
    with pytest.raises(WorkerError, match="while it trained fold-1, 3 times") as caught:
        made.work()
    assert caught.value.exit_code == 4
    assert made.started == 4
    assert [line.partition("; ")[2] for line in said] == [
        "it is started again (1 of 2)",
        "it is started again (2 of 2)",
        "that was its last life",
    ]


def test_no_more_workers_than_folds_are_missing():
    made, _ = shells("exit 0", "exit 0", "exit 0", leases={"fold-1": Path("/none")})
    made.work()
    assert made.started == 1


@pytest.fixture
def heard(number):
    """The signal does here what it does by default, and so in the shells started from here.

    A shell cannot trap a signal that is ignored where it starts, and whoever runs the tests in the
    background of a script, or under nohup, has some ignored.
    """
    before = signal.signal(number, signal.SIG_DFL)
    yield
    signal.signal(number, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "TERM"), (signal.SIGINT, "INT"), (signal.SIGHUP, "TERM")]
)
def test_a_signal_is_passed_on_to_every_worker_once(tmp_path, monkeypatch, number, name):
    monkeypatch.setattr(crew, "POLL_SECONDS", 0.05)
    workers = [tmp_path / "1", tmp_path / "2"]
    trap = f"trap 'echo {name} >> $0.got' {name}; touch $0.up; "
    saving = "while [ ! -e $0.got ]; do sleep 0.05; done; sleep 0.2; exit 3"
    for worker in workers:
        worker.write_text(trap + saving)
    stop = asked_once_up(workers, number)
    made, said = shells(*(f"exec sh {worker}" for worker in workers), stop=stop)
    with pytest.raises(Stopped) as caught:
        made.work()
    assert str(caught.value) == str(by_signal(number))
    got = [worker.with_suffix(".got").read_text() for worker in workers]
    assert got == [f"{name}\n"] * 2
    assert said == []


def asked_once_up(workers, number):
    """A Stop that is asked by a signal once the workers are up."""

    class Later(Stop):
        def due(self, reserve=0.0):
            up = all(worker.with_suffix(".up").exists() for worker in workers)
            return by_signal(number) if up else None

    return Later()


def test_workers_that_do_not_end_in_time_are_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "PATIENCE_SECONDS", 0.3)
    worker = tmp_path / "1"
    worker.write_text("trap '' TERM; touch $0.up; while :; do sleep 0.05; done")
    stop = asked_once_up([worker], signal.SIGTERM)
    made, said = shells(f"exec sh {worker}", stop=stop)
    workers = []
    start = made._start
    made._start = lambda number: workers.append(start(number)) or workers[-1]
    with pytest.raises(Stopped, match="SIGTERM"):
        made.work()
    assert workers[0].returncode == -signal.SIGKILL
    assert said == []


def test_ctrl_c_on_a_terminal_does_not_reach_a_worker_past_its_leader(tmp_path, monkeypatch):
    """It would come to it twice, and the second one ends without saving."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 0.5\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    made = Workers(1, [], {"fold-0": tmp_path}, Stop(), print)
    with made._start(1) as worker:
        assert os.getpgid(worker.pid) != os.getpgrp()
        assert worker.wait() == 0


def test_a_worker_that_is_started_again_gets_the_gpu_it_had(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "POLL_SECONDS", 0.02)
    python = tmp_path / "python"
    # worker 2 is killed once; every life notes what it sees
    python.write_text(
        "#!/bin/sh\n"
        f'for number in "$@"; do :; done; seen={tmp_path}/seen-$number\n'
        'echo "$CUDA_VISIBLE_DEVICES $OMP_NUM_THREADS" >> "$seen"\n'
        '[ "$number" = 2 ] && [ "$(wc -l < "$seen")" = 1 ] && kill -9 $$\n'
        "exit 0\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    leases = {f"fold-{n}": Path(f"/none/{n}") for n in range(3)}
    gpus = ["GPU-aaaa", "MIG-bbbb"]
    Workers(3, [], leases, Stop(), lambda line: None, gpus).work()
    seen = [(tmp_path / f"seen-{number}").read_text() for number in (1, 2, 3)]
    assert seen == ["GPU-aaaa 3\n", "MIG-bbbb 3\n" * 2, "GPU-aaaa 3\n"]


def test_what_is_the_leaders_alone_is_not_handed_on():
    argv = ["--seed", "1", "2", "--workers=3", "--fresh", "--json", "--workers", "4", "--yes"]
    assert of_worker(argv) == ["--seed", "1", "2", "--yes"]
