"""The draws against what statistics says of them."""

import numpy as np
import pytest

from pipeline.metrics.metric import get_metric
from pipeline.submissions import finalists as chances
from pipeline.submissions.finalists import Board, duel
from tests.ensemble.toys import task_of


def board(rows, n, metric="rmse", worlds=False, groups=None):
    truth = np.random.default_rng(0).normal(size=(n, 1))
    group = np.arange(n) if groups is None else groups
    found = get_metric(metric, task_of("regression", metric))
    return Board.of(rows, group, truth, found, 7, worlds)


def predicted(truth, noise, seed):
    return truth + noise * np.random.default_rng(seed).normal(size=truth.shape)


def spread(board, noises=(1.0, 1.2)):
    gains = [board.gains(predicted(board.truth, noise, i)) for i, noise in enumerate(noises, 1)]
    return duel(*gains).spread


def test_noise_shrinks_with_the_root_of_the_rows_and_agrees_with_fresh_rows():
    truth = np.random.default_rng(5).normal(size=(400 * 500, 1))
    ours, theirs = (
        np.sqrt(((predicted(truth, noise, i + 8) - truth) ** 2).reshape(400, 500).mean(axis=1))
        for i, noise in enumerate((1.0, 1.2))
    )
    found = spread(board(500, 4000))
    assert found == pytest.approx(float((ours - theirs).std()), rel=0.15)
    assert spread(board(2000, 4000)) == pytest.approx(found / 2, rel=0.15)


def test_worlds_add_the_uncertainty_of_our_own_rows():
    """With as many rows as we have, the two sources are equal, so the spread grows by root 2."""
    assert spread(board(1000, 1000, worlds=True)) == pytest.approx(
        np.sqrt(2) * spread(board(1000, 1000)), rel=0.1
    )


def test_groups_are_drawn_whole():
    """Rows that come in tens of equal errors are worth a tenth of their number."""
    n = 2000
    group = np.repeat(np.arange(n // 10), 10)
    whole, alone = board(500, n, groups=group), board(500, n)
    error = np.random.default_rng(3).normal(size=n // 10)[group][:, None]
    gains = [each.gains(each.truth + error) for each in (whole, alone)]
    assert gains[0].std() > 2.5 * gains[1].std()


def test_many_groups_are_bundled_without_changing_the_answer(monkeypatch):
    exact = spread(board(300, 3000))
    monkeypatch.setattr(chances, "BLOCKS", 256)
    assert spread(board(300, 3000)) == pytest.approx(exact, rel=0.15)
    assert len(board(300, 3000).kept) == 6 * 256


@pytest.mark.parametrize("rows", [60, 300, 1000])
def test_a_draw_of_bundles_takes_as_many_of_them_as_it_needs(rows, monkeypatch):
    """Its size in rows is right to a hundredth or so only where it takes fifty or more."""
    monkeypatch.setattr(chances, "BLOCKS", 256)
    found = board(rows, 3000)
    taken = found.draws.counts.sum(axis=1)
    assert (taken >= chances.LEAST_DRAWN).all()
    assert taken[0] * len(found.kept) / 256 == pytest.approx(rows, rel=0.02)


def test_equal_files_tie_and_a_worse_one_seldom_wins():
    found = board(200, 1000, worlds=True)
    good, bad = (found.gains(predicted(found.truth, noise, 1)) for noise in (0.5, 0.9))
    tie = duel(good, good)
    assert (tie.first_wins, tie.spread, tie.worth) == (0.5, 0.0, 0.0)
    assert duel(good, bad).first_wins == 1.0
    assert duel(bad, good).worth == pytest.approx(float((good - bad).mean()))


def test_unlike_errors_are_worth_more_than_like_ones():
    found = board(200, 1000, worlds=True)
    first = found.gains(predicted(found.truth, 1.0, 1))
    like = found.gains(predicted(found.truth, 1.0, 1) + 0.1 * predicted(found.truth * 0, 1.0, 2))
    unlike = found.gains(predicted(found.truth, 1.0, 3))
    assert duel(first, unlike).worth > 2 * duel(first, like).worth > 0


def test_undefined_scores_are_left_out():
    nothing, some = np.full(4, np.nan), np.array([1.0, 2.0, np.nan, 3.0])
    assert duel(nothing, some) is None
    assert duel(some, np.zeros(4)).first_wins == 1.0
