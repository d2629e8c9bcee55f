"""Lightning's Trainer as a fold uses it."""

import os
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.base.command import Stop, Stopped
from pipeline.models.transformer import module
from pipeline.training.options import FailurePolicy
from tests.toy import environment
from tests.training.fitting import Bench, Listener, make_backbone


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return make_backbone(tmp_path_factory.mktemp("backbone"))


def kill(number):
    os.kill(os.getpid(), number)


def often(**more):
    """Rules under which every step is saved."""
    return FailurePolicy(**{"checkpoint_seconds": 0.0, "stop": Stop(), **more})


def test_every_optimiser_step_is_told_once_and_the_short_last_one_too(tmp_path, backbone):
    watch, bench = Listener(), Bench(tmp_path, backbone, rows=6, batch_size=4)
    bench.fit(watch)
    phase, *steps = watch.heard
    assert phase == ("train", 4, 0, 2)
    assert [step[:2] for step in steps] == [(1, 4), (1, 2), (1, 4), (1, 2)]
    store = bench.factory.shared.store
    tokens = int(store.lengths(store.rows(bench.train.texts)).sum())
    assert [steps[0][2] + steps[1][2], steps[2][2] + steps[3][2]] == [tokens, tokens]


def test_the_recipe_decides_on_the_epochs(tmp_path, backbone):
    watch = Listener()
    Bench(tmp_path, backbone, epochs=4).fit(watch)
    assert watch.heard[0] == ("train", 16, 0, 4)
    assert len(watch.heard) == 17


def test_batches_that_were_predicted_are_told(tmp_path, backbone):
    bench, watch = Bench(tmp_path, backbone, predict_batch_size=4), Listener()
    bench.fit().predict(bench.test, watch)
    assert watch.heard[0] == ("predict", 2, 0, 0)
    assert [told[:2] for told in watch.heard[1:]] == [(1, 4), (1, 2)]


