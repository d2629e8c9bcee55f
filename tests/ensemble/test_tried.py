"""What is tried in turn. Of equal gains the first is taken, so what changes least stands first."""

import numpy as np
import pytest

from pipeline.ensemble.decisions.units import BRIDGES, FACTORS, LEVELS, NO_LONGER, SHORTER
from pipeline.ensemble.methods import layers, ridge, slices
from pipeline.ensemble.texts.nest import LENGTHS, PENALTIES
from pipeline.ensemble.texts.pool import TRUST


def rises(values):
    return bool((np.diff(values) > 0).all())


@pytest.mark.parametrize("strengths", [layers.STRENGTHS, ridge.STRENGTHS, slices.STRENGTHS])
def test_the_strongest_pull_is_tried_first_and_none_is_left_out_between(strengths):
    assert rises([-each for each in strengths])
    assert min(strengths) > 0, "without any pull members that are alike have no weights"
    assert (np.divide(strengths[:-1], strengths[1:]) < 101).all()


def test_a_text_grows_or_shrinks_as_little_as_helps():
    longer, shorter = ([each for each in LENGTHS if each * sign > 0] for sign in (1, -1))
    assert rises(longer)
    assert rises([-each for each in shorter])
    assert list(LENGTHS) == [*longer, *shorter]
    assert PENALTIES[0] == 0
    assert rises(PENALTIES)


@pytest.mark.parametrize("shares", [TRUST, LEVELS, SHORTER, NO_LONGER])
def test_shares_and_probabilities_rise_and_are_none_above_one(shares):
    assert rises(shares)
    assert min(shares) >= 0
    assert max(shares) <= 1


def test_a_level_leaves_a_sure_outside_alone_and_a_bridge_joins_near_entities_first():
    assert min(LEVELS) > 0
    assert max(LEVELS) < 1
    assert rises(BRIDGES)


def test_how_often_no_answer_counts_is_tried_below_and_above_what_members_say():
    assert rises(FACTORS)
    assert min(FACTORS) == 0, "always an answer"
    assert 1 not in FACTORS, "that is what the others are compared with"
