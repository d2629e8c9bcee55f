"""What a checkpoint adds to weights and moments, and what is made of it later."""

from dataclasses import replace

import pytest
import torch
import transformers

from pipeline.base.paths import Workspace
from pipeline.models.transformer import module as module_file
from pipeline.models.transformer.memory_limits import LearnedLimits
from pipeline.models.transformer.module import TextModule
from pipeline.models.transformer.tensor_file import read, write
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU, Given, Listener
from tests.models.transformer.toys import CODEC, Toy, Training, steps_of

STEPS = steps_of(5, groups=2)


@pytest.fixture(autouse=True)
def _log_every_other_step(monkeypatch):
    monkeypatch.setattr(module_file, "LOGGED", 2)  # of 5 steps


def module_of(hardware=CPU, learnt=None, **changes):
    return TextModule(
        Toy(),
        CODEC,
        Training(learning_rate=1e-12, **changes).recipe,
        hardware,
        steps=5,
        learnt=learnt,
        watch=Listener(),
    )


def train(module, steps, folder):
    FoldFitter(CPU, FailurePolicy()).fit(module, Given(steps), Workspace(folder), Listener())
    return module


def saved(module, folder):
    """What went through a file."""
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    with (folder / "state").open("wb") as stream:
        write(stream, checkpoint)
    return read(folder / "state")


def test_a_training_that_goes_on_ends_with_the_facts_of_one_that_never_stopped(tmp_path):
    whole = train(module_of(), STEPS, tmp_path / "whole")
    first = train(module_of(), STEPS[:3], tmp_path / "first")
    assert first.counts.rows == 48
    later = module_of()
    later.on_load_checkpoint(saved(first, tmp_path))
    assert later.stepper.done == 3
    assert later.counts == first.counts
    assert later.last_train_loss == first.last_train_loss
    train(later, STEPS[3:4], tmp_path / "later")
    half = train(module_of(), STEPS[:4], tmp_path / "half")
    assert later.last_train_loss == pytest.approx(half.last_train_loss, rel=1e-5)
    assert later.last_train_loss != pytest.approx(first.last_train_loss, rel=1e-3)
    train(later, STEPS[4:], tmp_path / "later")
    assert later.counts == whole.counts
    assert later.last_train_loss == pytest.approx(whole.last_train_loss, rel=1e-5)
    assert not later.limits.watch.events


def test_what_was_learnt_and_the_precision_that_was_left_are_kept(tmp_path):
    half = replace(CPU, precision="16-mixed")
    first = module_of(half, LearnedLimits(micro_rows=4, precision="32-true"))
    assert first.stepper.arithmetic.precision == "32-true"
    later = module_of(half)
    later.on_load_checkpoint(saved(first, tmp_path))
    assert later.limits.learnt == LearnedLimits(micro_rows=4, precision="32-true")
    assert later.stepper.arithmetic.precision == "32-true"


def test_a_state_holds_the_first_step_as_well_as_later_ones(tmp_path):
    state = saved(module_of(), tmp_path)["training"]
    assert state["done"] == 0
    assert torch.equal(state["loss_sum"], torch.tensor(0.0))
    later = module_of()
    later.on_load_checkpoint({"training": state})
    assert later.last_train_loss != later.last_train_loss, "no loss yet"


def test_another_machine_is_told_with_both_names(tmp_path):
    content = saved(module_of(), tmp_path)
    later = module_of(replace(CPU, name="another"))
    later.on_load_checkpoint(content)
    ((what, message, facts),) = later.limits.watch.events
    before, now = (
        f"cpu ({name}, 1 B, 1 threads), 32-true, deterministic, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
        for name in ("x", "another")
    )
    assert (what, facts) == ("machine changed", {"before": before, "now": now})
    assert message == (
        f"the steps before were taken on {before}, those to come on {now}: the result may differ "
        "in its last digits from that of one machine"
    )


def test_the_same_machine_is_nothing_to_tell(tmp_path):
    later = module_of()
    later.on_load_checkpoint(saved(module_of(), tmp_path))
    assert not later.limits.watch.events
