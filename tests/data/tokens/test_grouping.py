"""How finely a step's rows are cut."""

import numpy as np
import pytest

from pipeline.data.tokens.batches import (
    ENOUGH,
    MOST_GROUPS,
    fewest_groups,
    plan,
    useful_share,
    within,
)

DRAW = np.random.default_rng(0)
UNLIKE = DRAW.lognormal(3.2, 0.35, 5_000).astype(int) + 3


def test_the_fewest_groups_that_leave_little_padding_are_taken():
    groups = fewest_groups(UNLIKE, 32)
    shares = [
        useful_share(plan(5, 1, len(UNLIKE), 32, UNLIKE, count), UNLIKE)
        for count in (groups - 1, groups)
    ]
    assert 1 < groups < MOST_GROUPS
    assert shares[0] < ENOUGH <= shares[1] + 0.01


def test_rows_of_one_length_are_not_cut():
    assert fewest_groups(np.full(100, 7), 32) == 1


@pytest.mark.parametrize(("batch_size", "most"), [(1, 1), (3, 3), (64, MOST_GROUPS)])
def test_there_is_an_end_to_cutting(batch_size, most):
    wild = DRAW.lognormal(4, 1.5, 500).astype(int) + 1
    assert fewest_groups(wild, batch_size) == most


@pytest.mark.parametrize("most_tokens", [1, 50, 97, 1_000, 10**6])
def test_no_part_is_larger_than_the_budget_and_no_row_is_lost(most_tokens):
    for step in plan(0, 0, len(UNLIKE), 32, UNLIKE, 2)[:20]:
        parts = within(step, UNLIKE, most_tokens)
        assert np.concatenate(parts).tolist() == np.concatenate(step).tolist()
        for part in parts:
            assert len(part) == 1 or len(part) * UNLIKE[part].max() <= most_tokens
        if most_tokens == 10**6:
            assert [part.tolist() for part in parts] == [group.tolist() for group in step]


def test_no_rows_are_no_groups():
    assert within([], UNLIKE, 10) == []
    assert fewest_groups(np.empty(0, int), 32) >= 1
