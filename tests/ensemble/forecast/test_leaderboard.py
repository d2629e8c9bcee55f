from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.table import Table
from pipeline.ensemble.forecast import leaderboard as forecast
from pipeline.ensemble.forecast import ranges as samples
from pipeline.ensemble.forecast.leaderboard import Further, leaderboard
from pipeline.ensemble.forecast.ranges import Labelled, Scored, deviations, ranges
from pipeline.ensemble.forecast.shift import Shift, find_shift
from pipeline.folds.relation import LEVELS, Relation
from pipeline.metrics.bootstrap import Draws, resampled_gains
from pipeline.metrics.metric import get_metric
from tests.ensemble.toys import member, task_of, truth_of

CASES = [
    ("regression", "pearson"),
    ("regression", "rmse"),
    ("binary", "auc"),
    ("multiclass", "macro-f1"),
]


def scored_of(problem, metric, n, seed=0, size=2, noise=1.0):
    truth = truth_of(problem, n, 1, seed)
    known = get_metric(metric, task_of(problem, metric))
    predicted = member(problem, truth, noise, seed)
    return Scored(known, problem, truth, predicted, np.arange(n) // size)


def gain_of(scored):
    return scored.metric.gain(scored.truth, scored.predicted)


@pytest.mark.parametrize(("problem", "metric"), CASES)
def test_scores_of_small_samples_spread_as_scores_of_new_rows_do(problem, metric):
    scored = scored_of(problem, metric, 3000)
    found = deviations(scored, 300, 0, "test")
    new = [gain_of(scored_of(problem, metric, 300, seed)) for seed in range(1, 300)]
    assert np.std(found) == pytest.approx(np.std(new), rel=0.15)
    assert abs(np.mean(found)) < np.std(new) / 5


def test_a_sample_of_n_rows_spreads_as_the_bootstrap_does():
    scored = scored_of("regression", "pearson", 600)
    draws = Draws.over(scored.group_of_row, 0)
    parts = (scored.metric, scored.truth, scored.predicted)
    expected = np.std(resampled_gains(*parts, draws))
    assert np.std(deviations(scored, 600, 0, "train")) == pytest.approx(expected, rel=0.1)


def test_rows_of_one_group_are_drawn_together():
    truth = np.repeat(truth_of("regression", 200, 1), 5, axis=0)
    predicted = np.repeat(member("regression", truth[::5], 1.0, 0), 5, axis=0)
    known = get_metric("rmse", task_of("regression", "rmse"))
    together = Scored(known, "regression", truth, predicted, np.arange(1000) // 5)
    apart = replace(together, group_of_row=np.arange(1000))
    ratio = np.std(deviations(together, 100, 0, "a")) / np.std(deviations(apart, 100, 0, "a"))
    assert ratio == pytest.approx(np.sqrt(5), rel=0.15)


def test_a_file_of_fewer_rows_than_half_a_group_has_a_range_of_one_group():
    scored = scored_of("regression", "rmse", 400, size=100)
    found = ranges(scored, gain_of(scored), {"public": 20, "group": 100}, 0)
    assert found["public"].low < found["public"].score < found["public"].high
    assert found["public"].low == pytest.approx(found["group"].low, rel=0.05)


def test_very_many_groups_are_drawn_from_a_part_or_in_bundles(monkeypatch):
    scored = scored_of("regression", "rmse", 4000, size=1)
    for blocks, rows in ((50, 400), (50, 5)):
        expected = np.std(deviations(scored, rows, 0, "test"))
        with monkeypatch.context() as fewer:
            fewer.setattr(samples, "BLOCKS", blocks)
            fewer.setattr(samples, "ROOM", 40)
            found = np.std(deviations(scored, rows, 0, "test"))
        assert found == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize(("problem", "metric"), CASES)
def test_ninety_percent_of_new_files_score_inside_the_range(problem, metric):
    """Worlds whose rows are all new: both the file's rows and those the range was made from."""
    inside, worlds = 0, 60
    for seed in range(worlds):
        scored = scored_of(problem, metric, 700, seed=2 * seed + 1)
        found = ranges(scored, gain_of(scored), {"whole": 240}, seed)["whole"]
        new = scored_of(problem, metric, 240, seed=2 * seed + 2)
        score = scored.metric.score(new.truth, new.predicted)
        inside += found.low <= score <= found.high
    assert 0.78 <= inside / worlds <= 1


def test_a_range_holds_its_score_and_fewer_rows_widen_it():
    scored = scored_of("regression", "rmse", 500)
    found = ranges(scored, gain_of(scored), {"whole": 400, "public": 100, "private": 0}, 0)
    assert list(found) == ["whole", "public"]
    for each in found.values():
        assert each.low < each.score < each.high
    assert each.score == pytest.approx(-gain_of(scored))
    widths = [each.high - each.low for each in found.values()]
    assert widths[1] > 1.5 * widths[0]


def test_the_range_adds_up_the_files_rows_and_the_honest_scores_own():
    scored = scored_of("regression", "rmse", 800, size=1)
    error = np.std(deviations(scored, 800, 0, "train"))
    found = ranges(scored, gain_of(scored), {"equal": 800, "huge": 20_000}, 0)
    widths = [each.high - each.low for each in found.values()]
    assert widths[0] == pytest.approx(2 * 1.645 * np.sqrt(2) * error, rel=0.1)
    assert widths[1] == pytest.approx(2 * 1.645 * error, rel=0.1)


@pytest.mark.parametrize(
    ("groups", "least", "most"), [(600, 1, 1.02), (12, 1.06, 1.2), (3, 1.3, 4)]
)
def test_few_groups_that_err_together_widen_the_range_as_students_t_does(
    monkeypatch, groups, least, most
):
    random = np.random.default_rng(0)
    group = np.arange(600) % groups
    truth = random.normal(size=(600, 1))
    error = random.permutation(np.linspace(0.5, 1.5, groups))[group]
    known = get_metric("rmse", task_of("regression", "rmse"))
    scored = Scored(known, "regression", truth, truth + error[:, None], group)
    stretch = samples.stretch(scored, 90)
    assert least <= stretch <= most
    widths = []
    for wide in (samples.stretch, lambda *_: 1.0):
        monkeypatch.setattr(samples, "stretch", wide)
        found = ranges(scored, gain_of(scored), {"whole": 600}, 0)["whole"]
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(stretch * widths[1])


def test_one_large_group_that_moves_the_score_counts_as_two_degrees_of_freedom():
    """A group of 30 rows with an error of its own among 570 rows that are all predicted alike."""
    group = np.concatenate([np.zeros(30, dtype=int), np.arange(1, 571)])
    truth = np.zeros((600, 1))
    predicted = np.where(group[:, None] == 0, 3.0, 1.0)
    known = get_metric("rmse", task_of("regression", "rmse"))
    scored = Scored(known, "regression", truth, predicted, group)
    assert samples.stretch(scored, 90) == pytest.approx(2.92 / 1.645, rel=0.03)


def test_the_same_rows_give_the_same_range():
    scored = scored_of("binary", "auc", 300)
    once, again = (ranges(scored, gain_of(scored), {"whole": 100}, 7) for _ in range(2))
    assert once == again


WORDS = ["river", "stone", "quiet", "engine", "paper", "window", "garden", "market", "signal"]


def table_of(n, seed, strange=0.0):
    """Random texts, a share of them with words of their own."""
    random = np.random.default_rng([seed, n])
    texts = []
    for _ in range(n):
        words = [*random.choice(WORDS, size=8), str(random.integers(10**6))]
        if random.random() < strange:
            words.append("zebra")
        texts.append(" ".join(words))
    ids = np.array([f"{seed}-{row}" for row in range(n)], dtype=object)
    return Table(ids=ids, texts=np.array(texts, dtype=object)[:, None])


def labelled(n, seed=0, noise=1.0, strange=0.0, metric="rmse"):
    scored = scored_of("regression", metric, n, seed, size=1, noise=noise)
    return Labelled(table=table_of(n, seed, strange), scored=scored, gain=gain_of(scored))


def expect(train, test, holdout=None, rows=200):
    return leaderboard(train, holdout, test, {"whole": rows}, seed=0)


def test_files_that_are_alike_get_the_honest_score_and_no_remark():
    train = labelled(400)
    found = expect(train, table_of(300, 5))
    assert found.parts["whole"].score == pytest.approx(-train.gain)
    assert (found.notes, found.basis) == ([], "train")
    assert found.auc < 0.55


def test_a_column_that_folds_are_grouped_by_tells_nothing_apart():
    train, test = labelled(400), table_of(300, 5)
    ours = np.array([f"ann{row // 4}" for row in range(400)], dtype=object)
    theirs = np.array([f"bob{row // 100}" for row in range(300)], dtype=object)
    train = replace(train, table=replace(train.table, features={"author": ours}))
    test = replace(test, features={"author": theirs})
    assert expect(train, test).parts == {}, "authors of test are others"
    found = leaderboard(train, None, test, {"whole": 200}, seed=0, grouped_by=["author"])
    assert found.parts["whole"].score == pytest.approx(-train.gain)


def mixed(train, copies, others):
    """A test file with so many rows of *train* among others."""
    texts = np.concatenate([train.table.texts[:copies], table_of(others, 5).texts])
    ids = np.array([f"e{row}" for row in range(len(texts))], dtype=object)
    return Table(ids=ids, texts=texts)


def test_test_rows_that_stand_in_train_withhold_a_range_that_no_fold_can_tell():
    train = labelled(400)
    found = expect(train, mixed(train, 60, 240))
    assert found.parts == {}
    assert found.notes == [
        "withheld: 60 of 300 test rows (20 %) have the texts of a training row, and folds keep "
        "such rows apart: the honest score tells of the other rows only. Expect a better one, "
        "unless copies have contradicting labels (init counts them)"
    ]
    assert "whole" in expect(train, mixed(train, 15, 285)).parts, "5 % is no more than 5 %"


@pytest.mark.parametrize(("together", "told"), [(True, False), (False, True)])
def test_copies_in_train_count_where_folds_may_part_them(together, told):
    """Where a fifth of train are copies in other groups, its score tells of copies in test."""
    train = labelled(400)
    texts = train.table.texts.copy()
    texts[:80] = texts[80:160]
    groups = np.arange(400)
    if together:
        groups[:80] = groups[80:160]
    table = Table(ids=train.table.ids, texts=texts)
    train = replace(train, table=table, scored=replace(train.scored, group_of_row=groups))
    assert ("whole" in expect(train, mixed(train, 60, 240)).parts) == told


def test_a_test_file_of_another_kind_withholds_the_range_with_its_reason():
    found = expect(labelled(400), table_of(300, 5, strange=1.0))
    assert found.parts == {}
    (note,) = found.notes
    assert note == f"withheld: train and test are told apart with AUC {found.auc:.2f}"
    assert found.auc > 0.9


def test_rows_that_are_commoner_in_test_count_more_and_widen_the_range():
    """Rows with the words that test has more of are predicted worse."""
    n = 1500
    train = labelled(n, strange=0.35)
    odd = np.array(["zebra" in text for text in train.table.texts[:, 0]])
    truth = train.scored.truth
    predicted = np.where(odd[:, None], truth + 3 * (train.scored.predicted - truth), truth)
    scored = replace(train.scored, predicted=predicted)
    train = Labelled(table=train.table, scored=scored, gain=gain_of(scored))
    test = table_of(900, 5, strange=0.6)
    shift = find_shift(train.table, test)
    assert shift.verdict == "somewhat"
    assert np.nanmean(shift.weights) == pytest.approx(1)
    assert np.nanmean(shift.weights[odd]) > 1.3 * np.nanmean(shift.weights[~odd])
    found = expect(train, test, rows=900)
    plain = ranges(scored, train.gain, {"whole": 900}, 0)["whole"]
    whole = found.parts["whole"]
    assert whole.low == plain.low
    assert whole.high > plain.high + 0.2
    weighed = np.where(odd, 0.6 / 0.35, 0.4 / 0.65)[:, None]
    true_score = float(np.sqrt((weighed * (predicted - truth) ** 2).mean()))
    assert plain.high < true_score < whole.high
    assert "weighed as they are found in test" in found.notes[0]


def test_a_holdout_that_scores_otherwise_is_believed_and_the_range_holds_both():
    train, holdout = labelled(400), labelled(200, seed=3, noise=2.0)
    found = expect(train, table_of(300, 5), holdout)
    assert found.basis == "holdout"
    whole = found.parts["whole"]
    assert whole.score == pytest.approx(-holdout.gain)
    assert whole.low < -train.gain < -holdout.gain < whole.high
    assert "expected of 200 rows like train (99 %): expected from the file" in found.notes[0]


def test_a_strange_holdout_that_test_is_not_like_only_widens_the_range():
    train, holdout = labelled(400), labelled(200, seed=3, noise=2.0, strange=1.0)
    found = expect(train, table_of(300, 5), holdout)
    whole = found.parts["whole"]
    assert found.basis == "train"
    assert whole.score == pytest.approx(-train.gain)
    assert whole.low < -train.gain < -holdout.gain < whole.high
    assert "test is not like it" in found.notes[0]


def test_a_holdout_that_test_is_more_like_than_train_is_what_is_expected_from():
    """Texts of test are half strange, as the holdout's are; train's are not at all."""
    holdout = labelled(400, seed=3, strange=1.0, noise=1.2)
    found = expect(labelled(400), table_of(400, 5, strange=1.0), holdout)
    assert found.basis == "holdout"
    assert found.parts["whole"].score == pytest.approx(-holdout.gain)
    assert "test is more like the holdout file" in found.notes[-1]


@pytest.mark.parametrize(("auc", "basis"), [(0.58, "train"), (0.56, "holdout")])
def test_a_holdout_is_nearer_from_three_hundredths_of_auc_on(monkeypatch, auc, basis):
    def told_apart(auc):
        none = np.empty(0)
        return lambda train, *_: Shift(
            auc=auc, low=0.51, weights=np.ones(len(train)), ours=none, theirs=none
        )

    monkeypatch.setattr(forecast, "shift_between", told_apart(0.6))
    monkeypatch.setattr(forecast, "find_shift", told_apart(auc))
    assert expect(labelled(400), table_of(300, 5), labelled(200, seed=3)).basis == basis


def test_a_holdout_that_agrees_changes_nothing():
    holdout = labelled(200, seed=3)
    assert expect(labelled(400), table_of(300, 5), holdout) == expect(
        labelled(400), table_of(300, 5)
    )


def test_too_few_rows_to_compare_are_said_to_be():
    found = expect(labelled(400), table_of(20, 5), rows=20)
    assert "too few rows to tell whether train and test are alike" in found.notes[0]
    assert found.parts["whole"].rows == 20
    assert expect(labelled(10), table_of(300, 5)).notes == [
        "withheld: too few training rows to say"
    ]


def relation_of(shared):
    """Of rows of which a share has a sentence of the training rows."""
    shares = dict.fromkeys(LEVELS, 0.0) | {LEVELS[1]: shared, LEVELS[-1]: 1 - shared}
    return Relation(rows=300, shares=shares)


@pytest.mark.parametrize("metric", ["rmse", "pearson"])
def test_a_test_that_is_easier_than_the_folds_reaches_to_the_better_end_alone(metric):
    train, test = labelled(400, metric=metric), table_of(300, 5)
    plain = expect(train, test).parts["whole"]

    def told(of_test, of_folds):
        relation = Further(relation=(relation_of(of_test), relation_of(of_folds)))
        found = leaderboard(train, None, test, {"whole": 200}, seed=0, further=relation)
        return found.parts["whole"]

    easier, harder = told(0.5, 0.3), told(0.3, 0.5)
    if metric == "pearson":
        assert easier.high > plain.high
        assert easier.low == plain.low
        assert harder.low < plain.low
        assert harder.high == plain.high
    else:
        assert easier.low < plain.low
        assert easier.high == plain.high
        assert harder.high > plain.high
        assert harder.low == plain.low


@pytest.mark.parametrize(
    ("weights", "rows"),
    [([2.0] * 4, 4), ([4.0, 1.0, 1.0], 2), ([3.0, 0, 0, np.nan], 1), ([np.nan], 0)],
)
def test_weighed_rows_tell_as_much_as_fewer_of_equal_weight(weights, rows):
    known = Shift(
        auc=0.6, low=0.55, weights=np.array(weights), ours=np.array([]), theirs=np.array([])
    )
    assert known.counts_as == rows
