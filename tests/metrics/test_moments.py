import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from pipeline.ensemble.predictor import Blend
from pipeline.metrics import moments as measured
from pipeline.metrics.metric import get_metric
from pipeline.metrics.moments import combine, measure, measure_by_fold, pair
from pipeline.metrics.registry import METRICS
from tests.ensemble.toys import evidence_of, gather, member, task_of, truth_of

GAINS = {
    name: record.formulas["regression"].from_moments
    for name, record in METRICS.items()
    if "regression" in record.formulas and record.formulas["regression"].from_moments
}
MOMENT_METRICS = sorted(GAINS)


def rowwise(evidence, blends):
    rows, predicted = evidence.predict(blends)
    return evidence.metric.gain(evidence.truth[rows], predicted)


def test_moments_are_counts_means_and_scatter_as_numpy_has_them():
    truth = truth_of("regression", 50, 2)
    members = [member("regression", truth, 1.0, seed) for seed in range(3)]
    found = measure(members, truth)
    for column in range(2):
        table = np.stack([*(each[:, column] for each in members), truth[:, column]])
        np.testing.assert_allclose(found.mean[column], table.mean(axis=1))
        np.testing.assert_allclose(found.scatter[column] / 49, np.cov(table))


@given(cut=st.integers(1, 59))
@settings(max_examples=20, deadline=None)
def test_moments_of_two_parts_combine_to_those_of_the_whole(cut):
    truth = truth_of("regression", 60, 2)
    oof = member("regression", truth, 1.0, 1) + 7
    parts = [measure([oof[:cut]], truth[:cut]), measure([oof[cut:]], truth[cut:])]
    whole, joined = measure([oof], truth), combine(parts)
    assert joined.count == whole.count
    np.testing.assert_allclose(joined.mean, whole.mean)
    np.testing.assert_allclose(joined.scatter, whole.scatter)


@pytest.mark.parametrize("metric", MOMENT_METRICS)
@pytest.mark.parametrize("k", [1, 3])
def test_a_blend_scores_the_same_by_moments_as_row_by_row(metric, k):
    evidence = evidence_of("regression", metric, k=k)
    random = np.random.default_rng(0)
    blends = {
        fold: Blend(random.normal(1, 1, size=4), random.normal(size=k)) for fold in evidence.folds
    }
    assert evidence.uses_moments
    assert evidence.gain(blends) == pytest.approx(rowwise(evidence, blends), abs=1e-8, rel=1e-8)


@pytest.mark.parametrize("metric", MOMENT_METRICS)
def test_badly_scaled_members_score_the_same_by_moments_as_row_by_row(metric):
    truth = 1e4 + truth_of("regression", 200, 1)
    oof = [
        1e4 + 1e-3 * (truth - 1e4) + 1e-4 * member("regression", truth * 0, 1.0, 1),
        1e6 * truth + member("regression", truth * 0, 1e6, 2),
        truth + member("regression", truth * 0, 0.5, 3),
    ]
    evidence = gather("regression", metric, oof, truth)
    blend = Blend(np.array([0.3, 2e-7, 0.5]), np.array([5.0]))
    blends = dict.fromkeys(evidence.folds, blend)
    assert evidence.gain(blends) == pytest.approx(rowwise(evidence, blends), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("metric", MOMENT_METRICS)
@pytest.mark.parametrize("k", [1, 2])
def test_a_greedy_step_is_scored_as_the_mean_it_would_make(metric, k):
    evidence = evidence_of("regression", metric, k=k)
    counts = np.array([2.0, 0.0, 1.0, 0.0])
    folds = frozenset([0, 2])
    rows = evidence.rows(folds)
    expected = [
        evidence.metric.gain(
            evidence.truth[rows],
            Blend((counts + np.eye(4)[j]) / 4, np.zeros(k)).of([m[rows] for m in evidence.oof]),
        )
        for j in range(4)
    ]
    np.testing.assert_allclose(evidence.steps(folds, counts), expected, rtol=1e-9)


def test_a_constant_member_is_worse_than_any_other_for_pearson():
    truth = truth_of("regression", 40, 1)
    evidence = gather("regression", "pearson", [np.full_like(truth, 0.1), -truth], truth)
    gains = evidence.steps(evidence.folds, np.zeros(2))
    assert gains.tolist() == [-np.inf, pytest.approx(-1.0)]


def test_float32_members_are_summed_in_float64():
    truth = truth_of("regression", 200_000, 1)
    oof = (1000 + member("regression", truth, 1.0, 1)).astype(np.float32)
    found = measure([oof], truth).scatter[0, 0, 0]
    assert found == pytest.approx(np.var(oof.astype(float)) * len(oof), rel=1e-12)


def test_errors_are_the_scatter_of_prediction_minus_target():
    evidence = evidence_of("regression", "rmse", k=2)
    columns = np.array([2.0, 0.5])
    found = evidence.moments(evidence.folds).errors(columns)
    errors = np.stack([each - evidence.truth for each in evidence.oof])
    centred = errors - errors.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.einsum("c,inc,jnc->ij", columns, centred, centred))


