"""Folds that others hold or finish, that are killed after training, that diverge."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.errors import BusyError, DivergedError
from pipeline.base.fault_injection import Injected
from pipeline.base.files import read_json, sha256
from pipeline.base.leases import lease
from pipeline.models.learner import Silent
from pipeline.training.fold import train_fold
from pipeline.training.jobs import Part
from pipeline.training.run import unfinished
from tests.nightly import nightly
from tests.training.toys import (
    METRIC,
    LengthRidge,
    Told,
    inject,
    make_job,
    run,
    with_policy,
)


def digests(job):
    return [sha256(job.predictions(part)) for part in job.parts()]


def test_a_fold_that_somebody_else_holds_is_passed_over_and_the_others_are_trained(tmp_path):
    job = make_job(tmp_path)
    with (
        lease(job.workspace(Part(42, 0, 0)).lease, "it"),
        pytest.raises(BusyError, match="seed-42/fold-0 of run spy is being written by process"),
    ):
        run(job)
    assert unfinished(job) == [Part(42, 0, 0)]
    assert not job.paths.run_manifest("spy").exists()


def test_a_run_whose_last_fold_another_finishes_meanwhile_is_complete(tmp_path):
    job, other = make_job(tmp_path), make_job(tmp_path)
    first = Part(42, 0, 0)

    class Slow(LengthRidge):
        """While it learns fold 2, the other ends with fold 0."""

        def fit(self, train, workspace, watch, rate_scale=1.0):
            super().fit(train, workspace, watch)
            if len(job.factory.made) == 2:
                held.__exit__(None, None, None)
                train_fold(other, first, METRIC, Silent())

    held = lease(job.workspace(first).lease, "it")
    held.__enter__()
    job.factory.kind = Slow
    manifest, told = run(job)
    assert len(job.factory.made) == 2
    assert told == ["seed-42/fold-1", "seed-42/fold-2", "seed-42/fold-0"]
    assert manifest == read_json(job.paths.run_manifest("spy"))


def test_training_a_finished_fold_changes_nothing(tmp_path):
    job, part = make_job(tmp_path), Part(42, 0, 1)
    train_fold(job, part, METRIC, Silent())
    before = job.predictions(part).stat().st_mtime_ns, job.workspace(part).events.read_bytes()
    train_fold(job, part, METRIC, Silent())
    assert len(job.factory.made) == 1
    now = job.predictions(part).stat().st_mtime_ns, job.workspace(part).events.read_bytes()
    assert now == before


def test_nothing_is_committed_once_the_claim_is_lost(tmp_path, monkeypatch):
    job, part = make_job(tmp_path), Part(42, 0, 0)
    asked = []

    def lost():
        asked.append(1)
        if len(asked) == 2:  # the first time is before the weights
            raise BusyError("the claim was lost")

    monkeypatch.setattr("pipeline.base.leases.Lease.check", lambda self: lost())
    with pytest.raises(BusyError, match="the claim was lost"):
        train_fold(job, part, METRIC, Silent())
    assert not list(job.paths.runs.rglob("*.npz"))
    assert unfinished(job, [0]) == [part]


@pytest.mark.parametrize("point", ["trained", nightly("predicted")])
def test_a_fold_killed_after_its_training_goes_straight_to_its_predictions(
    tmp_path, monkeypatch, point
):
    undisturbed = make_job(tmp_path / "golden")
    run(undisturbed)
    inject(monkeypatch, f"{point}:2:raise")
    with pytest.raises(Injected):
        run(make_job(tmp_path))
    job, told = make_job(tmp_path), Told()
    manifest, _ = run(job, lambda: told)
    assert (len(job.factory.loaded), len(job.factory.made)) == (1, 1)
    assert told.whats == ["resumed"]
    assert digests(job) == digests(undisturbed)
    assert [event["what"] for event in manifest["events"]["seed-42/fold-1"]] == [
        "started",
        "started",
        "resumed",
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        "weights",
        nightly("settings"),
        nightly("no weights"),
    ],
)
def test_weights_that_cannot_be_trusted_are_trained_again(tmp_path, monkeypatch, spoil):
    undisturbed = make_job(tmp_path / "golden")
    run(undisturbed)
    inject(monkeypatch, "trained:1:raise")
    with pytest.raises(Injected):
        run(make_job(tmp_path))
    job, told = make_job(tmp_path), Told()
    workspace = job.workspace(Part(42, 0, 0))
    if spoil == "weights":
        (workspace.weights / "line.json").write_text("{")
    elif spoil == "settings":
        workspace.trained.write_text('{"settings": "others"}')
    else:
        (workspace.weights / "line.json").unlink()
    run(job, lambda: told)
    assert (len(job.factory.loaded), len(job.factory.made)) == (0, 3)
    assert told.whats == ([] if spoil == "settings" else ["weights refused"])
    assert digests(job) == digests(undisturbed)


def test_without_weights_a_killed_fold_is_trained_again(tmp_path, monkeypatch):
    inject(monkeypatch, "trained:1:raise")
    with pytest.raises(Injected):
        run(make_job(tmp_path, keep_weights=False))
    job = make_job(tmp_path, keep_weights=False)
    manifest, _ = run(job)
    assert len(job.factory.made) == 3
    assert manifest is not None
    assert not list(tmp_path.rglob("trained.json"))


def test_what_a_fold_learnt_about_the_machine_is_handed_to_the_next(tmp_path):
    class Learning(LengthRidge):
        facts = {"learnt": {"micro_rows": 4}}  # noqa: RUF012

    run(make_job(tmp_path, Learning), only_folds=[0])
    job = make_job(tmp_path)
    run(job)
    assert job.factory.remembered == [{"learnt": {"micro_rows": 4}}, {}, {}]


def test_events_come_to_the_manifests_of_fold_and_run(tmp_path):
    class Loud(LengthRidge):
        def fit(self, train, workspace, watch, rate_scale=1.0):
            super().fit(train, workspace, watch)
            watch.event("truncated", "3 texts were truncated", inputs=3)

    job = make_job(tmp_path, Loud)
    manifest, _ = run(job)
    loud = {"what": "truncated", "message": "3 texts were truncated", "inputs": 3}
    for part in job.parts():
        events = read_json(job.predictions(part).with_suffix(".json"))["events"]
        assert [event["what"] for event in events] == ["started", "truncated"]
        assert events[1] == loud
        assert manifest["events"][part.name] == events


def test_a_run_is_called_deterministic_only_where_every_fold_is(tmp_path, monkeypatch):
    assert run(make_job(tmp_path / "cpu"))[0]["deterministic"]
    job = make_job(tmp_path / "gpu")
    run(job, only_folds=[0])
    monkeypatch.setattr(job.factory, "facts", lambda: {"device": "cuda", "deterministic": False})
    assert not run(job)[0]["deterministic"]


class Broken(LengthRidge):
    """Diverges where it is not shown the first row."""

    def fit(self, train, workspace, watch, rate_scale=1.0):
        super().fit(train, workspace, watch)
        if "tr0" not in self.heard:
            raise DivergedError("the loss is nan")


def test_a_fold_that_diverges_is_skipped_where_the_rules_say_so(tmp_path):
    job = with_policy(make_job(tmp_path, Broken), on_nan="skip-fold")
    broken = Part(42, 0, int(job.folds.fold_of_row[0][0]))
    with pytest.raises(DivergedError, match=rf"skipped: {broken.name}: the loss is nan"):
        run(job)
    assert unfinished(job) == [broken]
    assert not job.paths.run_manifest("spy").exists()


def test_a_fold_that_diverges_ends_the_run_otherwise(tmp_path):
    job = make_job(tmp_path, Broken)
    broken = int(job.folds.fold_of_row[0][0])
    with pytest.raises(DivergedError, match="the loss is nan"):
        run(job)
    assert [part.fold for part in unfinished(job)] == list(range(broken, 3))


def test_no_fold_is_begun_once_the_command_is_asked_to_end(tmp_path):
    job = make_job(tmp_path)
    job.policy.stop.set_limit("0s")
    with pytest.raises(BaseException, match="the time limit of 0s"):
        run(job)
    assert job.factory.made == []


def test_predictions_made_under_other_settings_leave_nothing_to_go_on_from(tmp_path):
    job = make_job(tmp_path)
    part = Part(42, 0, 0)
    same = replace(job, keep_weights=False, seeds=[42, 43])
    other = replace(job, recipe=replace(job.recipe, char_ngrams=(1, 5)))
    assert job.workspace(part).fingerprint == same.workspace(part).fingerprint
    assert job.workspace(part).fingerprint != other.workspace(part).fingerprint
    assert len({job.workspace(Part(42, 0, fold)).fingerprint for fold in range(3)}) == 3
    assert np.all([job.workspace(p).fingerprint for p in job.parts()])
