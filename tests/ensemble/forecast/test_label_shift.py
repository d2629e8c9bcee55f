"""Other label shares in test, seen from predictions alone."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.ensemble.forecast.label_shift import LabelShift, find_label_shift
from pipeline.ensemble.forecast.leaderboard import Further, leaderboard
from pipeline.ensemble.forecast.ranges import Labelled, weighed_gain
from tests.ensemble.forecast.test_leaderboard import table_of
from tests.ensemble.forecast.test_mean_of_learners import outputs_of, scored_of
from tests.nightly import nightly


def rows(n, shares, seed, problem="binary", noise=1.0, moved=0.0):
    """Labels with these *shares* and predictions of 3 learners that mostly err together."""
    random = np.random.default_rng([seed, n])
    wide = (n, len(shares) if problem == "multiclass" else 1)
    errors = 0.9 * random.normal(size=wide) + 0.44 * random.normal(size=(3, *wide))
    label = random.choice(len(shares), size=n, p=shares)
    if problem == "multiclass":
        signal = 2.0 * np.eye(len(shares))[label] + moved
        each = signal + noise * errors
        return label[:, None].astype(float), np.exp(each) / np.exp(each).sum(2, keepdims=True)
    each = label[:, None] + moved + noise * errors
    if problem == "binary":
        each = 1 / (1 + np.exp(-each))
    return label[:, None].astype(float), each


def found(problem, before, after, **more):
    truth, oof = rows(2000, before, 1, problem)
    _, test = rows(1000, after, 2, problem, **more)
    names = ["a"] if problem != "multiclass" else ["x", "y", "z"]
    return find_label_shift(truth, oof[0], test, problem, names, 0)


CASES = [
    ("binary", [0.5, 0.5], [0.25, 0.75]),
    ("multiclass", [0.6, 0.3, 0.1], [0.2, 0.3, 0.5]),
    ("regression", [0.5, 0.0, 0.1, 0.1, 0.3], [0.2, 0.2, 0.2, 0.2, 0.2]),
]


@pytest.mark.parametrize(("problem", "before", "after"), CASES[:2])
def test_the_shares_of_test_are_found(problem, before, after):
    shift = found(problem, before, after)
    assert shift.changed
    assert shift.explained
    assert shift.test == pytest.approx(after, abs=0.07)
    assert shift.train == pytest.approx(before, abs=0.04)
    assert "→" in shift.told


def test_the_shares_of_numbers_are_found():
    shift = found("regression", [0.4, 0.1, 0.1, 0.1, 0.3], [0.2] * 5)
    assert shift.changed
    assert shift.explained
    assert shift.test[0] == pytest.approx(0.2, abs=0.12)
    assert sum(shift.test) == pytest.approx(1)


@pytest.mark.parametrize("problem", ["binary", nightly("regression")])
def test_the_same_shares_are_seldom_called_others(problem):
    called = 0
    for seed in range(60):
        truth, oof = rows(600, [0.3, 0.7], 3 + seed, problem)
        _, test = rows(300, [0.3, 0.7], 1003 + seed, problem)
        called += find_label_shift(truth, oof[0], test, problem, ["a"], 0).changed
    assert called <= 3


def test_the_same_shares_of_many_classes_are_seldom_called_others():
    """A mixture of more classes comes nearer by chance: the test counts how many are free."""
    called, shares = 0, np.full(8, 1 / 8)
    for seed in range(40):
        truth, oof = rows(600, shares, 3 + seed, "multiclass")
        _, test = rows(300, shares, 1003 + seed, "multiclass")
        shift = find_label_shift(truth, oof[0], test, "multiclass", list("abcdefgh"), 0)
        called += shift.changed
    assert called <= 2


def test_predictions_that_no_shares_explain_are_said_to_be_so():
    assert not found("regression", [0.5, 0.5], [0.5, 0.5], moved=4.0).explained
    assert not found("binary", [0.5, 0.5], [0.5, 0.5], noise=3.0).explained


def test_shares_that_are_free_are_not_counted_as_evidence_for_them():
    """Eight kinds of output, seven shares: one degree of freedom is left to refute a mixture."""
    shares = np.full(8, 1 / 8)
    for seed in range(6):
        truth, oof = rows(2000, shares, 3 + seed, "multiclass")
        _, test = rows(1000, shares, 1003 + seed, "multiclass", noise=1.6)
        shift = find_label_shift(truth, oof[0], test, "multiclass", list("abcdefgh"), 0)
        assert not shift.explained


def forecast(after, texts=0.0, metric="accuracy", noise=1.0):
    truth, oof = rows(2000, [0.6, 0.3, 0.1], 1, "multiclass")
    hidden, test = rows(1000, after, 2, "multiclass", noise=noise)
    scored = scored_of("multiclass", metric, truth, oof[0])
    gain = scored.metric.gain(truth, oof[0])
    train = Labelled(table=table_of(2000, 1), scored=scored, gain=gain, raw=oof[0])
    names = ["x", "y", "z"]
    further = Further(outputs=outputs_of(test), names=names)
    asked = table_of(1000, 5, texts)
    made = leaderboard(train, None, asked, {"whole": 1000}, 0, (), further)
    return made, scored.metric.score(hidden, test.mean(axis=0)), gain


def test_the_score_is_expected_for_the_shares_of_test():
    """Train has most labels at both ends, test in the middle: a correlation falls."""
    truth, oof = rows(2000, [0.4, 0.1, 0.1, 0.4], 1, "regression")
    hidden, test = rows(1000, [0.1, 0.4, 0.4, 0.1], 2, "regression")
    scored = scored_of("regression", "pearson", truth, oof[0])
    gain = scored.metric.gain(truth, oof[0])
    train = Labelled(table=table_of(2000, 1), scored=scored, gain=gain, raw=oof[0])
    asked = (train, None, table_of(1000, 5), {"whole": 1000}, 0, ())
    made = leaderboard(*asked, Further(outputs=outputs_of(test), names=["score"]))
    true = scored.metric.score(hidden, test.mean(axis=0))
    assert leaderboard(*asked).parts["whole"].low > true
    whole = made.parts["whole"]
    assert whole.low <= true <= whole.high
    assert made.moves[0].name == "label shares"
    assert made.moves[0].gain < -0.05
    assert 0.005 < made.moves[0].doubt < 0.1, "other rows drawn, other shares"
    assert whole.score == pytest.approx(gain + sum(move.gain for move in made.moves))
    assert "labels have other shares" in made.notes[0]


def test_the_forecast_is_withheld_where_shares_are_not_all_that_changed():
    made, _, _ = forecast([0.6, 0.3, 0.1], noise=4.0)
    assert made.parts == {}
    assert "not only because labels have other shares" in made.notes[-1]
    strange, _, _ = forecast([0.1, 0.2, 0.7], texts=1.0)
    assert strange.parts == {}


@pytest.mark.parametrize(("grouped", "moved", "given"), [(True, 0.4, True), (True, 1.6, False),
                                                          (False, 0.4, False)])  # fmt: skip
def test_predictions_as_unlike_train_as_one_fold_is_unlike_the_others_are_no_shift(
    grouped, moved, given
):
    """Each source moves predictions its own way; a fold is a source, test a source of its own."""
    truth, oof = rows(2000, [0.4, 0.1, 0.1, 0.4], 1, "regression")
    _, test = rows(1000, [0.4, 0.1, 0.1, 0.4], 2, "regression", noise=0.4, moved=moved)
    fold = np.arange(2000) % 5
    raw = truth + 0.4 * (oof[0] - truth) + np.array([-0.5, -0.3, 0.1, 0.3, 0.5])[fold][:, None]
    sources = [np.array([f"{name}{each}" for each in which], dtype=object)
               for name, which in (("s", fold), ("t", np.zeros(1000, dtype=int)))]  # fmt: skip
    ours, asked = (replace(table_of(len(each), seed), features={"source": each} if grouped else {})
                   for seed, each in ((1, sources[0]), (5, sources[1])))  # fmt: skip
    scored = replace(scored_of("regression", "pearson", truth, raw), group_of_row=fold)
    gain = scored.metric.gain(truth, raw)
    train = Labelled(table=ours, scored=scored, gain=gain, raw=raw, fold_of_row=fold)
    further = Further(outputs=outputs_of(test), names=["score"])
    columns = ["source"] if grouped else []
    made = leaderboard(train, None, asked, {"whole": 1000}, 0, columns, further)
    assert bool(made.parts) == given
    assert "label shares" not in [move.name for move in made.moves]


def rows_with_a_word(before, after):
    """Rows with a word that test has more of have higher labels, and larger errors."""
    random = np.random.default_rng(0)
    ours, asked = table_of(1500, 1, before), table_of(900, 5, after)
    truth, raw = [], []
    for table in (ours, asked):
        odd = np.array(["zebra" in text for text in table.texts[:, 0]])[:, None]
        error = random.normal(size=odd.shape) + 0.1 * random.normal(size=(3, *odd.shape))
        truth.append(random.integers(0, 3, size=odd.shape) + 1.0 * odd)
        raw.append(truth[-1] + np.where(odd, 1.2, 0.4) * error)
    scored = scored_of("regression", "rmse", truth[0], raw[0][0])
    gain = scored.metric.gain(truth[0], raw[0][0])
    train = Labelled(table=ours, scored=scored, gain=gain, raw=raw[0][0])
    further = Further(outputs=outputs_of(raw[1]), names=["score"])
    return train, asked, further


def test_where_labels_or_texts_would_explain_the_predictions_the_range_holds_both(monkeypatch):
    train, asked, further = rows_with_a_word(0.35, 0.6)
    both = leaderboard(train, None, asked, {"whole": 900}, 0, (), further)
    assert both.notes[-1] == "other texts would explain it as well: the range holds both"
    monkeypatch.setattr(LabelShift, "explained_by", lambda *_: False)
    alone = leaderboard(train, None, asked, {"whole": 900}, 0, (), further)
    parts = both.parts["whole"], alone.parts["whole"]
    assert parts[0].score == parts[1].score
    assert parts[0].low < parts[1].low, "without a move the folds' score is the better one"


def test_predictions_and_texts_of_another_kind_are_too_much_even_where_weighing_explains_them():
    train, asked, further = rows_with_a_word(0.1, 0.9)
    made = leaderboard(train, None, asked, {"whole": 900}, 0, (), further)
    assert "the predictions of test are others" in made.notes[-1]
    assert not made.parts


@pytest.mark.parametrize(
    ("before", "after", "told"), [(0.1, 0.9, "also holds"), (0, 0.5, "half as"), (0, 1, "withheld")]
)
def test_texts_of_another_kind_with_the_same_predictions_widen_the_range(before, after, told):
    """By as much as few training rows are like those of test."""
    truth, oof = rows(1500, [0.6, 0.3, 0.1], 1, "multiclass")
    _, test = rows(900, [0.6, 0.3, 0.1], 2, "multiclass")
    scored = scored_of("multiclass", "accuracy", truth, oof[0])
    gain = scored.metric.gain(truth, oof[0])
    further = Further(outputs=outputs_of(test), names=["x", "y", "z"])
    widths = []
    for strange in (0, after):
        table = table_of(1500, 1, before if strange else 0)
        train = Labelled(table=table, scored=scored, gain=gain, raw=oof[0])
        asked = table_of(900, 5, strange)
        made = leaderboard(train, None, asked, {"whole": 900}, 0, (), further)
        widths.append(made.parts["whole"].high - made.parts["whole"].low if made.parts else np.nan)
    assert told in made.notes[-1]
    if told == "withheld":
        assert not made.parts
    else:
        assert made.auc > 0.7
        assert widths[1] > 1.4 * widths[0]


def test_weights_of_one_leave_the_score_as_it_is():
    truth, oof = rows(400, [0.5, 0.5], 1)
    scored = scored_of("binary", "auc", truth, oof[0])
    gain = scored.metric.gain(truth, oof[0])
    assert weighed_gain(scored, np.ones(400)) == pytest.approx(gain)
    half = replace(scored, truth=truth[:200], predicted=oof[0][:200], group_of_row=np.arange(200))
    weights = np.repeat([1.0, 0.0], 200)
    expected = half.metric.gain(half.truth, half.predicted)
    assert weighed_gain(scored, weights) == pytest.approx(expected, abs=0.01)


def test_a_holdout_whose_predictions_are_not_those_of_test_only_widens_the_range():
    kinds = {
        "train": [0.4, 0.1, 0.1, 0.4],
        "test": [0.1, 0.4, 0.4, 0.1],
        "dev": [0.1, 0.1, 0.7, 0.1],
    }
    known = {}
    for seed, (name, rows_of) in enumerate((("train", 2000), ("dev", 500))):
        truth, oof = rows(rows_of, kinds[name], 10 + seed, "regression")
        scored = scored_of("regression", "pearson", truth, oof[0])
        gain = scored.metric.gain(truth, oof[0])
        table = table_of(rows_of, 1 + seed)
        known[name] = Labelled(table=table, scored=scored, gain=gain, raw=oof[0])
    _, test = rows(1000, kinds["test"], 2, "regression")
    further = Further(outputs=outputs_of(test), names=["score"])
    asked = (known["train"], known["dev"], table_of(1000, 5), {"whole": 1000}, 0, ())
    made = leaderboard(*asked, further)
    assert made.basis == "train"
    assert "its predictions say that its labels are others than the file's" in made.notes[-1]
    whole = made.parts["whole"]
    assert whole.low < known["dev"].gain < whole.high
    assert leaderboard(*asked, Further()).basis == "holdout"
