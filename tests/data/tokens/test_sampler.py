"""In which order a loader asks for rows."""

import numpy as np
import pytest

from pipeline.data.tokens.batches import ByLength, Pick, Steps, plan, predict_plan
from pipeline.models.transformer_settings import TransformerRecipe

LENGTHS = np.random.default_rng(0).integers(1, 40, size=30)
RECIPE = TransformerRecipe(
    name="x", backbone="org/x", epochs=3, batch_size=8, length_groups=3, predict_batch_size=7
)


def steps(first=0, seed=3, lengths=LENGTHS):
    return Steps(lengths, RECIPE, seed, first)


def test_the_steps_are_those_of_every_epochs_own_plan():
    found = list(steps())
    expected = [step for epoch in range(3) for step in plan(3, epoch, 30, 8, LENGTHS, 3)]
    for number, (picks, groups) in enumerate(zip(found, expected, strict=True)):
        assert picks == [Pick(row, at, number) for at, rows in enumerate(groups) for row in rows]
    assert found[:4] != found[4:8]


def test_every_row_comes_once_per_epoch():
    for epoch in range(3):
        picks = [pick for step in list(steps())[4 * epoch : 4 * epoch + 4] for pick in step]
        assert sorted(pick.position for pick in picks) == list(range(30))


def test_steps_are_counted_before_any_is_made():
    own = steps()
    assert (own.per_epoch, own.total, len(own), len(list(own))) == (4, 12, 12, 12)


@pytest.mark.parametrize("first", range(13))
def test_a_training_taken_up_at_any_step_gets_exactly_the_rest(first):
    late = steps(first)
    assert list(late) == list(steps())[first:]
    assert len(late) == 12 - first
    assert late.total == 12


def test_another_seed_shuffles_otherwise():
    assert list(steps(seed=4)) != list(steps())


def test_no_rows_make_no_steps():
    none = steps(lengths=LENGTHS[:0])
    assert (len(none), list(none)) == (0, [])


def test_rows_are_predicted_once_each_by_length():
    own = ByLength(LENGTHS, RECIPE)
    assert len(own) == len(list(own)) == 5
    expected = [[Pick(row) for row in batch] for batch in predict_plan(LENGTHS, 7)]
    assert list(own) == expected