def test_leaving_a_member_out_cuts_the_moments_instead_of_measuring_anew():
    evidence = evidence_of("regression", "rmse", k=2)
    cut = evidence.without(1)
    anew = gather(
        "regression", "rmse", [evidence.oof[i] for i in (0, 2, 3)], np.asarray(evidence.truth)
    )
    assert cut.names == ["m0", "m2", "m3"]
    for fold in evidence.folds:
        np.testing.assert_allclose(cut.by_fold[fold].scatter, anew.by_fold[fold].scatter)


def test_the_metrics_of_moments_are_those_of_the_metrics_room():
    truth = truth_of("regression", 80, 2)
    predicted = member("regression", truth, 1.0, 5)
    moments = measure([predicted], truth).blend(np.ones(1), np.zeros(2))
    for name, gain in GAINS.items():
        metric = get_metric(name, task_of("regression", name))
        assert float(gain(pair(moments))) == pytest.approx(metric.gain(truth, predicted))


@pytest.mark.parametrize("cores", ["1", "3"])
@pytest.mark.parametrize(("piece", "cached", "first"), [(1, 1, 7), (2_000, 500, 100), (10**6,) * 3])
@pytest.mark.parametrize("k", [1, 3])
def test_one_pass_in_pieces_of_any_size_measures_every_fold(
    piece, cached, first, k, cores, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", cores)
    monkeypatch.setattr(measured, "PIECE", piece)
    monkeypatch.setattr(measured, "CACHED", cached)
    monkeypatch.setattr(measured, "FIRST", first)
    truth = truth_of("regression", 300, k)
    oof = [member("regression", truth, 1.0, seed).astype(np.float32) for seed in range(3)]
    fold_of_row = np.where(np.arange(300) < 290, np.arange(300) % 2, 7)  # fold 7 in the last block
    found = measure_by_fold(oof, truth, fold_of_row)
    assert list(found) == [0, 1, 7]
    for fold, moments in found.items():
        here = fold_of_row == fold
        for column in range(k):
            table = np.stack([*(each[here, column] for each in oof), truth[here, column]])
            assert moments.count == here.sum()
            np.testing.assert_allclose(moments.mean[column], table.mean(axis=1, dtype=float))
            centred = table - table.mean(axis=1, keepdims=True, dtype=float)
            np.testing.assert_allclose(moments.scatter[column], centred @ centred.T)


def test_the_pass_gives_the_same_bytes_on_any_number_of_cores(monkeypatch):
    monkeypatch.setattr(measured, "PIECE", 2**12)
    truth = truth_of("regression", 20_000, 1)
    oof = [member("regression", truth, 1.0, seed).astype(np.float32) for seed in range(4)]
    found = []
    for cores in ("1", "2", "5"):
        monkeypatch.setenv("OMP_NUM_THREADS", cores)
        found.append(measure_by_fold(oof, truth, np.arange(20_000) % 3))
    for other in found[1:]:
        for fold, moments in found[0].items():
            np.testing.assert_array_equal(moments.scatter, other[fold].scatter)
            np.testing.assert_array_equal(moments.mean, other[fold].mean)


def test_a_single_share_gives_the_same_bytes_on_any_number_of_cores(monkeypatch):
    truth = truth_of("regression", 5_000, 1)
    oof = [member("regression", truth, 1.0, seed).astype(np.float32) for seed in range(100)]
    blas = []
    product = measured._Sums.add
    look = lambda *given: (blas.extend(threads_of_blas()), product(*given))[1]  # noqa: E731
    monkeypatch.setattr(measured._Sums, "add", look)
    for cores in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", cores)
        measure_by_fold(oof, truth, np.arange(5_000) % 3)
    assert blas
    assert set(blas) == {1}, "sums of several threads depend on their number"


def threads_of_blas():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_members_of_both_widths_are_measured_in_the_wider_one():
    truth = truth_of("regression", 500, 1)
    narrow, wide = truth.astype(np.float32), 1e6 + 1e-6 * truth
    found = measure([narrow, wide], truth).scatter[0, 1, 1]
    assert found == pytest.approx(float(((wide - wide.mean()) ** 2).sum()), rel=1e-6)


def test_members_on_disk_are_measured_as_those_in_memory(tmp_path):
    truth = truth_of("regression", 120, 2)
    oof = np.stack([member("regression", truth, 1.0, seed) for seed in range(3)]).astype("f4")
    np.save(tmp_path / "members.npy", oof)
    mapped = np.load(tmp_path / "members.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        measure(list(mapped), truth).scatter, measure(list(oof), truth).scatter
    )


def test_one_pass_holds_no_copy_of_all_members(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # each thread holds as much
    truth = np.random.default_rng(0).normal(size=(200_000, 1))
    oof = [truth.astype(np.float32) + place for place in range(40)]  # 32 MB; 64 in float64
    tracemalloc.start()
    measure_by_fold(oof, truth, np.arange(200_000) % 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
