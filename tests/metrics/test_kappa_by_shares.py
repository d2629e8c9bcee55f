import numpy as np
import pytest

from pipeline.ensemble.assessment import assess
from pipeline.ensemble.honest import Nest
from pipeline.metrics.bootstrap import Draws, resampled_gains
from pipeline.metrics.metric import MetricError, cut, get_metric, judging
from tests.ensemble.toys import gather, task_of

QWK = get_metric("qwk", task_of("regression", "qwk"))
JUDGING = judging(QWK)


def grades(n=900, seed=0):
    """Whole labels 1 to 5, most in the middle, and what they are made from."""
    random = np.random.default_rng(seed)
    true = random.normal(size=(n, 1))
    return np.clip(np.rint(3 + true), 1, 5), 3 + true, random


def test_of_each_label_as_many_are_predicted_as_there_are():
    truth, known, random = grades()
    found = cut(truth, 0.1 * known + random.normal(scale=0.05, size=known.shape))
    assert np.unique(found, return_counts=True)[1].tolist() == (
        np.unique(truth, return_counts=True)[1].tolist()
    )


def test_equal_predictions_get_equal_labels():
    truth = np.array([[0.0], [1.0], [1.0], [2.0]])
    assert len(np.unique(cut(truth, np.array([[1.0], [1.0], [1.0], [2.0]]))[:3])) == 1


def test_neither_spread_nor_level_counts():
    truth, known, _ = grades()
    narrow = JUDGING.score(truth, 0.2 * known + 7)
    assert narrow == pytest.approx(JUDGING.score(truth, known))
    assert QWK.score(truth, 0.2 * known + 7) < 0.3 < narrow


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_targets_that_are_no_labels_and_constants_have_no_score(shift):
    truth, known, _ = grades()
    with pytest.raises(MetricError, match="qwk has no value"):
        JUDGING.score(truth + shift, known if shift else np.zeros_like(known))


def test_draws_are_scored_as_the_rows_they_hold_with_the_cuts_of_all():
    truth, known, random = grades(200)
    guess = known + random.normal(size=known.shape)
    draws = Draws.over(np.arange(200), 0, 20)
    found = resampled_gains(JUDGING, truth, guess, draws)
    labels = cut(truth, guess)
    for gain, counts in zip(found, draws.counts, strict=True):
        rows = np.repeat(np.arange(200), counts[draws.block_of_row].astype(int))
        assert gain == pytest.approx(QWK.score(truth[rows], labels[rows]))
    assert np.isnan(resampled_gains(JUDGING, truth + 0.5, guess, draws)).all()


def test_other_metrics_and_problems_judge_by_themselves():
    for problem, name in (("regression", "rmse"), ("binary", "qwk"), ("multiclass", "qwk")):
        metric = get_metric(name, task_of(problem, name))
        assert judging(metric) is metric


def test_the_better_ordered_member_wins_although_it_stays_near_the_mean():
    truth, known, random = grades()
    wide = known + random.normal(scale=0.8, size=known.shape)
    narrow = 3 + 0.4 * (known - 3) + random.normal(scale=0.2, size=known.shape)
    evidence = gather("regression", "qwk", [wide, narrow], truth)
    assert Nest(evidence, 0).fit("best", evidence.folds).weights.tolist() == [1, 0], "by rounding"
    found = assess(evidence.judged_by(JUDGING), "auto", 0)
    assert found.blend.weights[1] > 0.8
    assert found.members[1].score > found.members[0].score
    greedy = Nest(evidence.judged_by(JUDGING), 0).fit("greedy", evidence.folds)
    assert greedy.weights[1] > 0.8