@pytest.fixture
def ctrl_c():
    """Python's own handler: a test run in the background inherits one that ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_reaches_the_caller_and_works_again_afterwards(tmp_path, backbone, ctrl_c):
    bench = Bench(tmp_path, backbone)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            bench.fit(Listener(lambda step: kill(signal.SIGINT)))
        assert signal.getsignal(signal.SIGINT) is ctrl_c


def test_sigterm_reaches_the_caller_through_its_own_handler_at_once(tmp_path, backbone):
    class Terminated(BaseException):
        pass

    def terminate(signum, frame):
        raise Terminated

    watch = Listener(lambda step: kill(signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(Terminated):
            Bench(tmp_path, backbone).fit(watch)
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(watch.heard) == 2


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")]
)
def test_a_signal_saves_at_the_boundary_and_the_same_training_goes_on_from_there(
    tmp_path, backbone, number, reason
):
    undisturbed = Bench(tmp_path / "golden", backbone).predictions()
    bench = Bench(tmp_path, backbone)
    watch = Listener(lambda step: kill(number) if step == 3 else None)
    with pytest.raises(Stopped, match=reason), bench.policy.stop.listening():
        bench.fit(watch)
    (event,) = watch.events
    assert event == ("stopped", {"message": f"{reason}: saved after step 3 of 8"})
    again = Listener()
    assert Bench(tmp_path, backbone).predictions(again) == undisturbed
    assert again.events == [("resumed", {"message": "goes on after step 3 of 8", "step": 3})]
    assert again.heard[0] == ("train", 8, 3, 4)
    assert len(again.heard) == 6


def test_the_time_limit_saves_at_the_boundary_with_time_left_to_save(tmp_path, backbone):
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    clock = Clock()
    policy = FailurePolicy(stop=Stop(clock))
    policy.stop.set_limit("1000s")

    def pass_time(step):
        clock.now = {1: 0.0, 2: 999.99999}.get(step, 2000.0)

    watch = Listener(pass_time)
    with pytest.raises(Stopped, match="the time limit of 1000s") as caught:
        Bench(tmp_path, backbone, policy=policy).fit(watch)
    assert caught.value.exit_code == 75
    assert watch.events[0][1]["message"].endswith("saved after step 2 of 8")


def test_a_prediction_ends_between_two_batches(tmp_path, backbone):
    bench = Bench(tmp_path, backbone, predict_batch_size=2)
    learner = bench.fit()
    watch = Listener(lambda step: bench.policy.stop.set_limit("0s"))
    with pytest.raises(Stopped):
        learner.predict(bench.test, watch)
    assert len(watch.heard) == 2


def test_a_job_of_slurm_is_one_process_and_keeps_its_signals(tmp_path, backbone, monkeypatch):
    job = {"JOB_ID": "1", "JOB_NAME": "cv.sbatch", "NTASKS": "5", "PROCID": "3", "LOCALID": "3"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    before, during = signal.getsignal(signal.SIGUSR1), []
    bench = Bench(tmp_path, backbone)
    bench.fit(Listener(lambda step: during.append(signal.getsignal(signal.SIGUSR1))))
    assert set(during) == {before}
    assert os.environ["SLURM_NTASKS"] == "5"


def test_where_slurm_could_be_used_and_is_not_nobody_is_advised_to(tmp_path, backbone, monkeypatch):
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(srun.parent), prepend=os.pathsep)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    bench = Bench(tmp_path, backbone)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        bench.fit().predict(bench.test, Listener())
    assert [str(each.message) for each in told] == []


def test_an_exit_of_somebody_else_is_left_alone(tmp_path, backbone):
    def leave(step):
        raise SystemExit(7)

    with pytest.raises(SystemExit) as caught:
        Bench(tmp_path, backbone).fit(Listener(leave))
    assert caught.value.code == 7


def test_events_lie_in_the_folder_given_and_nothing_else_is_written(
    tmp_path, backbone, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path, backbone)
    bench.predictions()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent for path in files} == {bench.workspace.logs}
    assert any(path.name.startswith("events.out.tfevents") for path in files)


def test_checkpoints_are_written_as_often_as_the_rules_say_but_not_at_the_end(tmp_path, backbone):
    bench = Bench(tmp_path, backbone, policy=often())
    bench.fit()
    names = sorted(path.stem for path in bench.workspace.checkpoints.glob("*.json"))
    assert names == ["step-00000006", "step-00000007"]
    seldom = Bench(tmp_path / "seldom", backbone)
    seldom.fit()
    assert not seldom.workspace.checkpoints.exists()


def test_the_claim_is_looked_at_before_every_save(tmp_path, backbone):
    class Lost(Exception):
        pass

    asked = []

    def check():
        asked.append(1)
        if len(asked) == 3:
            raise Lost

    bench = Bench(tmp_path, backbone, policy=often())
    bench.workspace = type(bench.workspace)(bench.workspace.folder, "mine", check)
    with pytest.raises(Lost):
        bench.fit()
    names = sorted(path.stem for path in bench.workspace.checkpoints.glob("*.json"))
    assert names == ["step-00000001", "step-00000002"]


def logged_steps(tmp_path):
    events = EventAccumulator(str(tmp_path / "fold-0" / "logs"))
    events.Reload()
    return [event.step for event in events.Scalars("train_loss")]


def test_what_was_logged_and_not_saved_is_hidden_and_nothing_else(tmp_path, backbone, monkeypatch):
    monkeypatch.setattr(module, "LOG_EVERY", 1)

    class Killed(Exception):
        pass

    def die(step):
        if step == 5:  # which is logged, but not saved
            raise Killed

    with pytest.raises(Killed):
        Bench(tmp_path, backbone, policy=often()).fit(Listener(die))
    Bench(tmp_path, backbone, policy=often()).fit()
    assert len(list(tmp_path.rglob("events*"))) == 2
    assert logged_steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_fold_that_is_trained_anew_hides_the_events_of_the_one_before(
    tmp_path, backbone, monkeypatch
):
    monkeypatch.setattr(module, "LOG_EVERY", 1)
    Bench(tmp_path, backbone).fit()
    Bench(tmp_path, backbone, epochs=1).fit()
    assert logged_steps(tmp_path) == [1, 2, 3, 4]


def test_on_a_cpu_only_deterministic_algorithms_are_allowed(tmp_path, backbone):
    torch.use_deterministic_algorithms(False)
    Bench(tmp_path, backbone).fit()
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.nightly
def test_training_is_silent_and_sigterm_without_a_handler_is_no_success(tmp_path, backbone):
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from tests.training.fitting import Bench, Listener

        folder, backbone = map(Path, sys.argv[1:])
        Bench(folder, backbone).predictions()
        (folder / "done").touch()
        kill = lambda step: os.kill(os.getpid(), signal.SIGTERM)
        Bench(folder, backbone).fit(Listener(kill))
    """)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path), str(backbone)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env=environment(),
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "done").exists()
    assert done.returncode == -signal.SIGTERM
