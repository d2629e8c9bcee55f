"""What is done when a training diverges, and that it never costs a finite state."""

import math
from collections import Counter

import pytest
import torch

from pipeline.base.errors import DivergedError
from pipeline.base.fault_injection import Injected
from pipeline.base.files import sha256
from pipeline.models.learner import Silent
from pipeline.models.transformer.step import Stepper
from pipeline.models.transformer.tensor_file import read
from pipeline.training.fold import train_fold
from pipeline.training.jobs import Part
from pipeline.training.run import unfinished
from tests.training.fitting import fitting_job, make_backbone
from tests.training.toys import METRIC, Told, inject, run

PART = Part(42, 0, 0)
STEP = 4
"""The second of the second epoch."""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return make_backbone(tmp_path_factory.mktemp("backbone"))


def diverges(monkeypatch, above, at=STEP):
    """Let the loss of step *at* be NaN wherever the rate is more than *above* times the recipe's;
    how often each step was taken, by rate."""
    taken: Counter[tuple[float, int]] = Counter()
    accumulate = Stepper._accumulate

    def accumulated(self, step, groups, backward):
        taken[self.rate_scale, step] += 1
        loss = accumulate(self, step, groups, backward)
        return loss * math.nan if step == at and self.rate_scale > above else loss

    monkeypatch.setattr(Stepper, "_accumulate", accumulated)
    return taken


def states(job):
    """The checkpoints of the fold, by step."""
    folder = job.workspace(PART).checkpoints
    return {int(path.stem[5:]): read(path) for path in sorted(folder.glob("*.safetensors"))}


def all_finite(state):
    return all(bool(weight.isfinite().all()) for weight in state["state_dict"].values())


def trained(job, told=None):
    train_fold(job, PART, METRIC, told or Silent())
    return sha256(job.predictions(PART))


def test_stop_ends_the_run_and_keeps_what_is_finished_and_finite(tmp_path, backbone, monkeypatch):
    run(fitting_job(tmp_path, backbone), only_folds=[0])
    diverges(monkeypatch, above=0)
    job, told = fitting_job(tmp_path, backbone), Told()
    with pytest.raises(DivergedError, match=r"nan at step 5 of 6\. Try a learning_rate below"):
        run(job, lambda: told)
    assert [part.fold for part in unfinished(job)] == [1, 2]
    assert told.whats == ["diverged"]
    saved = sorted(job.workspace(Part(42, 0, 1)).checkpoints.glob("*.json"))
    assert [path.stem for path in saved] == ["step-00000003", "step-00000004"]


def test_skip_fold_trains_the_others(tmp_path, backbone, monkeypatch):
    job = fitting_job(tmp_path, backbone, on_nan="skip-fold")
    inject(monkeypatch, "loss:1:nan")
    with pytest.raises(DivergedError, match="seed-42/fold-0: the training loss"):
        run(job)
    assert unfinished(job) == [PART]


def test_rollback_goes_on_from_the_start_of_the_epoch_at_half_the_rate(
    tmp_path, backbone, monkeypatch
):
    taken = diverges(monkeypatch, above=0.5)
    job, told = fitting_job(tmp_path, backbone, on_nan="rollback"), Told()
    trained(job, told)
    assert taken == {
        **{(1.0, step): 1 for step in range(5)},
        **{(0.5, step): 1 for step in range(3, 6)},
    }
    assert told.whats == ["diverged", "rolled back", "resumed"]
    message = "back to step 3, and from there at 0.5 times the learning rate"
    assert told.events[1] == ("rolled back", {"message": message, "step": 3, "rate_scale": 0.5})


def test_rollback_in_the_first_epoch_starts_anew(tmp_path, backbone, monkeypatch):
    taken = diverges(monkeypatch, above=0.5, at=1)
    trained(fitting_job(tmp_path, backbone, on_nan="rollback"))
    assert taken[0.5, 0] == taken[1.0, 0] == 1


def test_rollback_halves_down_to_an_eighth(tmp_path, backbone, monkeypatch):
    diverges(monkeypatch, above=0.125)
    told = Told()
    trained(fitting_job(tmp_path, backbone, on_nan="rollback"), told)
    rates = [facts["rate_scale"] for what, facts in told.events if what == "rolled back"]
    assert rates == [0.5, 0.25, 0.125]


def test_what_diverges_even_at_an_eighth_ends_the_run(tmp_path, backbone, monkeypatch):
    taken = diverges(monkeypatch, above=0)
    job, told = fitting_job(tmp_path, backbone, on_nan="rollback"), Told()
    with pytest.raises(DivergedError):
        trained(job, told)
    assert told.whats.count("diverged") == 4
    assert sorted({rate for rate, _ in taken}) == [0.125, 0.25, 0.5, 1.0]
    assert unfinished(job, [0]) == [PART]


@pytest.fixture(scope="module")
def rolled_back(tmp_path_factory, backbone):
    """SHA-256 of the predictions of a fold that rolled back twice, and was not disturbed."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        diverges(monkeypatch, above=0.25)
        root = tmp_path_factory.mktemp("rolled-back")
        return trained(fitting_job(root, backbone, on_nan="rollback"))


# where a process is killed: before the divergence, between it and the first new state, after that
@pytest.mark.nightly
@pytest.mark.parametrize(
    "point",
    [
        "step:2",
        "event:4",
        "step:6",
        "step:5",
        "event:3",
        "step:8",
    ],
)
def test_a_kill_in_between_changes_no_byte(tmp_path, backbone, monkeypatch, rolled_back, point):
    diverges(monkeypatch, above=0.25)
    policy = {"on_nan": "rollback", "checkpoint_seconds": 0.0 if point != "step:6" else 600.0}
    inject(monkeypatch, f"{point}:raise")
    with pytest.raises(Injected):
        trained(fitting_job(tmp_path, backbone, **policy))
    inject(monkeypatch, "")
    assert trained(fitting_job(tmp_path, backbone, **policy)) == rolled_back


def test_a_state_that_is_not_finite_never_takes_the_place_of_a_finite_one(
    tmp_path, backbone, monkeypatch
):
    take = Stepper.take

    def spoilt(self, step, *more):
        loss = take(self, step, *more)
        if step == STEP:  # a weight, while the loss is fine
            with torch.no_grad():
                next(self.network.parameters())[0, 0] = math.inf
        return loss

    monkeypatch.setattr(Stepper, "take", spoilt)
    job = fitting_job(tmp_path, backbone)
    with pytest.raises(DivergedError, match="weights are not finite after step 5 of 6"):
        trained(job)
    found = states(job)
    assert sorted(found) == [3, 4]
    assert all(map(all_finite, found.values()))


def test_weights_that_end_infinite_are_never_saved(tmp_path, backbone, monkeypatch):
    take = Stepper.take

    def spoilt(self, step, *more):
        loss = take(self, step, *more)
        if self.done == self.steps:
            with torch.no_grad():
                next(self.network.parameters())[0, 0] = math.inf
        return loss

    monkeypatch.setattr(Stepper, "take", spoilt)
    job = fitting_job(tmp_path, backbone)
    with pytest.raises(DivergedError, match="weights are not finite after step 6 of 6"):
        trained(job)
    assert not job.workspace(PART).trained.exists()
    assert not job.predictions(PART).exists()
