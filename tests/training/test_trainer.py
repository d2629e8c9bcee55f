"""Lightning's Trainer as a fold uses it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader

from pipeline.models.hardware import Hardware
from pipeline.models.learner import Silent
from pipeline.models.settings import TransformerRecipe
from pipeline.training.trainer import make_trainer

CPU = Hardware(accelerator="cpu", name="x", precision="32-true", threads=1, memory=1)
BATCH = {"rows": torch.arange(3), "tokens": 5}


class Toy(pl.LightningModule):
    """One number that is pushed down; *at* is called in every training step."""

    def __init__(self, at=lambda: None):
        super().__init__()
        self.number = nn.Parameter(torch.tensor(1.0))
        self.at = at

    def training_step(self, batch, batch_idx):
        self.at()
        if self.trainer.logger:
            self.trainer.logger.log_metrics(
                {"number": float(self.number.detach())}, step=self.global_step
            )
        return self.number * 1.0

    def predict_step(self, batch, batch_idx):
        return batch["rows"]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Listener(Silent):
    def __init__(self):
        self.heard = []

    def phase(self, name, total):
        self.heard.append((name, total))

    def advance(self, steps=1, rows=0, tokens=0):
        self.heard.append((steps, rows, tokens))


def trainer_for(micro_groups=1, logs=None, watch=None, **changes):
    recipe = TransformerRecipe(name="t", backbone="t", **{"epochs": 1, **changes})
    return make_trainer(recipe, CPU, micro_groups, logs, watch or Silent())


def batches(count):
    return DataLoader([BATCH] * count, batch_size=None)


def test_steps_are_told_once_per_group_of_batches_and_the_short_last_one_too():
    watch = Listener()
    trainer_for(micro_groups=2, watch=watch, epochs=2).fit(Toy(), batches(3))
    epoch = [(0, 3, 5), (1, 3, 5), (1, 3, 5)]
    assert watch.heard == [("train", 4), *epoch, *epoch]


def test_batches_that_were_predicted_are_told():
    watch = Listener()
    trainer_for(watch=watch).predict(Toy(), batches(2))
    assert watch.heard == [("predict", 2), (1, 3, 5), (1, 3, 5)]


@pytest.fixture
def ctrl_c():
    """Python's own handler: a test run in the background inherits one that ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_reaches_the_caller_and_works_again_afterwards(ctrl_c):

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trainer_for().fit(Toy(interrupt), batches(2))
        assert signal.getsignal(signal.SIGINT) is ctrl_c


class Terminated(BaseException):
    """What a command raises in its handler of SIGTERM."""


def test_sigterm_reaches_the_caller_through_its_own_handler_at_once():
    def terminate(signum, frame):
        raise Terminated

    steps = []

    def at():
        steps.append(1)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(Terminated):
            trainer_for().fit(Toy(at), batches(4))
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(steps) == 1


def test_sigterm_without_a_handler_does_not_end_with_status_0():
    with pytest.raises(SystemExit) as caught:
        trainer_for().fit(Toy(lambda: os.kill(os.getpid(), signal.SIGTERM)), batches(4))
    assert caught.value.code == 143


def test_an_exit_of_somebody_else_is_left_alone():
    def leave():
        raise SystemExit(7)

    with pytest.raises(SystemExit) as caught:
        trainer_for().fit(Toy(leave), batches(1))
    assert caught.value.code == 7


def test_events_lie_in_the_folder_given_and_nothing_else_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer_for(logs=tmp_path / "fold-0" / "logs").fit(Toy(), batches(2))
    trainer_for().predict(Toy(), batches(1))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent for path in files} == {tmp_path / "fold-0" / "logs"}
    assert any(path.name.startswith("events.out.tfevents") for path in files)
    assert not [path for path in files if path.suffix == ".ckpt"]


def test_a_fold_that_is_trained_again_hides_the_events_of_the_one_that_was_killed(tmp_path):
    trainer_for(logs=tmp_path / "logs").fit(Toy(), batches(8))
    first = {path.name for path in (tmp_path / "logs").glob("events*")}
    trainer_for(logs=tmp_path / "logs").fit(Toy(), batches(2))
    assert len({path.name for path in (tmp_path / "logs").glob("events*")} - first) == 1
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [event.step for event in events.Scalars("number")] == [0, 1]


def test_on_a_cpu_only_deterministic_algorithms_are_allowed():
    torch.use_deterministic_algorithms(False)
    trainer_for()
    assert torch.are_deterministic_algorithms_enabled()


def test_the_recipe_decides_on_epochs_clipping_and_precision():
    trainer = trainer_for(micro_groups=3, epochs=4, max_gradient_norm=0.7)
    assert (trainer.max_epochs, trainer.accumulate_grad_batches) == (4, 3)
    assert trainer.gradient_clip_val == 0.7
    assert trainer.precision == "32-true"
    assert trainer_for(max_gradient_norm=0.0).gradient_clip_val is None


def test_training_and_predicting_say_nothing_by_themselves(tmp_path):
    script = textwrap.dedent("""
        from pathlib import Path
        from tests.training.test_trainer import Toy, batches, trainer_for

        trainer_for(logs=Path(r"{logs}")).fit(Toy(), batches(2))
        trainer_for().predict(Toy(), batches(2))
    """).format(logs=tmp_path / "logs")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
