"""What a checkpoint belongs to, whose claim it is, and what is left of other machines."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.command import Stop
from pipeline.base.errors import BusyError
from pipeline.base.leases import lease
from pipeline.oof.manifest import SAME
from pipeline.training.disk_space import needs
from tests.training.toys import make_job, run


def fingerprint(job):
    return job.workspace(next(iter(job.parts()))).fingerprint


def test_rows_in_another_order_are_another_training(tmp_path):
    job = make_job(tmp_path)
    train = job.tables.train
    turned = train.rows(np.arange(len(train))[::-1])
    other = replace(job, tables=replace(job.tables, train=turned))
    assert fingerprint(other) != fingerprint(job)
    assert fingerprint(make_job(tmp_path)) == fingerprint(job)


@pytest.mark.parametrize("fact", SAME)
def test_another_backbone_is_another_training(tmp_path, fact):
    job, other = make_job(tmp_path), make_job(tmp_path)
    other.factory.facts = lambda: {"device": "cpu", fact: "another"}
    assert fingerprint(other) != fingerprint(job)


def test_a_claim_that_another_holds_now_is_lost_at_the_next_look(tmp_path):
    path = tmp_path / "fold.lease"
    with lease(path, "it") as held:
        held.check()
        mine = path.read_bytes()
        path.rename(tmp_path / "mine")  # kept, so that its number is not used again
        path.write_bytes(mine.replace(str(os.getpid()).encode(), b"1"))
        with pytest.raises(BusyError, match="the claim on it was lost"):
            held.check()


def test_a_terminal_that_goes_away_may_say_so_often(capfd):
    stop = Stop()
    with stop.at_boundaries():
        for _ in range(3):
            stop.handle(signal.SIGHUP, None)
        assert str(stop.due()) == "SIGHUP"
    assert capfd.readouterr().err.count("saving at the next step") == 1


def test_a_copy_of_a_seeds_folder_is_no_seed(tmp_path):
    job = make_job(tmp_path)
    run(job)
    (job.paths.run(job.run) / "seed-42 (copy)").mkdir()
    manifest, _ = run(make_job(tmp_path))
    assert manifest["seeds"] == [42]


def test_a_finished_fold_keeps_nothing_of_machines_that_are_gone(tmp_path):
    job = make_job(tmp_path)
    part = next(iter(job.parts()))
    left = job.workspace(part).checkpoints / ".tmp-77-0badc0de-1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a checkpoint")
    run(job)
    assert not left.exists()


def test_space_that_an_earlier_attempt_takes_is_not_asked_for_again(tmp_path):
    job = make_job(tmp_path)
    parts = list(job.parts())
    before = sum(need.size for need in needs(job, parts))
    weights = job.workspace(parts[0]).weights / "weights"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(bytes(700))
    assert sum(need.size for need in needs(job, parts)) == before - 700
