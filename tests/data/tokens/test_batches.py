"""The laws of a plan: every row once, steps plainly shuffled, groups cut with the least padding."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.tokens import batches
from pipeline.data.tokens.batches import micro_groups, plan, predict_plan, steps_of, useful_share

numbers = st.integers(1, 40)


def lengths_of(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, 60, rows)


def steps_as_sets(steps) -> list[set[int]]:
    return [set(np.concatenate(step).tolist()) for step in steps]


@given(
    rows=st.integers(1, 150),
    batch=numbers,
    groups=st.integers(1, 9),
    most=st.none() | st.integers(1, 12),
    epoch=st.integers(0, 3),
)
@settings(max_examples=200, deadline=None)
def test_every_row_comes_once_in_groups_that_keep_their_promises(rows, batch, groups, most, epoch):
    lengths = lengths_of(rows, epoch)
    steps = plan(5, epoch, rows, batch, lengths, groups, most)
    promised = micro_groups(rows, batch, groups, most)
    everything = np.concatenate([group for step in steps for group in step])
    assert sorted(everything.tolist()) == list(range(rows))
    assert len(steps) == -(-rows // batch)
    assert [len(step) for step in steps[:-1]] == [promised] * (len(steps) - 1)
    assert 1 <= len(steps[-1]) <= promised
    if rows % batch == 0:
        assert len(steps[-1]) == promised
    for step in steps:
        assert all(1 <= len(group) <= (most or batch) for group in step)
        inside = lengths[np.concatenate(step)]
        assert (np.diff(inside) <= 0).all(), "longest first, and groups do not overlap in length"


def test_the_plan_is_a_pure_function_of_seed_and_epoch():
    lengths = lengths_of(100)
    first = plan(1, 2, 100, 16, lengths, 4)
    np.random.seed(7)  # noqa: NPY002 - the global state must not matter
    again = plan(1, 2, 100, 16, lengths, 4)
    for one, other in zip(first, again, strict=True):
        for group, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(group, same)


def test_two_epochs_and_two_seeds_are_shuffled_differently():
    lengths = lengths_of(100)
    plans = [steps_as_sets(plan(*key, 100, 16, lengths, 4)) for key in [(1, 0), (1, 1), (2, 0)]]
    assert all(one != other for one, other in itertools.combinations(plans, 2))


@pytest.mark.parametrize("rows", [1, 96, 100])
@pytest.mark.parametrize("block", [1, 2, 5, 99])
def test_an_epoch_cut_in_blocks_from_any_step_on_is_the_same_plan(monkeypatch, rows, block):
    lengths = lengths_of(rows)
    whole = [[group.tolist() for group in step] for step in plan(1, 0, rows, 8, lengths, 3, 5)]
    monkeypatch.setattr("pipeline.data.tokens.batches.BLOCK", block)
    for first in range(len(whole) + 2):
        rest = steps_of(1, 0, rows, 8, lengths, 3, 5, first)
        assert [[group.tolist() for group in step] for step in rest] == whole[first:]


def test_a_long_epoch_is_not_planned_before_its_first_step(monkeypatch):
    cut, own = [], batches._cut
    monkeypatch.setattr(
        batches, "_cut", lambda rows, *more: cut.append(len(rows)) or own(rows, *more)
    )
    steps = steps_of(0, 0, 400_000, 16, lengths_of(400_000), 8)
    next(steps)
    assert cut == [batches.BLOCK]


def test_which_rows_share_a_step_has_nothing_to_do_with_their_length():
    """The statistics of plain shuffling: groups and lengths change the order inside a step only."""
    plain = steps_as_sets(plan(3, 0, 200, 32, np.ones(200, int), 1))
    assert steps_as_sets(plan(3, 0, 200, 32, lengths_of(200), 8)) == plain
    assert steps_as_sets(plan(3, 0, 200, 32, np.arange(200) + 1, 4, 3)) == plain


def test_rows_in_the_order_of_their_length_are_mixed_within_every_step():
    steps = plan(0, 0, 3200, 32, np.arange(3200) + 1, 4)
    means = [np.concatenate(step).mean() for step in steps]
    assert np.std(means) < 2 * 3200 / np.sqrt(12 * 32)


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=9),
    groups=st.integers(1, 4),
    most=st.none() | st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
def test_no_other_cut_into_as_many_groups_runs_fewer_tokens(lengths, groups, most):
    lengths = np.array(lengths)
    size = len(lengths)
    (step,) = plan(0, 0, size, size, lengths, groups, most)
    ours = sum(len(group) * lengths[group].max() for group in step)
    falling = np.sort(lengths)[::-1]
    costs = []
    for cuts in itertools.combinations(range(1, size), len(step) - 1):
        parts = np.split(falling, cuts)
        if max(map(len, parts)) <= (most or size):
            costs.append(sum(len(part) * part[0] for part in parts))
    assert ours == min(costs)


def test_a_micro_batch_size_makes_more_groups_and_never_fewer():
    assert micro_groups(1000, 32, 4, None) == 4
    assert micro_groups(1000, 32, 4, 16) == 4
    assert micro_groups(1000, 32, 4, 5) == 7
    assert micro_groups(1000, 2, 4, None) == 2
    assert micro_groups(3, 32, 4, None) == 3


def test_a_short_last_step_has_groups_as_large_as_the_others():
    steps = plan(0, 0, 32 + 8, 32, lengths_of(40), 4)
    assert [len(step) for step in steps] == [4, 1]
    steps = plan(0, 0, 32 + 9, 32, lengths_of(41), 4)
    assert [len(step) for step in steps] == [4, 2]


def test_no_rows_make_no_steps():
    assert plan(0, 0, 0, 32, np.empty(0, int), 4) == []
    assert predict_plan(np.empty(0, int), 4) == []


def test_more_groups_waste_less():
    lengths = lengths_of(640)
    shares = [
        useful_share(plan(0, 0, 640, 32, lengths, groups), lengths) for groups in (1, 2, 4, 8)
    ]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(
        lengths.sum() / sum(32 * lengths[step[0]].max() for step in plan(0, 0, 640, 32, lengths, 1))
    )
    assert useful_share(plan(0, 0, 640, 32, lengths, 32), lengths) == 1.0


@given(st.lists(st.integers(1, 99), max_size=50), numbers)
def test_prediction_takes_every_row_once_the_longest_first(lengths, size):
    lengths = np.array(lengths, dtype=int)
    batches = predict_plan(lengths, size)
    order = np.concatenate([*batches, np.empty(0, int)]).astype(int)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) <= 0).all()
    assert all(len(batch) == size for batch in batches[:-1])
